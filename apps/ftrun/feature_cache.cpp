// Choosing where features are kept.
#include "apps/ftrun/feature_cache.h"

#include <fmt/format.h>

#include "apps/ftrun/progress.h"

namespace ft::app {
namespace {

constexpr double kDiskBytesPerSecond = 200e6;

// One split after the other: what is left for it decides.
Keep choose(const FeatureNeeds& needs, size_t images, size_t& memory, size_t& disk) {
  const size_t bytes = images * needs.row_bytes;
  if (bytes == 0 || needs.mode == "off") return Keep::nowhere;
  if (needs.mode != "disk" && bytes <= memory) {
    memory -= bytes;
    return Keep::memory;
  }
  const bool pays = needs.image_s > static_cast<double>(needs.row_bytes) / kDiskBytesPerSecond;
  if ((needs.mode == "disk" || (needs.mode == "auto" && pays)) && bytes <= disk) {
    disk -= bytes;
    return Keep::disk;
  }
  return Keep::nowhere;
}

std::unique_ptr<FeatureStore> open_store(Keep keep, const FeatureNeeds& needs, size_t images,
                                         const std::filesystem::path& folder) {
  std::unique_ptr<FeatureStore> store;
  if (keep == Keep::memory) store = FeatureStore::in_memory(images, needs.row_bytes);
  const bool refused = keep == Keep::memory && store == nullptr && needs.mode == "auto";
  if (keep == Keep::disk || (refused && images * needs.row_bytes <= needs.disk))
    store = FeatureStore::on_disk(folder, images, needs.row_bytes);
  return store;
}

std::string where(const std::unique_ptr<FeatureStore>& store) {
  if (store == nullptr) return "not kept";
  return store->on_disk() ? "on disk" : "in memory";
}

size_t bytes_of(const std::unique_ptr<FeatureStore>& store, bool on_disk) {
  return store != nullptr && store->on_disk() == on_disk ? store->rows() * store->row_bytes() : 0;
}

}  // namespace

FeaturePlan plan_features(const FeatureNeeds& needs) {
  size_t memory = needs.memory, disk = needs.disk;
  FeaturePlan plan;
  plan.val = choose(needs, needs.val, memory, disk);
  if (needs.train_repeats) plan.train = choose(needs, needs.train, memory, disk);
  return plan;
}

FeatureCache open_feature_cache(const FeatureNeeds& needs, const std::filesystem::path& folder) {
  const FeaturePlan plan = plan_features(needs);
  FeatureCache cache;
  cache.val = open_store(plan.val, needs, needs.val, folder);
  cache.train = open_store(plan.train, needs, needs.train, folder);
  return cache;
}

size_t FeatureCache::memory_bytes() const { return bytes_of(train, false) + bytes_of(val, false); }
size_t FeatureCache::disk_bytes() const { return bytes_of(train, true) + bytes_of(val, true); }

std::string describe(const FeatureCache& cache, const FeatureNeeds& needs) {
  const auto text = [](size_t bytes) { return bytes_text(static_cast<double>(bytes)); };
  std::string out = fmt::format("{} an image: of validation {}, of training {}",
                                text(needs.row_bytes), where(cache.val), where(cache.train));
  if (cache.memory_bytes() > 0)
    out +=
        fmt::format("; {} of memory, {} allowed", text(cache.memory_bytes()), text(needs.memory));
  if (cache.disk_bytes() > 0)
    out += fmt::format("; {} of disk, {} allowed", text(cache.disk_bytes()), text(needs.disk));
  return out;
}

}  // namespace ft::app
