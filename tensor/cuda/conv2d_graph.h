// The cuDNN plans of a convolution, one a pass. The backend asks for them with a handle, tests and forecasts with the
// description of a GPU: one code for both, so that what is proven without a GPU is what runs on one.
#pragma once

#include <string>

#include "tensor/cuda/cudnn_graph.h"
#include "tensor/ops/conv2d.h"

namespace ft::cuda {

// Channels of x in memory: 8 where a 16-bit image is padded (layout nchw8c, at most 8 channels), else C. FT_CHECKs
// that x is NHWC or such an image.
int64_t memory_channels(const Conv2dSpec& spec);

// Type of the bias that the forward plan reads: that of x. With an f32 bias beside 16-bit data cuDNN has only
// runtime-compiled engines.
DType bias_dtype(const Conv2dSpec& spec);

// One pass. Pointers for execute():
//   forward           x, w, [residual], [b], y
//   backward_data     w, dy, dx
//   backward_weights  x, dy, dw
// w and dw are K,R,S,C in the type of x, with the channels of x in memory.
GraphBuilder conv2d_graph(const Conv2dSpec& spec, PassKind pass);
// Throws Error 3020 if cuDNN has no engine within the rules.
CudnnPlan make_conv2d_plan(const PlanTarget& target, const Conv2dSpec& spec, PassKind pass,
                           const EngineRules& rules);

// The same for all engines within the rules, cuDNN's first choice first; may be empty.
std::vector<CudnnPlan> all_conv2d_plans(const PlanTarget& target, const Conv2dSpec& spec,
                                        PassKind pass, const EngineRules& rules);
// Bytes of the tensors behind those pointers.
std::vector<size_t> operand_bytes(const Conv2dSpec& spec, PassKind pass);

// "conv2d forward bf16 {32,64,56,56} 64 of 3x3/1+1, residual, bias, relu": stride and padding behind the window.
// Different plans have different names.
std::string name_of(const Conv2dSpec& spec, PassKind pass);

}  // namespace ft::cuda
