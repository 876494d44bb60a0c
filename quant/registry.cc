#include "quant/registry.h"

#include <cmath>

namespace longhaul {

const QuantTraits* find_quant(TensorType type) {
  for (const QuantTraits& row : all_quants()) {
    if (row.type == type) return &row;
  }
  return nullptr;
}

size_t find_unquantizable(std::span<const float> values) {
  constexpr float kLargest = 65504.0f;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!(std::abs(values[i]) <= kLargest)) return i;  // written so that a NaN fails too
  }
  return values.size();
}

}  // namespace longhaul
