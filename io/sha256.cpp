// SHA-256 by libcrypto, alone or on a thread of its own.
#include "io/sha256.h"

#include <openssl/evp.h>

#include "tensor/error.h"

namespace ft {
namespace {

EVP_MD_CTX* context(void* pointer) { return static_cast<EVP_MD_CTX*>(pointer); }

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (context_ == nullptr) throw std::bad_alloc();
  FT_CHECK(EVP_DigestInit_ex(context(context_), EVP_sha256(), nullptr) == 1,
           "libcrypto has no SHA-256");
}

Sha256::~Sha256() { EVP_MD_CTX_free(context(context_)); }

void Sha256::update(std::span<const std::byte> bytes) {
  FT_CHECK(EVP_DigestUpdate(context(context_), bytes.data(), bytes.size()) == 1,
           "libcrypto cannot hash");
}

std::string Sha256::hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  FT_CHECK(EVP_DigestFinal_ex(context(context_), digest, &size) == 1, "libcrypto cannot hash");
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    text += kDigits[digest[i] >> 4];
    text += kDigits[digest[i] & 15];
  }
  return text;
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

HashThread::HashThread() : thread_([this] { run(); }) {}

HashThread::~HashThread() {
  if (!thread_.joinable()) return;
  {
    const std::scoped_lock lock(mutex_);
    pieces_.clear();
    closed_ = true;
  }
  arrived_.notify_one();
  thread_.join();
}

void HashThread::push(std::span<const std::byte> piece) {
  {
    const std::scoped_lock lock(mutex_);
    pieces_.push_back(piece);
  }
  arrived_.notify_one();
}

std::string HashThread::hex() {
  {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
  }
  arrived_.notify_one();
  thread_.join();
  if (failure_) std::rethrow_exception(failure_);
  return digest_;
}

void HashThread::run() {
  try {
    Sha256 hash;
    for (;;) {
      std::unique_lock lock(mutex_);
      arrived_.wait(lock, [this] { return closed_ || !pieces_.empty(); });
      if (pieces_.empty()) break;
      const auto piece = pieces_.front();
      pieces_.pop_front();
      lock.unlock();
      hash.update(piece);
    }
    digest_ = hash.hex();
  } catch (...) {
    failure_ = std::current_exception();
  }
}

}  // namespace ft
