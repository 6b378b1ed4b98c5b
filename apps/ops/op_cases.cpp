// The table of op cases.
#include "apps/ops/op_cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ft::ops {
namespace {

constexpr PassSet kAll{true, true}, kDataOnly{true, false}, kWeightsOnly{false, true}, kNone{};

std::string dims(const Shape& s) {
  std::string text;
  for (int64_t d : s.dims()) text += fmt::format("{}{}", text.empty() ? "" : "x", d);
  return text;
}

// A flag or a pair in a name, left out where it says nothing: "/bias", "/pad1", "/stride2x1".
std::string flag(bool on, const char* text) { return on ? std::string("/") + text : ""; }
std::string pair(const char* text, int64_t a, int64_t b, int64_t usual) {
  if (a == usual && b == usual) return "";
  return a == b ? fmt::format("/{}{}", text, a) : fmt::format("/{}{}x{}", text, a, b);
}
std::string passes_of(const PassSet& p) {
  if (p.backward_data && p.backward_weights) return "";
  return p.backward_data ? "/data_only" : p.backward_weights ? "/weights_only" : "/forward_only";
}

std::string name_of(const Conv2dSpec& a) {
  return fmt::format("conv2d/{}/k{}_{}x{}", dims(a.x.shape), a.k, a.r, a.s) +
         pair("stride", a.stride_h, a.stride_w, 1) + pair("pad", a.pad_h, a.pad_w, 0) +
         pair("groups", a.groups, a.groups, 1) + flag(a.bias, "bias") +
         flag(a.add_residual, "residual") + flag(a.relu, "relu") + passes_of(a.passes);
}
std::string name_of(const MatmulSpec& a) {
  return fmt::format("matmul/{}/out{}", dims(a.x.shape), a.out) + flag(a.bias, "bias") +
         flag(a.relu, "relu") + passes_of(a.passes);
}
std::string name_of(const Pool2dSpec& a) {
  return fmt::format("{}_pool2d/{}/{}x{}", a.kind == Pool2dSpec::Kind::max ? "max" : "avg",
                     dims(a.x.shape), a.r, a.s) +
         pair("stride", a.stride_h, a.stride_w, 1) + pair("pad", a.pad_h, a.pad_w, 0) +
         passes_of(a.passes);
}
std::string name_of(const AdaptiveAvgPool2dSpec& a) {
  return fmt::format("adaptive_avg_pool2d/{}/to_{}x{}", dims(a.x.shape), a.p, a.q);
}
std::string name_of(const BatchNorm2dSpec& a) {
  const char* modes[] = {"batch", "running", "frozen"};
  return fmt::format("batchnorm2d/{}/{}", dims(a.x.shape), modes[static_cast<int>(a.mode)]) +
         flag(a.add_residual, "residual") + flag(a.relu, "relu") + passes_of(a.passes);
}
std::string name_of(const LrnSpec& a) {
  return fmt::format("lrn/{}/size{}/alpha{:g}/beta{:g}/k{:g}", dims(a.x.shape), a.size, a.alpha,
                     a.beta, a.k);
}
std::string name_of(const ReluCase& a) { return "relu/" + dims(a.x); }
std::string name_of(const AddCase& a) { return "add/" + dims(a.x); }
std::string name_of(const DropoutCase& a) {
  return fmt::format("dropout/{}/p{:g}/step{}/offset{}", dims(a.x), a.spec.p, a.state.step,
                     a.state.sample_offset);
}
std::string name_of(const LossCase& a) {
  return fmt::format("softmax_cross_entropy/{}x{}/scale{:g}", a.spec.n, a.spec.classes, a.scale);
}
std::string name_of(const SgdCase& a) {
  return fmt::format("sgd/{}/{}/decay{:g}",
                     a.spec.rule == SgdSpec::Rule::caffe ? "caffe" : "pytorch", a.count,
                     a.spec.decay);
}
std::string name_of(const NormalizeCase& a) {
  return fmt::format("normalize_image/{}{}", dims(a.y), flag(a.spec.bgr, "bgr"));
}
std::string name_of(const ConvertCase& a) { return "convert/" + dims(a.x); }

class Table {
 public:
  std::vector<OpCase> cases;
  bool speed = false;

  template <class Spec>
  void add(const Spec& spec) {
    cases.push_back({name_of(spec), spec, speed});
  }

