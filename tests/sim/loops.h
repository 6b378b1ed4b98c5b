// The arithmetic of the stand-ins for cuDNN and cuBLASLt: plain loops over dense arrays in double, so that a result is
// rounded once, when it is stored. Pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sim {

// How elements lie in memory.
enum class Element { f32, bf16, f16 };
size_t bytes_of(Element type);
double load(Element type, const void* data, int64_t at);
void store(Element type, void* data, int64_t at, double v);  // rounds
// f32 rounded to the 10 bits of TF32, as tensor cores read it.
double to_tf32(double v);

// A convolution: activations dense as n,h,w,c, weights as k,r,s,c; c of a group.
struct Convolution {
  int64_t n = 0, c = 0, h = 0, w = 0;  // x
  int64_t k = 0, r = 0, s = 0;         // weights, with c / groups channels
  int64_t p = 0, q = 0;                // y
  int64_t groups = 1;
  std::array<int64_t, 2> stride{}, pad{};

  int64_t x_size() const { return n * h * w * c; }
  int64_t w_size() const { return k * r * s * (c / groups); }
  int64_t y_size() const { return n * p * q * k; }
};

using Values = std::vector<double>;
Values convolution_forward(const Convolution& a, const Values& x, const Values& w);
Values convolution_backward_data(const Convolution& a, const Values& w, const Values& dy);
Values convolution_backward_weights(const Convolution& a, const Values& x, const Values& dy);

}  // namespace sim
