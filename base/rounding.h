// Whole multiples of sizes that are not powers of two.
#pragma once

#include <cstddef>

namespace longhaul {

// How many pieces of `size` hold n.
constexpr size_t ceil_div(size_t n, size_t size) { return (n + size - 1) / size; }

// The least multiple of `size` that is at least n.
constexpr size_t round_up(size_t n, size_t size) { return ceil_div(n, size) * size; }

}  // namespace longhaul
