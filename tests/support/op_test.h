// A BackendTest that walks the op-case table: what every judging of an op has in common.
// FT_OP_CASE=text runs only the cases whose name contains the text.
#pragma once

#include <cstdlib>
#include <string>

#include "tests/support/backend_test.h"

namespace ft::test {

class OpTest : public BackendTest {
 protected:
  // The spec for the judge: f64 and plain.
  template <class Spec>
  static Spec in_double(Spec spec) {
    spec.x = {spec.x.shape, DType::f64, Layout::plain};
    if constexpr (requires { spec.numerics; }) spec.numerics.compute = DType::f64;
    if constexpr (requires { spec.y_dtype; }) spec.y_dtype = DType::f64;
    return spec;
  }

  // Calls fn(spec) for every case of an op; an Error is a failure of that case alone.
  template <class Spec, class Fn>
  void each_case(Fn fn) {
    for (const OpCase& c : op_cases_of<Spec>())
      if (selected(c)) guarded(c.name, [&] { fn(std::get<Spec>(c.op)); });
  }

  // The same for plans, in every layout in which the backend meets such an x.
  template <class Spec, class Fn>
  void each_plan(Fn fn) {
    each_case<Spec>([&](Spec spec) {
      if constexpr (requires { spec.numerics; }) spec.numerics.compute = dtype();
      for (const TensorSpec& x : activation_specs(spec.x.shape)) {
        spec.x = x;
        guarded("x " + x.str(), [&] { fn(spec); });
      }
    });
  }

  template <class Fn>
  static void guarded(const std::string& what, Fn fn) {
    SCOPED_TRACE(what);
    try {
      fn();
    } catch (const Error& e) {
      ADD_FAILURE() << e.line();
    }
  }

 private:
  static bool selected(const OpCase& c) {
    const char* text = std::getenv("FT_OP_CASE");
    return text == nullptr || c.name.find(text) != std::string::npos;
  }
};

}  // namespace ft::test
