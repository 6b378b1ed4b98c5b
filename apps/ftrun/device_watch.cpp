// A thread that looks at the clock.
#include "apps/ftrun/device_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "tensor/error.h"

namespace ft::app {

DeviceWatch::DeviceWatch(std::string device, double limit_s)
    : device_(std::move(device)),
      limit_s_(limit_s),
      thread_([this](const std::stop_token& stop) { look(stop); }) {}

void DeviceWatch::expect(std::string what) {
  const std::lock_guard lock(mutex_);
  what_ = std::move(what);
  since_ = Clock::now();
}

void DeviceWatch::came() {
  const std::lock_guard lock(mutex_);
  what_.clear();
}

void DeviceWatch::look(const std::stop_token& stop) {
  const std::chrono::duration<double> limit(limit_s_);
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    never_.wait_for(lock, stop, std::min(limit / 10, std::chrono::duration<double>(1)),
                    [] { return false; });
    if (!what_.empty() && Clock::now() - since_ > limit) end_process();
  }
}

void DeviceWatch::end_process() const {
  const Error error(3035, "--device " + device_,
                    fmt::format("{} gave no result within {:g} s", what_, limit_s_),
                    "look at the GPU with nvidia-smi, choose another one, or give it longer with "
                    "--device-timeout");
  std::fprintf(stderr, "%s\n", error.line().c_str());
  std::_Exit(static_cast<int>(error.status()));
}

}  // namespace ft::app
