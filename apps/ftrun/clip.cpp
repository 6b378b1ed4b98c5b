// Gradient clipping on the host.
#include "apps/ftrun/clip.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "apps/ftrun/flag_values.h"

namespace ft::app {
namespace {

// Sum of squares in eight lanes that are added in order: fast, and the same bits every time.
double square_sum(std::span<const float> g) {
  double lanes[8] = {};
  size_t i = 0;
  for (; i + 8 <= g.size(); i += 8)
    for (size_t l = 0; l < 8; ++l) lanes[l] += static_cast<double>(g[i + l]) * g[i + l];
  for (; i < g.size(); ++i) lanes[0] += static_cast<double>(g[i]) * g[i];
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

// True if the norm was above the limit.
bool scale_to(std::span<float> g, double norm, double limit) {
  if (norm <= limit) return false;
  const auto factor = static_cast<float>(limit / norm);
  for (float& v : g) v *= factor;
  return true;
}

bool clamp_to(std::span<float> g, double limit) {
  const auto most = static_cast<float>(limit);
  bool changed = false;
  for (float& v : g) {
    changed = changed || std::abs(v) > most;
    v = std::clamp(v, -most, most);
  }
  return changed;
}

}  // namespace

bool parse_clip(const std::string& text, ClipSpec& out) {
  out = {};
  if (text == "none") return true;
  const size_t equals = text.find('=');
  const std::string kind = text.substr(0, equals);
  if (kind == "value") out.kind = ClipSpec::Kind::value;
  if (kind == "l2norm") out.kind = ClipSpec::Kind::l2norm;
  if (kind == "global-l2norm") out.kind = ClipSpec::Kind::global_l2norm;
  return out.kind != ClipSpec::Kind::none && equals != std::string::npos &&
         parse_number(text.substr(equals + 1), out.limit) && out.limit > 0 &&
         std::isfinite(out.limit);
}

std::string describe(const ClipSpec& spec) {
  switch (spec.kind) {
    case ClipSpec::Kind::none:
      return "none";
    case ClipSpec::Kind::value:
      return fmt::format("each gradient within -{0:g} and {0:g}", spec.limit);
    case ClipSpec::Kind::l2norm:
      return fmt::format("L2 norm of each tensor's gradient at most {:g}", spec.limit);
    case ClipSpec::Kind::global_l2norm:
      return fmt::format("L2 norm of all gradients at most {:g}", spec.limit);
  }
  return {};
}

GradientClip::GradientClip(const ClipSpec& spec, const ParameterSet& parameters, Backend& backend)
    : spec_(spec), backend_(backend) {
  if (spec_.kind == ClipSpec::Kind::none) return;
  const Tensor& flat = parameters.gradients();
  for (const ParameterGroup& group : parameters.groups())
    for (const int p : group.parameters) {
      const Tensor& g = parameters.grad(p);
      const auto offset = static_cast<size_t>(static_cast<const char*>(g.data()) -
                                              static_cast<const char*>(flat.data()));
      ranges_.push_back({parameters.name(p), offset / sizeof(float), g.bytes() / sizeof(float)});
    }
  host_.resize(flat.bytes() / sizeof(float));
}

bool GradientClip::apply(const Tensor& gradients, StreamRef s) {
  if (!active()) return false;
  backend_.download(s, gradients, host_.data());
  backend_.synchronize(s);
  const auto part = [&](const Range& r) { return std::span(host_).subspan(r.first, r.count); };
  double total = 0;
  std::vector<double> squares;
  for (const Range& r : ranges_) {
    squares.push_back(square_sum(part(r)));
    total += squares.back();
    if (!std::isfinite(squares.back()))
      throw Error(6002, r.name, "its gradient is not finite",
                  "use a smaller --lr; nothing was updated by this step");
  }
  bool changed = false;
  for (size_t i = 0; i < ranges_.size(); ++i) {
    const std::span<float> g = part(ranges_[i]);
    const bool value = spec_.kind == ClipSpec::Kind::value,
               global = spec_.kind == ClipSpec::Kind::global_l2norm;
    const bool here = value ? clamp_to(g, spec_.limit)
                            : scale_to(g, std::sqrt(global ? total : squares[i]), spec_.limit);
    changed = changed || here;
  }
  if (changed) backend_.upload(s, host_.data(), gradients);
  return changed;
}

}  // namespace ft::app
