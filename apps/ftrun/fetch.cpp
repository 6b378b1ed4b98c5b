// ftrun fetch: a published weight file from the network, checked, becomes one of ftrun.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <system_error>

#include "apps/convert/published.h"
#include "apps/ftrun/commands.h"
#include "apps/ftrun/progress.h"
#include "io/atomic_file.h"
#include "io/fetch.h"

namespace ft::app {
namespace {

namespace fs = std::filesystem;

constexpr double kMiB = 1 << 20;
constexpr uint64_t kMostBytes = uint64_t{4} << 30;  // where no size is known

// What is asked for: the published file, or the user's own address and hash.
struct Wanted {
  std::string file, url, digits;
  double mib = 0;  // published size to three decimals; 0: unknown
};

Wanted wanted(const FetchOptions& o) {
  const convert::Published* p = convert::published_release(o.model, o.release);
  if (p == nullptr)
    throw Error(2003, "--release", fmt::format("{} has no release {}", o.model, o.release),
                "use --release 1; resnet50 alone has a 2");
  Wanted w{std::string(p->file), fmt::format("{}{}", convert::kPublishedAt, p->file),
           std::string(p->digits), p->mib};
  if (!o.url.empty()) w.url = o.url;
  if (!o.sha256.empty()) {
    w.digits = o.sha256;
    w.mib = 0;
  }
  return w;
}

uint64_t most_bytes(const Wanted& w) {
  return w.mib > 0 ? static_cast<uint64_t>(std::llround((w.mib + 0.001) * kMiB)) : kMostBytes;
}

void transfer(const Wanted& w, const fs::path& part, int stall_seconds) {
  Progress progress("fetch, MiB", std::max<int64_t>(std::llround(w.mib), 1));
  FetchRequest request{w.url, part, most_bytes(w), stall_seconds, {}};
  request.on_progress = [&](uint64_t done, uint64_t) {
    progress.update(std::llround(static_cast<double>(done) / kMiB));
  };
  const FetchResult result = fetch(request);
  progress.finish();
  fmt::print("fetched     {}: {}{}\n", w.url, bytes_text(static_cast<double>(result.bytes)),
             result.resumed > 0 ? fmt::format(", of which {} were there already",
                                              bytes_text(static_cast<double>(result.resumed)))
                                : "");
  if (w.mib > 0 && std::abs(static_cast<double>(result.bytes) / kMiB - w.mib) > 0.001)
    throw Error(2352, w.url,
                fmt::format("the file has {} bytes, the published one {} MiB", result.bytes, w.mib),
                "the file was removed: run the command again, or look at the address");
}

}  // namespace

int run_fetch(const FetchOptions& o) {
  check_writable(o.out);
  const Wanted w = wanted(o);
  const fs::path folder = fs::path(o.out).parent_path();
  const fs::path part = folder / (w.file + ".part");
  std::error_code ignored;
  try {
    transfer(w, part, o.stall_seconds);
    ConvertOptions c;
    c.in = part.string();
    c.out = o.out;
    c.model = o.model;
    c.name = w.file;
    c.digits = w.digits;
    run_convert(c);
  } catch (const Error& e) {
    if (e.number() == 2352) fs::remove(part, ignored);  // going on with it would never end well
    throw;
  }
  if (o.keep)
    fs::rename(part, folder / w.file);
  else
    fs::remove(part, ignored);
  return 0;
}

}  // namespace ft::app
