// run.toml: what is written reads back, and reading follows strict rules.
#include "io/run_config.h"

#include <gtest/gtest.h>

#include <clocale>
#include <cmath>
#include <functional>
#include <limits>
#include <locale>

#include "tensor/error.h"
#include "tests/support/support.h"

namespace ft {
namespace {

int number_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& e) {
    return e.number();
  }
  return 0;
}

int parse_number(const std::string& text) {
  return number_of([&] { parse_run_config(text, "run.toml"); });
}

RunConfig sample() {
  RunConfig c;
  c.set("run", "command", "ftrun finetune --data \"a b\" \\ tab\there\nnext");
  c.set("run", "model", "resnet50");
  c.set("choices", "lr", 1e-4);
  c.set("choices", "batch", int64_t{256});
  c.set("choices", "nesterov", false);
  c.set("choices", "whole", 3.0);
  c.set("choices", "mean", std::vector<double>{0.485, 0.456, 1.0});
  c.set("choices", "unfreeze", std::vector<std::string>{"layer4.*", "fc.*"});
  c.set("choices", "empty", std::vector<std::string>{});
  c.set("choices", "seeds", std::vector<int64_t>{1, -2});
  c.set("versions", "key with.dots \xc3\xbc", "1.0");
  return c;
}

void expect_equal(const RunConfig& a, const RunConfig& b) {
  ASSERT_EQ(a.sections().size(), b.sections().size());
  for (size_t s = 0; s < a.sections().size(); ++s) {
    EXPECT_EQ(a.sections()[s].name, b.sections()[s].name);
    ASSERT_EQ(a.sections()[s].entries.size(), b.sections()[s].entries.size());
    for (size_t e = 0; e < a.sections()[s].entries.size(); ++e) {
      EXPECT_EQ(a.sections()[s].entries[e].key, b.sections()[s].entries[e].key);
      EXPECT_TRUE(a.sections()[s].entries[e].value == b.sections()[s].entries[e].value)
          << a.sections()[s].entries[e].key;
    }
  }
}

TEST(RunConfig, round_trip_keeps_order_types_and_bits) {
  test::TempDir dir;
  save_run_config(dir / "run.toml", sample());
  const RunConfig read = load_run_config(dir / "run.toml");
  expect_equal(read, sample());
  EXPECT_EQ(read.to_toml(), sample().to_toml());
}

TEST(RunConfig, text_is_plain_toml) {
  RunConfig c;
  c.set("b", "x", int64_t{1});
  c.set("a", "y", 0.5);
  c.set("b", "x", int64_t{2});
  c.set("", "first", true);
  EXPECT_EQ(c.to_toml(), "first = true\n\n[b]\nx = 2\n\n[a]\ny = 0.5\n");
  EXPECT_EQ(parse_run_config("", "run.toml").to_toml(), "");
}

TEST(RunConfig, every_float_reads_back_to_its_bits) {
  using Limits = std::numeric_limits<double>;
  for (const double value : {0.1, -0.0, 1.0, 1e300, 1e15, 123456789.0, Limits::min(), Limits::max(),
                             Limits::denorm_min(), Limits::infinity(), -Limits::infinity(), 1 / 3.0,
                             Limits::quiet_NaN()}) {
    RunConfig c;
    c.set("a", "v", value);
    const auto read = parse_run_config(c.to_toml(), "run.toml").get<double>("a", "v");
    ASSERT_TRUE(read.has_value()) << c.to_toml();
    EXPECT_TRUE((std::isnan(value) && std::isnan(*read)) ||
                (*read == value && std::signbit(*read) == std::signbit(value)))
        << c.to_toml();
  }
}

TEST(RunConfig, extreme_integers_and_odd_texts_read_back) {
  RunConfig c;
  c.set("a", "min", INT64_MIN);
  c.set("a", "max", INT64_MAX);
  for (int i = 1; i < 128; ++i)
    c.set("a", "k" + std::to_string(i), std::string("x") + static_cast<char>(i) + "y");
  c.set("a", "bidi",
        "\xe2\x80\xae"
        "gpj");
  c.set("a", "", "empty key");
  expect_equal(parse_run_config(c.to_toml(), "run.toml"), c);
}

TEST(RunConfig, bytes_that_are_not_utf8_are_shown) {
  RunConfig c;
  c.set("a", "file", "caf\xe9.jpg");
  const auto read = parse_run_config(c.to_toml(), "run.toml").get<std::string>("a", "file");
  EXPECT_EQ(read, "caf\\xe9.jpg");
}

