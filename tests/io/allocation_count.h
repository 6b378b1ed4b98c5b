// Counts the calls of operator new in a test program, from all threads.
#pragma once

#include <cstdint>

namespace ft::test {

// False in sanitizer builds, which bring an operator new of their own.
bool counts_allocations();
// Calls since the start of the program.
int64_t allocation_count();

}  // namespace ft::test
