// The fully connected layer on cuBLASLt. Rows of x, y and w are the columns of BLAS, so that y^T = w x^T, dx^T = w^T
// dy^T and dw^T = x^T dy.
//
// A sample of a 4-D x is read in the order C,H,W. Where it lies as H,W,C it is x that is reordered, not w: x and dx
// are smaller (AlexNet's fc6 at batch 256: 9 MB in f32 against 151 MB of w, whose copy would be remade and whose
// gradient would be permuted back in every step).
#include "tensor/ops/matmul.h"

#include <algorithm>
#include <optional>

#include "tensor/cuda/cuda.h"
#include "tensor/cuda/kernels.h"
#include "tensor/cuda/lt_product.h"
#include "tensor/cuda/sizes.h"

namespace ft::cuda {
namespace {

class CudaMatmul final : public MatmulPlan {
 public:
  CudaMatmul(CudaBackend& backend, const MatmulSpec& spec);

  const TensorSpec& y_spec() const override { return y_; }
  size_t workspace_bytes() const override { return std::ranges::max(workspace_bytes_); }
  size_t pass_workspace(PassKind pass) const override {
    return workspace_bytes_[static_cast<size_t>(pass)];
  }
  size_t kept_bytes() const override;
  std::string describe(PassKind pass) const override;

  void forward(StreamRef s, const Tensor& x, const Weights& weights, const Tensor& y,
               const Tensor& workspace) override;
  void backward_data(StreamRef s, const Tensor& dy, const Weights& weights, const Tensor& dx,
                     const Tensor& workspace) override;
  void backward_weights(StreamRef s, const Tensor& x, const Tensor& dy, const Tensor& dw,
                        const Tensor& db, const Tensor& workspace) override;

 private:
  std::optional<LtProduct>& product(PassKind pass) { return products_[static_cast<size_t>(pass)]; }
  void run(StreamRef s, PassKind pass, const void* a, const void* b, const void* bias, void* d,
           Scratch& scratch);
  // The elements of `t` in the form `wanted`: its own memory where it has that form, else a copy in `scratch`.
  void* in_form(cudaStream_t s, const Tensor& t, const TensorSpec& wanted, Scratch& scratch) const;

