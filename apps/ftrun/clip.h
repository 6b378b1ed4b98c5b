// Gradient clipping: bounds a step's gradients before weight decay and momentum see them. Norms are summed in double in
// a fixed order on the host, so that they are the same bits every time and on every backend. Used by one thread.
#pragma once

#include <string>
#include <vector>

#include "layers/parameter_set.h"
#include "tensor/backend.h"

namespace ft::app {

struct ClipSpec {
  enum class Kind {
    none,
    value,          // every element into [-limit, limit]
    l2norm,         // each parameter on its own: g * min(1, limit / |g|)
    global_l2norm,  // all together: g * min(1, limit / |all g|)  (Pascanu et al. 2013)
  };
  Kind kind = Kind::none;
  double limit = 0;
};

// "none", "value=0.5", "l2norm=1", "global-l2norm=5"; false if it is nothing of these with a limit above 0.
bool parse_clip(const std::string& text, ClipSpec& out);
// "global L2 norm of the gradients at most 5".
std::string describe(const ClipSpec& spec);

class GradientClip {
 public:
  // Backend and parameters outlive this.
  GradientClip(const ClipSpec& spec, const ParameterSet& parameters, Backend& backend);

  // Whether apply() looks at anything.
  bool active() const { return spec_.kind != ClipSpec::Kind::none && !ranges_.empty(); }
  // gradients: flat, as ParameterSet::gradients(). Changed in place where they exceed the limit; true if so. Waits for
  // `s`. Throws Error 6002 naming the parameter if an element is not finite; nothing is changed then.
  bool apply(const Tensor& gradients, StreamRef s);

 private:
  struct Range {
    std::string name;
    size_t first, count;  // elements
  };
  ClipSpec spec_;
  Backend& backend_;
  std::vector<Range> ranges_;
  std::vector<float> host_;
};

}  // namespace ft::app
