// A decode function that is a formula, and what every batch made of it must be. Header only.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "io/loader.h"
#include "tensor/rng.h"

namespace ft::test {

constexpr int64_t kHeight = 3, kWidth = 5;
constexpr size_t kRow = kHeight * kWidth * 3;

inline std::vector<Sample> make_samples(int count) {
  std::vector<Sample> samples;
  for (int i = 0; i < count; ++i) samples.push_back({"image" + std::to_string(i), i % 7});
  return samples;
}

inline uint8_t pixel(uint64_t sample, uint64_t epoch, size_t i) {
  return static_cast<uint8_t>(sample * 31 + epoch * 17 + i * 5);
}

inline void draw(const Sample&, uint64_t sample, uint64_t epoch, uint8_t* out) {
  for (size_t i = 0; i < kRow; ++i) out[i] = pixel(sample, epoch, i);
}
// As decoding without augmentation: the same in every epoch.
inline void draw_plain(const Sample& s, uint64_t sample, uint64_t, uint8_t* out) {
  draw(s, sample, 0, out);
}

// Waits up to 200 us, a function of the arguments.
inline void delay(uint64_t seed, uint64_t a, uint64_t b) {
  const Rng rng(seed, RngPurpose::test, a, b);
  const uint32_t kind = rng.below(0, 8);
  if (kind == 0) std::this_thread::sleep_for(std::chrono::microseconds(rng.below(1, 200)));
  if (kind == 1) std::this_thread::yield();
}

inline LoaderOptions small(int workers, int64_t batch = 4) {
  LoaderOptions options;
  options.batch = batch;
  options.height = kHeight;
  options.width = kWidth;
  options.seed = 11;
  options.workers = workers;
  return options;
}

// A batch as text of everything in it.
inline std::string bytes_of(const Batch& batch) {
  std::string out = std::to_string(batch.epoch) + "/" + std::to_string(batch.number) +
                    (batch.last_of_epoch ? " last:" : ":");
  for (const int32_t label : batch.labels) out += " " + std::to_string(label);
  for (const uint32_t sample : batch.samples) out += " " + std::to_string(sample);
  return out.append(batch.pixels.begin(), batch.pixels.end());
}

inline std::vector<uint32_t> expected_order(int count, const LoaderOptions& o, uint64_t epoch) {
  std::vector<uint32_t> order(static_cast<size_t>(count));
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  if (o.shuffle == Shuffle::never) return order;
  return permutation(static_cast<uint32_t>(count), o.seed, RngPurpose::shuffle,
                     o.shuffle == Shuffle::once ? 0 : epoch);
}

inline bool has_sample(int count, const LoaderOptions& o, uint64_t epoch, int64_t number,
                       uint64_t sample) {
  const std::vector<uint32_t> order = expected_order(count, o, epoch);
  const auto first = order.begin() + number * o.batch;
  const auto end = order.begin() + std::min<int64_t>((number + 1) * o.batch, count);
  return std::find(first, end, sample) != end;
}

// What batch `number` of `epoch` must be, without a loader. plain: decode is draw_plain.
inline std::string expected_batch(int count, const LoaderOptions& o, uint64_t epoch, int64_t number,
                                  bool plain = false) {
  const std::vector<uint32_t> order = expected_order(count, o, epoch);
  const int64_t first = number * o.batch, end = std::min<int64_t>(first + o.batch, count);
  const bool last = o.drop_last ? end + o.batch > count : end == count;
  std::string out = std::to_string(epoch) + "/" + std::to_string(number) + (last ? " last:" : ":");
  std::string pixels;
  for (int64_t i = first; i < end; ++i)
    out += " " + std::to_string(order[static_cast<size_t>(i)] % 7);
  for (int64_t i = first; i < end; ++i) {
    const uint32_t sample = order[static_cast<size_t>(i)];
    out += " " + std::to_string(sample);
    const bool flip = o.flip && Rng(o.seed, RngPurpose::augment, epoch, sample).below(0, 2) == 1;
    for (size_t y = 0; y < kHeight; ++y)
      for (size_t x = 0; x < kWidth; ++x)
        for (size_t c = 0; c < 3; ++c)
          pixels += static_cast<char>(
              pixel(sample, plain ? 0 : epoch, (y * kWidth + (flip ? kWidth - 1 - x : x)) * 3 + c));
  }
  return out + pixels;
}

inline int64_t batches(int count, const LoaderOptions& o) {
  return o.drop_last ? count / o.batch : (count + o.batch - 1) / o.batch;
}

// Asks for everything and compares it with expected_batch.
inline void expect_epochs(Loader* loader, int count, const LoaderOptions& o, uint64_t first,
                          uint64_t end, bool plain = false) {
  for (uint64_t epoch = first; epoch < end; ++epoch)
    for (int64_t number = 0; number < batches(count, o); ++number) {
      const Batch* batch = loader->next();
      ASSERT_NE(batch, nullptr);
      ASSERT_EQ(bytes_of(*batch), expected_batch(count, o, epoch, number, plain))
          << "epoch " << epoch << " batch " << number << " workers " << o.workers;
    }
  EXPECT_EQ(loader->next(), nullptr);
  EXPECT_EQ(loader->next(), nullptr);
}

}  // namespace ft::test
