// One function an op: plan, operands, cost.
#include "apps/ops/op_runs.h"

#include <cmath>

namespace ft::ops {
namespace {

double bytes_of(std::initializer_list<Tensor> operands) {
  double sum = 0;
  for (const Tensor& t : operands) sum += static_cast<double>(t.bytes());
  return sum;
}

// Weights are read as a copy in the element type computed in; their gradient is written in f32.
double weight_bytes(const Shape& shape, DType type) {
  return static_cast<double>(shape.elements()) * static_cast<double>(size_of(type));
}

class Preparer {
 public:
  Preparer(OpMemory& memory, PassKind pass, const NumericsPolicy& numerics)
      : m_(memory),
        b_(memory.backend()),
        s_(memory.stream()),
        pass_(pass),
        numerics_(numerics),
        compute_(numerics.compute) {}

  OpRun operator()(Conv2dSpec spec);
  std::vector<OpRun> engines(Conv2dSpec spec);
  OpRun operator()(MatmulSpec spec);
  OpRun operator()(Pool2dSpec spec);
  OpRun operator()(AdaptiveAvgPool2dSpec spec);
  OpRun operator()(BatchNorm2dSpec spec);
  OpRun operator()(LrnSpec spec);
  OpRun operator()(const ReluCase& op);
  OpRun operator()(const AddCase& op);
  OpRun operator()(const DropoutCase& op);
  OpRun operator()(const LossCase& op);
  OpRun operator()(const SgdCase& op);
  OpRun operator()(const NormalizeCase& op);
  OpRun operator()(const ConvertCase& op);

 private:
  template <class ProductPlan, class Spec, class Forward>
  OpRun product(const std::shared_ptr<ProductPlan>& plan, const Spec& spec, const Forward& forward);
  void adapt(Conv2dSpec& spec) const;
  OpRun conv(const std::shared_ptr<Conv2dPlan>& plan, const Conv2dSpec& spec);
  OpRun pool(const std::shared_ptr<Pool2dPlan>& plan, const TensorSpec& x_spec);
  Tensor workspace(const Plan& plan) { return m_.scratch("workspace", plan.workspace_bytes()); }
  bool forward() const { return pass_ == PassKind::forward; }