  CudaBackend& backend_;
  const MatmulSpec spec_;
  TensorSpec y_, x_plain_, dy_plain_, w_, b_;  // as the products read and write them
  std::optional<LtProduct> products_[3];
  WeightReader w_reader_, b_reader_;
  std::array<size_t, 3> workspace_bytes_{};  // of the passes
};

CudaMatmul::CudaMatmul(CudaBackend& backend, const MatmulSpec& spec)
    : backend_(backend),
      spec_(spec),
      y_{spec.y_shape(), spec.y_dtype, Layout::plain},
      x_plain_{spec.x.shape, spec.x.dtype, Layout::plain},
      dy_plain_{y_.shape, spec.x.dtype, Layout::plain},
      w_{spec.weight_shape(), spec.x.dtype, Layout::plain},
      b_{{spec.out}, spec.y_dtype, Layout::plain},
      w_reader_(backend.copies(), w_, spec.passes.backward_weights),
      b_reader_(backend.copies(), b_, spec.passes.backward_weights) {
  backend.require(spec.x.dtype, "matmul");
  const int64_t N = spec.x.shape.n(), I = spec.in(), O = spec.out;
  const bool tf32 = spec.numerics.tf32;
  const auto prepare = [&](PassKind pass, const ProductSpec& p, size_t copy, size_t other = 0) {
    product(pass).emplace(backend.cublas(), p);
    workspace_bytes_[static_cast<size_t>(pass)] =
        scratch_bytes({copy, other, product(pass)->workspace_bytes()});
  };
  const DType type = spec.x.dtype;
  const size_t x_copy = form_bytes(spec.x, x_plain_), dy_copy = form_bytes(y_, dy_plain_);
  prepare(PassKind::forward, {O, N, I, true, false, type, spec.y_dtype, spec.bias, spec.relu, tf32},
          x_copy);
  if (spec.passes.backward_data)
    prepare(PassKind::backward_data, {I, N, O, false, false, type, type, false, false, tf32},
            dy_copy, x_copy);
  if (!spec.passes.backward_weights) return;
  prepare(PassKind::backward_weights, {I, O, N, false, true, type, DType::f32, false, false, tf32},
          x_copy, dy_copy);
  size_t& with_bias = workspace_bytes_[static_cast<size_t>(PassKind::backward_weights)];
  with_bias = std::max(with_bias, column_sum_bytes(N, O));
}

void* CudaMatmul::in_form(cudaStream_t s, const Tensor& t, const TensorSpec& wanted,
                          Scratch& scratch) const {
  const size_t bytes = form_bytes(t.spec(), wanted);
  if (bytes == 0) return t.data();
  const Tensor copy(wanted, scratch.take(bytes));
  convert(s, t, copy);
  return copy.data();
}

size_t CudaMatmul::kept_bytes() const {
  return w_reader_.copy_bytes(Layout::plain) +
         (spec_.bias ? b_reader_.copy_bytes(Layout::plain) : 0);
}

std::string CudaMatmul::describe(PassKind pass) const {
  const auto& product = products_[static_cast<size_t>(pass)];
  return product ? product->describe() : "none";
}

void CudaMatmul::run(StreamRef s, PassKind pass, const void* a, const void* b, const void* bias,
                     void* d, Scratch& scratch) {
  FT_CHECK(product(pass).has_value(),
           "a matrix product runs a pass that its plan was not made for");
  product(pass)->run(backend_.cublas(), backend_.enter(s), a, b, bias, d,
                     scratch.take(product(pass)->workspace_bytes()));
}

void CudaMatmul::forward(StreamRef s, const Tensor& x, const Weights& weights, const Tensor& y,
                         const Tensor& workspace) {
  FT_CHECK(x.spec() == spec_.x && y.spec() == y_,
           "matmul runs on other tensors than it was planned for");
  const cudaStream_t stream = backend_.enter(s);
  const uint64_t capture = backend_.capture_number();
  Scratch scratch(workspace);
  const void* w = w_reader_.get(stream, weights.w, weights.version, capture);
  const void* b = spec_.bias ? b_reader_.get(stream, weights.b, weights.version, capture) : nullptr;
  run(s, PassKind::forward, w, in_form(stream, x, x_plain_, scratch), b, y.data(), scratch);
}

void CudaMatmul::backward_data(StreamRef s, const Tensor& dy, const Weights& weights,
                               const Tensor& dx, const Tensor& workspace) {
  FT_CHECK(dy.spec() == y_ && dx.spec() == spec_.x,
           "matmul runs on other tensors than it was planned for");
  const cudaStream_t stream = backend_.enter(s);
  Scratch scratch(workspace);
  const void* w = w_reader_.get(stream, weights.w, weights.version, backend_.capture_number());
  const void* dy_data = in_form(stream, dy, dy_plain_, scratch);
  const size_t bytes = form_bytes(spec_.x, x_plain_);
  const Tensor made(x_plain_, bytes == 0 ? dx.data() : scratch.take(bytes));
  run(s, PassKind::backward_data, w, dy_data, nullptr, made.data(), scratch);
  if (bytes != 0) convert(stream, made, dx);
}

void CudaMatmul::backward_weights(StreamRef s, const Tensor& x, const Tensor& dy, const Tensor& dw,
                                  const Tensor& db, const Tensor& workspace) {
  FT_CHECK(x.spec() == spec_.x && dy.spec() == y_,
           "matmul runs on other tensors than it was planned for");
  const cudaStream_t stream = backend_.enter(s);
  if (!db.empty())
    column_sum(stream, y_.dtype, dy.data(), y_.shape.n(), spec_.out, db.as<float>(),
               workspace.data());
  if (dw.empty()) return;
  Scratch scratch(workspace);
  const void* x_data = in_form(stream, x, x_plain_, scratch);
  const void* dy_data = in_form(stream, dy, dy_plain_, scratch);
  run(s, PassKind::backward_weights, x_data, dy_data, nullptr, dw.as<float>(), scratch);
}

}  // namespace

std::unique_ptr<MatmulPlan> CudaBackend::make_matmul(const MatmulSpec& spec) {
  activate();
  return std::make_unique<CudaMatmul>(*this, spec);
}

}  // namespace ft::cuda
