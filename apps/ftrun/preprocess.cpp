// From files to the pixels of a batch.
#include "apps/ftrun/preprocess.h"

#include <fmt/format.h>

#include <memory>
#include <mutex>
#include <vector>

#include "apps/ftrun/progress.h"
#include "io/atomic_file.h"
#include "io/duplicates.h"
#include "io/image_reader.h"
#include "io/run_folder.h"
#include "tensor/rng.h"

namespace ft::app {
namespace {

// Objects that a thread borrows for one call; as many exist as ever were in use at once.
template <class T>
class Pool {
 public:
  template <class Make>
  std::shared_ptr<T> borrow(const Make& make) {
    std::unique_ptr<T> object;
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        object = std::move(free_.back());
        free_.pop_back();
      }
    }
    if (object == nullptr) object = make();
    return {object.release(), [this](T* back) {
              const std::lock_guard lock(mutex_);
              free_.emplace_back(back);
            }};
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<T>> free_;
};

// Every item of a fault whose message shows only some of them, in a file of the output folder.
[[noreturn]] void list_problems(const DatasetError& fault, const std::filesystem::path& out,
                                std::span<const std::filesystem::path> inputs) {
  std::string lines;
  for (const std::string& item : fault.items()) lines += escape(item) + '\n';
  std::filesystem::path file;
  try {
    const RunFolder folder = make_run_folder(out, false, inputs);
    file = folder / "problems.txt";
    write_atomically(file, lines);
  } catch (const Error&) {  // of the two the first is what to mend
    throw fault;
  }
  throw Error(
      fault.number(), fault.where(), fault.seen(),
      fmt::format("{}; {} lists all {}", fault.remedy(), file.string(), fault.items().size()));
}

Prescanned scan_and_check(const DataOptions& options,
                          const std::vector<std::string>& expected_classes) {
  ScanOptions scan_options;
  scan_options.data = options.data;
  scan_options.train = options.train;
  scan_options.val = options.val;
  scan_options.test = options.test;
  scan_options.for_training = expected_classes.empty();
  scan_options.expected_classes = expected_classes;
  scan_options.allow_missing_classes = options.allow_missing_classes;
  scan_options.allow_outside_links = options.allow_outside_links;
  scan_options.allow_overlap = options.allow_overlap;
  Dataset data = scan(scan_options);
  int64_t total = 0;
  for (const Split& split : data.splits) total += static_cast<int64_t>(split.samples.size());
  Progress progress("checking images", total);
  PrescanOptions prescan_options;
  prescan_options.threads = options.workers;
  prescan_options.policy = options.bad_images == "skip" ? BadImages::skip : BadImages::fail;
  prescan_options.max_bad = options.max_bad / 100;
  prescan_options.allow_missing_classes = options.allow_missing_classes;
  prescan_options.progress = [&](int64_t done, int64_t) { progress.update(done); };
  Prescanned checked = prescan(std::move(data), make_check(), prescan_options);
  progress.finish();
  judge_duplicates(find_duplicates(checked.data, options.workers), options.allow_overlap,
                   &checked.data.notes);
  return checked;
}

}  // namespace

Decode make_decode(const InputRecipe& recipe, bool random_crop, uint64_t seed) {
  const auto pool = std::make_shared<Pool<ImageReader>>();
  const ResizeSpec spec = resize_spec(recipe);
  return [=](const Sample& sample, uint64_t index, uint64_t epoch, uint8_t* out) {
    const Rng rng(seed, RngPurpose::augment, epoch, index);
    ImageReader::View view;
    if (random_crop) view.crop = CropAt{rng.uniform(1), rng.uniform(2)};
    const auto reader = pool->borrow([&] { return std::make_unique<ImageReader>(spec); });
    reader->read(sample.path, view, out);
  };
}

CheckFile make_check() {
  struct Scratch {
    ImageDecoder decoder;
    Image image;
  };
  const auto pool = std::make_shared<Pool<Scratch>>();
  return [pool](const Sample& sample) {
    const auto scratch = pool->borrow([] { return std::make_unique<Scratch>(); });
    const FileBytes bytes = read_image_file(sample.path);
    scratch->decoder.decode(image_bytes(bytes), sample.path, scratch->image);
  };
}

std::vector<std::filesystem::path> input_folders(const DataOptions& options) {
  std::vector<std::filesystem::path> folders;
  for (const std::string& p : {options.data, options.train, options.val, options.test})
    if (!p.empty()) folders.emplace_back(p);
  return folders;
}

Prescanned find_data(const DataOptions& options, const std::vector<std::string>& expected_classes,
                     const std::filesystem::path& out) {
  try {
    return scan_and_check(options, expected_classes);
  } catch (const DatasetError& fault) {
    if (out.empty() || fault.items().size() <= kItemsShown) throw;
    list_problems(fault, out, input_folders(options));
  }
}

std::array<double, 3> mean_of(std::span<const Sample> samples, const InputRecipe& recipe,
                              int workers) {
  LoaderOptions options;
  options.height = recipe.height;
  options.width = recipe.width;
  options.shuffle = Shuffle::never;
  options.workers = workers;
  Loader loader(samples, make_decode(recipe, false, 0), options);
  loader.start(0);
  Progress progress("mean of the training images", static_cast<int64_t>(samples.size()));
  std::array<uint64_t, 3> sums{};
  uint64_t pixels = 0;
  while (const Batch* batch = loader.next()) {
    for (size_t i = 0; i < batch->pixels.size(); i += 3)
      for (size_t c = 0; c < 3; ++c) sums[c] += batch->pixels[i + c];
    pixels += batch->pixels.size() / 3;
    progress.update(static_cast<int64_t>(pixels) / (recipe.height * recipe.width));
  }
  std::array<double, 3> mean{};
  for (size_t c = 0; c < 3; ++c)
    mean[c] = static_cast<double>(sums[c]) / static_cast<double>(pixels);
  return mean;
}

}  // namespace ft::app
