// A fixed rotation that shares large dimensions out over the others.
#pragma once

#include <cstddef>

namespace longhaul {

// x[dim] = H S x in place: S flips the signs of some dimensions, H is the Hadamard matrix of the
// largest power of two n that divides dim, over sqrt(n), for each n dimensions. Dot products of
// rotated vectors are those of the vectors; keys of trained models have dimensions tens of times
// larger than others, and few bits a dimension hold the rotated ones better (QuaRot, arXiv
// 2404.00456). The same bits on every instruction set.
void rotate_dims(float* x, size_t dim);

// The sign that S gives a dimension.
inline float rotation_sign(size_t dim) {
  return (0x9E3779B97F4A7C15ULL >> (dim % 64) & 1U) != 0 ? -1.0F : 1.0F;
}

}  // namespace longhaul
