// A fixture that judges a backend, in one element type, against ref in double. It opens the backend
// or skips with the reason; FT_REQUIRE_BACKENDS=cpu,cuda turns that skip into a failure. Inputs are
// drawn by Rng and rounded to the element type before both sides see them. Outputs, workspace and
// aux are poisoned with not-a-number and stand between guard bytes at an address that is a multiple
// of 16 and of no more. Everything runs twice and has to give the same bytes.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "apps/ops/op_cases.h"
#include "tensor/ref/ref.h"

namespace ft::test {

using namespace ops;

// One thing to judge; printed as "cpu_bf16".
struct BackendCase {
  std::string device;  // as parse_device takes it
  DType dtype = DType::f32;
};
std::string name_of(const BackendCase& c);
void PrintTo(const BackendCase& c, std::ostream* out);
// For INSTANTIATE_TEST_SUITE_P.
std::string param_name(const testing::TestParamInfo<BackendCase>& info);
// All cases with the given element types: ref(f32) and what the plugins offer.
std::vector<BackendCase> backend_cases(const std::vector<DType>& dtypes);

// Memory of the backend under test, guarded on both sides. Inputs remember their content, outputs
// their poison; an empty buffer stands for a tensor that nobody wants.
class Buffer {
 public:
  Buffer() = default;
  const Tensor& tensor() const { return view_; }
  operator const Tensor&() const { return view_; }  // NOLINT: passes as the tensor it holds

 private:
  friend class BackendTest;
  std::string name_;
  Tensor block_, view_;
  std::string initial_;  // content of the view before a run
};

class BackendTest : public testing::TestWithParam<BackendCase> {
 protected:
  void SetUp() override;

  Backend& backend() { return *backend_; }
  RefBackend& judge() { return judge_; }
  StreamRef stream() const { return stream_->ref(); }
  DType dtype() const { return GetParam().dtype; }
  DType param_dtype() const { return dtype() == DType::f64 ? DType::f64 : DType::f32; }

  // The layouts in which this backend meets activations of a shape: its image layout for three
  // channels, else the one that its convolutions choose; on cpu, whose plans take them all, the
  // others as well.
  std::vector<TensorSpec> activation_specs(const Shape& shape);
  TensorSpec param_spec(const Shape& shape);

  // --- values: f64, plain, on the host ---
  Tensor host(const Shape& shape);  // filled with not-a-number
  // Normal numbers times scale, other ones at every call, rounded to `dtype` (default: the one
  // judged).
  Tensor draw(const Shape& shape, double scale = 1);
  Tensor draw(const Shape& shape, double scale, DType dtype);
  Tensor fill(const Shape& shape, const std::function<double(int64_t)>& value);

  // --- buffers of the backend under test ---
  Buffer input(const std::string& name, const Tensor& values, const TensorSpec& spec);
  Buffer input_bytes(const std::string& name, const TensorSpec& spec, const void* bytes);
  Buffer output(const std::string& name, const TensorSpec& spec);
  Buffer scratch(const std::string& name, size_t bytes);
  // What the buffer holds now becomes its content before every further run: an output turns into an
  // input.
  void keep(Buffer& buffer);
  std::string bytes_of(const Buffer& buffer);
  // Back to the host, f64 and plain. Fails where the padding of a blocked layout is not zero.
  Tensor values_of(const Buffer& buffer);

  // Runs fn twice from the same start. Fails if the bytes of an output differ, an input or a guard
  // changed. Workspace and aux belong to neither list but to `scratch`.
  void run_twice(const std::function<void()>& fn, std::vector<Buffer*> inputs,
                 std::vector<Buffer*> outputs, std::vector<Buffer*> scratch = {});

  // Every element of `got` against the reference, within tolerance(dtype(), terms).
  void expect_near(const Buffer& got, const Tensor& want, int64_t terms);
  void expect_equal(const Buffer& got, const Tensor& want);

 private:
  void upload(Buffer& buffer);
  void check_guards(const Buffer& buffer);
  Buffer make_buffer(const std::string& name, const TensorSpec& spec);

  RefBackend judge_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Stream> stream_;
  uint64_t draws_ = 0;
};

}  // namespace ft::test
