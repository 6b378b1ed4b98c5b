// What the backend says and leaves behind when a call of CUDA, cuDNN or cuBLASLt fails: every call of a small step, once
// and for ever after.
#include <cstring>
#include <memory>

#include "tensor/backend.h"
#include "tests/sim/sim_case.h"

extern "C" ft::Backend* ft_make_backend(int index, const ft::BackendOptions*);

namespace sim {
namespace {

using namespace ft;  // NOLINT

std::unique_ptr<Backend> make(int index = 0) {
  const BackendOptions options;
  return std::unique_ptr<Backend>(ft_make_backend(index, &options));
}

// A convolution and a fully connected layer in 16 bits, forward and backward, once as it is and once captured and
// replayed, with an upload on a stream of its own.
class SmallStep {
 public:
  void operator()() {
    const auto backend = make();
    const auto stream = backend->make_stream(), side = backend->make_stream();
    const auto uploaded = backend->make_event();
    const StreamRef s = stream->ref();
    Conv2dSpec c;
    c.x = {{2, 3, 6, 5}, DType::bf16, backend->image_layout(DType::bf16)};
    c.k = 8;
    c.r = c.s = 3;
    c.bias = true;
    c.passes = {false, true};
    c.numerics.compute = DType::bf16;
    const auto conv = backend->make_conv2d(c);
    MatmulSpec m;
    m.x = conv->y_spec();
    m.out = 4;
    m.passes = {true, true};
    m.numerics.compute = DType::bf16;
    const auto product = backend->make_matmul(m);
    const auto tensor = [&](const TensorSpec& spec) { return Tensor(spec, backend->allocator()); };
    const auto floats = [&](const Shape& shape, Layout layout = Layout::plain) {
      Tensor t = tensor({shape, DType::f32, layout});
      backend->fill_zero(s, t);
      return t;
    };
    const Tensor x = tensor(c.x), y = tensor(conv->y_spec()), dy = tensor(conv->y_spec());
    const Tensor z = tensor(product->y_spec());
    const Weights cw{floats(c.weight_shape(), Layout::nhwc), floats({8}), 1};
    const Weights pw{floats(m.weight_shape()), {}, 1};
    const Tensor dcw = floats(c.weight_shape(), Layout::nhwc), dcb = floats({8});
    const Tensor dpw = floats(m.weight_shape());
    const auto bytes =
        static_cast<int64_t>(std::max(conv->workspace_bytes(), product->workspace_bytes()));
    const Tensor workspace = tensor({{bytes}, DType::u8, Layout::plain});
    const Tensor host(c.x, backend->host_allocator());
    std::memset(host.data(), 0, host.bytes());
    backend->upload(side->ref(), host.data(), x);
    backend->record(side->ref(), *uploaded);
    backend->wait(s, *uploaded);
    const auto step = [&] {
      conv->forward(s, x, cw, {}, y, workspace);
      product->forward(s, y, pw, z, workspace);
      product->backward_data(s, z, pw, dy, workspace);
      product->backward_weights(s, y, z, dpw, {}, workspace);
      conv->backward_weights(s, x, dy, dcw, dcb, workspace);
    };
    step();
    const auto replay = backend->capture(s, step);
    replay();
    backend->synchronize(s);
  }
};

// Of the calls that can fail; not of what the device counts about itself.
int64_t calls() {
  int64_t sum = 0;
  for (const auto& [what, number] : counts())
    if (what.starts_with("cu")) sum += number;
  return sum;
}

struct Outcome {
  int number = 0;  // of the error; 0: none
  std::string line;
  std::string call;  // into which the failure was put
  int64_t left = 0;  // blocks and handles
};

Outcome outcome_of(const Failure& failure) {
  Settings settings;
  settings.failure = failure;
  reset(settings);
  Outcome o;
  try {
    SmallStep()();
  } catch (const Error& e) {
    o.number = e.number();
    o.line = e.line();
  }
  for (const auto& [what, number] : counts()) {
    if (what == "blocks of memory" || what == "handles") o.left += number;
    if (what.starts_with("injected into ")) o.call = what.substr(strlen("injected into "));
  }
  return o;
}

bool releases(const std::string& call) {
  return call.find("Free") != std::string::npos || call.find("Destroy") != std::string::npos;
}

class FaultsTest : public SimTest {
 protected:
  static int64_t all_calls() {
    SmallStep()();
    return calls();
  }
  // The message of the backend that is not to be had.
  static std::string refusal(const Settings& settings, int index = 0) {
    reset(settings);
    try {
      make(index);
    } catch (const Error& e) {
      EXPECT_EQ(e.status(), ExitStatus::device);
      return e.line();
    }
    return "none";
  }
};

TEST_F(FaultsTest, a_small_step_leaves_nothing_behind) {
  const Outcome o = outcome_of({});
  EXPECT_EQ(o.number, 0) << o.line;
  EXPECT_EQ(o.left, 0);
}

TEST_F(FaultsTest, what_stands_against_a_device_is_named) {
  Settings s;
  s.driver = 12040;
  EXPECT_NE(refusal(s).find("E3005: --device cuda:0: the NVIDIA driver is for CUDA 12.4, this "
                            "program needs CUDA 13"),
            std::string::npos);
  s = {};
  s.devices = 0;
  EXPECT_NE(refusal(s).find("E3006: --device cuda:0: no GPU is visible"), std::string::npos);
  s.devices = 2;
  EXPECT_NE(refusal(s, 2).find("there are only cuda:0 simulated, cuda:1 simulated"),
            std::string::npos);
  s = {};
  s.arch = 75;
  EXPECT_NE(refusal(s).find("E3007: --device cuda:0: simulated is of architecture 75"),
            std::string::npos);
  s = {};
  s.cudnn = 90700;
  EXPECT_NE(refusal(s).find("E3008: libcudnn.so: version 9.7.0 is installed"), std::string::npos);
  s = {};
  s.cublas = 120000;
  EXPECT_NE(refusal(s).find("E3008: libcublasLt.so: major version 12 is installed"),
            std::string::npos);
}

TEST_F(FaultsTest, every_allocation_that_fails_is_an_error_of_memory_and_leaves_nothing_behind) {
  for (const auto& [call, number] : {std::pair{"cudaMalloc", 4002}, {"cudaHostAlloc", 4001}}) {
    SmallStep()();
    const auto count = static_cast<int>(counts()[call]);
    EXPECT_GT(count, 0);
    for (int n = 1; n <= count; ++n)
      for (const bool for_ever : {false, true}) {
        const Outcome o = outcome_of({call, n, cudaErrorMemoryAllocation, for_ever});
        EXPECT_EQ(o.number, number) << call << " " << n << ": " << o.line;
        EXPECT_EQ(o.left, 0) << call << " " << n;
      }
    reset({});
  }
}

TEST_F(FaultsTest, every_call_that_fails_is_named_and_leaves_nothing_behind) {
  const int64_t all = all_calls();
  EXPECT_GT(all, 300);
  int64_t unnoticed = 0;
  for (int n = 1; n <= all; ++n) {
    testing::internal::CaptureStderr();
    const Outcome o = outcome_of({"", n, cudaErrorUnknown});
    const std::string notes = testing::internal::GetCapturedStderr();
    if (releases(o.call)) {
      EXPECT_NE(notes.find("clean-up of the CUDA device failed"), std::string::npos) << o.call;
      continue;
    }
    EXPECT_EQ(o.left, 0) << n << ": " << o.call;
    if (o.number == 0) {
      // Engines and notes that cannot be had are passed over.
      EXPECT_TRUE(o.call == "cudnnBackendFinalize" || o.call == "cudnnBackendGetAttribute" ||
                  o.call == "cublasLtMatmulAlgoConfigGetAttribute")
          << n << ": " << o.call;
      ++unnoticed;
    } else if (o.number >= 3030) {
      // Finalizing tells which descriptor.
      const std::string name = o.call == "cudnnBackendFinalize" ? " failed: " : o.call;
      EXPECT_NE(o.line.find(name), std::string::npos) << o.line;
    }
  }
  EXPECT_LT(unnoticed, all / 5);
}

TEST_F(FaultsTest, a_device_that_is_lost_is_told_once_and_never_waited_for) {
  const int64_t all = all_calls();
  for (int n = 1; n <= all; ++n) {
    testing::internal::CaptureStderr();
    const Outcome o = outcome_of({"", n, cudaErrorECCUncorrectable, false, true});
    testing::internal::GetCapturedStderr();
    if (o.call.starts_with("cudaStream") && !releases(o.call)) {
      EXPECT_EQ(o.number, 3033) << n << " " << o.call << ": " << o.line;
      EXPECT_NE(o.line.find("hardware fault"), std::string::npos);
    } else if (!releases(o.call)) {
      EXPECT_NE(o.number, 0) << n << ": " << o.call;
    }
  }
}

}  // namespace
}  // namespace sim
