// How a batch gets into a network: pixels are normalised, run through the frozen front where there is one, and
// written to where a compilation starts; stored features are only written there. What lies behind the front is
// compiled to start from features in either case. Used by one thread.
#pragma once

#include <memory>
#include <vector>

#include "apps/ftrun/prefix.h"
#include "io/feature_store.h"
#include "io/loader.h"

namespace ft::app {

// A batch, and what its bytes are.
struct Rows {
  const Batch& batch;
  bool features = false;         // stored features; else pixels
  FeatureStore* keep = nullptr;  // where features that are computed now are put
};

// What a loader needs in order to give features out of a complete store instead of pixels.
Decode read_features(const FeatureStore& store);
LoaderOptions feature_rows(LoaderOptions options, const FeatureStore& store);

class Feed {
 public:
  // `most`: rows that are loaded at a time. The front, if there is one, ends at `cut`. `beside`: pixels are uploaded on
  // a stream of their own, into one of two buffers, while the step before is computed.
  Feed(Network& network, Backend& backend, const NumericsPolicy& numerics, int64_t most,
       ValueId cut = -1, bool beside = false);
  // Arena for front()->compiled(), shared with whatever does not run at the same time.
  void bind(const Tensor& arena, const Tensor& state);

  // Makes a compilation (of options.batch rows) start where this feed writes.
  void set_start(CompileOptions& options) const;
  // The first value of such a compilation.
  ValueId start() const { return front_ ? front_->cut() : network_.model.image; }

  // Rows first to first + n - 1 of the batch -> the first n rows of start() in `to`; the rest of it is zero, or
  // what earlier pixels left.
  void load(const Rows& rows, int64_t first, int64_t n, Executor& to, StreamRef s);
  // Computes rows of pixels up to the cut and puts them into rows.keep.
  void store(const Rows& rows, int64_t first, int64_t n, StreamRef s);

  // Seconds of one pass through the front, measured on what happens to lie in memory; 0 without one.
  double measure(StreamRef s);

  const Prefix* front() const { return front_.get(); }
  // `most`, or an even part of it, of 64 or less: how many images the front takes at a time, and a good number for
  // evaluation. More at a time would not be faster, only take more memory.
  int64_t part() const;
  // Device memory beside the arena.
  size_t bytes() const {
    size_t pixels = 0;
    for (const PixelBuffer& b : buffers_) pixels += b.pixels.bytes();
    return pixels + features_.bytes() + (front_ ? front_->bytes() : 0);
  }

 private:
  void load_pixels(const uint8_t* pixels, int64_t n, Executor& to, StreamRef s);
  Tensor compute(const Rows& rows, int64_t first, int64_t n, StreamRef s);

  Network& network_;
  Backend& backend_;
  int64_t most_;
  std::unique_ptr<Prefix> front_;
  NormalizeSpec normalize_;
  struct PixelBuffer {
    Tensor pixels;
    std::unique_ptr<Event> filled, read;
  };
  std::vector<PixelBuffer> buffers_;  // without a front
  size_t turn_ = 0;                   // the buffer of the next batch
  std::unique_ptr<Stream> copies_;    // none: uploads go where the computing goes
  Tensor features_, staged_;          // on the device; on the host, made when first needed
};

// Computes what the store still lacks: images that the dropped last batch left out of the first epoch may be
// drawn in a later one.
void complete_store(FeatureStore& store, std::span<const Sample> samples, const Decode& decode,
                    LoaderOptions options, Feed& feed, StreamRef s);

}  // namespace ft::app
