// Products of activations with weight matrices, quantised or not: y = x W^T + bias.
//
// Weights are interleaved once, at load, in panels of 16 output rows (linear_panel.h), and keep the
// bits per weight of their type. Against quantised weights the activations are rounded to 8 bits in
// blocks of 32; against F32, F16 and BF16 weights they stay in f32. Each output element is summed
// over the input in one fixed order, so its bits depend neither on the number of rows computed with
// it nor on the number of threads.
#pragma once

#include <cstddef>
#include <span>

#include "base/aligned_buffer.h"
#include "base/matrix_view.h"
#include "base/result.h"
#include "base/tensor_type.h"
#include "kernels/linear_panel.h"
#include "parallel/thread_pool.h"

namespace longhaul {

// A weight matrix [n_out, n_in], interleaved for the kernels; independent of the file it came from.
class PackedMatrix {
 public:
  PackedMatrix() = default;

  // Packs n_out rows that follow one another in the file's layout of `type`. Errors: a type without
  // a kernel, an empty matrix, n_in that is not a whole number of the type's blocks (of 32 for F32,
  // F16 and BF16).
  // The result lies in `memory` if that is large enough for packed_bytes(); it then holds zeros,
  // starts at a multiple of 64, and must outlive the matrix.
  static Result<PackedMatrix> pack(TensorType type, const std::byte* rows, size_t n_out,
                                   size_t n_in, ThreadPool& pool, std::span<std::byte> memory = {});

  // Bytes of a packed matrix, a multiple of 64; 0 for a type without a kernel.
  static size_t packed_bytes(TensorType type, size_t n_out, size_t n_in);

  size_t n_out() const { return n_out_; }
  size_t n_in() const { return n_in_; }
  TensorType type() const { return type_; }
  size_t bytes() const { return n_panels() * panel_bytes_; }

  size_t n_panels() const { return (n_out_ + kPanelRows - 1) / kPanelRows; }
  size_t panel_bytes() const { return panel_bytes_; }
  const std::byte* panel(size_t i) const { return panels_ + i * panel_bytes_; }

 private:
  TensorType type_ = TensorType::kF32;
  size_t n_out_ = 0;
  size_t n_in_ = 0;
  size_t panel_bytes_ = 0;
  const std::byte* panels_ = nullptr;
  AlignedBuffer<std::byte> owned_;  // holds the panels where no memory was given
};

struct LinearKernels;

// Rows of one input: f32 as given (a view, which must outlive its use) and rounded to 8 bits once
// for all the matrices that read them. Keeps its memory between calls of prepare().
class Activations {
 public:
  MatrixView<const float> f32() const { return f32_; }
  bool has_q8() const { return has_q8_; }
  size_t n_blocks() const { return f32_.n_cols / kBlockInputs; }  // per row
  // The blocks of the group of rows that starts at `row`; see ActivationBlock for their order.
  const ActivationBlock* group(size_t row) const { return blocks_.data() + row * n_blocks(); }

 private:
  friend void prepare_with(const LinearKernels&, ThreadPool&, MatrixView<const float>, Activations&,
                           bool);
  MatrixView<const float> f32_;
  bool has_q8_ = false;
  AlignedBuffer<ActivationBlock> blocks_;
};

// Makes the rows of x [n_rows, n_in] ready for matmul(); n_in is a multiple of 32. Without
// `quantise` only matrices of F32, F16 and BF16 can read them. A NaN or infinity in a block makes
// every output that reads the block NaN or infinite.
void prepare(ThreadPool& pool, MatrixView<const float> x, Activations& activations,
             bool quantise = true);

// Whether a matrix of this type reads the 8-bit form of the activations.
bool reads_q8(TensorType type);

struct MatmulTask {
  const PackedMatrix* w;
  MatrixView<float> y;          // [n_rows, w->n_out()]
  const float* bias = nullptr;  // [w->n_out()], or null
};

// y = x W^T + bias for each of the tasks, all in one fork-join. Allocates nothing.
void matmul(ThreadPool& pool, const Activations& x, std::span<const MatmulTask> tasks);

// Writes row `row` of a table [.., n_cols] in the file's layout of `type`, dequantised, to out
// [n_cols].
void embed_row(TensorType type, const std::byte* table, size_t n_cols, size_t row, float* out);

}  // namespace longhaul
