// Runs a check in a child process that has a CUDA driver library, so that cuDNN offers all of its
// engines. The driver is the machine's own where it has one, else the null driver, opened by full
// path in the child alone.
#pragma once

#include <functional>
#include <string>

namespace ft::test {

// What `check` returned in the child; or what became of the child, if it did not come to its end.
std::string in_child_with_driver(const std::function<std::string()>& check);

}  // namespace ft::test
