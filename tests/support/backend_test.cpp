// The fixture that judges backends.
#include "tests/support/backend_test.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "tensor/rng.h"

namespace ft::test {
namespace {

constexpr size_t kGuardBytes = 272;  // 256 + 16: the view is aligned to 16 bytes and to no more
constexpr char kGuard = '\x5c', kPoison = '\xff';  // 0xff... is not-a-number in f64, f32 and bf16

bool required(const std::string& device) {
  const char* text = std::getenv("FT_REQUIRE_BACKENDS");
  const std::string list = fmt::format(",{},", text == nullptr ? "" : text);
  return list.find("," + device + ",") != std::string::npos;
}

double rounded(double v, DType dtype) {
  if (dtype == DType::f64) return v;
  const auto single = static_cast<float>(v);
  return dtype == DType::bf16 ? from_bf16(to_bf16(single)) : single;
}

std::string index_text(const Shape& shape, int64_t i) {
  const int64_t w = i % shape.w(), h = i / shape.w() % shape.h();
  const int64_t c = i / (shape.w() * shape.h()) % shape.c(), n = i / shape.per_sample();
  return fmt::format("[{},{},{},{}]", n, c, h, w);
}

}  // namespace

void PrintTo(const BackendCase& c, std::ostream* out) { *out << name_of(c); }

std::string name_of(const BackendCase& c) {
  return fmt::format("{}_{}", c.device, name_of(c.dtype));
}

std::string param_name(const testing::TestParamInfo<BackendCase>& info) {
  return name_of(info.param);
}

std::vector<BackendCase> backend_cases(const std::vector<DType>& dtypes) {
  std::vector<BackendCase> cases{{"ref", DType::f32}};
  for (const char* device : {"cpu", "cuda"})
    for (DType dtype : dtypes) cases.push_back({device, dtype});
  return cases;
}

void BackendTest::SetUp() {
  const std::string& device = GetParam().device;
  try {
    backend_ = make_backend(parse_device(device), {.threads = 2});
  } catch (const Error& e) {
    if (required(device)) FAIL() << "FT_REQUIRE_BACKENDS asks for " << device << ": " << e.line();
    GTEST_SKIP() << e.line();
  }
  if (!backend_->supports(dtype()))
    GTEST_SKIP() << backend_->describe() << " does not compute in " << name_of(dtype());
  stream_ = backend_->make_stream();
}

std::vector<TensorSpec> BackendTest::activation_specs(const Shape& shape) {
  const TensorSpec plain{shape, dtype(), Layout::plain};
  if (shape.rank() != 4) return {plain};
  TensorSpec own = plain;
  own.layout = backend().image_layout(dtype());
  if (shape.c() != 3) {
    Conv2dSpec spec;
    spec.x = {{shape.n(), 3, shape.h(), shape.w()}, dtype(), own.layout};
    spec.k = shape.c();
    spec.numerics.compute = dtype();
    own.layout = backend().make_conv2d(spec)->y_spec().layout;
  }
  std::vector<TensorSpec> specs{own};
  if (backend().device().kind != Device::Kind::cpu) return specs;
  for (Layout other : {Layout::plain, Layout::nhwc, Layout::nchw8c, Layout::nchw16c})
    if (other != own.layout) specs.push_back({shape, dtype(), other});
  return specs;
}

TensorSpec BackendTest::param_spec(const Shape& shape) {
  return {shape, param_dtype(), shape.rank() == 4 ? backend().weight_layout() : Layout::plain};
}

Tensor BackendTest::fill(const Shape& shape, const std::function<double(int64_t)>& value) {
  Tensor t({shape, DType::f64, Layout::plain}, judge_.allocator());
  for (int64_t i = 0; i < shape.elements(); ++i) t.as<double>()[i] = value(i);
  return t;
}

Tensor BackendTest::host(const Shape& shape) {
  return fill(shape, [](int64_t) { return std::numeric_limits<double>::quiet_NaN(); });
}

Tensor BackendTest::draw(const Shape& shape, double scale) { return draw(shape, scale, dtype()); }

Tensor BackendTest::draw(const Shape& shape, double scale, DType dtype) {
  const Rng rng(1, RngPurpose::test, 0, draws_++);
  return fill(shape, [&](int64_t i) {
    return rounded(scale * rng.normal(static_cast<uint64_t>(i)), dtype);
  });
}

Buffer BackendTest::make_buffer(const std::string& name, const TensorSpec& spec) {
  Buffer b;
  b.name_ = name;
  if (spec.bytes() == 0) return b;
  const auto block_bytes = static_cast<int64_t>(spec.bytes() + 2 * kGuardBytes);
  b.block_ = Tensor({{block_bytes}, DType::u8, Layout::plain}, backend().allocator());
  b.view_ = Tensor(spec, static_cast<char*>(b.block_.data()) + kGuardBytes);
  b.initial_.assign(spec.bytes(), kPoison);
  return b;
}

Buffer BackendTest::input(const std::string& name, const Tensor& values, const TensorSpec& spec) {
  if (values.empty()) return {};
  Tensor laid_out(spec, judge_.allocator());
  judge_.convert(StreamRef(nullptr), values, laid_out);
  return input_bytes(name, spec, laid_out.data());
}

Buffer BackendTest::input_bytes(const std::string& name, const TensorSpec& spec,
                                const void* bytes) {
  Buffer b = make_buffer(name, spec);
  b.initial_.assign(static_cast<const char*>(bytes), spec.bytes());
  upload(b);
  return b;
}

Buffer BackendTest::output(const std::string& name, const TensorSpec& spec) {
  Buffer b = make_buffer(name, spec);
  upload(b);
  return b;
}

Buffer BackendTest::scratch(const std::string& name, size_t bytes) {
  return output(name, {{static_cast<int64_t>(bytes)}, DType::u8, Layout::plain});
}

void BackendTest::upload(Buffer& b) {
  if (b.view_.empty()) return;
  const std::string guard(kGuardBytes, kGuard), block = guard + b.initial_ + guard;
  backend().upload(stream(), block.data(), b.block_);
  backend().synchronize(stream());
}

std::string BackendTest::bytes_of(const Buffer& b) {
  std::string bytes(b.view_.bytes(), '\0');
  if (!bytes.empty()) backend().download(stream(), b.view_, bytes.data());
  backend().synchronize(stream());
  return bytes;
}

void BackendTest::keep(Buffer& b) { b.initial_ = bytes_of(b); }

void BackendTest::check_guards(const Buffer& b) {
  if (b.view_.empty()) return;
  std::string block(b.block_.bytes(), '\0');
  backend().download(stream(), b.block_, block.data());
  backend().synchronize(stream());
  const std::string guard(kGuardBytes, kGuard);
  EXPECT_TRUE(block.starts_with(guard)) << b.name_ << " was written before its begin";
  EXPECT_TRUE(block.ends_with(guard)) << b.name_ << " was written past its end";
}

Tensor BackendTest::values_of(const Buffer& b) {
  const TensorSpec& spec = b.view_.spec();
  std::string bytes = bytes_of(b);
  const Tensor raw(spec, bytes.data());
  Tensor values = host(spec.shape);
  judge_.convert(StreamRef(nullptr), raw, values);
  // Written back, the padding is zero: any other byte in it was the backend's.
  Tensor again(spec, judge_.allocator());
  judge_.convert(StreamRef(nullptr), values, again);
  const bool finite = std::all_of(values.as<double>(), values.as<double>() + spec.shape.elements(),
                                  [](double v) { return std::isfinite(v); });
  if (finite && spec.padded_elements() != spec.shape.elements()) {
    EXPECT_EQ(std::memcmp(bytes.data(), again.data(), spec.bytes()), 0)
        << b.name_ << ": the padding of " << spec.str() << " is not zero";
  }
  return values;
}

void BackendTest::run_twice(const std::function<void()>& fn, std::vector<Buffer*> inputs,
                            std::vector<Buffer*> outputs, std::vector<Buffer*> scratch) {
  std::vector<std::string> first;
  for (int run = 0; run < 2; ++run) {
    for (const auto& list : {inputs, outputs, scratch})
      for (Buffer* b : list) upload(*b);
    fn();
    backend().synchronize(stream());
    for (const auto& list : {inputs, outputs, scratch})
      for (Buffer* b : list) check_guards(*b);
    for (Buffer* b : inputs)
      EXPECT_TRUE(bytes_of(*b) == b->initial_) << "the input " << b->name_ << " was written";
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (run == 0)
        first.push_back(bytes_of(*outputs[i]));
      else
        EXPECT_TRUE(bytes_of(*outputs[i]) == first[i])
            << outputs[i]->name_ << " differs between two runs";
    }
  }
}

