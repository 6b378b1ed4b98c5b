// Pickles: plain data is read as Python would, everything else is refused by its name, in bounded time and memory.
#include "io/pickle_reader.h"

#include <gtest/gtest.h>

#include "tests/io/source_samples.h"

namespace ft {
namespace {

using test::error_number;
using test::le;
using namespace test::pickle;
using Kind = PickleValue::Kind;

constexpr std::string_view kAllowed[] = {"collections.OrderedDict", "torch.Size"};

Pickle read(const std::string& bytes) {
  return read_pickle(test::as_bytes(bytes), "f.pth", kAllowed);
}
int number_of(const std::string& bytes, std::string* line = nullptr) {
  return error_number([&] { read(bytes); }, line);
}

TEST(PickleReader, reads_numbers_texts_and_containers) {
  const std::string bytes = program(
      "(" + number(-7) + "J\xff\xff\xff\xff" + "K\x05" + "M\xe9\x03" + std::string("\x8a\x00", 2) +
      "G\x40\x09\x21\xfb\x54\x44\x2d\x18" + kTrue + kNone + text("gr\xc3\xbc\xc3\x9f") +
      "U\x02"
      "ab" +
      "](K\x01K\x02"
      "e" +
      ")t");
  const Pickle p = read(bytes);
  const auto& items = p[p.root].items;
  ASSERT_EQ(items.size(), 12u);
  const int64_t integers[] = {-7, -1, 5, 1001, 0};
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(p[items[i]].integer, integers[i]) << i;
  EXPECT_EQ(p[items[5]].real, 3.141592653589793);
  EXPECT_TRUE(p[items[6]].kind == Kind::boolean && p[items[6]].integer == 1);
  EXPECT_EQ(p[items[7]].kind, Kind::none);
  EXPECT_EQ(p[items[8]].text, "gr\xc3\xbc\xc3\x9f");
  EXPECT_EQ(p[items[9]].text, "ab");
  EXPECT_EQ(p[items[10]].items.size(), 2u);
  EXPECT_TRUE(p[items[11]].kind == Kind::tuple && p[items[11]].items.empty());
  EXPECT_EQ(p.bytes, bytes.size());
}

TEST(PickleReader, reads_ordered_dictionaries_memo_and_frames) {
  const std::string bytes = "\x80\x04\x95" + le(uint64_t{99}) +
                            dict({{"a", "K\x01q\x07"}, {"b", "h\x07"}}) + "}" + text("_metadata") +
                            "}sb" + ".";
  const Pickle p = read(bytes);
  const PickleValue& root = p[p.root];
  ASSERT_EQ(root.kind, Kind::dict);
  EXPECT_EQ(p.find(root, "a"), p.find(root, "b"));
  EXPECT_EQ(p.find(root, "a")->integer, 1);
  EXPECT_EQ(p.find(root, "_metadata"), nullptr);
}

TEST(PickleReader, records_calls_and_objects_outside) {
  const std::string bytes = program(call(symbol("torch", "Size"), "K\x01K\x02\x86\x85"));
  const Pickle p = read(bytes);
  ASSERT_EQ(p[p.root].kind, Kind::call);
  EXPECT_EQ(p[p[p.root].items[0]].text, "torch.Size");
  EXPECT_EQ(p[p[p.root].items[1]].items.size(), 2u);
  const std::string outside = program(text("id") + "Q");
  const Pickle q = read(outside);
  EXPECT_EQ(q[q.root].kind, Kind::persistent);
}

// C40: the names that exploits are made of, in every instruction that names something.
TEST(PickleReader, refuses_every_symbol_that_is_not_listed_by_its_name) {
  const std::pair<const char*, const char*> gadgets[] = {
      {"os", "system"},
      {"posix", "system"},
      {"nt", "system"},
      {"subprocess", "Popen"},
      {"subprocess", "check_output"},
      {"builtins", "eval"},
      {"builtins", "exec"},
      {"builtins", "compile"},
      {"builtins", "getattr"},
      {"builtins", "__import__"},
      {"__builtin__", "eval"},
      {"__builtin__", "apply"},
      {"runpy", "_run_code"},
      {"importlib", "import_module"},
      {"socket", "create_connection"},
      {"webbrowser", "open"},
      {"shutil", "rmtree"},
      {"pty", "spawn"},
      {"code", "interact"},
      {"pdb", "run"},
      {"timeit", "timeit"},
      {"cProfile", "runctx"},
      {"bdb", "Bdb"},
      {"ctypes", "CDLL"},
      {"pickle", "loads"},
      {"marshal", "loads"},
      {"types", "FunctionType"},
      {"operator", "attrgetter"},
      {"numpy.testing._private.utils", "runstring"},
      {"torch", "load"},
      {"torch.hub", "load"},
      {"torch.serialization", "load"},
      {"torch._inductor.codecache", "compile_file"},
      {"torch", "FloatStorage"},
      {"collections", "defaultdict"},
      {"torch.Size", ""},
  };
  for (const auto& [module, name] : gadgets) {
    const std::string full = std::string(module) + "." + name;
    for (const std::string& how :
         {symbol(module, name) + text("touch mark") + "\x85R", text(module) + text(name) + "\x93)R",
          "(" + text("touch mark") + "i" + module + "\n" + name + "\n"}) {
      std::string line;
      EXPECT_EQ(number_of(program(how), &line), 2363) << full;
      EXPECT_NE(line.find(full), std::string::npos) << line;
    }
  }
}

TEST(PickleReader, refuses_instructions_that_data_does_not_need) {
  const std::string sized = dict({});
  for (const std::string& op : {std::string("P1\n"),
                                std::string("I1\n"),
                                std::string("F1\n"),
                                std::string("S'a'\n"),
                                std::string("Va\n"),
                                std::string("(o"),
                                std::string(")\x81"),
                                std::string("))\x92"),
                                std::string("\x82\x01"),
                                std::string("\x83\x01\x00", 3),
                                std::string("\x8b\x01\x00\x00\x00\x01", 6),
                                std::string("\x8f"),
                                std::string("\x96") + le(uint64_t{1}) + "a",
                                std::string("g1\n"),
                                std::string("K\x01p1\n"),
                                std::string("K\x01"
                                            "2"),
                                std::string("K\x01"
                                            "0"),
                                std::string("(1"),
                                std::string("\xff"),
                                std::string("]Nb"),
                                std::string("K\x01}b")})
    EXPECT_EQ(number_of(program(op)), 2364) << op;
}

// C41: what a damaged or hostile program does with the stack.
TEST(PickleReader, refuses_programs_that_make_no_sense) {
  for (const std::string& body : {std::string(""),
                                  std::string("t"),
                                  std::string("(K\x01"),
                                  std::string("K\x01K\x02"),
                                  std::string("R"),
                                  std::string("K\x01R"),
                                  std::string("K\x01)R"),
                                  std::string("(a"),
                                  std::string("]a"),
                                  std::string("K\x01K\x02"
                                              "a"),
                                  std::string("}K\x01s"),
                                  std::string("}(K\x01u"),
                                  std::string("](K\x01u"),
                                  std::string("h\x01"),
                                  std::string("j\x01\x00\x00\x00", 5),
                                  std::string("q\x01"),
                                  std::string("(q\x01"),
                                  std::string("\x85"),
                                  std::string("K\x01(\x85"),
                                  std::string("Q"),
                                  std::string("b"),
                                  std::string("K\x01K\x02\x93"),
                                  std::string("X\xff\xff\xff\xff"),
                                  std::string("\x8d\xff\xff\xff\xff\xff\xff\xff\xff"),
                                  std::string("cos"),
                                  std::string("cos\nsystem"),
                                  symbol("collections", "OrderedDict") + "](K\x01"
                                                                         "e\x85R",
                                  symbol("torch", "Size") + "(" + std::string(20, 'N') + "tR"})
    EXPECT_EQ(number_of(program(body)), 2362) << body;
  EXPECT_EQ(number_of(""), 2362);
  EXPECT_EQ(number_of("\x80\x01N."), 2362);
  EXPECT_EQ(number_of("\x80\x06N."), 2362);
  EXPECT_EQ(number_of("N."), 2362);
  const std::string whole = program(dict({{"a", number(5)}}));
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_EQ(number_of(whole.substr(0, n)), 2362) << n;
}

TEST(PickleReader, ends_long_programs_in_bounded_memory) {
  EXPECT_EQ(number_of(program(")" + std::string(900'000, '\x85'))),
            0);  // nested, but nothing recurses
  EXPECT_EQ(number_of(program(")" + std::string(1'100'000, '\x85'))), 2364);
  EXPECT_EQ(number_of(program(std::string(2'000'000, '('))), 2362);
  EXPECT_EQ(number_of("\x80\x02" + std::string(20u << 20, 'N')), 2364);
  // A list of a million pairs becomes the argument of many calls.
  std::string bomb = "](";
  for (int i = 0; i < 100'000; ++i) bomb += "))\x86";
  bomb += "e\x85q\x01" + symbol("collections", "OrderedDict") + "q\x02";
  for (int i = 0; i < 100'000; ++i) bomb += "h\x02h\x01R";
  EXPECT_EQ(number_of(program(bomb)), 2364);
}

}  // namespace
}  // namespace ft
