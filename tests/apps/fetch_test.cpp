// ftrun fetch: from a server of the test itself to a weight file; what is not what was promised leaves nothing behind.
#include <gtest/gtest.h>

#include <cstdlib>

#include "io/sha256.h"
#include "io/weights.h"
#include "tests/apps/ftrun_case.h"
#include "tests/apps/weight_samples.h"
#include "tests/support/http_server.h"

namespace ft::test {
namespace {

// An empty folder, and a network that its server gives away.
struct FetchCase {
  explicit FetchCase(const std::string& weights)
      : original(load_weights(weights)), body(as_torch(original)) {
    ::setenv("no_proxy", "127.0.0.1", 1);
  }
  ProcessResult fetch(const HttpServer& server, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> args = {"fetch",      "resnet50", out(), "--url",
                                     server.url(), "--stall",  "2"};
    args.insert(args.end(), more.begin(), more.end());
    return ftrun(args);
  }
  std::vector<std::string> promised() const {
    return {"--sha256", sha256_hex(as_bytes(body)).substr(0, 12)};
  }
  std::string out() const { return folder / "resnet50.h5"; }
  std::string part() const { return folder / "resnet50-0676ba61.pth.part"; }

  TempDir folder;
  WeightFile original;
  std::string body;
};

TEST_F(Ftrun, fetch_makes_a_weight_file_of_a_good_file_and_tidies_up) {
  const FetchCase f(*dir / "tuned/best.h5");
  const HttpServer server(f.body);
  const ProcessResult r = f.fetch(server, f.promised());
  ASSERT_EQ(r.status, 0) << r.err;
  const WeightFile converted = load_weights(f.out());
  EXPECT_EQ(converted.notes.at("source"), "resnet50-0676ba61.pth");
  EXPECT_EQ(converted.find("fc.weight")->data, f.original.find("fc.weight")->data);
  EXPECT_FALSE(fs::exists(f.part()));
  EXPECT_EQ(std::distance(fs::directory_iterator(f.folder.path()), {}), 1);
  std::vector<std::string> keep = f.promised();
  keep.emplace_back("--keep");
  ASSERT_EQ(f.fetch(server, keep).status, 0);
  EXPECT_EQ(read_file(f.folder / "resnet50-0676ba61.pth"), f.body);
}

TEST_F(Ftrun, fetch_goes_on_where_a_transfer_was_cut) {
  const FetchCase f(*dir / "tuned/best.h5");
  HttpServer server(f.body, Serve::cut);
  expect_error(f.fetch(server, f.promised()), 5, "5042", "run the same command again");
  EXPECT_EQ(fs::file_size(f.part()), f.body.size() / 2);
  server.become(Serve::whole);
  const ProcessResult r = f.fetch(server, f.promised());
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("were there already"), std::string::npos) << r.out;
  EXPECT_EQ(server.ranges().back(), "bytes=" + std::to_string(f.body.size() / 2) + "-");
}

TEST_F(Ftrun, fetch_parses_and_keeps_no_wrong_file) {
  const FetchCase f(*dir / "tuned/best.h5");
  const HttpServer server(f.body);
  const std::vector<std::string> wrong = {"--sha256", "00000000"};
  expect_error(f.fetch(server, wrong), 2, "2352", "begins with 00000000");
  EXPECT_FALSE(fs::exists(f.out()));
  EXPECT_FALSE(fs::exists(f.part()));
  // The published file is longer, and has another hash.
  expect_error(f.fetch(server), 2, "2352", "97.781 MiB");
  expect_error(f.fetch(HttpServer(std::string(1 << 20, 'x'), Serve::missing)), 5, "5040", "404");
  EXPECT_FALSE(fs::exists(f.out()));
}

TEST_F(Ftrun, fetch_checks_its_flags_before_it_asks_for_anything) {
  const FetchCase f(*dir / "tuned/best.h5");
  const HttpServer server(f.body);
  expect_error(f.fetch(server, {"--release", "3"}), 2, "2003", "--release");
  expect_error(f.fetch(server, {"--sha256", "xyz"}), 2, "2003", "--sha256");
  expect_error(ftrun({"fetch", "vgg16", f.out(), "--release", "2", "--url", server.url()}), 2,
               "2003", "--release");
  expect_error(ftrun({"fetch", "alexnet", f.out(), "--url", server.url()}), 2, "2003",
               "alexnet-tv");
  expect_error(ftrun({"fetch", "resnet50", f.folder / "no/out.h5", "--url", server.url()}), 5,
               "5006", "no");
  EXPECT_TRUE(server.ranges().empty());
}

}  // namespace
}  // namespace ft::test
