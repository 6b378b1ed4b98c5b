// Lesson 2: sums over the rows of a matrix (tensor/cuda/bands.cuh, column_sum.cu).
//
// The gradient of a bias is the sum of dy over N,H,W for each channel. In NHWC that is the sum of each column of a matrix
// with a row a pixel: 800,000 rows of 64 columns at batch 256 in the first stage of ResNet-50. Batch-norm's statistics
// have the same shape.
//
// The naive kernel gives a column to a thread. Its loads are good, neighbours read neighbours; but 64 columns are 64
// threads, on a GPU that wants a hundred thousand, and one float adds up 800,000 numbers: the sum stops to grow where the
// next term is smaller than its last digit. The usual cure, many threads that add into one place with atomics, gives
// another order of additions, and so another sum, in every run.
//
// The backend cuts the rows into bands. A block of 32 x 8 threads adds up one band for 32 columns (a load of 32
// neighbours is one transaction), its 8 partial sums meet in shared memory, and a second kernel adds the bands of a
// column, at most 256, in double. No atomics: the order of the additions depends on the shape alone.
#include "bench/kernels/lesson.h"
#include "tensor/cuda/kernels.h"
#include "tensor/cuda/sizes.h"

namespace {

using namespace ft;  // NOLINT

constexpr int64_t kRows = 40'000, kColumns = 40;

std::vector<float> plain_loop(const std::vector<float>& x) {
  std::vector<double> sums(kColumns);
  for (int64_t r = 0; r < kRows; ++r)
    for (int64_t c = 0; c < kColumns; ++c)
      sums[static_cast<size_t>(c)] += static_cast<double>(x[static_cast<size_t>(r * kColumns + c)]);
  return {sums.begin(), sums.end()};
}

__global__ void naive_kernel(const float* x, int64_t rows, int64_t columns, float* sums) {
  const int64_t c = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (c >= columns) return;
  float sum = 0;
  for (int64_t r = 0; r < rows; ++r) sum += x[r * columns + c];
  sums[c] = sum;
}

}  // namespace

int main() {
  lesson::Lesson l("sums of columns");
  auto values = lesson::drawn(kRows * kColumns, 1);
  for (float& v : values) v = 1 + v / 1000;  // all positive: the sum is large and its terms are not
  const auto wanted = plain_loop(values);
  const Tensor x = l.holding({{kRows, kColumns}, DType::f32, Layout::plain}, values);
  const Tensor sums = l.floats(kColumns), naive = l.floats(kColumns);
  const Tensor workspace = l.tensor(
      {{static_cast<int64_t>(cuda::column_sum_bytes(kRows, kColumns))}, DType::u8, Layout::plain});
  const auto run_naive = [&] {
    cuda::launch(l.native(), dim3(1), dim3(64), naive_kernel, x.as<float>(), kRows, kColumns,
                 naive.as<float>());
  };
  const auto run_final = [&] {
    cuda::column_sum(l.native(), DType::f32, x.data(), kRows, kColumns, sums.as<float>(),
                     workspace.data());
  };
  run_naive();
  run_final();
  l.expect_wrong("naive kernel: digits are lost", l.host(naive), wanted, 1e-6);
  l.expect("the backend's kernel", l.host(sums), wanted, 2e-7);
  const auto first = l.host(sums);
  run_final();
  l.expect("the same once more: the same bytes", l.host(sums), first, 0);
  l.time("naive kernel", run_naive);
  l.time("the backend's kernel", run_final);
  return l.status();
}