void BackendTest::expect_near(const Buffer& buffer, const Tensor& want, int64_t terms) {
  const Tensor got = values_of(buffer);
  ASSERT_EQ(got.shape().elements(), want.shape().elements()) << buffer.name_;
  const int64_t count = want.shape().elements();
  const double *g = got.as<double>(), *w = want.as<double>();
  double squares = 0;
  for (int64_t i = 0; i < count; ++i) squares += w[i] * w[i];
  const double typical = std::sqrt(squares / static_cast<double>(std::max<int64_t>(count, 1)));
  const double limit = tolerance(dtype(), terms);
  double worst = 0;
  int64_t at = 0, failed = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double scale = std::max({std::abs(w[i]), typical, 1e-30});
    double error = std::abs(g[i] - w[i]) / scale;
    if (std::isnan(error)) error = std::numeric_limits<double>::infinity();
    if (error > limit) ++failed;
    if (error > worst) worst = error, at = i;
  }
  EXPECT_EQ(failed, 0) << fmt::format(
      "{}: {} of {} elements are off; worst at {}: got {:.9g}, expected {:.9g}, error {:.3g}, "
      "allowed {:.3g}",
      buffer.name_, failed, count, index_text(want.shape(), at), g[at], w[at], worst, limit);
}

void BackendTest::expect_equal(const Buffer& buffer, const Tensor& want) {
  const Tensor got = values_of(buffer);
  for (int64_t i = 0; i < want.shape().elements(); ++i)
    ASSERT_EQ(got.as<double>()[i], want.as<double>()[i])
        << buffer.name_ << index_text(want.shape(), i);
}

}  // namespace ft::test
