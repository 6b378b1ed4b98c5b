// What the parameters of our networks are called in other programs' files. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "io/source_tensor.h"
#include "layers/parameter.h"

namespace ft::convert {

enum class Naming : uint8_t {
  own,        // ours, which are torchvision's where torchvision has the network
  keras_old,  // "res2a_branch2a"; Keras 1 to 2.2
  keras,      // "conv2_block1_1_conv"
  keras_numbered,  // "conv2d_1": by class and number in the order of Keras's list of layers; older .weights.h5
  matlab,  // "res2a_branch2a"
  caffe,   // "res2a_branch2a", with a layer "scale2a_branch2a" for gamma and beta
};

// Namings that files of this format have for this model; none: the program has no such network.
std::vector<Naming> namings_of(SourceFormat format, const std::string& model);

// The name in the file of parameter `role` of node `node`. For all namings but `own` it is LAYER/ROLE, ROLE being
// weight, bias, gamma, beta, mean or variance.
std::string source_name(const std::string& model, const std::string& node, ParamRole role,
                        Naming naming);

// Epsilon of the batch-norms where the file does not say it; below 0: as in our network.
double source_epsilon(Naming naming);

// "its names (Keras)".
std::string describe(Naming naming);

}  // namespace ft::convert
