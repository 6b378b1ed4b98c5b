// A small web server for tests.
#include "tests/support/http_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

namespace ft::test {
namespace {

// Sends until the end or until the other side is gone.
void send_all(int client, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::send(client, text.data(), text.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

std::string header_of(const std::string& request, const std::string& name) {
  const size_t at = request.find("\r\n" + name + ": ");
  if (at == std::string::npos) return {};
  const size_t begin = at + name.size() + 4;
  return request.substr(begin, request.find("\r\n", begin) - begin);
}

}  // namespace

HttpServer::HttpServer(std::string body, Serve how) : body_(std::move(body)), how_(how) {
  listener_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(listener_.get(), generic, length), 0);
  EXPECT_EQ(::listen(listener_.get(), 8), 0);
  EXPECT_EQ(::getsockname(listener_.get(), generic, &length), 0);
  port_ = ntohs(address.sin_port);
  thread_ = std::jthread([this] { run(); });
}

HttpServer::~HttpServer() {
  ending_ = true;
  thread_.join();
}

std::string HttpServer::url(const std::string& name) const {
  return fmt::format("http://127.0.0.1:{}/{}", port_, name);
}

std::vector<std::string> HttpServer::ranges() const {
  const std::scoped_lock lock(mutex_);
  return ranges_;
}

void HttpServer::run() {
  while (!ending_) {
    pollfd wait{listener_.get(), POLLIN, 0};
    if (::poll(&wait, 1, 20) <= 0) continue;
    const UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (client) answer(client.get());
  }
}

void HttpServer::answer(int client) {
  std::string request;
  char piece[4096];
  while (request.find("\r\n\r\n") == std::string::npos) {
    const ssize_t n = ::recv(client, piece, sizeof piece, 0);
    if (n <= 0) return;
    request.append(piece, static_cast<size_t>(n));
  }
  const std::string range = header_of(request, "Range");
  {
    const std::scoped_lock lock(mutex_);
    ranges_.push_back(range);
  }
  const Serve how = how_;
  if (how == Serve::missing)
    return send_all(client, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  if (how == Serve::redirect)
    return send_all(client,
                    "HTTP/1.1 302 Found\r\nLocation: file:///etc/hostname\r\n"
                    "Content-Length: 0\r\n\r\n");
  const bool part = how != Serve::no_ranges && range.starts_with("bytes=");
  const size_t from = part ? std::stoull(range.substr(6)) : 0;
  if (from >= body_.size() && part)
    return send_all(client, "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n");
  const size_t left = body_.size() - from;
  std::string head = part ? "HTTP/1.1 206 Partial Content\r\n" : "HTTP/1.1 200 OK\r\n";
  if (part)
    head += fmt::format("Content-Range: bytes {}-{}/{}\r\n", from, body_.size() - 1, body_.size());
  send_all(client, head + fmt::format("Content-Length: {}\r\nConnection: close\r\n\r\n", left));
  const bool half = how == Serve::cut || how == Serve::stall;
  send_all(client, std::string_view(body_).substr(from, half ? left / 2 : left));
  while (how == Serve::stall && !ending_) {
    pollfd gone{client, POLLIN, 0};
    if (::poll(&gone, 1, 20) > 0) return;
  }
}

}  // namespace ft::test
