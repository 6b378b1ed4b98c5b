// The frozen front of a network: where it ends, that a feature is the same bits whatever stands beside its
// image, and that training from stored features is training from images, bit for bit.
#include "apps/ftrun/prefix.h"

#include <gtest/gtest.h>

#include <limits>
#include <numeric>
#include <optional>
#include <tuple>

#include "io/feature_store.h"
#include "models/transfer.h"
#include "tensor/rng.h"
#include "tests/apps/small_network.h"
#include "tests/support/backend_test.h"
#include "tests/support/support.h"

namespace ft::test {
namespace {

using namespace ft::app;

std::string cut_of(const std::vector<std::string>& trainable, std::optional<BnMode> bn = {}) {
  const auto backend = make_backend({}, {1});
  const auto stream = backend->make_stream();
  const Network network = small_network(*backend, stream->ref(), trainable);
  const Cut cut = find_cut(network.model, bn);
  EXPECT_EQ(cut.value == -1, !cut.reason.empty());
  return cut.value == -1 ? cut.reason
                         : network.model.graph.values()[static_cast<size_t>(cut.value)].name;
}

TEST(Cut, is_the_last_value_that_all_ways_go_through) {
  EXPECT_EQ(cut_of({"fc2"}), "drop2");
  EXPECT_EQ(cut_of({"fc1", "fc2"}), "drop1");
  EXPECT_EQ(cut_of({"fc1.bias"}), "drop1");
  EXPECT_EQ(cut_of({"bn3", "fc2"}),
            "pool");  // conv2 to conv3 are frozen, but the residual goes around them
  EXPECT_EQ(cut_of({"conv2"}), "pool");
  EXPECT_EQ(cut_of({"bn1.weight"}), "conv1");
}

TEST(Cut, is_nowhere_where_the_first_layer_trains_or_a_batch_norm_is_not_frozen) {
  EXPECT_NE(cut_of({"conv1"}).find("no frozen layers"), std::string::npos);
  EXPECT_NE(cut_of({"fc2"}, BnMode::batch).find("--bn batch"), std::string::npos);
  EXPECT_EQ(cut_of({"fc2"}, BnMode::running), "drop2");
  EXPECT_EQ(cut_of({"bn1.weight"}, BnMode::batch), "conv1");  // no batch-norm stands before
}

NumericsPolicy numerics(const BackendCase& c) {
  NumericsPolicy policy;
  policy.compute = c.dtype;
  return policy;
}

// NaN: nothing may be read before it is written.
void poison(Backend& backend, const Tensor& arena, StreamRef s) {
  const std::vector<uint8_t> bytes(arena.bytes(), 0xFF);
  backend.upload(s, bytes.data(), arena);
  backend.synchronize(s);
}

// The front of a network with drawn weights.
struct Front {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Stream> stream;
  Network network;
  std::unique_ptr<Prefix> prefix;

  Front(const BackendCase& c, const std::string& model, int side, const std::string& unfreeze,
        int64_t batch)
      : backend(make_backend(parse_device(c.device), {2})), stream(backend->make_stream()) {
    const ModelInfo& info = find_model(model);
    network.model = build_model(info, 2, side, side);
    network.recipe = published_recipe(info, side, side);
    TransferOptions transfer;
    transfer.pretrained = true;
    transfer.unfreeze = unfreeze;
    apply_transfer(network.model, transfer);
    network.parameters = std::make_unique<ParameterSet>(network.model.graph, *backend);
    network.parameters->initialize(1, stream->ref());
    prefix = std::make_unique<Prefix>(network, *backend, numerics(c),
                                      find_cut(network.model, {}).value, batch);
    const Tensor arena = make_arena(*backend, {&prefix->compiled()});
    poison(*backend, arena, stream->ref());
    prefix->bind(arena, make_step_state(*backend));
  }

