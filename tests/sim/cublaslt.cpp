// Stand-in for the functions of cuBLASLt that the backend uses: the same C symbols, linked in its place. Matrices are
// column-major. Sums are in double and rounded once; under TF32 the inputs are rounded first.
#include <cublasLt.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "tests/sim/device.h"
#include "tests/sim/loops.h"

using sim::Call;
using sim::Element;

struct cublasLtContext {};

namespace {

constexpr size_t kWorkspaceBytes = 3000;
constexpr uint64_t kAlgorithm = 0x51d;

struct Matrix {
  cudaDataType_t type;
  int64_t rows, columns, leading;
  size_t bytes() const {
    const size_t element = type == CUDA_R_32F ? 4 : 2;
    return static_cast<size_t>(leading * (columns - 1) + rows) * element;
  }
};

// Attributes by number; every one is 4 or 8 bytes.
using Attributes = std::map<int, uint64_t>;

struct Product {
  cublasComputeType_t compute;
  cudaDataType_t scale;
  Attributes attributes;
  uint64_t get(cublasLtMatmulDescAttributes_t name, uint64_t otherwise) const {
    const auto at = attributes.find(name);
    return at == attributes.end() ? otherwise : at->second;
  }
  bool transposed(cublasLtMatmulDescAttributes_t name) const {
    return get(name, CUBLAS_OP_N) == CUBLAS_OP_T;
  }
  bool has_bias() const {
    const auto e = get(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_DEFAULT);
    return e == CUBLASLT_EPILOGUE_BIAS || e == CUBLASLT_EPILOGUE_RELU_BIAS;
  }
  bool has_relu() const {
    const auto e = get(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_DEFAULT);
    return e == CUBLASLT_EPILOGUE_RELU || e == CUBLASLT_EPILOGUE_RELU_BIAS;
  }
};

cublasStatus_t refused(const std::string& why) {
  sim::report("cuBLASLt: " + why);
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t status_of(const Call& call) {
  if (call.injected() != 0) return static_cast<cublasStatus_t>(call.injected());
  return call.error() == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

// The opaque types of the header stand for these.
template <class Mine, class Theirs>
Mine& mine(Theirs* handle) {
  return *reinterpret_cast<Mine*>(handle);
}
template <class Theirs, class Mine>
cublasStatus_t created(Theirs* to, Mine value) {
  auto* const made = new Mine(std::move(value));
  sim::add_handle(made);
  *to = reinterpret_cast<Theirs>(made);
  return CUBLAS_STATUS_SUCCESS;
}
template <class Mine, class Theirs>
cublasStatus_t destroyed(const Call& call, Theirs handle) {
  if (!sim::remove_handle(handle)) return CUBLAS_STATUS_INVALID_VALUE;
  delete reinterpret_cast<Mine*>(handle);
  return status_of(call);
}

cublasStatus_t set(Attributes& attributes, int name, const void* value, size_t bytes) {
  if (value == nullptr || (bytes != 4 && bytes != 8)) return refused("an attribute of odd size");
  uint64_t& kept = attributes[name] = 0;
  std::memcpy(&kept, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

bool known(cudaDataType_t type) { return type == CUDA_R_32F || type == CUDA_R_16BF; }

Element element_of(cudaDataType_t type) {
  return type == CUDA_R_32F ? Element::f32 : Element::bf16;
}

// Empty, or what does not fit together.
std::string problem(const Product& p, const Matrix& a, const Matrix& b, const Matrix& d) {
  const bool ta = p.transposed(CUBLASLT_MATMUL_DESC_TRANSA),
             tb = p.transposed(CUBLASLT_MATMUL_DESC_TRANSB);
  const int64_t m = ta ? a.columns : a.rows, k = ta ? a.rows : a.columns;
  if ((tb ? b.columns : b.rows) != k || (tb ? b.rows : b.columns) != d.columns || d.rows != m)
    return "the extents do not fit";
  for (const Matrix* x : {&a, &b, &d})
    if (x->rows < 1 || x->columns < 1 || x->leading < x->rows || !known(x->type))
      return "a matrix is empty, overlaps itself or has another type";
  const bool tf32 = p.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
  if ((p.compute != CUBLAS_COMPUTE_32F && !tf32) || p.scale != CUDA_R_32F)
    return "a compute type that is not simulated";
  if (a.type != b.type || (a.type == CUDA_R_32F && d.type != CUDA_R_32F))
    return "a combination of types that cuBLASLt does not have";
  if (p.has_bias() && p.get(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, d.type) != d.type)
    return "the bias has another type than D";
  return {};
}

// Row i of op(X) for i in [first, end), k values each, side by side.
void gather(const Matrix& x, const void* data, bool rows_contiguous, int64_t first, int64_t end,
            int64_t k, bool tf32, double* to) {
  const auto put = [&](int64_t i, int64_t j) {
    const int64_t at = rows_contiguous ? i * x.leading + j : j * x.leading + i;
    const double v = sim::load(element_of(x.type), data, at);
    to[(i - first) * k + j] = tf32 ? sim::to_tf32(v) : v;
  };
  if (rows_contiguous) {
    for (int64_t i = first; i < end; ++i)
      for (int64_t j = 0; j < k; ++j) put(i, j);
  } else {
    for (int64_t j = 0; j < k; ++j)
      for (int64_t i = first; i < end; ++i) put(i, j);
  }
}

double dot(const double* a, const double* b, int64_t count) {
  double sum[4] = {};
  int64_t i = 0;
  for (; i + 4 <= count; i += 4)
    for (int64_t l = 0; l < 4; ++l) sum[l] += a[i + l] * b[i + l];
  for (; i < count; ++i) sum[0] += a[i] * b[i];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// One product with its operands, as it stood when it was queued.
struct Work {
  Product p;
  Matrix a, b, d;
  const void *a_data, *b_data, *bias;
  void *d_data, *workspace;

  void operator()() const {
    std::memset(workspace, 0xff, kWorkspaceBytes);
    sim::tsan_read(a_data, a.bytes());
    sim::tsan_read(b_data, b.bytes());
    if (p.has_bias())
      sim::tsan_read(bias, static_cast<size_t>(d.rows) * sim::bytes_of(element_of(d.type)));
    sim::tsan_write(d_data, d.bytes());
    const bool ta = p.transposed(CUBLASLT_MATMUL_DESC_TRANSA),
               tb = p.transposed(CUBLASLT_MATMUL_DESC_TRANSB);
    const bool tf32 = p.compute == CUBLAS_COMPUTE_32F_FAST_TF32 && a.type == CUDA_R_32F;
    const int64_t m = d.rows, n = d.columns, k = ta ? a.rows : a.columns;
    constexpr int64_t kBand = 64;
    sim::Values columns(static_cast<size_t>(n * k)), rows(static_cast<size_t>(kBand * k));
    gather(b, b_data, !tb, 0, n, k, tf32, columns.data());
    for (int64_t first = 0; first < m; first += kBand) {
      const int64_t end = std::min(first + kBand, m);
      gather(a, a_data, ta, first, end, k, tf32, rows.data());
      for (int64_t j = 0; j < n; ++j)
        for (int64_t i = first; i < end; ++i)
          put(i, j,
              dot(&rows[static_cast<size_t>((i - first) * k)], &columns[static_cast<size_t>(j * k)],
                  k));
    }
  }
  void put(int64_t i, int64_t j, double v) const {
    if (p.has_bias()) v += sim::load(element_of(d.type), bias, i);
    if (p.has_relu()) v = v <= 0 ? 0 : v;
    sim::store(element_of(d.type), d_data, j * d.leading + i, v);
  }
};

bool overlap(const void* a, size_t a_bytes, const void* b, size_t b_bytes) {
  const auto *x = static_cast<const char*>(a), *y = static_cast<const char*>(b);
  return x < y + b_bytes && y < x + a_bytes;
}

// Empty, or what is wrong with the memory.
std::string problem(const Work& w) {
  const size_t bias_bytes =
      w.p.has_bias() ? static_cast<size_t>(w.d.rows) * sim::bytes_of(element_of(w.d.type)) : 0;
  const struct {
    const void* data;
    size_t bytes;
  } parts[] = {{w.a_data, w.a.bytes()},
               {w.b_data, w.b.bytes()},
               {w.bias, bias_bytes},
               {w.workspace, kWorkspaceBytes}};
  if (sim::device_bytes_at(w.d_data) < w.d.bytes()) return "D is no device memory of that size";
  for (const auto& part : parts) {
    if (part.bytes == 0) continue;
    if (sim::device_bytes_at(part.data) < part.bytes)
      return "an operand or the workspace is no device memory of that size";
    if (reinterpret_cast<uintptr_t>(part.data) % 16 != 0)
      return "an operand or the workspace is not aligned as promised";
    if (overlap(part.data, part.bytes, w.d_data, w.d.bytes())) return "D lies in an operand";
  }
  return {};
}

}  // namespace

size_t cublasLtGetVersion() {
  const int64_t version = sim::settings().cublas;
  return version < 0 ? CUBLAS_VERSION : static_cast<size_t>(version);
}

const char* cublasLtGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    default:
      return "another cublasStatus";
  }
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  const Call call(__func__);
  if (status_of(call) != CUBLAS_STATUS_SUCCESS) return status_of(call);
  return created(handle, cublasLtContext{});
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  const Call call(__func__);
  return destroyed<cublasLtContext>(call, handle);
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* product, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
  const Call call(__func__);
  if (status_of(call) != CUBLAS_STATUS_SUCCESS) return status_of(call);
  return created(product, Product{compute, scale, {}});
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t product) {
  const Call call(__func__);
  return destroyed<Product>(call, product);
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t product,
                                              cublasLtMatmulDescAttributes_t name,
                                              const void* value, size_t bytes) {
  const Call call(__func__);
  if (status_of(call) != CUBLAS_STATUS_SUCCESS) return status_of(call);
  if (!sim::is_handle(product)) return refused("no such product");
  return set(mine<Product>(product).attributes, name, value, bytes);
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* matrix, cudaDataType type,
                                          uint64_t rows, uint64_t columns, int64_t leading) {
  const Call call(__func__);
  if (status_of(call) != CUBLAS_STATUS_SUCCESS) return status_of(call);
  return created(matrix,
                 Matrix{type, static_cast<int64_t>(rows), static_cast<int64_t>(columns), leading});
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t matrix) {
  const Call call(__func__);
  return destroyed<Matrix>(call, matrix);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  const Call call(__func__);
  if (status_of(call) != CUBLAS_STATUS_SUCCESS) return status_of(call);
  return created(preference, Attributes{});
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  const Call call(__func__);
  return destroyed<Attributes>(call, preference);
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t name,
                                                    const void* value, size_t bytes) {
  const Call call(__func__);
  if (status_of(call) != CUBLAS_STATUS_SUCCESS) return status_of(call);
  return set(mine<Attributes>(preference), name, value, bytes);
}

// Wants to be told what the backend's rules are: the room for the workspace, how sums may be split, alignments.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t product,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int room,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int* found) {
  const Call call(__func__);
  if (status_of(call) != CUBLAS_STATUS_SUCCESS) return status_of(call);
  if (!sim::is_handle(handle)) return refused("no such handle");
  const auto& rules = mine<Attributes>(preference);
  for (int name :
       {CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    if (!rules.contains(name)) return refused("preference " + std::to_string(name) + " is missing");
  const std::string why =
      problem(mine<Product>(product), mine<Matrix>(a), mine<Matrix>(b), mine<Matrix>(d));
  if (!why.empty() || c != d || room < 1) return refused("heuristics: " + why);
  results[0] = {};
  results[0].algo.data[0] = kAlgorithm;
  results[0].workspaceSize = kWorkspaceBytes;
  *found = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t* algorithm,
                                                    cublasLtMatmulAlgoConfigAttributes_t,
                                                    void* value, size_t bytes, size_t* written) {
  const Call call(__func__);
  if (status_of(call) != CUBLAS_STATUS_SUCCESS) return status_of(call);
  if (algorithm->data[0] != kAlgorithm || bytes != 4) return refused("no algorithm of these");
  const int id = 1;
  std::memcpy(value, &id, *written = bytes);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t product,
                              const void* alpha, const void* a, cublasLtMatrixLayout_t a_matrix,
                              const void* b, cublasLtMatrixLayout_t b_matrix, const void* beta,
                              const void* c, cublasLtMatrixLayout_t c_matrix, void* d,
                              cublasLtMatrixLayout_t d_matrix,
                              const cublasLtMatmulAlgo_t* algorithm, void* workspace,
                              size_t workspace_bytes, cudaStream_t stream) {
  const Call call(__func__);
  if (status_of(call) != CUBLAS_STATUS_SUCCESS) return status_of(call);
  if (!sim::is_handle(handle) || !sim::is_handle(product)) return refused("no such handle");
  if (*static_cast<const float*>(alpha) != 1 || *static_cast<const float*>(beta) != 0 || c != d ||
      c_matrix != d_matrix)
    return refused("alpha 1 and beta 0");
  if (algorithm == nullptr || algorithm->data[0] != kAlgorithm || workspace_bytes < kWorkspaceBytes)
    return refused("not the algorithm that was chosen, or too little workspace");
  Work work{mine<Product>(product),
            mine<Matrix>(a_matrix),
            mine<Matrix>(b_matrix),
            mine<Matrix>(d_matrix),
            a,
            b,
            nullptr,
            d,
            workspace};
  if (work.p.has_bias())
    work.bias = reinterpret_cast<const void*>(work.p.get(CUBLASLT_MATMUL_DESC_BIAS_POINTER, 0));
  std::string why = problem(work.p, work.a, work.b, work.d);
  if (why.empty()) why = problem(work);
  if (!why.empty()) return refused(why);
  return sim::enqueue(stream, "cuBLASLt product", work) == cudaSuccess
             ? CUBLAS_STATUS_SUCCESS
             : CUBLAS_STATUS_EXECUTION_FAILED;
}