  OpMemory& m_;
  Backend& b_;
  StreamRef s_;
  PassKind pass_;
  NumericsPolicy numerics_;
  DType compute_;
};

// What convolution and matrix product have in common; `forward` is what they have not.
template <class ProductPlan, class Spec, class Forward>
OpRun Preparer::product(const std::shared_ptr<ProductPlan>& plan, const Spec& spec,
                        const Forward& forward) {
  const Tensor work = workspace(*plan);
  const Shape w = spec.weight_shape();
  const StreamRef s = s_;
  OpRun r{{},
          spec.flops(),
          0,
          plan->describe(pass_),
          plan->pass_workspace(pass_),
          plan->deterministic(pass_)};
  if (pass_ == PassKind::backward_weights) {
    const Tensor x = m_.input("x", spec.x), dy = m_.input("dy", plan->y_spec());
    const Tensor dw = m_.output("dw", m_.parameter(w));
    const Tensor db = spec.bias ? m_.output("db", m_.parameter({w.n()})) : Tensor();
    r.run = [=] { plan->backward_weights(s, x, dy, dw, db, work); };
    r.bytes = bytes_of({x, dy, dw, db});
    return r;
  }
  const float scale = 1 / std::sqrt(static_cast<float>(w.per_sample()));
  const Weights weights{m_.drawn(m_.parameter(w), scale),
                        spec.bias ? m_.drawn(m_.parameter({w.n()}), 1) : Tensor(), 1};
  if (pass_ == PassKind::forward) {
    const Tensor x = m_.input("x", spec.x), y = m_.output("y", plan->y_spec());
    r.run = [=] { forward(x, weights, y, work); };
    r.bytes = bytes_of({x, y, weights.b}) + weight_bytes(w, compute_);
  } else {
    const Tensor dy = m_.input("dy", plan->y_spec()), dx = m_.output("dx", spec.x);
    r.run = [=] { plan->backward_data(s, dy, weights, dx, work); };
    r.bytes = bytes_of({dy, dx}) + weight_bytes(w, compute_);
  }
  return r;
}

void Preparer::adapt(Conv2dSpec& spec) const {
  spec.x = m_.activation(spec.x.shape, compute_);
  spec.numerics = numerics_;
}

OpRun Preparer::operator()(Conv2dSpec spec) {
  adapt(spec);
  return conv(b_.make_conv2d(spec), spec);
}

std::vector<OpRun> Preparer::engines(Conv2dSpec spec) {
  adapt(spec);
  std::vector<OpRun> runs;
  for (std::unique_ptr<Conv2dPlan>& plan : b_.make_conv2d_engines(spec, pass_))
    runs.push_back(conv(std::move(plan), spec));
  return runs;
}

OpRun Preparer::conv(const std::shared_ptr<Conv2dPlan>& plan, const Conv2dSpec& spec) {
  const Tensor residual = spec.add_residual ? m_.input("residual", plan->y_spec()) : Tensor();
  const StreamRef s = s_;
  const auto run = [=](const Tensor& x, const Weights& w, const Tensor& y, const Tensor& work) {
    plan->forward(s, x, w, residual, y, work);
  };
  OpRun r = product(plan, spec, run);
  r.bytes += bytes_of({residual});
  return r;
}

// Hidden layers write the element type computed in, a classifier f32.
OpRun Preparer::operator()(MatmulSpec spec) {
  spec.x = m_.activation(spec.x.shape, compute_);
  spec.numerics = numerics_;
  spec.y_dtype = spec.out > 1000 ? compute_ : DType::f32;
  const std::shared_ptr<MatmulPlan> plan = b_.make_matmul(spec);
  const StreamRef s = s_;
  return product(plan, spec,
                 [=](const Tensor& x, const Weights& w, const Tensor& y, const Tensor& work) {
                   plan->forward(s, x, w, y, work);
                 });
}

OpRun Preparer::operator()(Pool2dSpec spec) {
  spec.x = m_.activation(spec.x.shape, compute_);
  return pool(b_.make_pool2d(spec), spec.x);
}

OpRun Preparer::operator()(AdaptiveAvgPool2dSpec spec) {
  spec.x = m_.activation(spec.x.shape, compute_);
  return pool(b_.make_adaptive_avg_pool2d(spec), spec.x);
}

OpRun Preparer::pool(const std::shared_ptr<Pool2dPlan>& plan, const TensorSpec& x_spec) {
  const Tensor work = workspace(*plan), aux = m_.scratch("aux", plan->aux_bytes());
  const Tensor x = m_.input("x", x_spec), y = m_.output("y", plan->y_spec());
  const StreamRef s = s_;
  OpRun r{[=] { plan->forward(s, x, y, aux, work); }, 0, bytes_of({x, y, aux}),
          plan->describe(pass_), plan->workspace_bytes()};
  if (forward()) return r;
  r.run();  // fills aux
  const Tensor dy = m_.input("dy", plan->y_spec()), dx = m_.output("dx", x_spec);
  r.run = [=] { plan->backward_data(s, dy, aux, dx, work); };
  r.bytes = bytes_of({dy, dx, aux});
  return r;
}

OpRun Preparer::operator()(BatchNorm2dSpec spec) {
  spec.x = m_.activation(spec.x.shape, compute_);
  const std::shared_ptr<BatchNorm2dPlan> plan = b_.make_batchnorm2d(spec);
  const TensorSpec c = m_.parameter({spec.x.shape.c()});
  const BatchNormParams params{m_.drawn(c, 0.1f, 1), m_.drawn(c, 0.1f), m_.drawn(c, 0.1f),
                               m_.drawn(c, 0.1f, 1)};
  const Tensor work = workspace(*plan), aux = m_.scratch("aux", plan->aux_bytes());
  const Tensor x = m_.input("x", spec.x), y = m_.output("y", plan->y_spec());
  const Tensor residual = spec.add_residual ? m_.input("residual", spec.x) : Tensor();
  const StreamRef s = s_;
  OpRun r{[=] { plan->forward(s, x, residual, params, y, aux, work); }, 0,
          bytes_of({x, residual, y, aux}), plan->describe(pass_), plan->workspace_bytes()};
  if (forward()) return r;
  r.run();
  const Tensor dy = m_.input("dy", plan->y_spec());
  BatchNormGradients g;
  if (spec.passes.backward_data) g.dx = m_.output("dx", spec.x);
  if (spec.passes.backward_data && spec.add_residual) g.dresidual = m_.output("dresidual", spec.x);
  if (spec.passes.backward_weights) g.dgamma = m_.output("dgamma", c);
  if (spec.passes.backward_weights) g.dbeta = m_.output("dbeta", c);
  r.run = [=] { plan->backward(s, x, dy, params, aux, g, work); };
  r.bytes = bytes_of({x, dy, aux, g.dx, g.dresidual});
  return r;
}

OpRun Preparer::operator()(LrnSpec spec) {
  spec.x = m_.activation(spec.x.shape, compute_);
  const std::shared_ptr<LrnPlan> plan = b_.make_lrn(spec);
  const Tensor work = workspace(*plan), aux = m_.scratch("aux", plan->aux_bytes());
  const Tensor x = m_.input("x", spec.x), y = m_.output("y", plan->y_spec());
  const StreamRef s = s_;
  OpRun r{[=] { plan->forward(s, x, y, aux, work); }, 0, bytes_of({x, y, aux}),
          plan->describe(pass_), plan->workspace_bytes()};
  if (forward()) return r;
  r.run();
  const Tensor dy = m_.input("dy", plan->y_spec()), dx = m_.output("dx", spec.x);
  r.run = [=] { plan->backward_data(s, x, dy, aux, dx, work); };
  r.bytes = bytes_of({x, dy, dx, aux});
  return r;
}

OpRun Preparer::operator()(const ReluCase& op) {
  const TensorSpec spec = m_.activation(op.x, compute_);
  Backend& b = b_;
  const StreamRef s = s_;
  const Tensor x = m_.input("x", spec);
  if (forward()) {
    const Tensor y = m_.output("y", spec);
    return {[=, &b] { b.relu_forward(s, x, y); }, 0, bytes_of({x, y}), {}};
  }
  const Tensor dy = m_.input("dy", spec), dx = m_.output("dx", spec);
  return {[=, &b] { b.relu_backward(s, x, dy, dx); }, 0, bytes_of({x, dy, dx}), {}};
}

OpRun Preparer::operator()(const AddCase& op) {
  const TensorSpec spec = m_.activation(op.x, compute_);
  const Tensor x = m_.input("x", spec), other = m_.input("residual", spec);
  const Tensor y = m_.output("y", spec);
  Backend& b = b_;
  const StreamRef s = s_;
  return {[=, &b] { b.add(s, x, other, y); }, 0, bytes_of({x, other, y}), {}};
}

OpRun Preparer::operator()(const DropoutCase& op) {
  const TensorSpec spec = m_.activation(op.x, compute_);
  const Tensor x = m_.input("x", spec), y = m_.output("y", spec);
  const Tensor state = m_.holding({{kStepStateWords}, DType::u64, Layout::plain}, &op.state);
  Backend& b = b_;
  const StreamRef s = s_;
  const DropoutSpec dropout = op.spec;
  return {[=, &b] { b.dropout(s, dropout, x, state, y); }, 0, bytes_of({x, y}), {}};
}

// Logits are f32 whatever the network computes in.
OpRun Preparer::operator()(const LossCase& op) {
  const TensorSpec matrix{{op.spec.n, op.spec.classes}, DType::f32, Layout::plain};
  const TensorSpec vector{{op.spec.n}, DType::f32, Layout::plain};
  std::vector<int32_t> classes(static_cast<size_t>(op.spec.n));
  for (size_t i = 0; i < classes.size(); ++i)
    classes[i] = static_cast<int32_t>(i % static_cast<size_t>(op.spec.classes));
  const Tensor labels = m_.holding({vector.shape, DType::i32, Layout::plain}, classes.data());
  Backend& b = b_;
  const StreamRef s = s_;
  if (forward()) {
    const Tensor logits = m_.input("x", matrix), loss = m_.output("y", vector);
    const Tensor probability = m_.output("aux", matrix);
    return {[=, &b] { b.softmax_cross_entropy_forward(s, logits, labels, loss, probability); },
            0,
            bytes_of({logits, loss, probability}),
            {}};
  }
  const Tensor probability = m_.input("x", matrix), dloss = m_.input("dy", vector);
  const Tensor dlogits = m_.output("dx", matrix);
  return {[=, &b] { b.softmax_cross_entropy_backward(s, probability, labels, dloss, dlogits); },
          0,
          bytes_of({probability, dloss, dlogits}),
          {}};
}

OpRun Preparer::operator()(const SgdCase& op) {
  const TensorSpec flat{{op.count}, DType::f32, Layout::plain};
  const StepState step{1, 0, 0, 1e-4};
  const Tensor state = m_.holding({{kStepStateWords}, DType::u64, Layout::plain}, &step);
  const Tensor g = m_.input("dy", flat), v = m_.output("y", flat), w = m_.output("dx", flat);
  b_.fill_zero(s_, v);  // whatever another op left there may not be a number
  b_.fill_zero(s_, w);
  Backend& b = b_;
  const StreamRef s = s_;
  const SgdSpec sgd = op.spec;
  return {[=, &b] { b.sgd_update(s, sgd, g, state, v, w); },
          0,
          bytes_of({g}) + 2 * bytes_of({v, w}),
          {}};
}

OpRun Preparer::operator()(const NormalizeCase& op) {
  const TensorSpec pixel_spec{{op.y.n(), op.y.h(), op.y.w(), 3}, DType::u8, Layout::plain};
  std::vector<uint8_t> bytes(pixel_spec.bytes());
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 2654435761u >> 24);
  const Tensor pixels = m_.holding(pixel_spec, bytes.data());
  const Tensor y = m_.output("y", m_.activation(op.y, compute_));
  Backend& b = b_;
  const StreamRef s = s_;
  const NormalizeSpec normalize = op.spec;
  return {[=, &b] { b.normalize_image(s, normalize, pixels, y); }, 0, bytes_of({pixels, y}), {}};
}

// From the plain f32 of files into the network's own form.
OpRun Preparer::operator()(const ConvertCase& op) {
  const Tensor x = m_.input("x", {op.x, DType::f32, Layout::plain});
  const Tensor y = m_.output("y", m_.activation(op.x, compute_));
  Backend& b = b_;
  const StreamRef s = s_;
  return {[=, &b] { b.convert(s, x, y); }, 0, bytes_of({x, y}), {}};
}

struct PassLister {
  const PassName kForward{PassKind::forward, "forward"};

