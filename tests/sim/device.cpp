// Calls, memory and queued work of the simulated device.
#include "tests/sim/device.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "tests/sim/sanitizers.h"

namespace sim {
namespace {

constexpr size_t kArenaBytes = size_t{1} << 38, kAlign = 512,
                 kPage = size_t{2} << 20;  // of huge pages: cheap to open and close
constexpr unsigned char kFresh = 0xff, kGuard = 0xa5;

using Blocks = std::map<const char*, size_t>;

struct Device {
  std::recursive_mutex mutex;
  Settings settings;
  std::mt19937_64 random;
  int calls_to_failure = 0;
  cudaError_t lost = cudaSuccess, last = cudaSuccess;
  std::map<std::string, int64_t> counts;
  bool collect = false;
  std::vector<std::string> reports;

  char* arena = nullptr;
  size_t top = 0, used = 0;
  Blocks blocks, pinned;

  std::set<const void*> handles;
  std::vector<OpPtr> pending;
  std::set<CapturePtr> captures;
  void (*watcher)(Op&) = nullptr;

  Device();
};

// Never destroyed: the plugin's last handles may outlive every static object.
Device& device() {
  static Device& d = *new Device;
  return d;
}

void start(Device& d, const Settings& settings) {
  d.settings = settings;
  d.random.seed(settings.seed);
  d.calls_to_failure = settings.failure.nth;
  d.lost = d.last = cudaSuccess;
  d.counts.clear();
  d.reports.clear();
  d.pending.clear();
  d.captures.clear();
  d.watcher = nullptr;
  d.handles.clear();
  d.blocks.clear();
  d.pinned.clear();
  d.used = 0;
}

Device::Device() {
  const char* text = std::getenv("FT_SIM");
  start(*this, text == nullptr ? Settings{} : settings_from(text));
}

size_t bytes_at(const Blocks& blocks, const void* p) {
  const char* const at = static_cast<const char*>(p);
  auto block = blocks.upper_bound(at);
  if (block == blocks.begin()) return 0;
  --block;
  const char* const end = block->first + block->second;
  return end <= at ? 0 : static_cast<size_t>(end - at);
}

// Address space that begins with a huge page.
char* make_arena() {
  auto* const space = static_cast<char*>(mmap(nullptr, kArenaBytes + kPage, PROT_NONE,
                                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (space == MAP_FAILED) throw std::runtime_error("no address space for the simulated device");
  char* const arena = space + (kPage - reinterpret_cast<uintptr_t>(space) % kPage) % kPage;
  madvise(arena, kArenaBytes, MADV_HUGEPAGE);
  return arena;
}

size_t span_of(size_t bytes) { return (bytes + 2 * kAlign - 1) / kAlign * kAlign; }

// Device memory may be touched while this lives: all of it, or a part.
class OpenMemory {
 public:
  // What lies before the first block was given back.
  OpenMemory() {
    const Device& d = device();
    if (!d.blocks.empty()) open(d.blocks.begin()->first, d.arena + d.top);
  }
  OpenMemory(const char* begin, size_t bytes) { open(begin, begin + bytes); }
  ~OpenMemory() {
    if (bytes_ > 0) mprotect(begin_, bytes_, PROT_NONE);
  }
  OpenMemory(const OpenMemory&) = delete;
  OpenMemory& operator=(const OpenMemory&) = delete;

 private:
  void open(const char* begin, const char* end) {
    const auto first = reinterpret_cast<uintptr_t>(begin) / kPage * kPage;
    begin_ = reinterpret_cast<void*>(first);
    bytes_ = (reinterpret_cast<uintptr_t>(end) - first + kPage - 1) / kPage * kPage;
    mprotect(begin_, bytes_, PROT_READ | PROT_WRITE);
  }
  void* begin_ = nullptr;
  size_t bytes_ = 0;
};

// A block's guard bytes are as they were made; they are poisoned under ASan, which sees the write itself.
void check_guard(const char* block, size_t bytes, const std::string& when) {
  if (asan()) return;
  const char* const end = block + span_of(bytes);
  for (const char* p = block + bytes; p != end; ++p) {
    if (static_cast<unsigned char>(*p) == kGuard) continue;
    std::memset(const_cast<char*>(block + bytes), kGuard, static_cast<size_t>(end - block) - bytes);
    report(when + ": byte " + std::to_string(p - block) + " of a block of " +
           std::to_string(bytes) + " bytes of device memory was written");
    return;
  }
}

void check_guards(const std::string& when) {
  for (const auto& [block, bytes] : device().blocks) check_guard(block, bytes, when);
}

void run(const OpPtr& op) {
  void* const host = tsan_current();
  tsan_switch(op->context);
  for (const OpPtr& o : op->after) tsan_acquire(&o->token);
  try {
    op->work();
  } catch (const DeviceFault& fault) {
    device().lost = cudaErrorLaunchFailure;
    report(op->name + ": " + fault.what());
  }
  op->work = nullptr;  // here, where its last use was
  tsan_release(&op->token);
  tsan_switch(host);
  tsan_destroy(op->context);
  check_guards(op->name);
  op->after.clear();
  op->done = true;
  op->finished = std::chrono::steady_clock::now();
}

// Takes one of the pending operations whose predecessors are done.
OpPtr take_ready() {
  auto& pending = device().pending;
  std::vector<size_t> ready;
  for (size_t i = 0; i < pending.size() && (ready.empty() || shuffled()); ++i)
    if (std::ranges::all_of(pending[i]->after, [](const OpPtr& o) { return o->done; }))
      ready.push_back(i);
  const size_t at = ready[shuffled() ? random() % ready.size() : 0];
  OpPtr op = pending[at];
  pending.erase(pending.begin() + static_cast<std::ptrdiff_t>(at));
  return op;
}

void write_counts() {
  const std::string& file = device().settings.counts_file;
  if (file.empty()) return;
  std::ofstream out(file);
  for (const auto& [what, number] : counts()) out << number << " " << what << "\n";
}

// Counts at the end of the process.
struct AtEnd {
  ~AtEnd() { write_counts(); }
} at_end;

Failure failure_from(const std::string& text) {
  Failure f;
  std::istringstream parts(text);
  std::string part;
  std::getline(parts, f.call, ':');
  if (std::getline(parts, part, ':')) f.nth = std::stoi(part);
  if (std::getline(parts, part, ':')) f.code = std::stoi(part);
  while (std::getline(parts, part, ':')) {
    f.for_ever |= part == "for_ever";
    f.sticky |= part == "sticky";
  }
  return f;
}

}  // namespace

Settings settings_from(const std::string& text) {
  Settings s;
  std::istringstream items(text);
  for (std::string item; std::getline(items, item, ',');) {
    const size_t equals = item.find('=');
    if (equals == std::string::npos) throw std::runtime_error("FT_SIM: no value in " + item);
    const std::string name = item.substr(0, equals), value = item.substr(equals + 1);
    const auto number = [&] { return std::stoll(value); };
    if (name == "seed")
      s.seed = static_cast<uint64_t>(number());
    else if (name == "memory_mib")
      s.memory_bytes = static_cast<size_t>(number()) << 20;
    else if (name == "devices")
      s.devices = static_cast<int>(number());
    else if (name == "arch")
      s.arch = static_cast<int>(number());
    else if (name == "driver")
      s.driver = static_cast<int>(number());
    else if (name == "cudnn")
      s.cudnn = number();
    else if (name == "cublas")
      s.cublas = number();
    else if (name == "fail")
      s.failure = failure_from(value);
    else if (name == "hang")
      s.hang = static_cast<int>(number());
    else if (name == "counts")
      s.counts_file = value;
    else
      throw std::runtime_error("FT_SIM: unknown setting " + name);
  }
  return s;
}

void reset(const Settings& settings) {
  const std::lock_guard lock(device().mutex);
  start(device(), settings);
}

std::map<std::string, int64_t> counts() {
  const std::lock_guard lock(device().mutex);
  auto all = device().counts;
  all["blocks of memory"] = static_cast<int64_t>(device().blocks.size() + device().pinned.size());
  all["bytes of memory"] = static_cast<int64_t>(device().used);
  all["handles"] = static_cast<int64_t>(device().handles.size());
  return all;
}

void report(const std::string& what) {
  const std::lock_guard lock(device().mutex);
  if (device().collect) {
    device().reports.push_back(what);
    return;
  }
  std::fprintf(stderr, "simulated device: %s\n", what.c_str());
  std::abort();
}

void collect_reports(bool on) {
  const std::lock_guard lock(device().mutex);
  device().collect = on;
}

std::vector<std::string> take_reports() {
  const std::lock_guard lock(device().mutex);
  return std::exchange(device().reports, {});
}

void check_memory() {
  const std::lock_guard lock(device().mutex);
  const OpenMemory open;
  check_guards("check");
}

Call::Call(const char* name, Kind kind) : lock_(device().mutex) {
  Device& d = device();
  count(name);
  if (d.lost != cudaSuccess) count("calls of a lost device");
  const Failure& f = d.settings.failure;
  const bool meant = f.nth > 0 && (f.call.empty() || f.call == name);
  if (meant && (--d.calls_to_failure == 0 || (f.for_ever && d.calls_to_failure < 0))) {
    injected_ = f.code;
    count(std::string("injected into ") + name);
    if (f.sticky) d.lost = static_cast<cudaError_t>(f.code);
  }
  if (d.lost != cudaSuccess) write_counts();
  if (injected_ != 0) {
    error_ = failed(static_cast<cudaError_t>(injected_));
  } else if (d.lost != cudaSuccess) {
    error_ = failed(d.lost);
  } else if (kind == Kind::waits && !d.captures.empty()) {
    for (const CapturePtr& c : d.captures) c->broken = true;
    error_ = misuse(cudaErrorStreamCaptureUnsupported,
                    std::string(name) + " is not allowed while a stream is captured");
  }
}

const Settings& settings() { return device().settings; }
uint64_t random() { return device().random(); }
bool shuffled() { return device().settings.seed != 0; }
void count(const std::string& what, int64_t change) { device().counts[what] += change; }

cudaError_t failed(cudaError_t error) {
  if (error != cudaSuccess) device().last = error;
  return error;
}

cudaError_t misuse(cudaError_t error, const std::string& what) {
  report(what);
  return failed(error);
}

cudaError_t take_last_error() {
  if (device().lost != cudaSuccess) return device().lost;
  return std::exchange(device().last, cudaSuccess);
}

void* allocate_device(size_t bytes) {
  Device& d = device();
  if (d.arena == nullptr) d.arena = make_arena();
  const size_t span = span_of(bytes);
  if (bytes == 0 || d.used + bytes > d.settings.memory_bytes || d.top + span > kArenaBytes)
    return nullptr;
  char* const block = d.arena + d.top;
  d.top += span;
  d.used += bytes;
  d.blocks[block] = bytes;
  const OpenMemory open(block, span);
  asan_unpoison(block, span);
  std::memset(block, kFresh, bytes);
  std::memset(block + bytes, kGuard, span - bytes);
  asan_poison(block + bytes, span - bytes);
  return block;
}

bool release_device(void* block) {
  Device& d = device();
  const auto at = d.blocks.find(static_cast<char*>(block));
  if (at == d.blocks.end()) return false;
  const size_t bytes = at->second, span = span_of(bytes);
  {
    const OpenMemory open(at->first, span);
    check_guard(at->first, bytes, "cudaFree");
  }
  const auto first = (reinterpret_cast<uintptr_t>(block) + kPage - 1) / kPage * kPage;
  const auto past = (reinterpret_cast<uintptr_t>(block) + span) / kPage * kPage;
  if (past > first) madvise(reinterpret_cast<void*>(first), past - first, MADV_DONTNEED);
  asan_poison(block, span);
  d.used -= bytes;
  d.blocks.erase(at);
  return true;
}

void* allocate_pinned(size_t bytes) {
  void* block = nullptr;
  if (posix_memalign(&block, 4096, bytes) != 0) return nullptr;
  device().pinned[static_cast<char*>(block)] = bytes;
  return block;
}

bool release_pinned(void* block) {
  if (device().pinned.erase(static_cast<char*>(block)) == 0) return false;
  std::free(block);
  return true;
}

size_t device_bytes_at(const void* p) { return bytes_at(device().blocks, p); }
size_t pinned_bytes_at(const void* p) { return bytes_at(device().pinned, p); }
size_t device_bytes_in_use() { return device().used; }

void add_handle(const void* handle) { device().handles.insert(handle); }
bool is_handle(const void* handle) { return device().handles.contains(handle); }

bool remove_handle(const void* handle) {
  if (device().handles.erase(handle) == 1) return true;
  report("a handle that is not alive was destroyed");
  return false;
}

cudaError_t enqueue(cudaStream_t s, std::string name, std::function<void()> work,
                    const std::vector<const void*>& pointers) {
  if (!is_handle(s))
    return misuse(cudaErrorInvalidResourceHandle,
                  name + ": no stream of this device; the default stream is not used here");
  for (const void* p : pointers)
    if (p != nullptr && device_bytes_at(p) == 0 && pinned_bytes_at(p) == 0)
      return misuse(cudaErrorInvalidValue, name + ": a pointer argument is not device memory");
  auto op = std::make_shared<Op>();
  op->name = std::move(name);
  op->work = std::move(work);
  if (device().watcher != nullptr) device().watcher(*op);
  op->after = std::exchange(s->waits, {});
  if (s->last) op->after.push_back(s->last);
  s->last = op;
  if (s->capture) {
    s->capture->nodes.push_back(op);
  } else {
    add_pending(op);
  }
  return cudaSuccess;
}

void set_watcher(void (*watcher)(Op& op)) { device().watcher = watcher; }

void add_pending(const OpPtr& op) {
  op->context = tsan_create();
  device().pending.push_back(op);
}

void hang_if_asked() {
  count("graphs that ended");
  if (device().counts["graphs that ended"] != device().settings.hang) return;
  for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}

cudaError_t force(const OpPtr& target) {
  if (target && target->done) tsan_acquire(&target->token);
  if (device().pending.empty() || (target && target->done)) return failed(device().lost);
  count("waits");
  const OpenMemory open;
  while (device().lost == cudaSuccess && !device().pending.empty() && !(target && target->done)) {
    const OpPtr op = take_ready();
    run(op);
    if (!target) tsan_acquire(&op->token);
  }
  if (target) tsan_acquire(&target->token);
  return failed(device().lost);
}

void begin_capture(cudaStream_t s) {
  const auto capture = std::make_shared<Capture>();
  capture->origin = s;
  device().captures.insert(capture);
  join_capture(s, capture);
}

void join_capture(cudaStream_t s, const CapturePtr& capture) {
  capture->streams[s] = std::exchange(static_cast<Tail&>(*s), Tail{});
  s->capture = capture;
}

bool end_capture(const CapturePtr& capture) {
  std::set<const Op*> reached;  // all that the origin's end follows
  std::vector<OpPtr> open{capture->origin->last};
  open.insert(open.end(), capture->origin->waits.begin(), capture->origin->waits.end());
  while (!open.empty()) {
    const OpPtr op = open.back();
    open.pop_back();
    if (op && reached.insert(op.get()).second)
      open.insert(open.end(), op->after.begin(), op->after.end());
  }
  bool joined = true;
  for (auto& [stream, before] : capture->streams) {
    joined &= !stream->last || reached.contains(stream->last.get());
    static_cast<Tail&>(*stream) = before;
    stream->capture = nullptr;
  }
  device().captures.erase(capture);
  return joined;
}

}  // namespace sim
