// Fetching: whole, in pieces, and from servers that fail. Everything goes to a server of the test itself.
#include "io/fetch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "tests/io/source_samples.h"
#include "tests/support/http_server.h"
#include "tests/support/support.h"

namespace ft {
namespace {

using test::HttpServer;
using test::Serve;

std::string body() {
  std::string text(300'000, '\0');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7 + i / 251);
  return text;
}

class Fetch : public testing::Test {
 protected:
  void SetUp() override { ::setenv("no_proxy", "127.0.0.1", 1); }
  int number(const HttpServer& server, std::string* line = nullptr, uint64_t most = 1u << 20) {
    return test::error_number([&] { result = fetch({server.url(), part(), most, 1, {}}); }, line);
  }
  std::filesystem::path part() const { return dir / "f.part"; }
  std::string content() const { return test::read_file(part()); }

  test::TempDir dir;
  FetchResult result;
};

TEST_F(Fetch, a_file_comes_whole_and_says_how_far_it_is) {
  const HttpServer server(body());
  uint64_t last = 0, total = 0;
  fetch({server.url(), part(), 1u << 20, 5, [&](uint64_t done, uint64_t of) {
           EXPECT_GE(done, last);
           last = done;
           total = std::max(total, of);
         }});
  EXPECT_EQ(content(), body());
  EXPECT_EQ(last, body().size());
  EXPECT_EQ(total, body().size());
}

TEST_F(Fetch, what_was_cut_goes_on_where_it_ended) {
  HttpServer server(body(), Serve::cut);
  std::string line;
  EXPECT_EQ(number(server, &line), 5042);
  EXPECT_NE(line.find("150000 bytes"), std::string::npos) << line;
  EXPECT_EQ(content(), body().substr(0, 150'000));
  EXPECT_EQ(number(server), 5042);
  server.become(Serve::whole);
  EXPECT_EQ(number(server), 0);
  EXPECT_EQ(content(), body());
  EXPECT_EQ(result.bytes, body().size());
  EXPECT_EQ(result.resumed, 225'000u);
  EXPECT_EQ(server.ranges(), (std::vector<std::string>{"", "bytes=150000-", "bytes=225000-"}));
  EXPECT_EQ(number(server), 0);  // there is nothing left
  EXPECT_EQ(content(), body());
}

TEST_F(Fetch, a_server_that_knows_no_ranges_starts_again) {
  const HttpServer server(body(), Serve::no_ranges);
  test::write_file(part(), "what an earlier transfer left");
  EXPECT_EQ(number(server), 0);
  EXPECT_EQ(result.resumed, 0u);
  EXPECT_EQ(content(), body());
}

TEST_F(Fetch, a_server_that_falls_asleep_is_left_and_what_came_stays) {
  const HttpServer server(body().substr(0, 3000), Serve::stall);
  EXPECT_EQ(number(server), 5042);
  EXPECT_EQ(content(), body().substr(0, 1500));
}

TEST_F(Fetch, what_is_no_file_of_the_server_is_refused) {
  EXPECT_EQ(number(HttpServer(body(), Serve::missing)), 5040);
  EXPECT_EQ(number(HttpServer(body(), Serve::redirect)), 5040);
  EXPECT_FALSE(std::filesystem::exists(part()));
  std::string url;
  {
    const HttpServer server(body());
    url = server.url();
  }
  EXPECT_EQ(test::error_number([&] { fetch({url, part(), 100, 1, {}}); }), 5040);
  EXPECT_EQ(test::error_number([&] { fetch({"file:///etc/hostname", part(), 100, 1, {}}); }), 5040);
  EXPECT_FALSE(std::filesystem::exists(part()));
}

TEST_F(Fetch, more_than_was_agreed_on_is_not_written) {
  const HttpServer server(body());
  EXPECT_EQ(number(server, nullptr, body().size() - 1), 2352);
  EXPECT_FALSE(std::filesystem::exists(part()));
  EXPECT_EQ(number(server, nullptr, body().size()), 0);
}

TEST_F(Fetch, places_that_cannot_be_written_are_named) {
  const HttpServer server(body());
  EXPECT_EQ(test::error_number([&] { fetch({server.url(), dir / "no/f.part", 100, 1, {}}); }),
            5006);
  EXPECT_EQ(test::error_number([&] { fetch({server.url(), dir.path(), 100, 1, {}}); }), 5007);
}

}  // namespace
}  // namespace ft
