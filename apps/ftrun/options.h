// All choices of a run, as the command line gives them (docs/cli.md is the one list of names). Plain values;
// "not given" is an empty optional or string, so that a protocol or a weight file can decide.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace ft::app {

struct CommonOptions {
  std::string device = "auto";
  int threads = 0;
  std::string precision = "f32";
  uint64_t seed = 0;
  // CUDA alone.
  std::string plans = "heuristic";  // or "timed", or a file of plans
  bool fast = false;                // engines that may give other bytes in every run are allowed
  int64_t workspace_mib = 256;      // most scratch of a convolution
};

struct DataOptions {
  std::string data, train, val, test;
  std::string bad_images = "fail";
  double max_bad = 1;  // percent, with --bad-images=skip
  bool allow_missing_classes = false, allow_outside_links = false, allow_overlap = false;
  int workers = 2;
};

// pattern -> factor of weights, factor of biases
using FactorList = std::vector<std::pair<std::string, std::pair<double, double>>>;

struct FinetuneOptions {
  CommonOptions common;
  DataOptions data;
  std::string model, weights, out, config;
  bool force = false, no_self_test = false;
  std::string protocol;  // "" or "matlab"
  // optimisation
  std::optional<double> lr;
  double momentum = 0.9;
  double l2 = 1e-4;
  std::string rule = "caffe";  // caffe, pytorch
  std::string schedule = "constant";
  double drop_factor = 0.1;
  int64_t drop_period = 10;
  std::optional<int64_t> epochs, batch, micro_batch;
  bool drop_last = false;
  std::string shuffle = "every-epoch";
  double head_lr_factor = 20;
  bool head_lr_factor_given = false;
  std::string drops_given;  // the flag about drops that was given, if any
  FactorList lr_factors, decay_factors;
  std::string freeze, unfreeze, bn, bn_final;
  std::string clip = "none", class_weights = "none";
  // input
  std::optional<int> input_size;
  std::string resize;  // squash, crop, letterbox
  std::string mean;    // weights, dataset
  bool flip = false, random_crop = false;
  std::string feature_cache = "auto";         // auto, memory, disk, off
  std::optional<size_t> feature_cache_bytes;  // of memory
  // what a person sees
  std::string val_every;        // "epoch" or a number of iterations
  int64_t val_subset = 0;       // images of an intermediate validation; 0: all
  int64_t patience = 0;         // validations without a better one before the end; 0: never
  double device_timeout = 600;  // seconds that a GPU may take for one result; 0: any time
  std::string print = "train-set,test-set,confusion,gradcam";
};

struct EvaluateOptions {
  CommonOptions common;
  DataOptions data;
  std::string weights, out, split;
  int64_t batch = 32;
  bool force = false, no_self_test = false;
  std::string print = "test-set,confusion,gradcam";
};

struct PredictOptions {
  CommonOptions common;
  std::vector<std::string> files;
  std::string weights;
  std::string bad_images = "fail";
  int64_t batch = 32;
  int top = 5;
  bool json = false, no_self_test = false;
  int workers = 2;
};

struct ExplainOptions {
  CommonOptions common;
  std::vector<std::string> files;
  std::string weights, out = "gradcam.png", target = "logit", map, class_name;
  std::string bad_images = "fail";
  bool no_self_test = false;
};

struct SummaryOptions {
  CommonOptions common;
  std::string model, freeze, unfreeze, bn;
  int64_t classes = 2, batch = 1;
  std::optional<int> input_size;
  bool backward = false, dot = false, plan = false;
};

struct ConvertOptions {
  std::string in, out, model;
  std::string name, digits;  // of fetched files: what to call it, and what its SHA-256 begins with
  bool tensors = false;
  uint64_t seed = 0;
};

struct FetchOptions {
  std::string model, out, url, sha256;
  int release = 1, stall_seconds = 30;
  bool keep = false;
};

struct ExportOptions {
  std::string file, out, format;  // format "": by the ending of `out`
};

struct GradcheckOptions {
  std::string model, layer;
  uint64_t seed = 0;
  int64_t samples = 20;
  std::optional<int> input_size;
};

// A step on synthetic input.
struct StepOptions {
  CommonOptions common;
  std::string model = "resnet50", mode = "train", freeze, unfreeze;
  int64_t batch = 32, classes = 2;
  std::optional<int> input_size;
  bool head_only = false;
  std::string save;  // file for the plans of its convolutions
};

// An op instead of a step.
struct OpOptions {
  std::string op;     // "conv2d", or a name of the table; empty: a step
  std::string shape;  // of its input: "32,64,56,56"
  std::string pass = "all";
  std::string engine;  // "all", or the number of one; empty: the one that a network would take
  std::optional<int64_t> filters, kernel, stride, pad, groups;
  bool of_model = false;  // the products of the network that --model names
  std::string peaks;
};

struct BenchOptions {
  StepOptions step;
  OpOptions op;
  int64_t steps = 10;
  bool json = false;
};

struct ProfileOptions {
  StepOptions step;
  int64_t steps = 10;
  std::string peaks;  // "f32,bf16,memory" in GFLOP/s, GFLOP/s and GB/s; empty: measured
  std::string csv, json, trace;
  bool capture_range = false;  // brackets more steps for nsys and ncu
};

struct PlanOptions {
  StepOptions step;
  std::string gpu;          // a name, the file of a description, or "here"
  std::string description;  // file for the description
  std::string peaks;        // as for profile; empty: those of the description
  bool json = false;
};

struct DemoDataOptions {
  std::string out;
  uint64_t seed = 0;
  int source_per_class = 0, target_per_class = 0;  // 0: the default of the task
  bool force = false;
};

// What the command line asks for: exactly one command.
struct CommandLine {
  std::string command;
  FinetuneOptions finetune;
  EvaluateOptions evaluate;
  PredictOptions predict;
  ExplainOptions explain;
  SummaryOptions summary;
  ConvertOptions convert;
  FetchOptions fetch;
  ExportOptions export_;
  GradcheckOptions gradcheck;
  BenchOptions bench;
  ProfileOptions profile;
  PlanOptions plan;
  DemoDataOptions demo_data;
  std::string inspect_file;
  bool inspect_tensors = false;
};

// Parses and checks every value. Help and version print and return false. Throws Error 2001-2003 that
// names the flag, what was given and what is allowed; an unknown flag gets the nearest known one.
bool parse_command_line(int argc, char** argv, CommandLine& out);

}  // namespace ft::app
