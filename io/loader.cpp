// The ring of batches and its workers.
#include "io/loader.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <numeric>
#include <system_error>

#include <fmt/format.h>

#include "io/sample_cache.h"
#include "tensor/error.h"
#include "tensor/rng.h"

namespace ft {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

size_t slot_count(const LoaderOptions& options) {
  return static_cast<size_t>(options.hold + (options.workers > 0 ? options.prefetch : 0));
}

size_t row_bytes(const LoaderOptions& options) {
  const int64_t image = options.height * options.width * 3;
  return static_cast<size_t>(options.row_bytes > 0 ? options.row_bytes : image);
}

size_t slot_bytes(const LoaderOptions& options) {
  return (static_cast<size_t>(options.batch) * row_bytes(options) + 63) / 64 * 64;
}

void mirror(uint8_t* pixels, int64_t height, int64_t width) {
  for (int64_t y = 0; y < height; ++y) {
    uint8_t* row = pixels + y * width * 3;
    for (int64_t left = 0, right = width - 1; left < right; ++left, --right)
      std::swap_ranges(row + left * 3, row + left * 3 + 3, row + right * 3);
  }
}

void check_options(size_t samples, const Decode& decode, const LoaderOptions& options) {
  FT_CHECK(decode != nullptr, "a loader needs a decode function");
  FT_CHECK(samples <= std::numeric_limits<uint32_t>::max(), "sample indices have 32 bits");
  FT_CHECK(options.height >= 1 && options.width >= 1, "images have at least one pixel");
  FT_CHECK(options.row_bytes == 0 || !options.flip, "only pixels can be mirrored");
  FT_CHECK(options.workers >= 0 && options.prefetch >= 1 && options.hold >= 1,
           "workers >= 0, prefetch >= 1, hold >= 1");
  FT_CHECK(options.memory.empty() || options.memory.size() >= Loader::memory_bytes(options),
           "the memory supplied for batches is too small");
}

}  // namespace

EpochPlan plan_epoch(int64_t samples, int64_t batch, bool drop_last) {
  FT_CHECK(batch >= 1, "a batch holds at least one sample");
  EpochPlan plan;
  const int64_t rest = samples % batch;
  plan.batches = samples / batch;
  plan.last_size = batch;
  if (rest != 0 && drop_last) {
    plan.dropped = rest;
    plan.note = fmt::format("{} of {} images are left out of every epoch (last batch dropped)",
                            rest, samples);
  } else if (rest != 0) {
    ++plan.batches;
    plan.last_size = rest;
    if (rest == 1 && batch > 1)
      plan.note = fmt::format("the last batch of an epoch holds 1 image ({} images, batch {})",
                              samples, batch);
  }
  if (plan.batches == 0)
    throw Error(2223, "--batch",
                fmt::format("no batch is left of {} images with batches of {}{}", samples, batch,
                            samples > 0 ? " and the last one dropped" : ""),
                samples > 0 ? "use a smaller --batch, or keep the last batch"
                            : "give a split that has images");
  return plan;
}

const char* LoaderStats::slower_side() const {
  return wait_s > blocked_s / std::max(1, workers) ? "loader" : "network";
}

size_t Loader::memory_bytes(const LoaderOptions& options) {
  return slot_count(options) * slot_bytes(options);
}

Loader::Loader(std::span<const Sample> samples, Decode decode, const LoaderOptions& options)
    : samples_(samples),
      decode_(std::move(decode)),
      options_(options),
      plan_(plan_epoch(static_cast<int64_t>(samples.size()), options.batch, options.drop_last)),
      row_bytes_(row_bytes(options)) {
  check_options(samples.size(), decode_, options);
  set_up_memory();
  start_workers();
}

Loader::~Loader() {
  for (std::jthread& thread : threads_) thread.request_stop();
}

void Loader::set_up_memory() {
  uint8_t* next = options_.memory.data();
  if (options_.memory.empty()) {
    own_memory_ = std::make_unique_for_overwrite<uint8_t[]>(memory_bytes(options_));
    next = own_memory_.get();
  }
  slots_.resize(slot_count(options_));
  for (Slot& slot : slots_) {
    slot.pixels = next;
    slot.labels.reserve(static_cast<size_t>(options_.batch));
    slot.samples.reserve(static_cast<size_t>(options_.batch));
    next += slot_bytes(options_);
  }
  const auto budget = static_cast<size_t>(std::max<int64_t>(0, options_.cache_bytes));
  if (budget / row_bytes_ < samples_.size()) return;
  cache_ = std::make_unique<SampleCache>(samples_.size(), row_bytes_);
  if (!cache_->usable()) cache_.reset();
}

void Loader::start_workers() {
  threads_.reserve(static_cast<size_t>(options_.workers));
  for (int i = 0; i < options_.workers; ++i) {
    try {
      threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
    } catch (const std::system_error&) {
      break;  // thread limit of the system; with none at all, next() decodes
    }
  }
  const std::lock_guard lock(mutex_);
  stats_.workers = workers();
}

void Loader::start(uint64_t epoch, int64_t first_batch, uint64_t end_epoch) {
  FT_CHECK(end_epoch > epoch && first_batch >= 0 && first_batch <= plan_.batches,
           "a run of batches starts within an epoch and ends after it");
  std::unique_lock lock(mutex_);
  total_ = opened_ = next_row_ = open_rows_ = 0;  // nothing can be taken any more
  finished_.wait(lock, [this] { return in_flight_ == 0; });
  first_epoch_ = epoch;
  first_batch_ = first_batch;
  delivered_ = released_ = 0;
  total_ = static_cast<int64_t>(end_epoch - epoch) * plan_.batches - first_batch;
  may_take_.notify_all();
}

