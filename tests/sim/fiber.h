// Stacks that one OS thread switches between: each unfinished CUDA thread of a block has one. A fiber runs `main` and never
// returns from it; it is resumed by the scheduler and switches back to it. x86-64 only. One thread.
#pragma once

#include <cstddef>

namespace sim {

class Fiber {
 public:
  // The scheduler's own: the stack that the caller is on.
  Fiber() = default;
  // A new stack, on which resume() starts `main`. It is never given back.
  explicit Fiber(void (*main)());

  // Goes on at `to`; returns when something switches back to this one.
  void switch_to(Fiber& to);
  // For a fiber whose `main` will not go on: starts it anew, on pages that nobody has touched.
  void renew();
  // First call on a new fiber: tells ASan that the switch from `scheduler` is done.
  static void arrived(Fiber& scheduler);

 private:
  void prepare();

  void (*main_)() = nullptr;
  void* sp_ = nullptr;
  const void* stack_ = nullptr;
  size_t bytes_ = 0;
  void* fake_stack_ = nullptr;
  bool is_scheduler_ = true;
};

}  // namespace sim
