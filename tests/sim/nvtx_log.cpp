// What a profiler does with NVTX: a library that the variable NVTX_INJECTION64_PATH names is opened by NVTX's headers and
// puts its functions in place. This one writes ranges to the file that FT_NVTX_LOG names, "push NAME" and "pop".
#include <nvtx3/nvToolsExt.h>

#include <cstdio>
#include <cstdlib>

namespace {

std::FILE* log_file() {
  static std::FILE* const file = std::fopen(std::getenv("FT_NVTX_LOG"), "w");
  return file;
}

int NVTX_API push(const char* name) {
  std::fprintf(log_file(), "push %s\n", name);
  std::fflush(log_file());
  return 0;
}

int NVTX_API pop() {
  std::fputs("pop\n", log_file());
  std::fflush(log_file());
  return 0;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int InitializeInjectionNvtx2(
    NvtxGetExportTableFunc_t get_export_table) {
  const auto* const callbacks =
      static_cast<const NvtxExportTableCallbacks*>(get_export_table(NVTX_ETID_CALLBACKS));
  NvtxFunctionTable table = nullptr;
  unsigned size = 0;
  if (callbacks == nullptr || log_file() == nullptr ||
      callbacks->GetModuleFunctionTable(NVTX_CB_MODULE_CORE, &table, &size) == 0)
    return 0;
  *table[NVTX_CBID_CORE_RangePushA] = reinterpret_cast<NvtxFunctionPointer>(&push);
  *table[NVTX_CBID_CORE_RangePop] = reinterpret_cast<NvtxFunctionPointer>(&pop);
  return 1;
}
