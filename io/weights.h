// The weight file of ftrun (docs/weights-format.md): an HDF5 file that says which network it is
// for, how its input is made, what its classes are called, and how to tell that it is intact.
// WeightFile is a plain value that owns its numbers. Functions may run on several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/file_bytes.h"
#include "io/input_recipe.h"

namespace ft {

// A tensor in logical order, row-major, whatever layout a backend uses: activations N,C,H,W,
// convolution weights K,C,R,S, matrices O,I. At least one dimension, none of them zero.
struct NamedTensor {
  std::string name;  // the parameter's name; no '/', not "."
  std::vector<int64_t> shape;
  std::vector<float> data;
};

// What the network said to a drawn picture when the file was written, for a self-test: how to draw the picture and how
// it becomes the input stands in docs/weights-format.md and is done by apps/ftrun/self_test.
struct Golden {
  int64_t seed = 0;           // of the picture, from 0 on
  int height = 0, width = 0;  // of the picture
  int side = 0;               // of the network's input
  std::vector<float> logits;  // by output index
};

struct WeightFile {
  std::string model;    // as given to --model: "resnet50"
  std::string variant;  // what the shapes do not tell: "v1.5", "bvlc"
  InputRecipe recipe;
  std::vector<std::string> classes;          // by output index; empty if unknown
  std::vector<NamedTensor> tensors;          // in graph order
  std::map<std::string, std::string> notes;  // free text: source, its hash, training run
  std::optional<Golden> golden;

  // Filled by load and decode, ignored by save and encode.
  std::string path;    // for messages
  std::string sha256;  // of all bytes after the user block: the identity of these weights

  // nullptr if there is none.
  const NamedTensor* find(std::string_view name) const;
};

// What makes a recipe impossible, or "".
std::string recipe_fault(const InputRecipe& recipe);

// File bytes of `weights`. Equal input gives equal bytes.
// Throws Error 2314 and 2315 as decode_weights(), since such a file would never load again;
// FT_CHECK: names unique and allowed, data has the size of its shape, recipe and golden picture valid.
FileBytes encode_weights(const WeightFile& weights);

// Inverse of encode_weights(). Nothing is parsed before the SHA-256 of all bytes is found right.
// Throws Error 2308 not such a file (says what it is), 2309 newer format, 2310 cut or longer,
// 2311 hash differs, 2312 damaged user block, 2313 a part is missing or impossible, 2314 NaN or
// infinity, 2315 a negative variance (in a tensor named *running_var), 2316 more data declared than
// stored or one array under two names; 234x and 235x from io/hdf5_reader.
WeightFile decode_weights(std::span<const std::byte> bytes, const std::string& path);

// Reads once, hashing on a thread beside, and decodes. Throws also Error 2301-2307 of
// read_file_bytes().
WeightFile load_weights(const std::filesystem::path& path);

// Encodes and writes through io/atomic_file. Throws also Error 50xx.
void save_weights(const std::filesystem::path& path, const WeightFile& weights);

// What is allowed but odd: denormal numbers, tensors that are all zero or constant. One line each.
std::vector<std::string> weight_warnings(const WeightFile& weights);

}  // namespace ft
