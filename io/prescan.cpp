// Parallel check of files and the policy for bad ones.
#include "io/prescan.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <iterator>
#include <mutex>
#include <system_error>
#include <thread>

#include <fmt/format.h>

#include "io/names.h"

namespace ft {
namespace {

constexpr auto kProgressInterval = std::chrono::milliseconds(100);

// The indices still to do, and the first failure. Shared by all threads of one parallel_for.
class Work {
 public:
  Work(int64_t count, const std::function<void(int64_t)>& work) : count_(count), work_(work) {}

  // Does what is left until nothing is, or something failed; `each` is called after every index.
  template <typename Each>
  void run(Each each) {
    for (;;) {
      const int64_t i = next_.fetch_add(1);
      if (i >= stop_.load()) return;
      try {
        work_(i);
      } catch (...) {  // a thread's entry point: kept for the calling thread
        fail(i, std::current_exception());
      }
      done_.fetch_add(1);
      each();
    }
  }

  int64_t done() const { return done_.load(); }
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void fail(int64_t i, std::exception_ptr failure) {
    const std::lock_guard lock(mutex_);
    if (i >= stop_.load() && failure_) return;
    stop_.store(i);  // smaller indices are already being worked on and may still fail
    failure_ = std::move(failure);
  }

  const int64_t count_;
  const std::function<void(int64_t)>& work_;
  std::atomic<int64_t> next_{0}, done_{0}, stop_{count_};
  std::mutex mutex_;
  std::exception_ptr failure_;
};

// Runs `work` on threads of its own while the calling thread reports progress.
void run_threads(Work* work, int64_t count, int threads,
                 const std::function<void(int64_t, int64_t)>& progress) {
  std::mutex mutex;
  std::condition_variable finished;
  int running = 0;
  std::vector<std::jthread> pool;
  const auto entry = [&] {
    work->run([] {});
    const std::lock_guard lock(mutex);
    --running;
    finished.notify_one();
  };
  for (int t = 0; t < threads; ++t) {
    const std::lock_guard lock(mutex);
    try {
      pool.emplace_back(entry);
      ++running;
    } catch (const std::system_error&) {
      break;  // thread limit reached: the calling thread helps, see below
    }
  }
  if (pool.empty()) work->run([] {});
  std::unique_lock lock(mutex);
  while (!finished.wait_for(lock, kProgressInterval, [&] { return running == 0; })) {
    lock.unlock();
    if (progress) progress(work->done(), count);
    lock.lock();
  }
}

// "path: reason (E2107)", a line a file.
std::vector<std::string> describe(const std::vector<BadFile>& files) {
  std::vector<std::string> lines;
  for (const BadFile& file : files) {
    lines.push_back(fmt::format("{}: {} (E{})", file.path, file.reason, file.number));
  }
  return lines;
}

// What is wrong with a sample; number 0 if nothing.
BadFile judge(const Sample& sample, const CheckFile& check) {
  try {
    check(sample);
    return {};
  } catch (const Error& error) {
    if (error.status() != ExitStatus::bad_input) throw;
    return {sample.path, error.seen(), error.number()};
  }
}

// Takes the bad samples out of the split; returns them and those that the scan had found.
std::vector<BadFile> drop_bad(Split* split, BadFile* verdicts) {
  std::vector<Sample> good;
  std::vector<BadFile> bad = std::move(split->unusable);
  for (size_t i = 0; i < split->samples.size(); ++i) {
    if (verdicts[i].number == 0) {
      good.push_back(std::move(split->samples[i]));
    } else {
      bad.push_back(std::move(verdicts[i]));
    }
  }
  split->samples = std::move(good);
  split->unusable.clear();
  std::sort(bad.begin(), bad.end(),
            [](const BadFile& a, const BadFile& b) { return a.path < b.path; });
  return bad;
}

// What one split has lost.
struct Loss {
  std::vector<int64_t> before;  // images of each class
  std::vector<BadFile> bad;
};

// Every split of which too large a part is bad, with its files.
void refuse_too_many(const std::vector<Split>& splits, const std::vector<Loss>& losses,
                     double max_bad) {
  double largest = 0;
  std::string where, seen;
  std::vector<std::string> files;
  for (size_t i = 0; i < splits.size(); ++i) {
    const std::vector<BadFile>& bad = losses[i].bad;
    const double total = static_cast<double>(splits[i].samples.size() + bad.size());
    const double part = static_cast<double>(bad.size()) / total;
    if (bad.empty() || part <= max_bad) continue;
    if (where.empty()) where = splits[i].root;
    seen += seen.empty() ? fmt::format("{:.2f} % of the files are bad", 100 * part)
                         : fmt::format(" and {:.2f} % of {}", 100 * part, splits[i].root);
    largest = std::max(largest, part);
    std::ranges::move(describe(bad), std::back_inserter(files));
  }
  if (where.empty()) return;
  throw DatasetError(2221, where, fmt::format("{}, --max-bad allows {:.2f} %", seen, 100 * max_bad),
                     files,
                     fmt::format("remove or replace them, or raise --max-bad to {:.2f} or more",
                                 100 * largest + 0.005));
}

// The classes that had images in this split and have none now.
std::vector<std::string> emptied_classes(const Split& split,
                                         const std::vector<std::string>& classes,
                                         const std::vector<int64_t>& before) {
  const std::vector<int64_t> now = class_counts(split, classes.size());
  std::vector<std::string> emptied;
  for (size_t i = 0; i < now.size(); ++i)
    if (now[i] == 0 && before[i] > 0) emptied.push_back(classes[i]);
  return emptied;
}

// A class whose images are all bad: refused, or a warning where a split may lack one.
void judge_emptied(const Split& split, const Loss& loss, const PrescanOptions& options,
                   Dataset* data) {
  const auto emptied = emptied_classes(split, data->classes, loss.before);
  if (emptied.empty()) return;
  if (split.name == "train" || !options.allow_missing_classes)
    throw DatasetError(2222, split.root, "classes with nothing but bad images", emptied,
                       "add good images, or remove the classes from every split");
  data->notes.warnings.push_back(
      fmt::format("{} has no good samples of {}", split.name, list_names(emptied)));
}

}  // namespace

void refuse_bad_files(const std::string& where, const std::vector<BadFile>& bad) {
  if (bad.empty()) return;
  if (bad.size() == 1)
    throw DatasetError(2220, bad[0].path, bad[0].reason, {},
                       "remove or replace it, or run with --bad-images=skip");
  throw DatasetError(2220, where, "files that are not usable images", describe(bad),
                     "remove or replace them, or run with --bad-images=skip");
}

void parallel_for(int64_t count, int threads, const std::function<void(int64_t)>& work,
                  const std::function<void(int64_t, int64_t)>& progress) {
  Work shared(count, work);
  if (threads < 2) {
    auto last = std::chrono::steady_clock::now();
    shared.run([&] {
      const auto now = std::chrono::steady_clock::now();
      if (!progress || now - last < kProgressInterval) return;
      last = now;
      progress(shared.done(), count);
    });
  } else {
    run_threads(&shared, count, threads, progress);
  }
  shared.rethrow();
  if (progress) progress(count, count);
}

Prescanned prescan(Dataset data, const CheckFile& check, const PrescanOptions& options) {
  std::vector<const Sample*> all;
  for (const Split& split : data.splits)
    for (const Sample& sample : split.samples) all.push_back(&sample);
  std::vector<BadFile> verdicts(all.size());
  const auto work = [&](int64_t i) {
    const auto k = static_cast<size_t>(i);
    verdicts[k] = judge(*all[k], check);
  };
  parallel_for(static_cast<int64_t>(all.size()), options.threads, work, options.progress);

  Prescanned out;
  out.data = std::move(data);
  std::vector<Loss> losses;
  BadFile* next = verdicts.data();
  for (Split& split : out.data.splits) {
    const size_t files = split.samples.size();
    Loss loss{class_counts(split, out.data.classes.size()), {}};
    loss.bad = drop_bad(&split, next);
    losses.push_back(std::move(loss));
    next += files;
  }
  if (options.policy == BadImages::skip) {
    refuse_too_many(out.data.splits, losses, options.max_bad);
    for (size_t i = 0; i < losses.size(); ++i)
      judge_emptied(out.data.splits[i], losses[i], options, &out.data);
  }
  for (Loss& loss : losses) std::ranges::move(loss.bad, std::back_inserter(out.skipped));
  if (options.policy == BadImages::skip) return out;
  refuse_bad_files(out.data.splits[0].root, out.skipped);
  return out;
}

}  // namespace ft
