// A network with drawn weights on a backend, compiled for one batch of drawn images: what a golden case asks for is
// run through models, compile, executor and optimizer as the program does it. Used by one thread.
#pragma once

#include <memory>

#include "layers/executor.h"
#include "models/model.h"
#include "optim/sgd.h"
#include "tests/parity/golden.h"

namespace ft::parity {

class NetworkRun {
 public:
  struct Options {
    Mode mode = Mode::inference;
    // false: dropouts have probability 0, in a network whose golden file has a run with dropout; any other is built
    // without dropouts, and has to be as it stands.
    bool dropout = false;
    std::string unfreeze = {};  // what trains besides the head; empty: everything trains
    double head_factor = 1;
    DType compute = DType::f32;
  };
  NetworkRun(const Golden& golden, const Images& images, const Options& options, Device device);

  const Model& model() const { return model_; }
  ParameterSet& parameters() { return *parameters_; }

  // Logits of the batch {N, classes}.
  std::vector<float> logits();
  // A pass forward and, in training mode, backward from the mean of the losses; that mean.
  double pass();
  // Steps of a run; their losses. `run` has the images and options of the constructor.
  std::vector<double> train(const RunCase& run);

  std::vector<float> gradient(int parameter) const;
  std::vector<float> value(int parameter) const;

 private:
  void set_state(uint64_t seed, uint64_t step, double rate);

  Images images_;
  Options options_;
  Model model_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<ParameterSet> parameters_;
  std::unique_ptr<CompiledGraph> compiled_;
  std::unique_ptr<Executor> executor_;
  Tensor arena_, state_, pixels_;
  std::vector<int32_t> labels_;
  std::vector<float> loss_, seed_;
};

// What the constructor takes for a run.
NetworkRun::Options options_of(const RunCase& run);

}  // namespace ft::parity
