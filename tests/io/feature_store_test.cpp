// Stored rows: what went in comes out, in memory and on disk; damage is seen; nothing is left behind.
#include "io/feature_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "tensor/error.h"
#include "tensor/rng.h"
#include "tests/io/file_faults.h"
#include "tests/support/support.h"

namespace ft::test {
namespace {

namespace fs = std::filesystem;

constexpr size_t kRows = 7, kBytes = 4099;  // no multiple of anything

std::vector<uint8_t> row(size_t index) {
  std::vector<uint8_t> bytes(kBytes);
  const Rng rng(3, RngPurpose::test, 0, index);
  for (size_t i = 0; i < kBytes; ++i) bytes[i] = static_cast<uint8_t>(rng.bits(i));
  return bytes;
}

std::unique_ptr<FeatureStore> make(bool disk, const fs::path& folder) {
  auto store =
      disk ? FeatureStore::on_disk(folder, kRows, kBytes) : FeatureStore::in_memory(kRows, kBytes);
  if (store == nullptr) throw std::runtime_error("no store");
  return store;
}

int number_of(const auto& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.number();
  }
  return 0;
}

class Store : public testing::TestWithParam<bool> {
 protected:
  TempDir dir;
};
INSTANTIATE_TEST_SUITE_P(FeatureStore, Store, testing::Bool(), [](const auto& info) {
  return info.param ? std::string("disk") : std::string("memory");
});

TEST_P(Store, gives_back_what_was_put_in_any_order_on_any_thread) {
  const auto store = make(GetParam(), dir.path());
  EXPECT_EQ(store->on_disk(), GetParam());
  for (size_t i : {3u, 0u, 6u, 1u, 5u}) store->put(i, row(i).data());
  EXPECT_EQ(store->missing(), (std::vector<uint32_t>{2, 4}));
  EXPECT_FALSE(store->complete());
  for (size_t i : {4u, 2u}) store->put(i, row(i).data());
  EXPECT_TRUE(store->complete() && store->missing().empty());
  std::vector<std::jthread> threads;
  std::atomic<int> wrong{0};
  for (size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      std::vector<uint8_t> out(kBytes);
      for (size_t i = 0; i < kRows; ++i) {
        store->load((i + t) % kRows, out.data());
        wrong += out != row((i + t) % kRows);
      }
    });
  threads.clear();
  EXPECT_EQ(wrong, 0);
}

TEST_P(Store, a_row_that_is_there_stays_as_it_is) {
  const auto store = make(GetParam(), dir.path());
  store->put(2, row(2).data());
  store->put(2, row(5).data());
  std::vector<uint8_t> out(kBytes);
  store->load(2, out.data());
  EXPECT_EQ(out, row(2));
}

TEST_P(Store, refuses_a_row_that_was_never_stored) {
  const auto store = make(GetParam(), dir.path());
  std::vector<uint8_t> out(kBytes);
  EXPECT_EQ(number_of([&] { store->load(0, out.data()); }), 1001);
  EXPECT_EQ(number_of([&] { store->put(kRows, out.data()); }), 1001);
}

TEST(FeatureStore, on_disk_has_no_name_but_its_space) {
  TempDir dir;
  const auto store = make(true, dir.path());
  EXPECT_TRUE(fs::is_empty(dir.path()));
  store->put(0, row(0).data());
  EXPECT_TRUE(fs::is_empty(dir.path()));
}

// The nameless file, opened again through its descriptor.
UniqueFd reopen(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string target = fs::read_symlink(entry.path(), gone).string();
    if (!gone && target.starts_with(folder.string() + "/.features"))
      return UniqueFd(::open(entry.path().c_str(), O_RDWR));
  }
  return {};
}

TEST(FeatureStore, sees_one_changed_byte_wherever_it_is) {
  TempDir dir;
  const auto store = make(true, dir.path());
  for (size_t i = 0; i < kRows; ++i) store->put(i, row(i).data());
  const UniqueFd file = reopen(dir.path());
  ASSERT_TRUE(file);
  std::vector<uint8_t> out(kBytes);
  for (const size_t at : {size_t{0}, size_t{31}, size_t{32}, kBytes / 2, kBytes - 1}) {
    const uint8_t good = row(4)[at], bad = good ^ 1;
    ASSERT_EQ(::pwrite(file.get(), &bad, 1, static_cast<off_t>(4 * kBytes + at)), 1);
    EXPECT_EQ(number_of([&] { store->load(4, out.data()); }), 5012) << at;
    ASSERT_EQ(::pwrite(file.get(), &good, 1, static_cast<off_t>(4 * kBytes + at)), 1);
    EXPECT_EQ(number_of([&] { store->load(4, out.data()); }), 0) << at;
  }
}

TEST(FeatureStore, sees_a_row_that_took_the_place_of_another_and_a_cut_file) {
  TempDir dir;
  const auto store = make(true, dir.path());
  for (size_t i = 0; i < kRows; ++i) store->put(i, row(i).data());
  const UniqueFd file = reopen(dir.path());
  ASSERT_TRUE(file);
  std::vector<uint8_t> out(kBytes);
  ASSERT_EQ(::pwrite(file.get(), row(1).data(), kBytes, 0), static_cast<ssize_t>(kBytes));
  EXPECT_EQ(number_of([&] { store->load(0, out.data()); }), 5012);
  ASSERT_EQ(::ftruncate(file.get(), 6 * kBytes + 10), 0);
  EXPECT_EQ(number_of([&] { store->load(6, out.data()); }), 5012);
}

TEST(FeatureStore, a_full_disk_is_told_before_anything_is_stored) {
  TempDir dir;
  const FileFaults faults({FaultPlan::Mode::error, 0, ENOSPC, "fallocate"});
  EXPECT_EQ(FeatureStore::on_disk(dir.path(), kRows, kBytes), nullptr);
  EXPECT_TRUE(fs::is_empty(dir.path()));
  EXPECT_EQ(FeatureStore::on_disk(dir.path(), size_t{1} << 40, size_t{1} << 20), nullptr);
}

TEST(FeatureStore, works_where_space_cannot_be_reserved_and_says_when_it_ends) {
  TempDir dir;
  std::unique_ptr<FeatureStore> store;
  {
    const FileFaults faults({FaultPlan::Mode::error, 0, EOPNOTSUPP, "fallocate"});
    store = make(true, dir.path());
  }
  {
    const FileFaults faults({FaultPlan::Mode::short_count, 0, 0, "pwrite"});
    store->put(0, row(0).data());
  }
  {
    const FileFaults faults({FaultPlan::Mode::error, 0, ENOSPC, "pwrite"});
    EXPECT_EQ(number_of([&] { store->put(1, row(1).data()); }), 5001);
  }
  EXPECT_FALSE(store->has(1));
  std::vector<uint8_t> out(kBytes);
  const FileFaults faults({FaultPlan::Mode::short_count, 0, 0, "pread"});
  store->load(0, out.data());
  EXPECT_EQ(out, row(0));
}

TEST(FeatureStore, a_folder_that_cannot_be_written_is_an_error) {
  TempDir dir;
  const FileFaults faults({FaultPlan::Mode::error, 0, EACCES, "open"});
  EXPECT_EQ(number_of([&] { FeatureStore::on_disk(dir.path(), kRows, kBytes); }), 5005);
}

TEST(FeatureStore, memory_that_nobody_has_is_refused_not_fatal) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "the thread sanitizer ends, or hangs, where memory is refused";
#endif
  EXPECT_EQ(FeatureStore::in_memory(size_t{1} << 30, size_t{1} << 32), nullptr);
}

}  // namespace
}  // namespace ft::test
