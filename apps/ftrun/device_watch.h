// Ends a run whose device gives no results any more. What such a device was asked for cannot be called off, and a call
// to it may never return: the process ends at once, with Error 3035, and touches neither the device nor the files of the
// run again. A thread of this object looks at the clock; one other thread tells it what it waits for.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace ft::app {

class DeviceWatch {
 public:
  // `device` as the message names it. Any single result may take `limit_s` seconds.
  DeviceWatch(std::string device, double limit_s);
  DeviceWatch(const DeviceWatch&) = delete;
  DeviceWatch& operator=(const DeviceWatch&) = delete;

  // From now on the caller waits for this: "step 12".
  void expect(std::string what);
  // It came.
  void came();

 private:
  using Clock = std::chrono::steady_clock;
  void look(const std::stop_token& stop);
  [[noreturn]] void end_process() const;

  const std::string device_;
  const double limit_s_;
  std::mutex mutex_;
  std::condition_variable_any never_;  // to sleep on, and be woken by the end
  std::string what_;                   // empty: nothing
  Clock::time_point since_;
  std::jthread thread_;  // last: it ends before anything else does
};

}  // namespace ft::app
