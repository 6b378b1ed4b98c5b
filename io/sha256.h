// SHA-256 by libcrypto. Sha256 owns its state; one thread at a time. HashThread computes the same
// on a thread of its own, beside the one that reads the file.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>

namespace ft {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(std::span<const std::byte> bytes);
  // 64 lower-case hexadecimal digits. Ends the computation.
  std::string hex();

 private:
  void* context_;
};

std::string sha256_hex(std::span<const std::byte> bytes);

class HashThread {
 public:
  HashThread();
  ~HashThread();

  // Hands over a piece, which must stay unchanged until hex() has returned.
  void push(std::span<const std::byte> piece);
  // Waits for all pieces and returns the digest. Call once, last.
  std::string hex();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<std::span<const std::byte>> pieces_;  // guarded by mutex_, as closed_
  bool closed_ = false;
  std::string digest_;
  std::exception_ptr failure_;
  std::thread thread_;  // last: starts when all else is made
};

}  // namespace ft