  struct ConvExtra {
    int64_t groups = 1;
    bool bias = false, residual = false, relu = false;
    PassSet passes = kAll;
  };
  void conv(const Shape& x, int64_t k, int64_t kernel, int64_t stride, int64_t pad,
            const ConvExtra& extra) {
    Conv2dSpec a;
    a.x.shape = x;
    a.k = k;
    a.r = a.s = kernel;
    a.stride_h = a.stride_w = stride;
    a.pad_h = a.pad_w = pad;
    a.groups = extra.groups;
    a.bias = extra.bias;
    a.add_residual = extra.residual;
    a.relu = extra.relu;
    a.passes = extra.residual || extra.relu ? kNone : extra.passes;
    add(a);
  }
  void conv(const Shape& x, int64_t k, int64_t kernel, int64_t stride, int64_t pad) {
    conv(x, k, kernel, stride, pad, ConvExtra{});
  }

  void matmul(const Shape& x, int64_t out, bool bias, bool relu = false) {
    MatmulSpec a;
    a.x.shape = x;
    a.out = out;
    a.bias = bias;
    a.relu = relu;
    a.passes = relu ? kNone : kAll;
    add(a);
  }

  void pool(Pool2dSpec::Kind kind, const Shape& x, int64_t window, int64_t stride, int64_t pad,
            bool backward = true) {
    add(Pool2dSpec{{x}, kind, window, window, stride, stride, pad, pad, {backward, false}});
  }

