// The loader when something goes wrong: errors in order, refused threads, any timing, early ends.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>

#include "io/loader.h"
#include "tensor/rng.h"
#include "tests/io/folder_tree.h"
#include "tests/io/loader_case.h"

namespace ft::test {

// F11: what decode threw reaches next(), for the first bad sample in order.
TEST(Loader, the_first_bad_sample_in_order_is_reported) {
  const auto samples = make_samples(40);
  for (int turn = 0; turn < 40; ++turn) {
    LoaderOptions o = small(turn % 8);
    o.shuffle = Shuffle::never;
    std::atomic<bool> repaired{false};
    const Decode decode = [&](const Sample& s, uint64_t sample, uint64_t epoch, uint8_t* out) {
      delay(static_cast<uint64_t>(turn), epoch, sample);
      if (!repaired && (sample == 14 || sample == 15 || sample == 18)) {
        if (sample == 14) std::this_thread::sleep_for(std::chrono::microseconds(300));
        throw Error(2107, s.path, "cut", "replace it");
      }
      draw(s, sample, epoch, out);
    };
    Loader loader(samples, decode, o);
    loader.start(0);
    for (int64_t number = 0; number < 3; ++number)
      ASSERT_EQ(bytes_of(*loader.next()), expected_batch(40, o, 0, number));
    for (int again = 0; again < 2; ++again)
      EXPECT_EQ(error_of([&] { loader.next(); }), "E2107: image14: cut; replace it");
    repaired = true;
    loader.start(0);
    expect_epochs(&loader, 40, o, 0, 1);
  }
}

TEST(Loader, any_exception_passes) {
  const auto samples = make_samples(3);
  for (const int workers : {0, 2}) {
    Loader loader(
        samples, [](const Sample&, uint64_t, uint64_t, uint8_t*) { throw 42; }, small(workers));
    loader.start(0);
    EXPECT_THROW(loader.next(), int);
  }
}

// J09
TEST(Loader, goes_on_with_fewer_threads_than_asked) {
  const std::string seen = in_child(true, [] {
    const rlimit none = {1, 1};
    setrlimit(RLIMIT_NPROC, &none);
    const auto samples = make_samples(10);
    const LoaderOptions o = small(4);
    Loader loader(samples, draw, o);
    loader.start(0);
    std::string out = std::to_string(loader.workers());
    for (int64_t number = 0; const Batch* batch = loader.next(); ++number)
      out += bytes_of(*batch) == expected_batch(10, o, 0, number) ? " same" : " differs";
    return out;
  });
  EXPECT_EQ(seen, "0 same same same");
}

// J02: whatever the timing, it ends, and what it gave was right.
TEST(Loader, survives_random_delays_restarts_errors_and_early_ends) {
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    const Rng rng(seed, RngPurpose::test);
    const int count = 1 + static_cast<int>(rng.below(0, 30));
    const auto samples = make_samples(count);
    LoaderOptions o = small(static_cast<int>(rng.below(1, 8)), 1 + rng.below(2, 6));
    o.prefetch = 1 + static_cast<int>(rng.below(3, 3));
    o.hold = 1 + static_cast<int>(rng.below(4, 2));
    o.flip = rng.below(5, 2) == 1;
    o.cache_bytes = rng.below(6, 2) == 1 ? 1 << 20 : 0;
    const uint64_t bad = rng.below(7, 4) == 0 ? rng.below(8, 30) : 1000;
    const Decode decode = [&](const Sample& s, uint64_t sample, uint64_t epoch, uint8_t* out) {
      delay(seed, epoch, sample);
      if (sample == bad) throw std::runtime_error("bad");
      draw_plain(s, sample, epoch, out);
    };
    Loader loader(samples, decode, o);
    for (uint32_t run = 0; run < 1 + rng.below(9, 3); ++run) {
      loader.start(run, 0, run + 2);
      const int64_t per_epoch = batches(count, o);
      const int64_t stop = rng.below(10 + run, static_cast<uint32_t>(2 * per_epoch + 1));
      for (int64_t i = 0; i < stop; ++i) {
        delay(seed + 5000, run, static_cast<uint64_t>(i));
        const std::string expected = expected_batch(
            count, o, run + static_cast<uint64_t>(i / per_epoch), i % per_epoch, true);
        try {
          const Batch* batch = loader.next();
          ASSERT_NE(batch, nullptr);
          ASSERT_EQ(bytes_of(*batch), expected) << "seed " << seed;
          ASSERT_EQ(std::count(batch->samples.begin(), batch->samples.end(), bad), 0);
        } catch (const std::runtime_error&) {
          ASSERT_TRUE(
              has_sample(count, o, run + static_cast<uint64_t>(i / per_epoch), i % per_epoch, bad))
              << "seed " << seed;
          break;
        }
      }
    }
  }
}

}  // namespace ft::test
