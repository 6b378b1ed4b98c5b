// The loader: the same bytes for every number of workers, policies, reused memory, the cache.
#include "io/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>

#include "tensor/rng.h"
#include "tests/io/allocation_count.h"
#include "tests/io/folder_tree.h"
#include "tests/io/loader_case.h"

namespace ft::test {

// I10, J03
TEST(Loader, gives_the_same_bytes_for_any_number_of_workers) {
  for (const int workers : {0, 1, 2, 3, 4, 5, 6, 7})
    for (const bool flip : {false, true}) {
      const auto samples = make_samples(30);
      LoaderOptions o = small(workers);
      o.flip = flip;
      Loader loader(samples, draw, o);
      EXPECT_EQ(loader.workers(), workers);
      loader.start(0, 0, 3);
      expect_epochs(&loader, 30, o, 0, 3);
    }
}

TEST(Loader, flips_about_half_of_the_images_and_others_in_the_next_epoch) {
  const auto samples = make_samples(400);
  LoaderOptions o = small(2, 400);
  o.flip = true;
  o.shuffle = Shuffle::never;
  Loader loader(samples, draw_plain, o);
  loader.start(0, 0, 2);
  std::vector<std::vector<bool>> flipped(2, std::vector<bool>(400));
  for (auto& epoch : flipped) {
    const Batch* batch = loader.next();
    for (size_t i = 0; i < 400; ++i) epoch[i] = batch->pixels[i * kRow] != pixel(i, 0, 0);
    const auto count = std::count(epoch.begin(), epoch.end(), true);
    EXPECT_GT(count, 150);
    EXPECT_LT(count, 250);
  }
  EXPECT_NE(flipped[0], flipped[1]);
}

TEST(Loader, order_follows_the_shuffle_policy) {
  for (const Shuffle shuffle : {Shuffle::every_epoch, Shuffle::once, Shuffle::never}) {
    const auto samples = make_samples(10);
    LoaderOptions o = small(2, 10);
    o.shuffle = shuffle;
    Loader loader(samples, draw, o);
    loader.start(5, 0, 7);
    std::vector<std::vector<uint32_t>> orders;
    while (const Batch* batch = loader.next())
      orders.emplace_back(batch->samples.begin(), batch->samples.end());
    ASSERT_EQ(orders.size(), 2u);
    EXPECT_EQ(orders[0] == orders[1], shuffle != Shuffle::every_epoch);
    EXPECT_EQ(std::is_sorted(orders[0].begin(), orders[0].end()), shuffle == Shuffle::never);
    o.seed = 12;
    Loader other(samples, draw, o);
    other.start(5);
    const Batch* batch = other.next();
    const std::vector<uint32_t> order(batch->samples.begin(), batch->samples.end());
    EXPECT_EQ(orders[0] == order, shuffle == Shuffle::never);
  }
}

// B20
TEST(Loader, every_size_up_to_two_batches) {
  for (int count = 1; count <= 8; ++count)
    for (const bool drop : {false, true}) {
      const auto samples = make_samples(count);
      LoaderOptions o = small(2);
      o.drop_last = drop;
      if (drop && count < 4) {
        EXPECT_HAS(error_of([&] { Loader(samples, draw, o); }), "E2223: --batch: no batch is left");
        continue;
      }
      Loader loader(samples, draw, o);
      loader.start(0, 0, 2);
      expect_epochs(&loader, count, o, 0, 2);
    }
  EXPECT_HAS(error_of([] { plan_epoch(0, 4, false); }), "E2223");
}

TEST(Loader, the_plan_of_an_epoch_says_what_is_left_over) {
  EpochPlan plan = plan_epoch(9, 4, false);
  EXPECT_EQ(plan.batches, 3);
  EXPECT_EQ(plan.last_size, 1);
  EXPECT_EQ(plan.note, "the last batch of an epoch holds 1 image (9 images, batch 4)");
  plan = plan_epoch(9, 4, true);
  EXPECT_EQ(plan.batches, 2);
  EXPECT_EQ(plan.dropped, 1);
  EXPECT_HAS(plan.note, "1 of 9 images are left out");
  EXPECT_EQ(plan_epoch(8, 4, false).note, "");
  EXPECT_EQ(plan_epoch(10, 4, false).note, "");
  EXPECT_EQ(plan_epoch(3, 1, false).note, "");
}

TEST(Loader, starts_within_an_epoch_and_may_be_started_anew) {
  const auto samples = make_samples(22);
  const LoaderOptions o = small(3);
  Loader loader(samples, draw, o);
  EXPECT_EQ(loader.next(), nullptr);
  loader.start(2, 4, 4);
  for (int64_t number = 4; number < 6; ++number)
    EXPECT_EQ(bytes_of(*loader.next()), expected_batch(22, o, 2, number));
  EXPECT_EQ(bytes_of(*loader.next()), expected_batch(22, o, 3, 0));
  loader.start(0);  // while workers prefetch epoch 3
  expect_epochs(&loader, 22, o, 0, 1);
  loader.start(1, 6, 2);  // a run that is over before it begins
  EXPECT_EQ(loader.next(), nullptr);
}

TEST(Loader, keeps_as_many_batches_as_asked_in_the_memory_supplied) {
  const auto samples = make_samples(40);
  LoaderOptions o = small(2);
  o.hold = 3;
  std::vector<uint8_t> memory(Loader::memory_bytes(o) + 1, 0xEE);
  o.memory = std::span(memory).first(memory.size() - 1);
  Loader loader(samples, draw, o);
  loader.start(0, 0, 4);
  std::vector<const Batch*> held;
  for (int64_t i = 0; const Batch* batch = loader.next(); ++i) {
    held.push_back(batch);
    if (held.size() > 3) held.erase(held.begin());
    EXPECT_GE(batch->pixels.data(), memory.data());
    EXPECT_LE(batch->pixels.data() + batch->pixels.size(), memory.data() + memory.size() - 1);
    std::this_thread::sleep_for(
        std::chrono::microseconds(300));  // time to overwrite, if they could
    for (size_t k = 0; k < held.size(); ++k) {
      const int64_t n = i - static_cast<int64_t>(held.size() - 1 - k);
      ASSERT_EQ(bytes_of(*held[k]), expected_batch(40, o, static_cast<uint64_t>(n / 10), n % 10));
    }
  }
  EXPECT_EQ(memory.back(), 0xEE);
  o.memory = std::span(memory).first(memory.size() - 2);
  EXPECT_HAS(error_of([&] { Loader(samples, draw, o); }), "E1001");
}

TEST(Loader, the_cache_decodes_once_and_gives_equal_bytes) {
  for (const int workers : {0, 1, 4}) {
    const auto samples = make_samples(21);
    LoaderOptions o = small(workers);
    o.flip = true;
    o.cache_bytes = 21 * kRow;
    std::atomic<int> decoded{0};
    const Decode decode = [&](const Sample& s, uint64_t sample, uint64_t epoch, uint8_t* out) {
      ++decoded;
      draw_plain(s, sample, epoch, out);
    };
    Loader loader(samples, decode, o);
    EXPECT_TRUE(loader.cache_active());
    loader.start(0);
    expect_epochs(&loader, 21, o, 0, 1, true);
    EXPECT_EQ(decoded, 21);
    loader.start(1, 0, 4);
    expect_epochs(&loader, 21, o, 1, 4, true);
    EXPECT_EQ(decoded, 21);
    EXPECT_EQ(loader.stats().cached, 63);
    EXPECT_EQ(loader.stats().decoded, 21);
  }
}

TEST(Loader, the_cache_is_not_used_where_it_does_not_fit) {
  const auto samples = make_samples(21);
  LoaderOptions o = small(2);
  o.cache_bytes = 21 * kRow - 1;
  Loader loader(samples, draw, o);
  EXPECT_FALSE(loader.cache_active());
  loader.start(0, 0, 2);
  expect_epochs(&loader, 21, o, 0, 2);
}

TEST(Loader, a_batch_costs_no_allocation) {
  if (!counts_allocations()) GTEST_SKIP() << "allocations are not counted under a sanitizer";
  const auto samples = make_samples(400);
  for (const int workers : {0, 2}) {
    LoaderOptions o = small(workers);
    o.shuffle = Shuffle::never;
    Loader loader(samples, draw, o);
    loader.start(0, 0, 2);
    for (int i = 0; i < 100; ++i) ASSERT_NE(loader.next(), nullptr);
    const int64_t before = allocation_count();
    for (int i = 0; i < 100; ++i) loader.next();
    EXPECT_EQ(allocation_count(), before) << workers << " workers";
  }
}

TEST(Loader, tells_which_side_is_slower) {
  LoaderStats stats;
  stats.workers = 4;
  stats.wait_s = 2;
  stats.blocked_s = 4;
  EXPECT_STREQ(stats.slower_side(), "loader");
  stats.blocked_s = 12;
  EXPECT_STREQ(stats.slower_side(), "network");

  const auto samples = make_samples(8);
  const auto slow = [](const Sample&, uint64_t, uint64_t, uint8_t*) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  Loader waiting(samples, slow, small(1));
  waiting.start(0);
  while (waiting.next() != nullptr) {
  }
  EXPECT_EQ(waiting.stats().batches, 2);
  EXPECT_EQ(waiting.stats().decoded, 8);
  EXPECT_GE(waiting.stats().decode_s, 0.008);
  EXPECT_GT(waiting.stats().wait_s, 0.001);

  Loader idle(samples, draw,
              small(2));  // its two batches fit: never blocked, however long it idles
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  idle.start(0);
  while (idle.next() != nullptr) {
  }
  EXPECT_EQ(idle.stats().blocked_s, 0);

  Loader ready(samples, draw, small(2));
  ready.start(0, 0, 100000);
  for (int i = 0; i < 10000 && ready.stats().blocked_s == 0; ++i) {
    ready.next();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_GT(ready.stats().blocked_s, 0);
}

TEST(Loader, rows_may_be_other_bytes_than_pixels) {
  const auto samples = make_samples(7);
  LoaderOptions o = small(2, 3);
  o.row_bytes = 5;
  const Decode numbers = [](const Sample&, uint64_t index, uint64_t epoch, uint8_t* out) {
    std::fill_n(out, 5, static_cast<uint8_t>(10 * index + epoch));
  };
  Loader loader(samples, numbers, o);
  loader.start(1, 0, 3);
  int64_t rows = 0;
  while (const Batch* batch = loader.next()) {
    ASSERT_EQ(batch->pixels.size(), batch->samples.size() * 5);
    for (size_t i = 0; i < batch->pixels.size(); ++i)
      EXPECT_EQ(batch->pixels[i], 10 * batch->samples[i / 5] + batch->epoch);
    rows += batch->size();
  }
  EXPECT_EQ(rows, 14);
}

}  // namespace ft::test
