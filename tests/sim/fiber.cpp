// Switching stacks. swapcontext would make two system calls, and ASan's version of it clears the shadow of stacks.
#include "tests/sim/fiber.h"

#include <sys/mman.h>

#include "tests/sim/sanitizers.h"

namespace sim {
namespace {

constexpr size_t kStackBytes = size_t{128} << 10;

// Saves the callee-saved registers on the stack and its pointer in *from, goes on at `to`.
extern "C" void sim_switch(void** from, void* to);
asm(R"(
.text
.type sim_switch,@function
sim_switch:
  pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
  ret
.size sim_switch, .-sim_switch
)");

}  // namespace

Fiber::Fiber(void (*main)()) : main_(main), bytes_(kStackBytes), is_scheduler_(false) {
  stack_ = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  prepare();
}

void Fiber::renew() {
  fresh_pages(const_cast<void*>(stack_), kStackBytes);
  prepare();
}

void Fiber::prepare() {
  void** top = static_cast<void**>(const_cast<void*>(stack_)) + kStackBytes / sizeof(void*) -
               3;  // a zero return address above
  *--top = reinterpret_cast<void*>(main_);
  sp_ = top - 6;  // six registers
}

void Fiber::switch_to(Fiber& to) {
  asan_start_switch(&fake_stack_, to.stack_, to.bytes_);
  sim_switch(&sp_, to.sp_);
  if (is_scheduler_)
    asan_finish_switch(fake_stack_, nullptr, nullptr);
  else
    asan_finish_switch(fake_stack_, &to.stack_, &to.bytes_);
}

void Fiber::arrived(Fiber& scheduler) {
  asan_finish_switch(nullptr, &scheduler.stack_, &scheduler.bytes_);
}

}  // namespace sim
