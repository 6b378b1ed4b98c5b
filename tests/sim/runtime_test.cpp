// Streams, events, graphs and memory of the simulated device: what the program states is obeyed in every order, what it
// forgets is found.
#include <cstdlib>

#include "tests/sim/bugs.h"
#include "tests/sim/sim_case.h"

namespace sim {
namespace {

// Upload on one stream, work on another: a loader and a trainer in small.
struct Mistakes {
  bool no_wait = false;      // for the upload
  bool early_read = false;   // of the result, before the stream was waited for
  bool early_write = false;  // into the pinned buffer that is being read
};

float two_streams(uint64_t seed, const Mistakes& mistakes) {
  Settings settings;
  settings.seed = seed;
  reset(settings);
  const TestStream copy, compute;
  const TestEvent uploaded;
  const Floats x(128), sum(1);
  for (size_t i = 0; i < 128; ++i) x[i] = 1;
  sum[0] = 0;
  x.up(copy);
  FT_CUDA(cudaEventRecord(uploaded, copy));
  if (mistakes.early_write) x[0] = 7;
  if (!mistakes.no_wait) FT_CUDA(cudaStreamWaitEvent(compute, uploaded, 0));
  run_bug(Bug::none, compute, x.device(), sum.device(), 1);
  sum.down(compute);
  if (!mistakes.early_read) compute.wait();
  const float read = sum[0];
  compute.wait();
  copy.wait();
  return read;
}

int wrong_orders(const Mistakes& mistakes) {
  int wrong = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) wrong += two_streams(seed, mistakes) != 128;
  return wrong;
}

class RuntimeTest : public SimTest {};

TEST_F(RuntimeTest, what_is_stated_is_obeyed_in_every_order) {
  EXPECT_EQ(two_streams(0, {}), 128);
  EXPECT_EQ(wrong_orders({}), 0);
}

TEST_F(RuntimeTest, a_missing_wait_for_an_event_gives_wrong_sums) {
  EXPECT_GE(wrong_orders({.no_wait = true}), 10);
}

TEST_F(RuntimeTest, a_host_that_reads_or_refills_too_early_gets_wrong_sums) {
  EXPECT_EQ(wrong_orders({.early_read = true}), kSeeds);
  EXPECT_EQ(wrong_orders({.early_write = true}), kSeeds);
}

TEST_F(RuntimeTest, a_replayed_graph_reads_device_memory_and_keeps_its_arguments) {
  for (uint64_t i = 1; i <= kSeeds; ++i) {
    seed(i);
    const TestStream s, side;
    const TestEvent fork, joined;
    const Floats a(1), b(1), step(1);
    a[0] = b[0] = 0;
    step[0] = 1;
    for (const Floats* f : {&a, &b, &step}) f->up(s);
    s.wait();
    float factor = 1;
    FT_CUDA(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
    FT_CUDA(cudaEventRecord(fork, s));
    FT_CUDA(cudaStreamWaitEvent(side, fork, 0));
    add_scaled(side, b.device(), step.device(), 10);
    add_scaled(s, a.device(), step.device(), factor);
    FT_CUDA(cudaEventRecord(joined, side));
    FT_CUDA(cudaStreamWaitEvent(s, joined, 0));
    ft::cuda::GraphHandle graph;
    ft::cuda::GraphExecHandle exec;
    FT_CUDA(cudaStreamEndCapture(s, graph.receive()));
    FT_CUDA(cudaGraphInstantiate(exec.receive(), graph.get(), 0));
    factor = 100;  // too late: arguments were copied
    FT_CUDA(cudaGraphLaunch(exec.get(), s));
    s.wait();
    step[0] = 5;
    step.up(s);
    for (int k = 0; k < 2; ++k) FT_CUDA(cudaGraphLaunch(exec.get(), s));
    a.down(s);
    b.down(s);
    s.wait();
    EXPECT_EQ(a[0], 11);
    EXPECT_EQ(b[0], 110);
  }
}

TEST_F(RuntimeTest, a_capture_that_waits_or_is_not_joined_is_refused) {
  const TestStream s, side;
  const TestEvent fork;
  const Floats a(1);
  cudaGraph_t graph = nullptr;
  FT_CUDA(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
  EXPECT_EQ(cudaStreamSynchronize(s), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(the_report(), "cudaStreamSynchronize is not allowed while a stream is captured");
  EXPECT_EQ(cudaStreamEndCapture(s, &graph), cudaErrorStreamCaptureInvalidated);
  FT_CUDA(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
  void* block = nullptr;
  EXPECT_EQ(cudaMalloc(&block, 4), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(the_report(), "cudaMalloc is not allowed while a stream is captured");
  EXPECT_EQ(cudaStreamEndCapture(s, &graph), cudaErrorStreamCaptureInvalidated);
  FT_CUDA(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
  FT_CUDA(cudaEventRecord(fork, s));
  FT_CUDA(cudaStreamWaitEvent(side, fork, 0));
  add_scaled(side, a.device(), a.device(), 1);
  EXPECT_EQ(cudaStreamEndCapture(s, &graph), cudaErrorStreamCaptureUnjoined);
  EXPECT_EQ(the_report(), "a captured stream was not joined");
}

TEST_F(RuntimeTest, memory_has_a_limit_and_calls_fail_where_asked) {
  Settings s;
  s.memory_bytes = 4500;
  reset(s);
  void *a = nullptr, *b = nullptr;
  EXPECT_EQ(cudaMalloc(&a, 3000), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&b, 3000), cudaErrorMemoryAllocation);
  size_t free = 0, total = 0;
  FT_CUDA(cudaMemGetInfo(&free, &total));
  EXPECT_EQ(free, 1500u);
  EXPECT_EQ(cudaFree(a), cudaSuccess);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);

  reset(settings_from("fail=cudaMalloc:2:2"));
  EXPECT_EQ(cudaMalloc(&a, 4), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&b, 4), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMalloc(&b, 4), cudaSuccess);
  reset(settings_from("fail=cudaMalloc:2:2:for_ever"));
  EXPECT_EQ(cudaMalloc(&a, 4), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&b, 4), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMalloc(&b, 4), cudaErrorMemoryAllocation);
  reset(settings_from("fail=cudaMemGetInfo:1:700:sticky"));
  EXPECT_EQ(cudaMemGetInfo(&free, &total), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaSetDevice(0), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
}

TEST_F(RuntimeTest, device_memory_is_not_the_hosts_and_host_memory_not_the_devices) {
  const Floats x(4);
  const auto read = [&] {
    static_cast<void>(*static_cast<volatile const float*>(x.device()));
    std::_Exit(0);  // not reached
  };
  EXPECT_DEATH(read(), "");

  const TestStream s;
  const float pageable = 0;
  EXPECT_ANY_THROW(add_scaled(s, x.device(), &pageable, 1));
  EXPECT_NE(the_report().find("a pointer argument is not device memory"), std::string::npos);
  EXPECT_EQ(cudaMemcpyAsync(x.device(), x.device() + 1, 16, cudaMemcpyDeviceToDevice, s),
            cudaErrorInvalidValue);
  EXPECT_NE(the_report().find("more than the memory holds"), std::string::npos);
}

TEST_F(RuntimeTest, copies_of_pageable_memory_are_done_when_the_call_returns) {
  const TestStream s;
  const Floats x(3);
  std::vector<float> from{1, 2, 3}, to(3);
  FT_CUDA(cudaMemcpyAsync(x.device(), from.data(), x.bytes(), cudaMemcpyHostToDevice, s));
  from[0] = 9;
  FT_CUDA(cudaMemcpyAsync(to.data(), x.device(), x.bytes(), cudaMemcpyDeviceToHost, s));
  EXPECT_EQ(to, std::vector<float>({1, 2, 3}));
  EXPECT_EQ(counts()["copies of pageable memory"], 2);
}

TEST_F(RuntimeTest, timers_alone_carry_a_time) {
  const TestStream s;
  const TestEvent plain, begin(cudaEventDefault), end(cudaEventDefault);
  float ms = -1;
  for (const TestEvent* e : {&begin, &plain, &end}) FT_CUDA(cudaEventRecord(*e, s));
  EXPECT_EQ(cudaEventElapsedTime(&ms, begin, end), cudaErrorNotReady);
  s.wait();
  FT_CUDA(cudaEventElapsedTime(&ms, begin, end));
  EXPECT_GE(ms, 0);
  EXPECT_EQ(cudaEventElapsedTime(&ms, begin, plain), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(take_reports().size(), 1u);
}

}  // namespace
}  // namespace sim