  // Features of these drawn images, in this order, one row a string.
  std::vector<std::string> features(const std::vector<uint64_t>& images) {
    const size_t image = static_cast<size_t>(network.recipe.height * network.recipe.width * 3);
    std::vector<uint8_t> pixels(images.size() * image);
    for (size_t i = 0; i < images.size(); ++i) {
      const Rng rng(9, RngPurpose::test, 0, images[i]);
      for (size_t k = 0; k < image; ++k) pixels[i * image + k] = static_cast<uint8_t>(rng.bits(k));
    }
    const auto n = static_cast<int64_t>(images.size());
    const Tensor out(prefix->spec(n), backend->allocator());
    prefix->run(pixels.data(), n, out, stream->ref());
    std::string bytes(out.bytes(), '\0');
    backend->download(stream->ref(), out, bytes.data());
    backend->synchronize(stream->ref());
    std::vector<std::string> rows;
    for (size_t i = 0; i < images.size(); ++i)
      rows.push_back(bytes.substr(i * prefix->row_bytes(), prefix->row_bytes()));
    return rows;
  }
};

class PrefixTest : public BackendTest {};
INSTANTIATE_TEST_SUITE_P(Backends, PrefixTest,
                         testing::ValuesIn(backend_cases({DType::f32, DType::bf16})), param_name);

// The networks themselves: their kernels block over images, and a block must not show in the numbers.
TEST_P(PrefixTest, a_feature_does_not_depend_on_place_order_or_neighbours) {
  if (GetParam().device == "ref") GTEST_SKIP() << "for kernels that block";
  for (const auto& [model, side, unfreeze] :
       {std::tuple{"resnet50", 40, ""}, {"resnet50", 40, "layer4.*"}, {"alexnet-tv", 63, ""}}) {
    SCOPED_TRACE(std::string(model) + " " + unfreeze);
    Front front(GetParam(), model, side, unfreeze, 5);
    std::vector<uint64_t> order(13);
    std::iota(order.begin(), order.end(), 0);
    const std::vector<std::string> straight = front.features(order);
    EXPECT_NE(straight[0], straight[1]);
    for (size_t i = 0; i < order.size(); ++i) order[i] = (5 * i + 3) % 13;
    const std::vector<std::string> mixed = front.features(order);
    for (size_t i = 0; i < order.size(); ++i) EXPECT_TRUE(mixed[i] == straight[order[i]]) << i;
    EXPECT_TRUE(front.features({7})[0] == straight[7]);
  }
}

// ---- training from images and from stored features ----

enum class Store { none, memory, disk };

struct Case {
  std::vector<std::string> trainable = {"fc2"};
  int64_t batch = 8, micro_batch = 8;
  bool drop_last = false;
  Shuffle shuffle = Shuffle::every_epoch;
  int workers = 2;
  Store store = Store::none;
  int64_t stale = -1;  // a training image whose row holds something else
  int64_t ahead = 0;   // steps queued before the first of them is looked at
};

struct Outcome {
  std::vector<double> numbers;    // loss and hits of every step, losses of every validation
  std::vector<float> parameters;  // in the end
  int64_t train_decoded = 0, val_decoded = 0;
  bool operator==(const Outcome& o) const {
    return numbers == o.numbers && parameters == o.parameters;
  }
};

constexpr int64_t kTrain = 29, kVal = 19, kEpochs = 4;

// What a run does, without files: epochs with a validation after each.
class Training {
 public:
  Training(const BackendCase& c, const Case& k)
      : case_(k),
        backend_(make_backend(parse_device(c.device), {2})),
        stream_(backend_->make_stream()),
        network_(small_network(*backend_, stream_->ref(), k.trainable)) {
    const NumericsPolicy policy = numerics(c);
    feed_ = std::make_unique<Feed>(network_, *backend_, policy, k.micro_batch,
                                   find_cut(network_.model, {}).value, k.ahead > 0);
    TrainerOptions options;
    options.batch = k.batch;
    options.micro_batch = k.micro_batch;
    options.drop_last = k.drop_last;
    options.seed = 5;
    options.ahead = k.ahead;
    options.schedule.base = 0.01;
    options.numerics = policy;
    trainer_ = std::make_unique<Trainer>(network_, *backend_, *feed_, options, kTrain);
    evaluator_ = std::make_unique<Evaluator>(network_, *backend_, *feed_, policy, feed_->part());
    size_t bytes = evaluator_->compiled().arena_bytes();
    if (feed_->front() != nullptr)
      bytes = std::max(bytes, feed_->front()->compiled().arena_bytes());
    for (const CompiledGraph* g : trainer_->compilations())
      bytes = std::max(bytes, g->arena_bytes());
    const Tensor arena({{static_cast<int64_t>(bytes)}, DType::u8, Layout::plain},
                       backend_->allocator());
    poison(*backend_, arena, stream_->ref());
    const Tensor state = make_step_state(*backend_);
    feed_->bind(arena, state);
    trainer_->bind(arena, state);
    evaluator_->bind(arena, state);
    if (k.store != Store::none) {
      train_store_ = open(kTrain);
      val_store_ = open(kVal);
    }
    if (k.stale >= 0) {
      const std::string other(feed_->front()->row_bytes(), '\1');
      train_store_->put(static_cast<size_t>(k.stale), other.data());
    }
  }

