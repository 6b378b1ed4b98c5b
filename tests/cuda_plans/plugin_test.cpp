// The plugin opens on a machine with the CUDA libraries and without a driver, and says what is
// missing.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <memory>

#include "tensor/backend.h"

namespace ft::test {
namespace {

MakeBackendFunction* plugin_entry() {
  void* plugin = dlopen(FT_CUDA_PLUGIN, RTLD_NOW | RTLD_LOCAL);
  EXPECT_NE(plugin, nullptr) << dlerror();
  if (plugin == nullptr) return nullptr;
  return reinterpret_cast<MakeBackendFunction*>(dlsym(plugin, "ft_make_backend"));
}

bool has_driver() { return dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL) != nullptr; }

TEST(CudaPlugin, opens_with_every_symbol_bound) { EXPECT_NE(plugin_entry(), nullptr); }

TEST(CudaPlugin, without_a_driver_it_says_so) {
  if (has_driver()) GTEST_SKIP() << "this machine has an NVIDIA driver";
  MakeBackendFunction* make = plugin_entry();
  ASSERT_NE(make, nullptr);
  const BackendOptions options;
  try {
    delete make(0, &options);
    FAIL() << "a backend without a driver";
  } catch (const Error& e) {
    EXPECT_EQ(e.line(),
              "ftrun: error E3001: --device cuda:0: no NVIDIA driver; use --device cpu, or install "
              "the NVIDIA driver");
    EXPECT_EQ(e.status(), ExitStatus::device);
  }
}

TEST(CudaPlugin, auto_takes_the_cpu_and_says_why) {
  if (has_driver()) GTEST_SKIP() << "this machine has an NVIDIA driver";
  const ChosenBackend chosen = choose_backend("auto", {});
  EXPECT_EQ(chosen.backend->device().str(), "cpu");
  EXPECT_NE(chosen.reason.find("no NVIDIA driver"), std::string::npos) << chosen.reason;
}

}  // namespace
}  // namespace ft::test