  std::vector<PassName> product(const PassSet& passes) const {
    std::vector<PassName> all{kForward};
    if (passes.backward_data) all.push_back({PassKind::backward_data, "backward_data"});
    if (passes.backward_weights) all.push_back({PassKind::backward_weights, "backward_weights"});
    return all;
  }
  std::vector<PassName> two(bool backward) const {
    std::vector<PassName> all{kForward};
    if (backward) all.push_back({PassKind::backward_data, "backward"});
    return all;
  }

  std::vector<PassName> operator()(const Conv2dSpec& op) const { return product(op.passes); }
  std::vector<PassName> operator()(const MatmulSpec& op) const { return product(op.passes); }
  std::vector<PassName> operator()(const ReluCase&) const { return two(true); }
  std::vector<PassName> operator()(const LossCase&) const { return two(true); }
  template <class Spec>
  std::vector<PassName> operator()(const Spec& op) const {
    if constexpr (requires { op.passes; })
      return two(op.passes.any_backward());
    else
      return {{PassKind::forward, ""}};
  }
};

}  // namespace

std::vector<PassName> passes_of(const OpSpec& op) { return std::visit(PassLister(), op); }

OpRun prepare(OpMemory& memory, const OpSpec& op, PassKind pass, const NumericsPolicy& numerics) {
  return std::visit(Preparer(memory, pass, numerics), op);
}

std::vector<OpRun> prepare_engines(OpMemory& memory, const Conv2dSpec& spec, PassKind pass,
                                   const NumericsPolicy& numerics) {
  return Preparer(memory, pass, numerics).engines(spec);
}

}  // namespace ft::ops
