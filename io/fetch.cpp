// Fetching by libcurl.
#include "io/fetch.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <system_error>

#include "io/atomic_file.h"
#include "io/unique_fd.h"
#include "tensor/error.h"

namespace ft {
namespace {

// The part of libcurl's interface that is used. Its numbers are fixed: curl/curl.h promises that they never change
// within libcurl.so.4, so that its header is not needed to build.
namespace curl {

constexpr int kWriteData = 10001, kUrl = 10002, kErrorBuffer = 10010, kUserAgent = 10018;
constexpr int kProgressData = 10057, kWriteFunction = 20011, kProgressFunction = 20219;
constexpr int kLowSpeedLimit = 19, kLowSpeedTime = 20, kNoProgress = 43, kFailOnError = 45;
constexpr int kFollowLocation = 52, kMaxRedirects = 68, kConnectTimeout = 78, kNoSignal = 99;
constexpr int kProtocols = 181, kRedirectProtocols = 182, kResumeFrom = 30116, kMaxFileSize = 30117;
constexpr long kHttp = 1, kHttps = 2, kGlobalDefault = 3, kErrorBytes = 256;

constexpr int kOk = 0, kPartialFile = 18, kWriteError = 23, kTimedOut = 28, kRangeError = 33;
constexpr int kGotNothing = 52, kReceiveError = 56, kFileSizeExceeded = 63;

struct Library {
  int (*global_init)(long);
  void* (*easy_init)();
  int (*easy_setopt)(void*, int, ...);
  int (*easy_perform)(void*);
  void (*easy_cleanup)(void*);
  const char* (*easy_strerror)(int);
};

template <class F>
bool find(void* library, const char* name, F* function) {
  *function = reinterpret_cast<F>(::dlsym(library, name));
  return *function != nullptr;
}

const Library& library() {
  static const Library opened = [] {
    void* handle = nullptr;
    for (const char* name : {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.so"})
      if (handle == nullptr) handle = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
    Library l{};
    if (handle == nullptr || !find(handle, "curl_global_init", &l.global_init) ||
        !find(handle, "curl_easy_init", &l.easy_init) ||
        !find(handle, "curl_easy_setopt", &l.easy_setopt) ||
        !find(handle, "curl_easy_perform", &l.easy_perform) ||
        !find(handle, "curl_easy_cleanup", &l.easy_cleanup) ||
        !find(handle, "curl_easy_strerror", &l.easy_strerror) ||
        l.global_init(kGlobalDefault) != kOk)
      throw Error(5041, "libcurl.so.4", "libcurl is not on this machine, or is none",
                  "install libcurl4, or fetch the file by other means and ftrun convert it");
    return l;
  }();
  return opened;
}

}  // namespace curl

class Transfer {
 public:
  explicit Transfer(const FetchRequest& request) : request_(request), curl_(curl::library()) {
    const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
    file_ = UniqueFd(retry_interrupted([&] { return ::open(part().c_str(), flags, 0666); }));
    struct stat s{};
    if (!file_ || ::fstat(file_.get(), &s) != 0) throw_output_error(part(), "open", errno);
    if (!S_ISREG(s.st_mode)) throw_output_error(part(), "open", EISDIR);
    have_ = static_cast<uint64_t>(s.st_size);
  }

  FetchResult run() {
    FetchResult result{0, have_};
    int status = perform();
    if (status == curl::kRangeError) {  // the server cannot go on in the middle
      result.resumed = 0;
      have_ = 0;
      if (::ftruncate(file_.get(), 0) != 0) throw_output_error(part(), "ftruncate", errno);
      status = perform();
    }
    if (write_error_ != 0) throw_output_error(part(), "write", write_error_);
    if (file_.close() != 0) throw_output_error(part(), "close", errno);
    if (status != curl::kOk) fail(status);
    result.bytes = have_;
    return result;
  }

 private:
  const std::filesystem::path& part() const { return request_.part; }

  int perform() {
    const std::unique_ptr<void, void (*)(void*)> handle(curl_.easy_init(), curl_.easy_cleanup);
    if (handle == nullptr) throw Error(5041, "libcurl", "it does not start", "install it again");
    const auto set = [&](int option, auto value) {
      if (curl_.easy_setopt(handle.get(), option, value) != curl::kOk)
        throw Error(5041, "libcurl", fmt::format("it does not know option {}", option),
                    "install a newer libcurl4");
    };
    const bool secure = request_.url.starts_with("https:");
    first_ = have_;
    set(curl::kUrl, request_.url.c_str());
    set(curl::kUserAgent, "ftrun");
    set(curl::kErrorBuffer, words_.data());
    set(curl::kNoSignal, 1L);
    set(curl::kFailOnError, 1L);
    set(curl::kFollowLocation, 1L);
    set(curl::kMaxRedirects, 5L);
    set(curl::kProtocols, curl::kHttp | curl::kHttps);
    set(curl::kRedirectProtocols, secure ? curl::kHttps : curl::kHttp | curl::kHttps);
    set(curl::kConnectTimeout, static_cast<long>(request_.stall_seconds));
    set(curl::kLowSpeedLimit, 1024L);
    set(curl::kLowSpeedTime, static_cast<long>(request_.stall_seconds));
    set(curl::kMaxFileSize, static_cast<int64_t>(request_.most_bytes));
    set(curl::kResumeFrom, static_cast<int64_t>(have_));
    set(curl::kWriteFunction, &Transfer::write);
    set(curl::kWriteData, this);
    set(curl::kNoProgress, 0L);
    set(curl::kProgressFunction, &Transfer::progress);
    set(curl::kProgressData, this);
    return curl_.easy_perform(handle.get());
  }

  // Called by libcurl: nothing may be thrown through it. A short count ends the transfer.
  static size_t write(const char* data, size_t one, size_t count, void* self) {
    auto& t = *static_cast<Transfer*>(self);
    const size_t bytes = one * count;
    if (bytes > t.request_.most_bytes - std::min(t.have_, t.request_.most_bytes)) {
      t.too_long_ = true;
      return 0;
    }
    for (size_t done = 0; done < bytes;) {
      const ssize_t n =
          retry_interrupted([&] { return ::write(t.file_.get(), data + done, bytes - done); });
      if (n <= 0) {
        t.write_error_ = n == 0 ? ENOSPC : errno;
        return 0;
      }
      done += static_cast<size_t>(n);
      t.have_ += static_cast<uint64_t>(n);
    }
    return bytes;
  }

  static int progress(void* self, int64_t total, int64_t, int64_t, int64_t) {
    const auto& t = *static_cast<const Transfer*>(self);
    if (t.request_.on_progress)
      t.request_.on_progress(t.have_, total > 0 ? t.first_ + static_cast<uint64_t>(total) : 0);
    return 0;
  }

  [[noreturn]] void fail(int status) const {
    std::error_code ignored;
    if (have_ == 0) std::filesystem::remove(part(), ignored);
    const std::string words = words_[0] != 0 ? words_.data() : curl_.easy_strerror(status);
    if (too_long_ || status == curl::kFileSizeExceeded)
      throw Error(2352, request_.url,
                  fmt::format("the server's file is longer than {} bytes", request_.most_bytes),
                  "check the address: this is another file");
    const bool early = status == curl::kPartialFile || status == curl::kTimedOut ||
                       status == curl::kGotNothing || status == curl::kReceiveError;
    if (early && have_ > 0)
      throw Error(5042, request_.url,
                  fmt::format("the transfer ended after {} bytes [{}]", have_, words),
                  "run the same command again: it goes on there");
    throw Error(5040, request_.url, fmt::format("cannot be fetched [{}]", words),
                "check the address and the network, or fetch the file by other means and ftrun "
                "convert it");
  }

  const FetchRequest& request_;
  const curl::Library& curl_;
  UniqueFd file_;
  uint64_t have_ = 0, first_ = 0;
  int write_error_ = 0;
  bool too_long_ = false;
  std::array<char, curl::kErrorBytes> words_{};
};

}  // namespace

FetchResult fetch(const FetchRequest& request) { return Transfer(request).run(); }

}  // namespace ft
