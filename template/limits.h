// What rendering a template may cost.
#pragma once

#include <cstddef>

#include "base/result.h"

namespace longhaul::jinja {

struct Limits {
  size_t steps = 10'000'000;         // expressions and statements; longer scans count as more
  size_t memory_bytes = 256u << 20;  // of all values made, whether they still live or not
  size_t output_bytes = 64u << 20;
  size_t depth = 500;  // of expressions, statements and macros within each other
};

// Counts down what a rendering has left. Errors name the limit.
class Budget {
 public:
  explicit Budget(const Limits& limits) : limits_(limits) {}

  Status step(size_t n_steps = 1) {
    n_steps_ += n_steps;
    if (n_steps_ <= limits_.steps) return {};
    return bad_input("the template takes too long: expected at most {} steps", limits_.steps);
  }
  // Work that reads `n_bytes` and makes no value of their size.
  Status scan(size_t n_bytes) { return step(n_bytes / kBytesPerStep); }
  Status memory(size_t n_bytes) {
    if (n_bytes <= limits_.memory_bytes - memory_bytes_) {
      memory_bytes_ += n_bytes;
      return {};
    }
    return bad_input("the template takes too much memory: expected at most {} bytes",
                     limits_.memory_bytes);
  }
  const Limits& limits() const { return limits_; }

 private:
  static constexpr size_t kBytesPerStep = 64;

  Limits limits_;
  size_t n_steps_ = 0;
  size_t memory_bytes_ = 0;
};

}  // namespace longhaul::jinja
