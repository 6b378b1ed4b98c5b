// The machine: threads, instruction set, memory and order of the CPU backend, and the plugin's
// entry.
#include <fmt/format.h>
#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <cstring>

#include "tensor/cpu/cpu.h"
#include "tensor/cpu/parallel.h"

namespace ft {
namespace {

class CpuStream final : public Stream {
 public:
  StreamRef ref() const override { return StreamRef(nullptr); }
};

bool has(dnnl::cpu_isa wanted) {
  const int mask = static_cast<int>(wanted);
  return (static_cast<int>(dnnl::get_effective_cpu_isa()) & mask) == mask;
}

const char* instruction_set() {
  if (has(dnnl::cpu_isa::avx512_core_amx)) return "AVX-512 with AMX";
  if (has(dnnl::cpu_isa::avx512_core_bf16)) return "AVX-512 with bf16";
  if (has(dnnl::cpu_isa::avx512_core)) return "AVX-512";
  if (has(dnnl::cpu_isa::avx2)) return "AVX2";
  return "slow: no AVX2";
}

// oneDNN is asked too, so that ONEDNN_MAX_CPU_ISA caps the whole backend.
const cpu::Kernels& kernels_of_machine() {
  if (has(dnnl::cpu_isa::avx512_core) && __builtin_cpu_supports("x86-64-v4"))
    return has(dnnl::cpu_isa::avx512_core_bf16) ? cpu::x86_64_v4_bf16::kKernels
                                                : cpu::x86_64_v4::kKernels;
  if (has(dnnl::cpu_isa::avx2) && __builtin_cpu_supports("x86-64-v3"))
    return cpu::x86_64_v3::kKernels;
  return cpu::x86_64::kKernels;
}

int cores_of_process() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return omp_get_num_procs();
  return std::max(1, CPU_COUNT(&set));
}

}  // namespace

CpuBackend::CpuBackend(const BackendOptions& options)
    : threads_(options.threads > 0 ? options.threads : cores_of_process()),
      engine_(dnnl::engine::kind::cpu, 0),
      stream_(engine_),
      kernels_(kernels_of_machine()),
      blocked_(has(dnnl::cpu_isa::avx512_core) ? Layout::nchw16c : Layout::nchw8c),
      packs_(allocator_) {}

std::string CpuBackend::describe() const {
  const dnnl_version_t& v = *dnnl_version();
  return fmt::format("cpu (oneDNN {}.{}.{}, {}, {} thread{})", v.major, v.minor, v.patch,
                     instruction_set(), threads_, threads_ == 1 ? "" : "s");
}

const dnnl::engine& CpuBackend::engine() const {
  if (omp_get_max_threads() != threads_) omp_set_num_threads(threads_);
  return engine_;
}

const dnnl::stream& CpuBackend::stream() const {
  if (omp_get_max_threads() != threads_) omp_set_num_threads(threads_);
  return stream_;
}

std::unique_ptr<Stream> CpuBackend::make_stream() { return std::make_unique<CpuStream>(); }
std::unique_ptr<Event> CpuBackend::make_event() { return std::make_unique<HostEvent>(); }

std::function<void()> CpuBackend::capture(StreamRef, std::function<void()> fn) { return fn; }

void CpuBackend::upload(StreamRef, const void* host, const Tensor& dst) {
  if (dst.bytes() != 0) std::memcpy(dst.data(), host, dst.bytes());
}

void CpuBackend::download(StreamRef, const Tensor& src, void* host) {
  if (src.bytes() != 0) std::memcpy(host, src.data(), src.bytes());
}

bool CpuBackend::supports(DType compute) const {
  return compute == DType::f32 || (compute == DType::bf16 && has(dnnl::cpu_isa::avx512_core_bf16));
}

void CpuBackend::require(DType type, const std::string& op) const {
  if (supports(type)) return;
  throw Error(3021, "cpu",
              fmt::format("this processor does not compute {} in {} (it has {})", op, name_of(type),
                          instruction_set()),
              "use --precision f32");
}

}  // namespace ft

extern "C" ft::Backend* ft_make_backend(int, const ft::BackendOptions* options) {
  return ft::cpu::guard("cpu", [&]() -> ft::Backend* { return new ft::CpuBackend(*options); });
}
