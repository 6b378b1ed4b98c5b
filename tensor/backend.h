// Backend: the seam between the framework and a vendor library. It is a factory of op plans and streams,
// gives memory, and runs the plain ops. One per device, made in main() and passed down; no singletons.
// ref lives in the core and defines what is right; cpu (oneDNN) and cuda (cuDNN, cuBLAS) are plugins
// that are opened at run time, so that a program starts in milliseconds and on machines without them.
// A backend is used by one thread at a time; it outlives all plans, streams and tensors made from it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "tensor/device.h"
#include "tensor/ops/batchnorm2d.h"
#include "tensor/ops/conv2d.h"
#include "tensor/ops/image.h"
#include "tensor/ops/loss.h"
#include "tensor/ops/lrn.h"
#include "tensor/ops/matmul.h"
#include "tensor/ops/pointwise.h"
#include "tensor/ops/pool2d.h"
#include "tensor/ops/update.h"
#include "tensor/plan_store.h"

namespace ft {

class Backend {
 public:
  virtual ~Backend() = default;

  virtual Device device() const = 0;
  // One line for the header of a run: "cpu (oneDNN 2.6.3, AVX-512, 2 threads)".
  virtual std::string describe() const = 0;

  // --- memory and order --------------------------------------------------------------------------
  virtual Allocator& allocator() = 0;
  // Host memory for what upload() reads and download() writes. On CUDA it is page-locked: with any other host
  // memory those calls wait for the copy.
  virtual Allocator& host_allocator() { return host_allocator_; }
  // Device memory that is free now, for the forecast before step 1; 0: this backend sets no limit.
  virtual size_t free_bytes() { return 0; }
  virtual std::unique_ptr<Stream> make_stream() = 0;
  virtual std::unique_ptr<Event> make_event() = 0;
  // An event for seconds_between(); others may carry no time.
  virtual std::unique_ptr<Event> make_timer() { return make_event(); }
  // Time of the device from one timer to another. Both were recorded, and synchronize() was called since.
  virtual double seconds_between(const Event& begin, const Event& end) const = 0;
  virtual void record(StreamRef s, Event& event) = 0;
  virtual void wait(StreamRef s, Event& event) = 0;
  virtual void synchronize(StreamRef s) = 0;
  // Waits on the host until the event has passed; at once where it was never recorded, or work is done when a call
  // returns.
  virtual void await(const Event&) {}
  // Records what fn queues on `s` and returns a function that runs it again: a CUDA graph there, fn itself
  // elsewhere. fn must not allocate, wait, or touch another stream. While capturing, plans remake the copies
  // of weights that train whatever their version says, so that every replay reads what the last one wrote.
  virtual std::function<void()> capture(StreamRef s, std::function<void()> fn) = 0;
  // Plain bytes between host and device; the host side must stay untouched until `s` has run them.
  virtual void upload(StreamRef s, const void* host, const Tensor& dst) = 0;
  virtual void download(StreamRef s, const Tensor& src, void* host) = 0;

  // --- layouts -----------------------------------------------------------------------------------
  // Layout in which this backend wants images for the first node, and its parameters of rank 4. CUDA takes
  // 16-bit images as nchw8c: with three channels that is NHWC padded to eight, which tensor cores need.
  virtual Layout image_layout(DType compute) const {
    (void)compute;
    return Layout::plain;
  }
  virtual Layout weight_layout() const { return Layout::plain; }
  virtual bool supports(DType compute) const = 0;
  // What remaking packed and 16-bit copies of weights has cost since the backend was opened, for profilers. It is part
  // of the time of the pass that needed the copy. Zero where a backend does not measure it.
  struct CopyCost {
    double seconds = 0, bytes = 0;
  };
  virtual CopyCost weight_copies() const { return {}; }

