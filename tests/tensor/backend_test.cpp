// Opening backends: what is there, what is missing, and what the user is told.
#include "tensor/backend.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "tests/support/support.h"

namespace ft {
namespace {

bool has_driver() { return dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL) != nullptr; }

// The folder that holds libft.
std::filesystem::path library_folder() {
  Dl_info info{};
  dladdr(reinterpret_cast<const void*>(&make_backend), &info);
  return std::filesystem::canonical(info.dli_fname).parent_path();
}

// Runs a copy of this program, with `plugin` beside it as libft_cpu.so, up to the test below.
std::string error_with_plugin(const std::filesystem::path& plugin) {
  const test::TempDir folder;
  std::filesystem::copy_file("/proc/self/exe", folder / "probe");
  std::filesystem::copy_file(plugin, folder / "libft_cpu.so");
  const std::string command = "FT_BACKEND_PROBE=1 LD_LIBRARY_PATH='" + library_folder().string() +
                              "' '" + (folder / "probe").string() +
                              "' --gtest_filter=BackendProbe.cpu 2>&1";
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  char buffer[512];
  while (pipe != nullptr && fgets(buffer, sizeof buffer, pipe) != nullptr) text += buffer;
  if (pipe != nullptr) pclose(pipe);
  return text;
}

}  // namespace

TEST(BackendProbe, cpu) {
  if (std::getenv("FT_BACKEND_PROBE") == nullptr)
    GTEST_SKIP() << "runs in the copies that the tests of plugins start";
  try {
    make_backend({Device::Kind::cpu, 0}, {});
    std::puts("opened");
  } catch (const Error& e) {
    std::puts(e.line().c_str());
  }
}

TEST(Backend, ref_is_always_there) {
  const auto backend = make_backend({Device::Kind::ref, 0}, {});
  EXPECT_EQ(backend->device().str(), "ref");
  EXPECT_TRUE(backend->supports(DType::f64));
  EXPECT_FALSE(backend->supports(DType::bf16));
  int runs = 0;
  const auto stream = backend->make_stream();
  const auto replay = backend->capture(stream->ref(), [&] { ++runs; });
  const int before = runs;
  replay();
  EXPECT_EQ(runs, before + 1);
}

TEST(Backend, cuda_without_a_driver_is_an_error_with_a_remedy) {
  if (has_driver()) GTEST_SKIP() << "this machine has an NVIDIA driver";
  try {
    make_backend({Device::Kind::cuda, 0}, {});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.number(), 3001);
    EXPECT_EQ(e.status(), ExitStatus::device);
    EXPECT_NE(e.line().find("no NVIDIA driver"), std::string::npos);
    EXPECT_NE(e.remedy().find("--device cpu"), std::string::npos);
  }
}

TEST(Backend, auto_takes_cpu_and_says_why_and_never_takes_ref) {
  if (has_driver()) GTEST_SKIP() << "this machine has an NVIDIA driver";
  try {
    const ChosenBackend chosen = choose_backend("auto", {});
    EXPECT_EQ(chosen.backend->device().kind, Device::Kind::cpu);
    EXPECT_NE(chosen.reason.find("no NVIDIA driver"), std::string::npos);
  } catch (const Error& e) {
    EXPECT_EQ(e.number(), 3002) << "without the cpu plugin there is nothing to choose";
  }
}

TEST(Backend, unknown_devices_are_refused) {
  for (const char* text : {"gpu", "cuda:", "cuda:-1", "cuda:1x", ""}) {
    try {
      choose_backend(text, {});
      ADD_FAILURE() << text;
    } catch (const Error& e) {
      EXPECT_EQ(e.number(), 2010) << text;
    }
  }
}

TEST(Backend, a_plugin_that_is_no_library_is_named) {
  const test::TempDir folder;
  test::write_file(folder / "garbage", "not a library");
  const std::string text = error_with_plugin(folder / "garbage");
  EXPECT_NE(text.find("error E3003: "), std::string::npos) << text;
  EXPECT_NE(text.find("libft_cpu.so"), std::string::npos) << text;
}

TEST(Backend, a_library_that_is_no_plugin_is_named) {
  const std::string text = error_with_plugin(library_folder() / "libft.so");
  EXPECT_NE(text.find("error E3004: "), std::string::npos) << text;
}

}  // namespace ft
