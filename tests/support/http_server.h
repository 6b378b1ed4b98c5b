// A web server for tests: one body under every path, and the ways in which servers fail. It listens on 127.0.0.1 alone,
// at a port that the system chooses, on a thread of its own, until its end.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "io/unique_fd.h"

namespace ft::test {

enum class Serve {
  whole,      // answers ranges
  no_ranges,  // gives everything from the start, whatever is asked
  cut,        // announces everything, sends half of what is left, and hangs up
  stall,      // sends half of what is left, and then nothing
  missing,    // 404
  redirect,   // leads to a file of this computer
};

class HttpServer {
 public:
  explicit HttpServer(std::string body, Serve how = Serve::whole);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string url(const std::string& name = "file") const;
  void become(Serve how) { how_ = how; }
  // "bytes=7-" of every request so far, "" where nothing was asked.
  std::vector<std::string> ranges() const;

 private:
  void run();
  void answer(int client);

  std::string body_;
  std::atomic<Serve> how_;
  std::atomic<bool> ending_ = false;
  UniqueFd listener_;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> ranges_;  // guarded by mutex_
  std::jthread thread_;
};

}  // namespace ft::test
