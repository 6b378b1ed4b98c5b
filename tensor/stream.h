// Order of execution. A Stream runs its work in the order given; StreamRef is the handle that is passed
// down, explicitly and always first: no function has a default stream. Events order streams among
// each other. On ref and cpu all work is done when the call returns, and these are empty shells.
// A Stream outlives every StreamRef made from it.
#pragma once

#include <chrono>

namespace ft {

class StreamRef {
 public:
  explicit StreamRef(void* native) : native_(native) {}
  StreamRef(int) = delete;
  void* native() const { return native_; }  // cudaStream_t on CUDA

 private:
  void* native_;
};

class Stream {
 public:
  virtual ~Stream() = default;
  virtual StreamRef ref() const = 0;
};

class Event {
 public:
  virtual ~Event() = default;
};

// The event of a backend whose work is done when a call returns: a moment of the host's clock.
class HostEvent final : public Event {
 public:
  void record() { time_ = std::chrono::steady_clock::now(); }
  double seconds_since(const HostEvent& begin) const {
    return std::chrono::duration<double>(time_ - begin.time_).count();
  }

 private:
  std::chrono::steady_clock::time_point time_;
};

}  // namespace ft
