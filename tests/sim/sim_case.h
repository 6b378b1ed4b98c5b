// What the tests of the simulated device share: a device that collects its reports, streams, events, and memory with a
// pinned host copy.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tensor/cuda/handles.h"
#include "tests/sim/sim.h"

namespace sim {

constexpr uint64_t kSeeds = 40;

// Every test starts from a fresh device in natural order; what is reported is kept until taken.
class SimTest : public testing::Test {
 protected:
  void SetUp() override {
    reset({});
    collect_reports(true);
  }
  void TearDown() override {
    EXPECT_EQ(take_reports(), std::vector<std::string>{});
    reset({});
    collect_reports(false);
  }
  static void seed(uint64_t value) {
    Settings s;
    s.seed = value;
    reset(s);
  }
  // The report that came, and no other.
  static std::string the_report() {
    const auto all = take_reports();
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? "" : all[0];
  }
};

class TestStream {
 public:
  TestStream() { FT_CUDA(cudaStreamCreateWithFlags(stream_.receive(), cudaStreamNonBlocking)); }
  operator cudaStream_t() const { return stream_.get(); }  // NOLINT: passes as the stream
  void wait() const { FT_CUDA(cudaStreamSynchronize(stream_.get())); }

 private:
  ft::cuda::StreamHandle stream_;
};

class TestEvent {
 public:
  explicit TestEvent(unsigned flags = cudaEventDisableTiming) {
    FT_CUDA(cudaEventCreateWithFlags(event_.receive(), flags));
  }
  operator cudaEvent_t() const { return event_.get(); }  // NOLINT: passes as the event

 private:
  ft::cuda::EventHandle event_;
};

// n floats of device memory, and as many on the host.
class Floats {
 public:
  explicit Floats(size_t n) : n_(n) {
    void* block = nullptr;
    FT_CUDA(cudaMalloc(&block, bytes()));
    device_ = static_cast<float*>(block);
    FT_CUDA(cudaHostAlloc(&block, bytes(), cudaHostAllocPortable));
    host_ = static_cast<float*>(block);
    for (size_t i = 0; i < n; ++i) host_[i] = static_cast<float>(i % 7) - 2;
  }
  ~Floats() {
    cudaFree(device_);
    cudaFreeHost(host_);
  }
  Floats(const Floats&) = delete;
  Floats& operator=(const Floats&) = delete;

  float* device() const { return device_; }
  float& operator[](size_t i) const { return host_[i]; }
  size_t bytes() const { return n_ * sizeof(float); }
  void up(cudaStream_t s) const {
    FT_CUDA(cudaMemcpyAsync(device_, host_, bytes(), cudaMemcpyHostToDevice, s));
  }
  void down(cudaStream_t s) const {
    FT_CUDA(cudaMemcpyAsync(host_, device_, bytes(), cudaMemcpyDeviceToHost, s));
  }

 private:
  size_t n_;
  float *device_ = nullptr, *host_ = nullptr;
};

}  // namespace sim
