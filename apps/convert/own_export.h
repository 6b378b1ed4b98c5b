// What a safetensors file that `ftrun export` wrote says of itself beside its tensors: the network, the recipe of its
// images, its classes. Somebody else may have written it: everything is checked. Pure functions.
#pragma once

#include <string>

#include "apps/convert/conversion.h"

namespace ft::convert {

constexpr const char* kKnownByExport = "the file, an export of ftrun (ftrun.model)";

// The network that the file names, or "".
std::string own_model(const SourceFile& source);
// Throws Error 2387: none of the networks that fit is the one named.
[[noreturn]] void refuse_own_model(const SourceFile& source, const std::string& path);
// Puts recipe and class names into `out`, whose number of classes is known, where the file has them.
// Throws Error 2387 if they are not what ftrun writes.
void read_own_export(const SourceFile& source, const std::string& path, Conversion& out);

}  // namespace ft::convert