// A decimal comma and thousands points in every C++ stream.
struct Comma : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

TEST(RunConfig, numbers_are_the_same_in_every_locale) {
  const std::string expected = sample().to_toml();
  const std::locale before = std::locale::global(std::locale(std::locale(), new Comma));
  const char* c_locale = std::setlocale(LC_ALL, "de_DE.UTF-8");  // where it is installed
  RunConfig c;
  c.set("a", "big", 1234567.25);
  c.set("a", "count", int64_t{1234567});
  const std::string text = c.to_toml();
  const RunConfig read = parse_run_config("v = 1234567.25\nn = 1_000\n", "run.toml");
  const std::string again = parse_run_config(expected, "run.toml").to_toml();
  std::locale::global(before);
  if (c_locale != nullptr) std::setlocale(LC_ALL, "C");
  EXPECT_EQ(text, "[a]\nbig = 1234567.25\ncount = 1234567\n");
  EXPECT_EQ(read.get<double>("", "v"), 1234567.25);
  EXPECT_EQ(read.get<int64_t>("", "n"), 1000);
  EXPECT_EQ(again, expected);
}

TEST(RunConfig, typed_access) {
  const RunConfig c = sample();
  EXPECT_EQ(c.get<double>("choices", "lr"), 1e-4);
  EXPECT_EQ(c.get<double>("choices", "batch"), 256.0);
  EXPECT_EQ(c.get<int64_t>("choices", "lr"), std::nullopt);
  EXPECT_EQ(c.get<std::string>("choices", "none"), std::nullopt);
  EXPECT_EQ(c.find("none", "lr"), nullptr);
}

TEST(RunConfig, byte_order_mark_crlf_tabs_and_comments_are_read) {
  const RunConfig c = parse_run_config(
      "\xef\xbb\xbf# run\r\nlr\t=\t0.5\t# rate\r\n\r\n[a]\r\ntext = 'x'\r\nlist = [1,\r\n 2]\r\n",
      "run.toml");
  EXPECT_EQ(c.get<double>("", "lr"), 0.5);
  EXPECT_EQ(c.get<std::string>("a", "text"), "x");
  EXPECT_EQ(c.sections()[0].entries[0].line, 2);
  EXPECT_EQ(c.sections()[1].entries[1].line, 6);
}

TEST(RunConfig, what_is_not_toml_is_refused_with_line_and_column) {
  for (const std::string bad : {"a = 1\na = 2\n", "[s]\n[s]\n", "a = \n", "a = 0x\n",
                                "a = \"open\n", "= 1\n", "a = 1 b = 2\n", "a = \"\xff\"\n",
                                "a = 99999999999999999999\n", "a = '''never closed", "a = 1,5\n"})
    EXPECT_EQ(parse_number(bad), 2090) << bad;
  EXPECT_EQ(parse_number("a = " + std::string(100'000, '[')), 2090);
  EXPECT_EQ(parse_number(std::string("a = \"x\0y\"\n", 10)), 2090);
  try {
    parse_run_config("lr = 1\nlr = 2\n", "my.toml");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.where().rfind("my.toml:2:", 0), 0u) << e.where();
    EXPECT_EQ(e.status(), ExitStatus::bad_input);
  }
}

TEST(RunConfig, what_is_toml_but_not_plain_is_refused) {
  for (const std::string bad :
       {"a = 1979-05-27\n", "[s]\nt = {x = 1}\n", "[s.t]\nx = 1\n", "a = [1, 'x']\n", "a = [[1]]\n",
        "[[s]]\nx = 1\n", "a = [1, 2.5]\n"})
    EXPECT_EQ(parse_number(bad), 2091) << bad;
}

TEST(RunConfig, large_files_are_refused_before_they_are_parsed) {
  test::TempDir dir;
  test::write_file(dir / "big.toml", std::string((1u << 20) + 1, '#'));
  EXPECT_EQ(number_of([&] { load_run_config(dir / "big.toml"); }), 2086);
  EXPECT_EQ(parse_number(std::string((1u << 20) + 1, '#')), 2086);
  EXPECT_EQ(parse_number(std::string(1u << 20, '#')), 0);
  EXPECT_EQ(number_of([&] { load_run_config(dir / "none.toml"); }), 2081);
}

}  // namespace
}  // namespace ft
