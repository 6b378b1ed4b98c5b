// Batches of decoded images in an order that depends on (seed, epoch, policy) alone: not on the
// number of workers, not on which of them is quick, not on what happened before. Worker threads
// decode single samples straight into their rows of a ring of prefetched batches, whose memory is
// reused. A Loader owns its workers and, unless memory is supplied, its buffers; it borrows the
// samples. One thread uses it; the decode function runs on several threads at a time.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "io/dataset.h"

namespace ft {

// Turns a sample into height x width x 3 bytes, RGB, rows from the top, at `out` (or into the
// row_bytes bytes that LoaderOptions asks for). Whatever is random about it is a function of
// (sample_index, epoch). Throws what it likes; see Loader::next().
using Decode =
    std::function<void(const Sample& sample, uint64_t sample_index, uint64_t epoch, uint8_t* out)>;

enum class Shuffle { every_epoch, once, never };

struct LoaderOptions {
  int64_t batch = 32;
  int64_t height = 224, width = 224;
  int64_t row_bytes = 0;  // not 0: bytes that decode makes of a sample, whatever they are
  uint64_t seed = 0;
  Shuffle shuffle = Shuffle::every_epoch;
  bool drop_last = false;  // leave out a last batch that is not full
  bool flip = false;       // mirror left to right with probability 1/2 (augment stream, index 0)
  int workers = 2;         // 0: decode inside next()
  int prefetch = 2;        // batches that may be ready or in work ahead of the consumer, >= 1
  int hold = 1;  // batches that stay valid at a time, >= 1 (2: one uploads, one is computed)
  int64_t cache_bytes = 0;    // keep decoded samples if all fit; only if decode ignores the epoch
  std::span<uint8_t> memory;  // for the batches (pinned, say), Loader::memory_bytes() or more
};

// A batch of n samples. Valid until next() was called `hold` more times, or start().
struct Batch {
  uint64_t epoch = 0;
  int64_t number = 0;  // within its epoch, from 0
  bool last_of_epoch = false;
  std::span<const uint8_t> pixels;    // {n, height, width, 3}, or {n, row_bytes}
  std::span<const int32_t> labels;    // {n}
  std::span<const uint32_t> samples;  // {n}, indices into the split
  int64_t size() const { return static_cast<int64_t>(labels.size()); }
};

// How the samples of an epoch fall into batches.
struct EpochPlan {
  int64_t batches = 0;
  int64_t last_size = 0;  // of the last batch
  int64_t dropped = 0;    // samples left out of every epoch
  std::string note;       // what a user should know of it, "" for nothing
};

// Throws Error 2223 if no batch is left.
EpochPlan plan_epoch(int64_t samples, int64_t batch, bool drop_last);

// Where the time went since construction, to tell which side is the slower one.
struct LoaderStats {
  int64_t batches = 0;
  int64_t decoded = 0, cached = 0;  // samples made by decode; samples copied from the cache
  double wait_s = 0;                // the consumer waited in next()
  double decode_s = 0;              // in decode, summed over workers
  double blocked_s = 0;             // workers had no free batch to fill, summed over workers
  int workers = 0;

  // "loader" if the consumer waited longer than the average worker, "network" otherwise.
  const char* slower_side() const;
};

class SampleCache;

class Loader {
 public:
  // Samples outlive the loader; fewer than 2^32. If the system refuses threads, the loader has
  // fewer.
  Loader(std::span<const Sample> samples, Decode decode, const LoaderOptions& options);
  // Ends promptly whatever the workers wait for: after the decode calls that are running.
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // Makes the batches from (epoch, first_batch) to the end of epoch end_epoch - 1 the ones to come;
  // those asked for before are forgotten. Epochs follow each other without a gap in the prefetch.
  void start(uint64_t epoch, int64_t first_batch, uint64_t end_epoch);
  void start(uint64_t epoch) { start(epoch, 0, epoch + 1); }

  // The next batch, or null at the end. If decode threw for samples of this batch, rethrows what it
  // threw for the first of them in order, now and on every further call until start().
  const Batch* next();

  const EpochPlan& plan() const { return plan_; }
  int workers() const { return static_cast<int>(threads_.size()); }
  bool cache_active() const { return cache_ != nullptr; }
  LoaderStats stats() const;

  // Bytes of memory that LoaderOptions::memory must have.
  static size_t memory_bytes(const LoaderOptions& options);

 private:
  struct Slot {
    uint8_t* pixels = nullptr;
    std::vector<int32_t> labels;
    std::vector<uint32_t> samples;
    int64_t pending = 0;     // rows that are not finished
    int64_t failed_row = 0;  // of `failure`
    std::exception_ptr failure;
    Batch batch;
  };
  struct Row {
    Slot* slot;
    int64_t index;
  };

  void set_up_memory();
  void start_workers();
  void work(const std::stop_token& stop);
  // With the lock held: whether there is a row to decode, and taking it.
  bool can_take() const;
  Row take();
  void open_slot();
  void set_order(uint64_t epoch);
  // Decodes one row with the lock let go meanwhile.
  void run_row(std::unique_lock<std::mutex>* lock);
  bool fill(const Row& row);
  void wait_until_filled(std::unique_lock<std::mutex>* lock, const Slot& slot);

  const std::span<const Sample> samples_;
  const Decode decode_;
  const LoaderOptions options_;
  const EpochPlan plan_;
  const size_t row_bytes_;
  std::unique_ptr<uint8_t[]> own_memory_;
  std::unique_ptr<SampleCache> cache_;

  // All below is guarded by mutex_, but for the rows of open slots, which belong to who took them.
  // Batches are counted from start(): batch s lives in slot s % slots_.size().
  mutable std::mutex mutex_;
  std::condition_variable_any may_take_;  // workers wait
  std::condition_variable finished_;      // the consumer waits
  std::vector<Slot> slots_;
  std::vector<uint32_t> order_;
  bool order_set_ = false;
  uint64_t order_epoch_ = 0;
  uint64_t first_epoch_ = 0;
  int64_t first_batch_ = 0;
  int64_t total_ = 0;      // batches asked for
  int64_t opened_ = 0;     // batches that have been opened
  int64_t next_row_ = 0;   // of the last opened batch
  int64_t open_rows_ = 0;  // its size
  int64_t delivered_ = 0;  // batches that have been handed out
  int64_t released_ = 0;   // batches whose slot may be reused
  int64_t in_flight_ = 0;  // rows being decoded
  LoaderStats stats_;
  std::vector<std::jthread> threads_;  // last: they end before anything else does
};

}  // namespace ft