  Network& network() { return network_; }

  Outcome run() {
    const int64_t pixels = train_store_ ? 1 : kEpochs;
    epochs(0, pixels, false);
    if (train_store_) {
      complete_store(*train_store_, train_.samples, train_.decode(), loader_options(), *feed_,
                     stream_->ref());
      out_.train_decoded = train_.decoded;
      epochs(1, kEpochs, true);
      EXPECT_EQ(train_.decoded, out_.train_decoded) << "everything is stored";
    }
    out_.train_decoded = train_.decoded;
    out_.val_decoded = val_.decoded;
    for (size_t i = 0; i < network_.model.graph.parameters().size(); ++i)
      for (float v : network_.parameters->get(static_cast<int>(i), stream_->ref()))
        out_.parameters.push_back(v);
    return out_;
  }

  // The loss of the step behind `good` ones is infinite: the message, the steps that are done, and whether the
  // classifier is another than behind those.
  std::tuple<std::string, int64_t, bool> run_into_infinity(int64_t good) {
    const auto weights = [&] {
      return network_.parameters->get(network_.model.graph.find_parameter("fc2.weight"),
                                      stream_->ref());
    };
    Loader loader(train_.samples, train_.decode(), loader_options());
    loader.start(0);
    std::vector<float> before;
    const int bias = network_.model.graph.find_parameter("fc2.bias");
    try {
      for (int64_t i = 0;; ++i) {
        if (i == good) {
          while (take(trainer_->finish(stream_->ref(), file_name))) {
          }
          std::vector<float> broken = network_.parameters->get(bias, stream_->ref());
          broken[0] = std::numeric_limits<float>::infinity();
          network_.parameters->set(bias, broken, stream_->ref());
          before = weights();
        }
        const Batch* batch = loader.next();
        if (batch == nullptr) break;
        take(trainer_->step({*batch, false, nullptr}, stream_->ref(), file_name));
      }
      while (take(trainer_->finish(stream_->ref(), file_name))) {
      }
    } catch (const Error& e) {
      return {e.what(), trainer_->state().step, weights() != before};
    }
    return {"nothing was thrown", trainer_->state().step, true};
  }

 private:
  static std::string file_name(uint32_t) { return "image"; }
  std::unique_ptr<FeatureStore> open(size_t rows) {
    const size_t bytes = feed_->front()->row_bytes();
    return case_.store == Store::disk ? FeatureStore::on_disk(dir_.path(), rows, bytes)
                                      : FeatureStore::in_memory(rows, bytes);
  }

  LoaderOptions loader_options() const {
    LoaderOptions l;
    l.batch = case_.batch;
    l.height = network_.recipe.height;
    l.width = network_.recipe.width;
    l.seed = 5;
    l.shuffle = case_.shuffle;
    l.drop_last = case_.drop_last;
    l.workers = case_.workers;
    l.hold = static_cast<int>(case_.ahead) + 1;
    return l;
  }

  bool take(const std::optional<StepReport>& r) {
    if (!r) return false;
    out_.numbers.push_back(r->loss_sum);
    out_.numbers.push_back(static_cast<double>(r->correct));
    return true;
  }

  void epochs(int64_t first, int64_t end, bool stored) {
    LoaderOptions l = loader_options();
    if (stored) l = feature_rows(l, *train_store_);
    Loader loader(train_.samples, stored ? read_features(*train_store_) : train_.decode(), l);
    for (int64_t epoch = first; epoch < end; ++epoch) {
      loader.start(static_cast<uint64_t>(epoch));
      while (const Batch* batch = loader.next())
        take(trainer_->step({*batch, stored, train_store_.get()}, stream_->ref(), file_name));
      while (take(trainer_->finish(stream_->ref(), file_name))) {
      }
      trainer_->end_epoch();
      for (const ImageResult& r : evaluator_->run(val_.samples, val_.decode(), case_.workers,
                                                  stream_->ref(), {}, val_store_.get()))
        out_.numbers.push_back(r.loss);
    }
  }