  void batchnorm(const Shape& x, BnMode mode, bool residual, bool relu, PassSet passes) {
    BatchNorm2dSpec a;
    a.x.shape = x;
    a.mode = mode;
    a.add_residual = residual;
    a.relu = relu;
    a.passes = passes;
    add(a);
  }
};

void add_small_convolutions(Table& t) {
  t.conv({2, 13, 9, 7}, 10, 3, 1, 1, {.bias = true});
  t.conv({1, 5, 7, 10}, 6, 1, 1, 0);
  t.conv({3, 16, 8, 5}, 24, 1, 2, 0);
  t.conv({2, 12, 11, 8}, 10, 3, 2, 1, {.groups = 2, .bias = true});
  t.conv({2, 10, 9, 12}, 14, 5, 1, 2, {.groups = 2, .bias = true});
  t.conv({2, 3, 23, 19}, 13, 7, 2, 3);
  t.conv({1, 3, 31, 27}, 9, 11, 4, 2, {.bias = true});
  t.conv({2, 3, 35, 23}, 16, 11, 4, 0, {.bias = true, .passes = kWeightsOnly});
  t.conv({2, 8, 6, 5}, 8, 3, 1, 1, {.groups = 8});
  t.conv({1, 17, 3, 3}, 33, 3, 1, 0, {.passes = kDataOnly});
  t.conv({1, 24, 7, 6}, 20, 3, 1, 2);
  t.conv({2, 6, 10, 11}, 7, 3, 3, 0);  // the last row and columns are never read
  t.conv({2, 6, 8, 9}, 7, 2, 3, 0);    // gaps between the windows
  Conv2dSpec odd;                      // nothing is square
  odd.x.shape = {2, 7, 5, 9};
  odd.k = 11;
  odd.r = 1, odd.s = 3;
  odd.stride_h = 2, odd.pad_w = 1;
  odd.bias = true;
  odd.passes = kAll;
  t.add(odd);
  // Epilogues of inference.
  t.conv({2, 13, 9, 7}, 10, 3, 1, 1, {.bias = true, .relu = true});
  t.conv({2, 16, 5, 6}, 24, 1, 1, 0, {.residual = true, .relu = true});
  t.conv({1, 12, 7, 5}, 10, 3, 2, 1, {.groups = 2, .bias = true, .residual = true, .relu = true});
  t.conv({2, 13, 6, 7}, 9, 3, 1, 1, {.bias = true, .residual = true});
}

void add_small_matmuls(Table& t) {
  t.matmul({3, 17}, 5, true);
  t.matmul({1, 64}, 10, true);
  t.matmul({2, 33}, 1, false);
  t.matmul({4, 10, 3, 2}, 7, true);  // flattening is a view: logical C,H,W order
  t.matmul({5, 24, 1, 1}, 3, true);
  t.matmul({2, 16, 6, 6}, 40, true);
  t.matmul({3, 17}, 6, true, true);
  t.matmul({2, 9, 2, 3}, 8, true, true);
}

void add_small_pools(Table& t) {
  using Kind = Pool2dSpec::Kind;
  t.pool(Kind::max, {2, 13, 9, 7}, 3, 2, 0);
  t.pool(Kind::max, {1, 16, 8, 10}, 3, 2, 1);
  t.pool(Kind::max, {2, 5, 7, 5}, 2, 2, 0);  // the last row and column are never read
  t.pool(Kind::max, {2, 9, 6, 4}, 3, 1, 1);
  t.pool(Kind::max, {2, 13, 9, 7}, 3, 2, 0, false);
  t.pool(Kind::average, {2, 13, 8, 6}, 2, 2, 0);
  t.pool(Kind::average, {1, 10, 9, 8}, 3, 2, 1);  // border windows hold fewer elements
  t.add(Pool2dSpec{{{2, 11, 9, 8}}, Kind::max, 2, 3, 1, 2, 1, 0, {true, false}});
  t.add(AdaptiveAvgPool2dSpec{{{2, 13, 7, 5}}, 1, 1, {true, false}});
  t.add(AdaptiveAvgPool2dSpec{{{2, 9, 7, 5}}, 3, 2, {true, false}});
  t.add(AdaptiveAvgPool2dSpec{{{2, 16, 2, 2}}, 6, 6, {true, false}});
  t.add(AdaptiveAvgPool2dSpec{{{1, 8, 13, 9}}, 6, 6, {true, false}});
}

void add_small_norms(Table& t) {
  for (BnMode mode : {BnMode::batch, BnMode::running, BnMode::frozen})
    for (bool residual : {false, true})
      for (bool relu : {false, true}) {
        const PassSet passes = mode == BnMode::frozen ? kDataOnly : kAll;
        t.batchnorm({3, 13, 5, 4}, mode, residual, relu, passes);
      }
  t.batchnorm({1, 8, 7, 3}, BnMode::batch, false, false, kAll);
  t.batchnorm({4, 16, 1, 1}, BnMode::batch, false, true, kAll);
  t.batchnorm({2, 24, 6, 5}, BnMode::running, false, true, kWeightsOnly);
  t.batchnorm({2, 24, 6, 5}, BnMode::batch, false, false, kNone);
  t.batchnorm({2, 11, 3, 4}, BnMode::frozen, true, true, kNone);
  // Alpha as large as the data, so that the sum is seen; and the networks' own.
  t.add(LrnSpec{{{2, 13, 4, 3}}, 5, 0.5, 0.75, 2, {true, false}});
  t.add(LrnSpec{{{1, 2, 3, 5}}, 5, 1, 0.5, 1, {true, false}});
  t.add(LrnSpec{{{2, 16, 2, 3}}, 3, 0.3, 1, 1, {true, false}});
  t.add(LrnSpec{{{1, 8, 5, 4}}, 5, 1e-4, 0.75, 1, {false, false}});
}

void add_small_plain_ops(Table& t) {
  for (const Shape& x : {Shape{2, 13, 5, 3}, Shape{3, 17}, Shape{1, 8, 1, 1}, Shape{1, 40, 7, 6}}) {
    t.add(ReluCase{x});
    t.add(AddCase{x});
    t.add(ConvertCase{x});
  }
  t.add(ConvertCase{{10, 13, 3, 3}});
  t.add(ConvertCase{{21}});
  t.add(DropoutCase{{2, 13, 5, 3}, {0.5, 7}, {0x123456789abcdefULL, 5, 0, 0}});
  t.add(DropoutCase{{3, 17}, {0.1, 0}, {1, 0, 2, 0}});
  t.add(DropoutCase{{1, 9, 2, 2}, {0, 3}, {1, 1, 0, 0}});
  for (auto [n, classes] : {std::pair{3, 10}, {1, 1}, {5, 2}, {4, 1000}})
    t.add(LossCase{{n, classes}, 3});
  t.add(LossCase{{6, 7}, 1e4});
  for (auto rule : {SgdSpec::Rule::caffe, SgdSpec::Rule::pytorch})
    for (int64_t count : {1, 7, 1001}) t.add(SgdCase{{rule, 0.9, count == 7 ? 0 : 0.01, 2}, count});
  const NormalizeSpec torch{1 / 255.0, {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}, false};
  const NormalizeSpec caffe{1, {104.00699, 116.66877, 122.67891}, {1, 1, 1}, true};
  t.add(NormalizeCase{{2, 3, 5, 4}, torch});
  t.add(NormalizeCase{{1, 3, 7, 9}, caffe});
}

void add_network_convolutions(Table& t) {
  // ResNet-50 (v1.5): channels, side, out-channels, kernel, stride.
  constexpr int64_t resnet[][5] = {
      {3, 224, 64, 7, 2},     {64, 56, 64, 1, 1},    {64, 56, 64, 3, 1},    {64, 56, 256, 1, 1},
      {256, 56, 64, 1, 1},    {256, 56, 128, 1, 1},  {128, 56, 128, 3, 2},  {128, 28, 512, 1, 1},
      {256, 56, 512, 1, 2},   {512, 28, 128, 1, 1},  {128, 28, 128, 3, 1},  {512, 28, 256, 1, 1},
      {256, 28, 256, 3, 2},   {256, 14, 1024, 1, 1}, {512, 28, 1024, 1, 2}, {1024, 14, 256, 1, 1},
      {256, 14, 256, 3, 1},   {1024, 14, 512, 1, 1}, {512, 14, 512, 3, 2},  {512, 7, 2048, 1, 1},
      {1024, 14, 2048, 1, 2}, {2048, 7, 512, 1, 1},  {512, 7, 512, 3, 1}};
  for (const auto& [c, side, k, kernel, stride] : resnet)
    t.conv({32, c, side, side}, k, kernel, stride, kernel / 2,
           {.passes = c == 3 ? kWeightsOnly : kAll});
  // AlexNet: BVLC's, then torchvision's.
  t.conv({32, 3, 227, 227}, 96, 11, 4, 0, {.bias = true, .passes = kWeightsOnly});
  t.conv({32, 96, 27, 27}, 256, 5, 1, 2, {.groups = 2, .bias = true});
  t.conv({32, 256, 13, 13}, 384, 3, 1, 1, {.bias = true});
  t.conv({32, 384, 13, 13}, 384, 3, 1, 1, {.groups = 2, .bias = true});
  t.conv({32, 384, 13, 13}, 256, 3, 1, 1, {.groups = 2, .bias = true});
  t.conv({32, 3, 224, 224}, 64, 11, 4, 2, {.bias = true, .passes = kWeightsOnly});
  t.conv({32, 64, 27, 27}, 192, 5, 1, 2, {.bias = true});
  t.conv({32, 192, 13, 13}, 384, 3, 1, 1, {.bias = true});
  t.conv({32, 384, 13, 13}, 256, 3, 1, 1, {.bias = true});
  t.conv({32, 256, 13, 13}, 256, 3, 1, 1, {.bias = true});
}

void add_network_ops(Table& t) {
  add_network_convolutions(t);
  t.matmul({32, 256, 6, 6}, 4096, true);
  t.matmul({32, 4096}, 4096, true);
  t.matmul({32, 4096}, 1000, true);
  t.matmul({32, 2048, 1, 1}, 1000, true);
  t.matmul({32, 2048, 1, 1}, 2, true);
  using Kind = Pool2dSpec::Kind;
  t.pool(Kind::max, {32, 64, 112, 112}, 3, 2, 1);
  t.pool(Kind::max, {32, 96, 55, 55}, 3, 2, 0);
  t.add(AdaptiveAvgPool2dSpec{{{32, 2048, 7, 7}}, 1, 1, {true, false}});
  for (BnMode mode : {BnMode::batch, BnMode::running}) {
    t.batchnorm({32, 64, 112, 112}, mode, false, true, kAll);
    t.batchnorm({32, 256, 56, 56}, mode, true, true, kAll);
    t.batchnorm({32, 2048, 7, 7}, mode, true, true, kAll);
  }
  t.add(LrnSpec{{{32, 96, 55, 55}}, 5, 1e-4, 0.75, 1, {true, false}});
  t.add(LrnSpec{{{32, 256, 27, 27}}, 5, 1e-4, 0.75, 1, {true, false}});
  t.add(ReluCase{{32, 256, 56, 56}});
  t.add(AddCase{{32, 256, 56, 56}});
  t.add(DropoutCase{{32, 4096}, {0.5, 1}, {1, 1, 0, 0}});
  t.add(LossCase{{32, 1000}, 3});
  t.add(SgdCase{{SgdSpec::Rule::caffe, 0.9, 1e-4, 1}, 23512130});
  t.add(NormalizeCase{{32, 3, 224, 224},
                      {1 / 255.0, {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}, false}});
  t.add(ConvertCase{{32, 256, 56, 56}});
}

std::vector<OpCase> make_table() {
  Table t;
  add_small_convolutions(t);
  add_small_matmuls(t);
  add_small_pools(t);
  add_small_norms(t);
  add_small_plain_ops(t);
  t.speed = true;
  add_network_ops(t);
  return t.cases;
}

}  // namespace

std::string case_name(const OpSpec& op) {
  return std::visit([](const auto& spec) { return name_of(spec); }, op);
}

const std::vector<OpCase>& op_cases() {
  static const std::vector<OpCase> table = make_table();
  return table;
}

double tolerance(DType dtype, int64_t terms) {
  if (dtype == DType::bf16) return 1.0 / 128;
  return std::max(1e-6, 1e-5 * std::sqrt(static_cast<double>(terms) / 1000));
}

}  // namespace ft::ops
