// Runs kernels. One OS thread runs everything, block after block. A CUDA thread is a fiber, but a fiber goes on with the next
// CUDA thread when one ends without having waited, so that a kernel without barriers is a plain loop.
// With a seed the order of blocks and threads is drawn, and some warps run far ahead of the others. Under TSan every CUDA
// thread is one of TSan's, on a stack of its own, and the only order is CUDA's: start and end of the grid, barriers,
// warp functions.
#include "tests/sim/emulator.h"

#include <sys/mman.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <string>

#include "tests/sim/device.h"
#include "tests/sim/fiber.h"
#include "tests/sim/sanitizers.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace sim {
namespace {

constexpr size_t kSharedBytes = size_t{48} << 10, kGuardBytes = 64;
constexpr char kPoison = '\xff';  // not-a-number as f32 and bf16

// The device's random numbers as a standard generator.
struct Random {
  using result_type = uint64_t;
  static constexpr uint64_t min() { return 0; }
  static constexpr uint64_t max() { return ~uint64_t{0}; }
  uint64_t operator()() const { return random(); }
};

template <class T>
std::vector<T> drawn_order(size_t count) {
  std::vector<T> order(count);
  std::iota(order.begin(), order.end(), T{0});
  if (shuffled()) std::shuffle(order.begin(), order.end(), Random{});
  return order;
}

std::string where(const Site& s) {
  const std::string file = s.file;
  return file.substr(file.rfind('/') + 1) + ":" + std::to_string(s.line);
}

enum class State { fresh, running, waiting, done };

struct Thread {
  uint3 index{};
  unsigned lane = 0, warp = 0;
  State state = State::fresh;
  Fiber* fiber = nullptr;
  Site site{};          // where it waits
  unsigned mask = 0;    // of the warp exchange that it waits in; 0: the block's barrier
  unsigned source = 0;  // whose value it wants
  uint64_t give = 0, got = 0;
  void* tsan = nullptr;
};

// Those that wait for each other; one after another. A token of each phase orders what is before it and behind it.
struct Meeting {
  unsigned arrived = 0, phase = 0;
  char tokens[2] = {};
  void* token() { return &tokens[phase % 2]; }
};

// A block that runs.
class Block {
 public:
  Block(dim3 extent, const std::function<void()>& body);
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  void run();                           // throws DeviceFault
  void run_fresh_threads(Fiber* self);  // on a fiber
  void barrier(const Site& site);
  uint64_t exchange(unsigned mask, uint64_t give, unsigned source, WarpOp op, const Site& site);
  void* shared(const void* key, size_t bytes);
  // After a fault: what waiting threads have done happens before what the caller does.
  void release_waiting();

 private:
  // On a fiber: the scheduler throws, and the fiber is given up.
  [[noreturn]] void fail(const std::string& what);
  void enter(Thread& t);
  void wait_at(const Site& site, unsigned mask);
  void serve_lanes(unsigned warp, unsigned mask, WarpOp op, const Site& site);
  Thread* take_ready();
  void check_shared() const;
  std::string describe_stuck() const;