  // --- op plans ----------------------------------------------------------------------------------
  virtual std::unique_ptr<Conv2dPlan> make_conv2d(const Conv2dSpec& spec) = 0;
  // For measuring: a plan of this pass alone for every engine that the library offers, in its own order, also for those
  // that the rules (determinism, precision, workspace) forbid, if half of the free memory holds their workspace. Just one
  // where there is no choice.
  virtual std::vector<std::unique_ptr<Conv2dPlan>> make_conv2d_engines(const Conv2dSpec& spec,
                                                                       PassKind pass);
  virtual std::unique_ptr<MatmulPlan> make_matmul(const MatmulSpec& spec) = 0;
  virtual std::unique_ptr<Pool2dPlan> make_pool2d(const Pool2dSpec& spec) = 0;
  virtual std::unique_ptr<Pool2dPlan> make_adaptive_avg_pool2d(
      const AdaptiveAvgPool2dSpec& spec) = 0;
  virtual std::unique_ptr<BatchNorm2dPlan> make_batchnorm2d(const BatchNorm2dSpec& spec) = 0;
  virtual std::unique_ptr<LrnPlan> make_lrn(const LrnSpec& spec) = 0;

  // --- plain ops: outputs may be the same memory as an input of the same spec ------------------------
  // All element-wise ops run over the padded elements of a layout; padding stays zero.
  virtual void fill_zero(StreamRef s, const Tensor& y) = 0;
  // y = x, between layouts and between f64, f32 and bf16; same logical shape. Padding becomes zero.
  virtual void convert(StreamRef s, const Tensor& x, const Tensor& y) = 0;
  virtual void add(StreamRef s, const Tensor& a, const Tensor& b, const Tensor& y) = 0;
  virtual void relu_forward(StreamRef s, const Tensor& x, const Tensor& y) = 0;
  // dx = dy where y > 0, else 0.
  virtual void relu_backward(StreamRef s, const Tensor& y, const Tensor& dy, const Tensor& dx) = 0;
  // `state` is the step state in device memory (tensor/ops/pointwise.h). Backward is the same function of dy.
  virtual void dropout(StreamRef s, const DropoutSpec& spec, const Tensor& x, const Tensor& state,
                       const Tensor& y) = 0;
  // u8 pixels {N,H,W,3} (plain) -> y {N,3,H,W} in its own layout and element type.
  virtual void normalize_image(StreamRef s, const NormalizeSpec& spec, const Tensor& pixels,
                               const Tensor& y) = 0;
  // logits {N,C}, labels i32 {N} -> loss {N}, probability {N,C}; logits are plain.
  virtual void softmax_cross_entropy_forward(StreamRef s, const Tensor& logits,
                                             const Tensor& labels, const Tensor& loss,
                                             const Tensor& probability) = 0;
  // dlogits[n,c] = dloss[n] * (probability[n,c] - [c == label[n]]); 0 where the label is -1.
  virtual void softmax_cross_entropy_backward(StreamRef s, const Tensor& probability,
                                              const Tensor& labels, const Tensor& dloss,
                                              const Tensor& dlogits) = 0;
  // Sets word 4 of the step state to 1 if an element of x (losses, plain) is not finite; else leaves it.
  virtual void halt_unless_finite(StreamRef s, const Tensor& x, const Tensor& state) = 0;
  // w, v (velocity) are updated in place from g; flat f32 ranges of equal length (f64 on ref). Nothing is changed
  // where word 4 of the step state is set.
  virtual void sgd_update(StreamRef s, const SgdSpec& spec, const Tensor& g, const Tensor& state,
                          const Tensor& v, const Tensor& w) = 0;

 private:
  HostAllocator host_allocator_;
};

struct BackendOptions {
  int threads = 0;  // host threads for computing; 0: all cores this process may use
  // How CUDA chooses the engine of a convolution: the first that cuDNN proposes within the rules, or the fastest of
  // those, timed when the plan is made. What `plans` has is taken instead.
  bool time_engines = false;
  size_t workspace_limit = 0;  // most scratch of a convolution on CUDA; 0: the default
  std::shared_ptr<PlanStore> plans = nullptr;
};

// Opens the backend of `device`. Throws Error 30xx (status 3) with reason and remedy if there is none.
std::unique_ptr<Backend> make_backend(const Device& device, const BackendOptions& options);

// `text` as parse_device, or "auto": CUDA where a device answers, else cpu. The second part says in one
// sentence which device was taken and why.
struct ChosenBackend {
  std::unique_ptr<Backend> backend;
  std::string reason;
};
ChosenBackend choose_backend(const std::string& text, const BackendOptions& options);

// What a plugin exports: extern "C" Backend* ft_make_backend(int index, const BackendOptions*); it throws Error.
using MakeBackendFunction = Backend*(int, const BackendOptions*);

}  // namespace ft
