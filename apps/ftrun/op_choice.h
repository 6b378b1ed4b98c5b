// Which ops the flags of `ftrun bench --op` name: cases of the table, the products of a network, or one op of a shape.
#pragma once

#include <string>
#include <vector>

#include "apps/ftrun/options.h"
#include "apps/ops/op_cases.h"

namespace ft::app {

// "conv2d", "matmul", ...: the first words of the table's names, in its order.
std::vector<std::string> op_names();

// Never empty. Throws Error 2003 naming the flag; 24xx where a shape does not fit its window.
std::vector<ops::OpCase> chosen_ops(const OpOptions& options, const StepOptions& step);

}  // namespace ft::app
