// From rows of bytes to the first value of a compilation.
#include "apps/ftrun/feed.h"

#include <algorithm>
#include <chrono>

namespace ft::app {

Decode read_features(const FeatureStore& store) {
  return
      [&store](const Sample&, uint64_t index, uint64_t, uint8_t* out) { store.load(index, out); };
}

LoaderOptions feature_rows(LoaderOptions options, const FeatureStore& store) {
  options.row_bytes = static_cast<int64_t>(store.row_bytes());
  options.cache_bytes = 0;
  // To hand a row to another thread costs more than to copy a small one.
  constexpr size_t kSmall = 64u << 10;
  if (!store.on_disk() && store.row_bytes() <= kSmall) options.workers = 0;
  return options;
}

Feed::Feed(Network& network, Backend& backend, const NumericsPolicy& numerics, int64_t most,
           ValueId cut, bool beside)
    : network_(network),
      backend_(backend),
      most_(most),
      normalize_(normalize_spec(network.recipe)) {
  if (cut != -1) {
    front_ = std::make_unique<Prefix>(network, backend, numerics, cut, part());
    features_ = Tensor(front_->spec(most), backend.allocator());
  } else {
    const Shape shape{most, network.recipe.height, network.recipe.width, 3};
    buffers_.resize(beside ? 2 : 1);
    for (PixelBuffer& b : buffers_)
      b = {Tensor({shape, DType::u8, Layout::plain}, backend.allocator()), backend.make_event(),
           backend.make_event()};
    if (beside) copies_ = backend.make_stream();
  }
}

int64_t Feed::part() const {
  constexpr int64_t kMost = 64;
  const int64_t parts = (most_ + kMost - 1) / kMost;
  return (most_ + parts - 1) / parts;
}

void Feed::bind(const Tensor& arena, const Tensor& state) {
  if (front_) front_->bind(arena, state);
}

void Feed::set_start(CompileOptions& options) const {
  if (!front_) return;
  options.from = front_->cut();
  options.from_spec = front_->spec(options.batch);
}

void Feed::load(const Rows& rows, int64_t first, int64_t n, Executor& to, StreamRef s) {
  FT_CHECK(n <= most_ && (front_ || !rows.features), "a batch that this feed does not take");
  const size_t row = rows.batch.pixels.size() / rows.batch.samples.size();
  const uint8_t* bytes = rows.batch.pixels.data() + static_cast<size_t>(first) * row;
  if (!front_) return load_pixels(bytes, n, to, s);
  const Tensor input = to.value(start());
  const int64_t rest = input.shape().n() - n;
  if (rows.features) {
    FT_CHECK(row == front_->row_bytes(), "features of another front");
    backend_.upload(s, bytes, rows_of(input, 0, n));
  } else {
    backend_.convert(s, compute(rows, first, n, s), rows_of(input, 0, n));
  }
  if (rest > 0) backend_.fill_zero(s, rows_of(input, n, rest));
}

void Feed::load_pixels(const uint8_t* pixels, int64_t n, Executor& to, StreamRef s) {
  const Tensor image = to.value(network_.model.image);
  PixelBuffer& buffer = buffers_[turn_];
  turn_ = (turn_ + 1) % buffers_.size();
  if (copies_ != nullptr) backend_.wait(copies_->ref(), *buffer.read);
  const StreamRef up = copies_ != nullptr ? copies_->ref() : s;
  backend_.upload(up, pixels, rows_of(buffer.pixels, 0, n));
  if (copies_ != nullptr) {
    backend_.record(up, *buffer.filled);
    backend_.wait(s, *buffer.filled);
  }
  backend_.normalize_image(s, normalize_, rows_of(buffer.pixels, 0, image.shape().n()), image);
  if (copies_ != nullptr) backend_.record(s, *buffer.read);
}

void Feed::store(const Rows& rows, int64_t first, int64_t n, StreamRef s) {
  compute(rows, first, n, s);
}

Tensor Feed::compute(const Rows& rows, int64_t first, int64_t n, StreamRef s) {
  const size_t image = static_cast<size_t>(network_.recipe.height * network_.recipe.width * 3);
  const Tensor features = rows_of(features_, 0, n);
  front_->run(rows.batch.pixels.data() + static_cast<size_t>(first) * image, n, features, s);
  if (rows.keep == nullptr) return features;
  if (staged_.empty()) staged_ = Tensor(features_.spec(), backend_.host_allocator());
  backend_.download(s, features, staged_.data());
  backend_.synchronize(s);
  for (int64_t i = 0; i < n; ++i)
    rows.keep->put(rows.batch.samples[static_cast<size_t>(first + i)],
                   rows_of(staged_, i, 1).data());
  return features;
}

void complete_store(FeatureStore& store, std::span<const Sample> samples, const Decode& decode,
                    LoaderOptions options, Feed& feed, StreamRef s) {
  const std::vector<uint32_t> missing = store.missing();
  if (missing.empty()) return;
  std::vector<Sample> subset;
  for (uint32_t i : missing) subset.push_back(samples[i]);
  options.batch = feed.part();
  options.shuffle = Shuffle::never;
  options.drop_last = false;
  options.cache_bytes = 0;
  Loader loader(subset, decode, options);
  loader.start(0);
  while (const Batch* batch = loader.next()) {
    std::vector<uint32_t> indices;
    for (uint32_t i : batch->samples) indices.push_back(missing[i]);
    Batch renamed = *batch;
    renamed.samples = indices;
    feed.store({renamed, false, &store}, 0, renamed.size(), s);
  }
}

double Feed::measure(StreamRef s) {
  if (!front_) return 0;
  const std::vector<uint8_t> pixels(front_->bytes());
  const Tensor features = rows_of(features_, 0, front_->batch());
  front_->run(pixels.data(), front_->batch(), features, s);  // packs weights
  backend_.synchronize(s);
  const auto start = std::chrono::steady_clock::now();
  front_->run(pixels.data(), front_->batch(), features, s);
  backend_.synchronize(s);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace ft::app
