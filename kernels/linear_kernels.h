// The table of matrix kernels of one instruction set. Private to kernels/; tests use it to force a
// set.
#pragma once

#include <cstddef>
#include <span>

#include "base/matrix_view.h"
#include "kernels/linear.h"
#include "kernels/linear_panel.h"

namespace longhaul {

// The most rows of one PanelWork.
inline constexpr size_t kMaxWorkRows = 128;

// A rectangle of one product: some panels against at most kMaxWorkRows rows.
struct PanelWork {
  const std::byte* panels;  // n_panels of them, panel_bytes apart
  size_t panel_bytes;
  size_t n_panels;
  size_t n_out;  // outputs of these panels: the last panel may have fewer than 16
  size_t n_in;
  MatrixView<const float> x;  // [n_rows, n_in]; what kernels for floats read
  const ActivationBlock*
      blocks;           // of the first row, which starts a group of 8; what the others read
  MatrixView<float> y;  // [n_rows, n_out]
  const float* bias;    // [n_out], or null
};
using PanelKernel = void (*)(const PanelWork&) noexcept;

struct LinearKernels {
  const char* name;
  // Rounds the rows of x to 8 bits, in groups as ActivationBlock tells, from a row that starts a
  // group of 8.
  void (*quantise)(MatrixView<const float> x, ActivationBlock* blocks) noexcept;
  // The kernel for weights of a type that has a panel format.
  PanelKernel (*find)(TensorType type) noexcept;
};

// Highway's best set for this processor.
const LinearKernels& simd_linear_kernels();
// With VNNI of 512 bits, of 256 bits (AVX-VNNI); nullptr where the processor lacks it.
const LinearKernels* avx512_vnni_linear_kernels();
const LinearKernels* avx_vnni_linear_kernels();
// The one that matmul() uses.
const LinearKernels& best_linear_kernels();

// prepare() and matmul() with given kernels.
void prepare_with(const LinearKernels& kernels, ThreadPool& pool, MatrixView<const float> x,
                  Activations& activations, bool quantise);
void matmul_with(const LinearKernels& kernels, ThreadPool& pool, const Activations& x,
                 std::span<const MatmulTask> tasks);

}  // namespace longhaul
