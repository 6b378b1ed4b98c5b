// The check of every file before the first step: which ones are not usable images, and what becomes
// of them. What makes a file usable is the caller's function, so that this file knows no decoder.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "io/dataset.h"

namespace ft {

// Returns for a good file and throws ft::Error with status bad_input for a bad one. Anything else
// that it throws ends the prescan. Runs on several threads at a time.
using CheckFile = std::function<void(const Sample&)>;

enum class BadImages { fail, skip };

struct PrescanOptions {
  int threads = 1;  // below 2: on the calling thread
  BadImages policy = BadImages::fail;
  double max_bad = 0.01;  // with skip: the largest part of a split's files that may be bad
  bool allow_missing_classes = false;  // val and test may lose all images of a class
  // Called on the calling thread only, now and then and once at the end.
  std::function<void(int64_t done, int64_t total)> progress;
};

struct Prescanned {
  Dataset data;                  // without the bad files; Split::unusable is empty
  std::vector<BadFile> skipped;  // in the order of splits and samples
};

// Checks all files of all splits. Throws DatasetError
//   2220  with policy fail: every bad file with its reason
//   2221  with policy skip: more than max_bad of a split is bad
//   2222  a class of a split has no good image left
// or, unchanged, the first exception in sample order that is not about a bad file.
Prescanned prescan(Dataset data, const CheckFile& check, const PrescanOptions& options);

// Throws DatasetError 2220 if there are bad files: about the one, or in `where` with all of them.
void refuse_bad_files(const std::string& where, const std::vector<BadFile>& bad);

// Calls work(i) for i in [0, count) on up to `threads` threads (below 2: on the calling thread) and
// rethrows the exception of the smallest i that threw. Once something threw, no larger i is
// started.
void parallel_for(int64_t count, int threads, const std::function<void(int64_t)>& work,
                  const std::function<void(int64_t done, int64_t total)>& progress = {});

}  // namespace ft