  Case case_;
  TempDir dir_;
  DrawnImages train_{kTrain, 1}, val_{kVal, 2};
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Stream> stream_;
  Network network_;
  std::unique_ptr<Feed> feed_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<Evaluator> evaluator_;
  std::unique_ptr<FeatureStore> train_store_, val_store_;
  Outcome out_;
};

Outcome train(const BackendCase& c, Case k, Store store, int workers = 2) {
  k.store = store;
  k.workers = workers;
  return Training(c, k).run();
}

TEST_P(PrefixTest, training_from_stored_features_is_training_from_images_bit_for_bit) {
  std::vector<Case> cases(7);
  cases[1].trainable = {"fc1", "fc2"};
  cases[2].trainable = {"conv3", "bn3", "fc2"};
  cases[2].micro_batch = 3;
  cases[3].trainable = {"fc1", "fc2"};
  cases[3].drop_last = true;
  cases[4].shuffle = Shuffle::once;
  cases[4].drop_last = true;
  cases[5].batch = cases[5].micro_batch = 1;
  cases[5].shuffle = Shuffle::never;
  cases[6].batch = 29;
  cases[6].micro_batch = 7;
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    const Outcome plain = train(GetParam(), cases[i], Store::none);
    EXPECT_GE(plain.train_decoded, kEpochs * (kTrain - kTrain % cases[i].batch));
    EXPECT_EQ(plain.val_decoded, kEpochs * kVal);
    for (const Store store : {Store::memory, Store::disk})
      for (const int workers : {0, 3}) {
        const Outcome stored = train(GetParam(), cases[i], store, workers);
        EXPECT_TRUE(stored == plain) << (store == Store::disk ? "disk " : "memory ") << workers;
        EXPECT_EQ(stored.train_decoded, kTrain) << "the front runs once an image";
        EXPECT_EQ(stored.val_decoded, kVal);
      }
  }
}

// Queued ahead, recorded and replayed, pixels on a stream of their own: the same steps, bit for bit.
TEST_P(PrefixTest, steps_queued_ahead_are_the_steps_one_by_one) {
  std::vector<Case> cases(4);
  cases[1].trainable = {"conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "fc1", "fc2"};
  cases[1].ahead = 2;
  cases[2].trainable = {"conv3", "bn3", "fc2"};
  cases[2].micro_batch = 3;
  cases[3].batch = 29;
  for (size_t i = 0; i < cases.size(); ++i)
    for (const Store store : {Store::none, Store::memory}) {
      if (store == Store::memory && i == 1) continue;  // nothing is frozen
      Case one_by_one = cases[i];
      one_by_one.ahead = 0;
      const Outcome plain = train(GetParam(), one_by_one, store);
      for (const int64_t ahead : {1, 2, 5}) {
        Case queued = cases[i];
        queued.ahead = ahead;
        EXPECT_TRUE(train(GetParam(), queued, store) == plain) << i << " by " << ahead;
      }
    }
}

// The step whose loss is not finite is named although later ones are queued, and no weight has moved since.
TEST_P(PrefixTest, a_step_that_is_not_finite_stops_those_behind_it) {
  for (const int64_t ahead : {0, 3}) {
    Case k;
    k.ahead = ahead;
    Training training(GetParam(), k);
    const auto [message, steps, moved] = training.run_into_infinity(2);
    EXPECT_NE(message.find("not finite in step 3, in epoch 1"), std::string::npos) << message;
    EXPECT_EQ(steps, 2);
    EXPECT_FALSE(moved);
  }
}

TEST_P(PrefixTest, a_stale_feature_changes_the_result) {
  const Outcome plain = train(GetParam(), {}, Store::none);
  Case stale;
  stale.stale = 11;
  EXPECT_FALSE(train(GetParam(), stale, Store::memory) == plain);
}

TEST(Feed, a_front_that_gives_no_numbers_is_named) {
  Training training({"ref", DType::f32}, {});
  const int weight = training.network().model.graph.find_parameter("conv1.weight");
  std::vector<float> values(
      static_cast<size_t>(training.network().parameters->value(weight).shape().elements()),
      std::numeric_limits<float>::quiet_NaN());
  training.network().parameters->set(weight, values, StreamRef{nullptr});
  try {
    training.run();
    FAIL() << "NaN went through";
  } catch (const Error& error) {
    EXPECT_EQ(error.number(), 6001);
    EXPECT_EQ(error.where(), "drop2") << error.line();
  }
}

}  // namespace
}  // namespace ft::test
