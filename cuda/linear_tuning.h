// Choices that change the speed of products and never their bits; for the benchmark and the tests.
#pragma once

#include "cuda/linear.h"
#include "cuda/linear_kernels.h"

namespace longhaul::cuda {

struct Tuning {
  // The kernel for many rows is taken from this many rows on, where it also fills most of the card.
  size_t many_from_rows = 33;
  size_t many_from_blocks = 96;
  // From 17 rows on a block of the kernel for few rows makes two tiles of outputs, where that still
  // gives this many blocks.
  size_t two_tiles_from_blocks = 160;
  Prefetch prefetch = Prefetch::kFirst;
};

void matmul_with(cudaStream_t stream, const Tuning& tuning, const Activations& x,
                 std::span<const MatmulTask> tasks);

}  // namespace longhaul::cuda
