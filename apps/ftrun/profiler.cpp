// Timers around work, and what the work costs at the least.
#include "apps/ftrun/profiler.h"

#include <algorithm>
#include <cmath>

namespace ft::app {
namespace {

const char* name_of(Work work) {
  switch (work) {
    case Work::forward:
      return "forward";
    case Work::backward_data:
      return "backward data";
    case Work::backward_weights:
      return "backward weights";
    case Work::backward:
      return "backward";
    case Work::gradient_sum:
      return "gradient sum";
  }
  return "";
}

PassKind plan_pass(Work work) {
  if (work == Work::forward) return PassKind::forward;
  return work == Work::backward_weights ? PassKind::backward_weights : PassKind::backward_data;
}

double bytes_of(const Tensor& t) { return static_cast<double>(t.bytes()); }

double bytes_of(std::span<const Tensor> tensors) {
  double sum = 0;
  for (const Tensor& t : tensors) sum += bytes_of(t);
  return sum;
}

// Weights are read as a copy in the type computed in, vectors of channels as they are.
double parameter_bytes(const Pass& pass, DType type) {
  double sum = 0;
  for (const ParamView& p : pass.params)
    sum += p.value.shape().rank() < 2 ? bytes_of(p.value)
                                      : static_cast<double>(p.value.shape().elements()) *
                                            static_cast<double>(size_of(type));
  return sum;
}

double gradient_bytes(const Pass& pass) {
  double sum = 0;
  for (const ParamView& p : pass.params) sum += bytes_of(p.grad);
  return sum;
}

// What a backward pass beside products reads, and the dx that it writes. An add hands dy on where dx lies at dy.
double backward_bytes(const CompiledNode& node, const Pass& pass) {
  double sum = 0;
  if (node.layer->kind() == "add") {
    for (const Tensor& dx : pass.dx)
      if (!dx.empty() && dx.data() != pass.dy.data()) sum += bytes_of(pass.dy) + bytes_of(dx);
    return sum;
  }
  sum = bytes_of(pass.dy) + bytes_of(pass.dx) + bytes_of(pass.aux) + gradient_bytes(pass);
  sum += bytes_of(pass.x.first(static_cast<size_t>(node.plan.backward_reads_x)));
  if (node.plan.backward_reads_y) sum += bytes_of(pass.y);
  return sum;
}

double bytes_of(Work work, const CompiledNode& node, const Pass& pass, DType type) {
  switch (work) {
    case Work::forward:
      return bytes_of(pass.x) + bytes_of(pass.y) + bytes_of(pass.aux) + parameter_bytes(pass, type);
    case Work::gradient_sum:
      return bytes_of(pass.dy) + (node.flow[0] == GradientFlow::copy ? 1 : 2) * bytes_of(pass.dx);
    case Work::backward_weights:
      return bytes_of(pass.x) + bytes_of(pass.dy) + gradient_bytes(pass);
    case Work::backward_data:
      if (node.layer->splits_backward())
        return bytes_of(pass.dy) + bytes_of(pass.dx) + parameter_bytes(pass, type);
      return backward_bytes(node, pass);
    case Work::backward:
      return backward_bytes(node, pass);
  }
  return 0;
}

}  // namespace

WorkRow describe_work(const CompiledGraph& compiled, Work work, const CompiledNode& node,
                      const Pass& pass) {
  WorkRow row;
  row.layer = node.name;
  row.kind = node.layer->kind();
  row.pass = name_of(work);
  row.phase = work == Work::forward ? "forward" : "backward";
  const CompiledValue& y = compiled.values()[static_cast<size_t>(node.output)];
  const CompiledValue& x = compiled.values()[static_cast<size_t>(node.inputs[0])];
  row.shape = (work == Work::gradient_sum ? x : y).spec.shape.str();
  row.dtype = x.spec.dtype;
  row.bytes = bytes_of(work, node, pass, row.dtype);
  if (work == Work::gradient_sum) return row;
  row.algorithm = node.layer->describe(plan_pass(work));
  if (const Plan* plan = node.layer->plan()) row.workspace = plan->pass_workspace(plan_pass(work));
  row.flops = compiled.flops(node) * (work == Work::backward ? 2 : 1);
  return row;
}

Profiler::Profiler(Backend& backend, const CompiledGraph& compiled, StreamRef s,
                   tools::GpuTools* tools)
    : backend_(backend),
      compiled_(compiled),
      stream_(s),
      tools_(tools),
      origin_(backend.make_timer()) {}

int Profiler::add_row(WorkRow row) {
  rows_.push_back(std::move(row));
  return static_cast<int>(rows_.size()) - 1;
}

void Profiler::observe(When when, Work work, const CompiledNode& node, const Pass& pass) {
  if (when == When::after) return close();
  const auto [it, fresh] = index_.try_emplace({&node, work}, 0);
  if (fresh) it->second = add_row(describe_work(compiled_, work, node, pass));
  open(it->second);
}

Event& Profiler::next_timer() {
  if (used_ == timers_.size()) timers_.push_back(backend_.make_timer());
  return *timers_[used_++];
}

void Profiler::open(int row) {
  Span span;
  span.row = row;
  span.copies = -backend_.weight_copies().seconds;
  spans_.push_back(span);
  backend_.record(stream_, next_timer());
  if (tools_ != nullptr)
    tools_->push(rows_[static_cast<size_t>(row)].title(), static_cast<uint64_t>(row) + 1);
}

void Profiler::close() {
  if (tools_ != nullptr) tools_->pop();
  backend_.record(stream_, next_timer());
  spans_.back().copies += backend_.weight_copies().seconds;
}

void Profiler::begin_step() {
  spans_.clear();
  used_ = 0;
  copy_bytes_before_ = backend_.weight_copies().bytes;
  if (!started_) backend_.record(stream_, *origin_);
  started_ = true;
  backend_.record(stream_, next_timer());
}

int64_t Profiler::nanoseconds(const Event& begin, const Event& end) const {
  return std::llround(1e9 * backend_.seconds_between(begin, end));
}

StepRecord Profiler::end_step() {
  backend_.record(stream_, next_timer());
  backend_.synchronize(stream_);
  StepRecord record;
  record.begin = nanoseconds(*origin_, *timers_[0]);
  const auto at = [&](size_t timer) {
    return record.begin + nanoseconds(*timers_[0], *timers_[timer]);
  };
  record.end = at(used_ - 1);
  record.spans = spans_;
  record.copy_bytes = backend_.weight_copies().bytes - copy_bytes_before_;
  for (size_t i = 0; i < record.spans.size(); ++i) {
    record.spans[i].begin = at(1 + 2 * i);
    record.spans[i].end = at(2 + 2 * i);
  }
  return record;
}

}  // namespace ft::app
