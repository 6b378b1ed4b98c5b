// Takes a step apart: an Observer that puts a timer before and behind every piece of work, and names what it was.
// Timers are the backend's own (events of the device on CUDA, the host's clock elsewhere), made once and read only
// when a step is over, so that watching waits for nothing. On a GPU each piece is an NVTX range, too. Used by one thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/gpu_tools/gpu_tools.h"
#include "layers/executor.h"

namespace ft::app {

// One kind of work that a step does: a layer in one pass, or a part of the step outside of the layers.
struct WorkRow {
  std::string layer;  // "layer1.0.conv1"; "pixels", "parameters"
  std::string kind;   // of the layer: "conv2d"; "upload", "update"
  std::string
      pass;  // "forward", "backward data", "backward weights", "backward", "gradient sum"; "" outside
  std::string phase;         // "input", "forward", "backward", "update"
  std::string shape;         // of the output, or of what is made
  std::string algorithm;     // what the plan says
  DType dtype = DType::f32;  // computed in
  double flops = 0;          // 2 * multiply-adds of products
  double bytes = 0;          // every operand counted once, weights in the type computed in
  size_t workspace = 0;      // bytes of scratch

  const std::string& what() const { return pass.empty() ? kind : pass; }
  std::string title() const { return layer + " " + what(); }  // "layer1.0.conv1 backward data"
};

// One piece of work in one step, in nanoseconds from its begin.
struct Span {
  int row = 0;
  int64_t begin = 0, end = 0;
  double copies = 0;  // seconds of it that went into packed and 16-bit copies of weights
};

struct StepRecord {
  int64_t begin = 0, end = 0;  // nanoseconds from the begin of the first step
  std::vector<Span> spans;     // in order; they do not overlap
  double copy_bytes = 0;
};

// What a piece of work of a compiled step is, and what it costs at the least.
WorkRow describe_work(const CompiledGraph& compiled, Work work, const CompiledNode& node,
                      const Pass& pass);

class Profiler final : public Observer {
 public:
  // `tools`: told of every piece of work, with its row + 1 as the tag; may be nullptr, else outlives this.
  Profiler(Backend& backend, const CompiledGraph& compiled, StreamRef s,
           tools::GpuTools* tools = nullptr);

  void observe(When when, Work work, const CompiledNode& node, const Pass& pass) override;
  // Work outside of the layers: described once, then run as often as wanted.
  int add_row(WorkRow row);
  template <class Fn>
  void section(int row, const Fn& fn) {
    open(row);
    fn();
    close();
  }
  void begin_step();
  // Waits for the stream, and reads the timers.
  StepRecord end_step();

  const std::vector<WorkRow>& rows() const { return rows_; }

 private:
  void open(int row);
  void close();
  Event& next_timer();
  int64_t nanoseconds(const Event& begin, const Event& end) const;

  Backend& backend_;
  const CompiledGraph& compiled_;
  StreamRef stream_;
  tools::GpuTools* tools_;
  std::vector<WorkRow> rows_;
  std::map<std::pair<const CompiledNode*, Work>, int> index_;
  std::unique_ptr<Event> origin_;
  bool started_ = false;
  std::vector<std::unique_ptr<Event>> timers_;  // [0]: the begin of the step; then two a span
  size_t used_ = 0;
  std::vector<Span> spans_;
  double copy_bytes_before_ = 0;
};

}  // namespace ft::app