  const std::function<void()>& body_;
  std::vector<Thread> threads_;
  std::vector<unsigned> order_;
  std::vector<std::map<unsigned, Meeting>> lanes_;  // of each warp, by mask
  std::vector<unsigned> rank_;                      // of the warps: the first runs ahead
  std::vector<Thread*> ready_;
  std::map<const void*, std::pair<size_t, size_t>> shared_;  // key: place and bytes
  size_t shared_used_ = 0;
  Meeting meeting_;  // of the whole block
  unsigned started_ = 0, done_ = 0, ranked_phase_ = 0;
  std::string fault_;
};

// What runs now. Stacks are kept for further blocks; those in the middle of something after a fault are lost.
Block* g_block = nullptr;
Thread* g_thread = nullptr;
Fiber g_scheduler;
Fiber* g_starting = nullptr;
std::vector<Fiber*>& g_free = *new std::vector<Fiber*>;
std::vector<std::unique_ptr<Block>>& g_abandoned = *new std::vector<std::unique_ptr<Block>>;
void* g_root = nullptr;  // TSan: makes the threads of all blocks, so that blocks are not ordered
char g_ended = 0;        // TSan: token of threads that have ended
char* const g_shared = static_cast<char*>(
    mmap(nullptr, kSharedBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

void fiber_main() {
  Fiber::arrived(g_scheduler);
  for (;;) {
    Fiber* const self = g_starting;
    g_block->run_fresh_threads(self);
    g_free.push_back(self);
    self->switch_to(g_scheduler);
  }
}

Fiber* free_fiber() {
  if (g_free.empty())
    g_free.push_back(new Fiber(fiber_main));
  else if (tsan())
    g_free.back()->renew();
  g_starting = g_free.back();
  g_free.pop_back();
  return g_starting;
}

Block::Block(dim3 extent, const std::function<void()>& body)
    : body_(body),
      threads_(size_t{extent.x} * extent.y * extent.z),
      order_(drawn_order<unsigned>(threads_.size())),
      lanes_((threads_.size() + 31) / 32),
      rank_(drawn_order<unsigned>(lanes_.size())) {
  for (unsigned i = 0; i < threads_.size(); ++i) {
    threads_[i].index = {i % extent.x, i / extent.x % extent.y, i / extent.x / extent.y};
    threads_[i].lane = i % 32;
    threads_[i].warp = i / 32;
    threads_[i].tsan = tsan_create();
  }
  asan_poison(g_shared, kSharedBytes);
  if (tsan()) fresh_pages(g_shared, kSharedBytes);
}

Block::~Block() {
  for (const Thread& t : threads_) tsan_destroy(t.tsan);
}

void Block::run() {
  while (done_ < threads_.size()) {
    const bool can_start = started_ < threads_.size();
    if (ready_.empty() && !can_start) throw DeviceFault(describe_stuck());
    if (!ready_.empty() && (!can_start || !shuffled() || random() % 2 == 0)) {
      Thread* const t = take_ready();
      enter(*t);
      g_scheduler.switch_to(*t->fiber);
    } else {
      g_scheduler.switch_to(*free_fiber());
    }
    tsan_switch(g_root);
    if (!fault_.empty()) throw DeviceFault(fault_);
  }
  check_shared();
}

void Block::run_fresh_threads(Fiber* self) {
  while (started_ < threads_.size() && fault_.empty()) {
    Thread& t = threads_[order_[started_++]];
    t.fiber = self;
    enter(t);
    body_();
    tsan_release(&g_ended);
    g_thread->state = State::done;
    ++done_;
    if (tsan()) return;
  }
}

void Block::release_waiting() {
  for (const Thread& t : threads_) {
    if (t.state != State::waiting) continue;
    tsan_switch(t.tsan);
    tsan_release(&g_ended);
  }
}

void Block::barrier(const Site& site) {
  wait_at(site, 0);
  void* const token = meeting_.token();
  tsan_release(token);
  if (++meeting_.arrived == threads_.size()) {
    meeting_.arrived = 0;
    ++meeting_.phase;
    for (Thread& t : threads_) {
      if (t.site.line != site.line)
        fail("threads of one block wait at different barriers: " + where(t.site) + ", " +
             where(site));
      ready_.push_back(&t);
    }
  }
  g_thread->fiber->switch_to(g_scheduler);
  tsan_acquire(token);
}

uint64_t Block::exchange(unsigned mask, uint64_t give, unsigned source, WarpOp op,
                         const Site& site) {
  Thread& me = *g_thread;
  if ((mask >> me.lane & 1) == 0)
    fail("a lane outside its own mask calls a warp function at " + where(site));
  if ((mask >> source & 1) == 0) fail("shuffle reads a lane outside the mask at " + where(site));
  wait_at(site, mask);
  me.give = give;
  me.source = source;
  Meeting& lanes = lanes_[me.warp][mask];
  void* const token = lanes.token();
  tsan_release(token);
  lanes.arrived |= 1u << me.lane;
  if (lanes.arrived == mask) {  // the last lane serves all
    lanes.arrived = 0;
    ++lanes.phase;
    serve_lanes(me.warp, mask, op, site);
  }
  me.fiber->switch_to(g_scheduler);
  tsan_acquire(token);
  return me.got;
}

void Block::serve_lanes(unsigned warp, unsigned mask, WarpOp op, const Site& site) {
  Thread* const lanes = &threads_[size_t{warp} * 32];
  uint64_t votes = 0;
  for (unsigned l = 0; l < 32; ++l)
    if ((mask >> l & 1) != 0 && lanes[l].give != 0) votes |= uint64_t{1} << l;
  for (unsigned l = 0; l < 32; ++l) {
    if ((mask >> l & 1) == 0) continue;
    if (lanes[l].site.line != site.line)
      fail("lanes of one warp wait at different places: " + where(lanes[l].site) + ", " +
           where(site));
    lanes[l].got = op == WarpOp::ballot ? votes : lanes[lanes[l].source].give;
    ready_.push_back(&lanes[l]);
  }
}

void* Block::shared(const void* key, size_t bytes) {
  const auto [at, fresh] = shared_.try_emplace(key, shared_used_, bytes);
  const size_t place = at->second.first;
  if (fresh) {
    shared_used_ += (bytes + kGuardBytes + 15) / 16 * 16;
    if (shared_used_ > kSharedBytes) fail("more than 48 KiB of shared memory");
    asan_unpoison(g_shared + place, bytes);
    std::memset(g_shared + place, kPoison, asan() ? bytes : shared_used_ - place);
  }
  return g_shared + place;
}

// ASan sees such a write itself.
void Block::check_shared() const {
  if (asan()) return;
  for (const auto& [key, part] : shared_)
    for (size_t i = part.first + part.second; i < part.first + part.second + kGuardBytes; ++i)
      if (g_shared[i] != kPoison) throw DeviceFault("shared memory was written past its end");
}

void Block::fail(const std::string& what) {
  fault_ = what;
  for (;;) g_thread->fiber->switch_to(g_scheduler);
}

void Block::enter(Thread& t) {
  t.state = State::running;
  g_thread = &t;
  threadIdx = t.index;
  tsan_switch(t.tsan);
}

void Block::wait_at(const Site& site, unsigned mask) {
  g_thread->site = site;
  g_thread->mask = mask;
  g_thread->state = State::waiting;
}

// In natural order, or: some warps run far ahead, and now and then the favourites change.
Thread* Block::take_ready() {
  size_t pick = 0;
  if (shuffled()) {
    if (random() % 64 == 0 || meeting_.phase != ranked_phase_)
      rank_ = drawn_order<unsigned>(rank_.size());
    ranked_phase_ = meeting_.phase;
    pick = random() % ready_.size();
    for (size_t i = 0; i < ready_.size(); ++i)
      if (rank_[ready_[i]->warp] < rank_[ready_[pick]->warp]) pick = i;
  }
  Thread* const t = ready_[pick];
  ready_.erase(ready_.begin() + static_cast<std::ptrdiff_t>(pick));
  return t;
}

std::string Block::describe_stuck() const {
  std::map<std::string, int> counts;
  for (const Thread& t : threads_) {
    const char* kind = t.mask != 0 ? "wait for their warp at " : "wait for the block at ";
    ++counts[t.state == State::done ? "have ended" : kind + where(t.site)];
  }
  std::string text = "not all threads reach the same point:";
  for (const auto& [state, count] : counts) text += " " + std::to_string(count) + " " + state + ";";
  return text;
}

// What went wrong in it.
std::string run_block(dim3 extent, const std::function<void()>& body,
                      std::unique_ptr<Block>* block) {
  tsan_switch(g_root);
  const TsanIgnore ignore;
  *block = std::make_unique<Block>(extent, body);
  g_block = block->get();
  try {
    g_block->run();
  } catch (const DeviceFault& fault) {
    g_block->release_waiting();
    tsan_switch(g_root);
    return fault.what();
  }
  return {};
}

void run_grid(dim3 grid, dim3 extent, const std::function<void()>& body) {
  g_free.reserve(1024);
  blockDim = extent;
  gridDim = grid;
  const TsanIgnore ignore;
  void* const caller = tsan_current();
  g_root = tsan_create();
  for (uint64_t i : drawn_order<uint64_t>(uint64_t{grid.x} * grid.y * grid.z)) {
    blockIdx = {static_cast<unsigned>(i % grid.x), static_cast<unsigned>(i / grid.x % grid.y),
                static_cast<unsigned>(i / grid.x / grid.y)};
    std::unique_ptr<Block> block;
    const std::string fault = run_block(extent, body, &block);
    tsan_switch(caller);
    tsan_acquire(&g_ended);
    if (fault.empty()) continue;
    g_free.clear();
    g_abandoned.push_back(std::move(block));
    throw DeviceFault(fault + " (block " + std::to_string(i) + ")");
  }
  tsan_destroy(g_root);
}

bool fits(const cudaLaunchConfig_t& c) {
  const dim3 g = c.gridDim, b = c.blockDim;
  const uint64_t threads = uint64_t{b.x} * b.y * b.z;
  return threads >= 1 && threads <= 1024 && b.z <= 64 && g.x >= 1 && g.x <= 2147483647u &&
         g.y >= 1 && g.y <= 65535 && g.z >= 1 && g.z <= 65535 && c.dynamicSmemBytes == 0;
}

std::string text_of(dim3 d) {
  return std::to_string(d.x) + "x" + std::to_string(d.y) + "x" + std::to_string(d.z);
}

}  // namespace

cudaError_t enqueue_grid(const cudaLaunchConfig_t& config, std::function<void()> thread_body,
                         const std::vector<const void*>& pointers) {
  const Call call("cudaLaunchKernelEx");
  if (call.error() != cudaSuccess) return call.error();
  if (!fits(config)) return misuse(cudaErrorInvalidConfiguration, "a grid or block out of range");
  const dim3 grid = config.gridDim, block = config.blockDim;
  return enqueue(
      config.stream, "kernel of " + text_of(grid) + " blocks of " + text_of(block) + " threads",
      [=] { run_grid(grid, block, thread_body); }, pointers);
}

void block_barrier(const Site& site) {
  const TsanIgnore ignore;
  g_block->barrier(site);
}

uint64_t warp_exchange(unsigned mask, uint64_t give, unsigned source, WarpOp op, const Site& site) {
  const TsanIgnore ignore;
  return g_block->exchange(mask, give, source, op, site);
}

unsigned lane() { return g_thread->lane; }

void* shared_memory(const void* key, size_t bytes) {
  const TsanIgnore ignore;
  return g_block->shared(key, bytes);
}

}  // namespace sim