const Batch* Loader::next() {
  std::unique_lock lock(mutex_);
  const int64_t free = std::max<int64_t>(0, delivered_ + 1 - options_.hold);
  if (free > released_) {
    released_ = free;
    may_take_.notify_all();
  }
  if (delivered_ == total_) return nullptr;
  Slot& slot = slots_[static_cast<size_t>(delivered_) % slots_.size()];
  wait_until_filled(&lock, slot);
  if (slot.failure) std::rethrow_exception(slot.failure);
  ++delivered_;
  ++stats_.batches;
  return &slot.batch;
}

void Loader::wait_until_filled(std::unique_lock<std::mutex>* lock, const Slot& slot) {
  const auto filled = [&] { return opened_ > delivered_ && slot.pending == 0; };
  if (filled()) return;
  const Clock::time_point start = Clock::now();
  if (threads_.empty()) {
    while (!filled()) run_row(lock);
  } else {
    finished_.wait(*lock, filled);
  }
  stats_.wait_s += seconds_since(start);
}

void Loader::work(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (can_take()) {
      run_row(&lock);
      continue;
    }
    const bool blocked = opened_ < total_;  // there is work, but no batch is free
    const Clock::time_point start = Clock::now();
    may_take_.wait(lock, stop, [this] { return can_take(); });
    if (blocked) stats_.blocked_s += seconds_since(start);
  }
}

bool Loader::can_take() const {
  return next_row_ < open_rows_ ||
         (opened_ < total_ && opened_ < released_ + static_cast<int64_t>(slots_.size()));
}

Loader::Row Loader::take() {
  if (next_row_ == open_rows_) open_slot();
  ++in_flight_;
  return {&slots_[static_cast<size_t>(opened_ - 1) % slots_.size()], next_row_++};
}

void Loader::open_slot() {
  const int64_t batch = first_batch_ + opened_;  // counted from the start of first_epoch_
  Slot& slot = slots_[static_cast<size_t>(opened_) % slots_.size()];
  const uint64_t epoch = first_epoch_ + static_cast<uint64_t>(batch / plan_.batches);
  const int64_t number = batch % plan_.batches;
  const bool last = number + 1 == plan_.batches;
  set_order(epoch);
  const auto first = order_.begin() + number * options_.batch;
  slot.samples.assign(first, first + (last ? plan_.last_size : options_.batch));
  slot.labels.resize(slot.samples.size());
  std::transform(slot.samples.begin(), slot.samples.end(), slot.labels.begin(),
                 [this](uint32_t i) { return samples_[i].label; });
  slot.failure = nullptr;
  slot.batch = {epoch,       number,      last, {slot.pixels, slot.samples.size() * row_bytes_},
                slot.labels, slot.samples};
  ++opened_;
  next_row_ = 0;
  open_rows_ = slot.pending = slot.batch.size();
}

void Loader::set_order(uint64_t epoch) {
  const uint64_t wanted = options_.shuffle == Shuffle::every_epoch ? epoch : 0;
  if (order_set_ && order_epoch_ == wanted) return;
  const auto count = static_cast<uint32_t>(samples_.size());
  if (options_.shuffle == Shuffle::never) {
    order_.resize(count);
    std::iota(order_.begin(), order_.end(), 0u);
  } else {
    order_ = permutation(count, options_.seed, RngPurpose::shuffle, wanted);
  }
  order_set_ = true;
  order_epoch_ = wanted;
}

void Loader::run_row(std::unique_lock<std::mutex>* lock) {
  const Row row = take();
  lock->unlock();
  const Clock::time_point start = Clock::now();
  std::exception_ptr failure;
  bool from_cache = false;
  try {
    from_cache = fill(row);
  } catch (...) {  // a thread's entry point: kept for the caller of next()
    failure = std::current_exception();
  }
  const double seconds = seconds_since(start);
  lock->lock();
  Slot& slot = *row.slot;
  if (failure && (!slot.failure || row.index < slot.failed_row)) {
    slot.failure = std::move(failure);
    slot.failed_row = row.index;
  }
  ++(from_cache ? stats_.cached : stats_.decoded);
  stats_.decode_s += seconds;
  --slot.pending;
  --in_flight_;
  if (slot.pending == 0 || in_flight_ == 0) finished_.notify_all();
}

// Decodes or copies one sample into its row, then flips it. True if it came from the cache.
bool Loader::fill(const Row& row) {
  const uint32_t sample = row.slot->samples[static_cast<size_t>(row.index)];
  const uint64_t epoch = row.slot->batch.epoch;
  uint8_t* out = row.slot->pixels + static_cast<size_t>(row.index) * row_bytes_;
  const bool from_cache = cache_ && cache_->load(sample, out);
  if (!from_cache) decode_(samples_[sample], sample, epoch, out);
  if (cache_ && !from_cache) cache_->store(sample, out);
  if (options_.flip && Rng(options_.seed, RngPurpose::augment, epoch, sample).below(0, 2) == 1)
    mirror(out, options_.height, options_.width);
  return from_cache;
}

LoaderStats Loader::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

}  // namespace ft
