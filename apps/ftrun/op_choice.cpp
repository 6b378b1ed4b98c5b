// From flags to op cases.
#include "apps/ftrun/op_choice.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "apps/ops/net_products.h"

namespace ft::app {
namespace {

using ops::OpCase;
using ops::OpSpec;

std::string op_of(const std::string& case_name) { return case_name.substr(0, case_name.find('/')); }

[[noreturn]] void wrong_shape(const std::string& text, const std::string& wanted) {
  throw Error(2003, "--shape", fmt::format("\"{}\" is not {}", text, wanted),
              "give positive whole numbers, comma-separated: --shape 32,64,56,56");
}

Shape parse_shape(const std::string& text, const std::string& op) {
  std::vector<int64_t> dims;
  const char* at = text.data();
  const char* const end = at + text.size();
  double elements = 1;
  for (bool more = true; more; ++at) {
    int64_t dim = 0;
    const auto [stop, fault] = std::from_chars(at, end, dim);
    more = stop != end;
    if (fault != std::errc{} || dim < 1 || (more && *stop != ',') || dims.size() == 4)
      wrong_shape(text, "a shape of at most four extents");
    elements *= static_cast<double>(dim);
    dims.push_back(dim);
    at = stop;
  }
  if (elements > 1e10) wrong_shape(text, "a shape that memory can hold");
  const size_t rank = dims.size();
  const bool matrix = op == "softmax_cross_entropy", vector = op == "sgd",
             any = op == "matmul" || op == "relu" || op == "add" || op == "dropout" ||
                   op == "convert";
  if (matrix && rank != 2) wrong_shape(text, "N,CLASSES, as " + op + " needs");
  if (vector && rank != 1) wrong_shape(text, "a number of values, as " + op + " needs");
  if (any && rank != 2 && rank != 4) wrong_shape(text, "N,C,H,W or N,I, as " + op + " needs");
  if (!matrix && !vector && !any && rank != 4) wrong_shape(text, "N,C,H,W, as " + op + " needs");
  if (rank == 1) return {dims[0]};
  return rank == 2 ? Shape{dims[0], dims[1]} : Shape{dims[0], dims[1], dims[2], dims[3]};
}

int64_t needed_filters(const OpOptions& o) {
  if (!o.filters)
    throw Error(2002, "--filters", fmt::format("{} of a shape has no number of outputs", o.op),
                "give --filters");
  return *o.filters;
}

OpSpec convolution(const OpOptions& o, const Shape& x) {
  Conv2dSpec s;
  s.x.shape = x;
  s.k = needed_filters(o);
  s.r = s.s = o.kernel.value_or(1);
  s.stride_h = s.stride_w = o.stride.value_or(1);
  s.pad_h = s.pad_w = o.pad.value_or(0);
  s.groups = o.groups.value_or(1);
  s.passes = {true, true};
  check_spec(s, "--op " + o.op);
  return s;
}

OpSpec pooling(const OpOptions& o, const Shape& x, Pool2dSpec::Kind kind) {
  const int64_t window = o.kernel.value_or(2), stride = o.stride.value_or(window),
                pad = o.pad.value_or(0);
  const Pool2dSpec s{{x}, kind, window, window, stride, stride, pad, pad, {true, false}};
  check_spec(s, "--op " + o.op);
  return s;
}

OpSpec product(const OpOptions& o, const Shape& x) {
  MatmulSpec s;
  s.x.shape = x;
  s.out = needed_filters(o);
  s.bias = true;
  s.passes = {true, true};
  return s;
}

OpSpec normalisation(const OpOptions& o, const Shape& x) {
  BatchNorm2dSpec s;
  s.x.shape = x;
  s.passes = {true, true};
  if (x.n() * x.h() * x.w() < 2) wrong_shape(o.shape, "a shape with more than one value a channel");
  return s;
}

// One op of the shape that is given.
OpSpec op_of_shape(const OpOptions& o) {
  const Shape x = parse_shape(o.shape, o.op);
  const int64_t side = o.kernel.value_or(1);
  if (o.op == "conv2d") return convolution(o, x);
  if (o.op == "matmul") return product(o, x);
  if (o.op == "max_pool2d") return pooling(o, x, Pool2dSpec::Kind::max);
  if (o.op == "avg_pool2d") return pooling(o, x, Pool2dSpec::Kind::average);
  if (o.op == "adaptive_avg_pool2d") return AdaptiveAvgPool2dSpec{{x}, side, side, {true, false}};
  if (o.op == "batchnorm2d") return normalisation(o, x);
  if (o.op == "lrn") return LrnSpec{{x}, 5, 1e-4, 0.75, 1, {true, false}};
  if (o.op == "relu") return ops::ReluCase{x};
  if (o.op == "add") return ops::AddCase{x};
  if (o.op == "dropout") return ops::DropoutCase{x, {0.5, 1}, {1, 1, 0, 0}};
  if (o.op == "softmax_cross_entropy") return ops::LossCase{{x.n(), x.c()}, 3};
  if (o.op == "sgd") return ops::SgdCase{{SgdSpec::Rule::caffe, 0.9, 1e-4, 1}, x.elements()};
  if (o.op == "convert") return ops::ConvertCase{x};
  FT_CHECK(o.op == "normalize_image", "the op " + o.op + " has no spec");
  if (x.c() != 3) wrong_shape(o.shape, "N,3,H,W, as normalize_image needs");
  return ops::NormalizeCase{x, {1 / 255.0, {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}, false}};
}

std::vector<OpCase> products_of_model(const OpOptions& o, const StepOptions& step) {
  const ModelInfo& info = find_model(step.model);
  const int side = step.input_size.value_or(info.recipe.input_size);
  std::vector<OpCase> found;
  for (const OpCase& c :
       ops::distinct_products(build_model(info, step.classes, side, side), step.batch))
    if (op_of(c.name) == o.op) found.push_back(c);
  if (found.empty())
    throw Error(2003, "--op",
                fmt::format("\"{}\" is not a product: --model lists conv2d and matmul", o.op),
                "use --op conv2d or --op matmul, or leave out --model");
  return found;
}

}  // namespace

std::vector<std::string> op_names() {
  std::vector<std::string> names;
  for (const OpCase& c : ops::op_cases())
    if (const std::string op = op_of(c.name); std::ranges::find(names, op) == names.end())
      names.push_back(op);
  return names;
}

std::vector<OpCase> chosen_ops(const OpOptions& o, const StepOptions& step) {
  if (o.shape.empty() && (o.filters || o.kernel || o.stride || o.pad || o.groups))
    throw Error(2003, "--shape", "settings of an op are given without a shape",
                "give --shape N,C,H,W, too");
  const bool one_case = o.op.find('/') != std::string::npos;
  if (!o.shape.empty() && (o.of_model || one_case))
    throw Error(2003, "--shape", "the shape of this op is known already",
                "leave out --shape, or --model and the case");
  if (!o.shape.empty()) {
    const OpSpec op = op_of_shape(o);
    return {{ops::case_name(op), op, true}};
  }
  if (o.of_model) return products_of_model(o, step);
  std::vector<OpCase> found;
  for (const OpCase& c : ops::op_cases())
    if (one_case ? c.name == o.op : c.speed && op_of(c.name) == o.op) found.push_back(c);
  if (found.empty() && one_case)
    throw Error(2003, "--op", fmt::format("\"{}\" is not a case of the table", o.op),
                fmt::format("ftrun bench --op {} lists those of the networks", op_of(o.op)));
  if (found.empty())
    throw Error(2002, "--shape", fmt::format("the networks have no {}", o.op),
                "give --shape N,C,H,W");
  return found;
}

}  // namespace ft::app
