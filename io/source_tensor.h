// What every reader of somebody else's weight file gives: named tensors whose shapes are known and checked, and whose
// numbers are read when they are asked for. Nothing is allocated for a tensor before read() is called, so that a caller
// compares shapes with what it expects first. read() borrows the bytes of the file, which must outlive it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace ft {

struct SourceTensor {
  std::string name;
  std::vector<int64_t> shape;  // of what read() gives, row-major; empty: a single number
  std::string type;            // as its format calls it: "F16", "torch.HalfStorage"; for messages
  // The numbers as f32, exactly. Throws Error 2357 for a type, or a number, that f32 cannot hold.
  std::function<std::vector<float>()> read;
};

enum class SourceFormat : uint8_t { torch, safetensors, keras, matlab, caffe };

struct SourceFile {
  SourceFormat format = SourceFormat::torch;
  std::string what;  // "a PyTorch file (zip)"
  std::vector<SourceTensor> tensors;
  std::map<std::string, double> epsilon;  // of batch-norm layers, where the file says it
  std::vector<double> input_mean = {};    // of R, G and B, 0 to 255, where the file says it
  // What an export of ftrun says of itself: "ftrun.model", "ftrun.input_recipe", "ftrun.classes".
  std::map<std::string, std::string> metadata = {};
};

enum class NumberType : uint8_t { f32, f64, f16, bf16, other };

// An array in somebody's bytes.
struct StridedNumbers {
  std::span<const std::byte> storage;
  NumberType type = NumberType::other;
  bool big_endian = false;
  uint64_t first = 0;                  // element of the storage
  std::vector<int64_t> shape, stride;  // in elements; equally long; inside of the storage
};

// Number of elements of `shape`, or -1 if a side is negative or the product is 2^48 or more.
int64_t element_count(const std::vector<int64_t>& shape);
// Strides of a row-major array.
std::vector<int64_t> row_major_strides(const std::vector<int64_t>& shape);
// `value` as 32-bit number; NaN stays NaN. Throws Error 2357 at `where` if there is none that is equal.
float exact_float(double value, const std::string& where);
// The numbers in row-major order. Throws Error 2357 at `where`; `type` is its name for the message.
std::vector<float> read_numbers(const StridedNumbers& numbers, const std::string& type,
                                const std::string& where);

}  // namespace ft
