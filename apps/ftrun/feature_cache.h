// Which features of a run are stored, where, and what its header says of it. Validation images come first: they
// are used at every validation, training images once an epoch. Used by one thread.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "io/feature_store.h"

namespace ft::app {

enum class Keep : uint8_t { nowhere, memory, disk };

// What the choice depends on.
struct FeatureNeeds {
  std::string mode = "auto";  // --feature-cache: auto, memory, disk, off
  size_t row_bytes = 0;
  size_t train = 0, val = 0;    // images
  bool train_repeats = false;   // training images are used more than once, and unchanged
  size_t memory = 0, disk = 0;  // bytes that may be taken
  double image_s = 0;           // what computing the features of an image costs
};

struct FeaturePlan {
  Keep train = Keep::nowhere, val = Keep::nowhere;
};

// auto: memory where a split fits as a whole, else the disk, if reading from it (at 200 MB/s) is faster than
// computing anew.
FeaturePlan plan_features(const FeatureNeeds& needs);

// Shares of what is available now that features may take.
constexpr double kMemoryShare = 0.5, kDiskShare = 0.8;

struct FeatureCache {
  std::unique_ptr<FeatureStore> train, val;  // null: not stored
  size_t memory_bytes() const;
  size_t disk_bytes() const;
};

// Takes the memory and reserves the disk space; what the system then refuses is not stored, or on disk instead.
FeatureCache open_feature_cache(const FeatureNeeds& needs, const std::filesystem::path& folder);

// "2,048 B an image; 100 for validation in memory, 24 for training on disk (…)".
std::string describe(const FeatureCache& cache, const FeatureNeeds& needs);

}  // namespace ft::app
