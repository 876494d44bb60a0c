// Products of activations with weight matrices on the device, quantised or not: y = x W^T + bias.
//
// Weights are brought into the order of the tensor cores' operands once, at load, and keep about the
// bits per weight of their type (linear_layout.h). What a product reads of the activations:
//
//   Q8_0, Q4_0, Q4_K, Q6_K  8 bits in blocks of 32, rounded exactly as kernels/linear.h rounds them
//   F16                     f16, each row first multiplied by the power of two that brings its
//                           largest magnitude to 2^14 (so that none overflows), the product divided
//                           by it: a rounding of 2^-11 of each activation, or of 2^-39 of the row's
//                           largest where that is more; sums in f32
//   F32, BF16               f32, not rounded; fused multiply-adds. For small matrices, such as
//                           routers: far from the speed of the others for many rows
//
// The bits of an output depend on its weights, its row of activations and its bias alone: neither on
// the number of rows computed with it nor on the other tasks. Everything here that takes a stream,
// except load() and create(), only puts work on it: nothing is allocated or waited for, and a CUDA
// graph can capture it.
#pragma once

#include <cstddef>
#include <span>

#include "base/tensor_type.h"
#include "cuda/runtime.h"

namespace longhaul::cuda {

struct FragmentView;
struct PrepareArgs;

// A weight matrix [n_out, n_in] on the device, laid out for the kernels.
class Matrix {
 public:
  Matrix() = default;

  // `rows`: host memory, n_out rows that follow one another in the file's layout of `type`. Waits
  // for the stream. Errors: a type without a kernel, an empty matrix, n_in that is not a whole number
  // of the type's blocks (of 32 for F32, F16 and BF16), no memory.
  static Result<Matrix> load(TensorType type, const std::byte* rows, size_t n_out, size_t n_in,
                             cudaStream_t stream);

  // Bytes of the device that a loaded matrix keeps; 0 for a type without a kernel.
  static size_t bytes(TensorType type, size_t n_out, size_t n_in);

  TensorType type() const { return type_; }
  size_t n_out() const { return n_out_; }
  size_t n_in() const { return n_in_; }
  size_t bytes() const { return data_.size(); }
  const std::byte* data() const { return data_.data(); }

 private:
  TensorType type_ = TensorType::kF32;
  size_t n_out_ = 0;
  size_t n_in_ = 0;
  DeviceBuffer<std::byte> data_;
};

// What a product with weights of some type reads; several can be joined with |.
enum ActivationForm : unsigned { kFormF32 = 1, kFormQ8 = 2, kFormF16 = 4 };
// The form that weights of this type read.
ActivationForm form_of(TensorType type);

// Rows of one input, in the forms that the matrices that read them need.
class Activations {
 public:
  Activations() = default;
  // Buffers for inputs of up to max_rows by max_cols. Waits for the stream. Error: no memory.
  static Result<Activations> create(size_t max_rows, size_t max_cols, cudaStream_t stream);
  // Bytes of the device that these buffers take.
  static size_t bytes(size_t max_rows, size_t max_cols);

  size_t n_rows() const { return n_rows_; }
  size_t n_cols() const { return n_cols_; }

  // For a kernel that makes x [n_rows, n_cols] and rounds it to 8 bits in one: where its numbers go.
  // The next matmul() reads them.
  PrepareArgs start_q8(const float* x, size_t stride, size_t n_rows, size_t n_cols);

 private:
  friend void prepare(cudaStream_t stream, const float* x, size_t stride, size_t n_rows,
                      size_t n_cols, Activations& activations, unsigned forms);
  void start(const float* x, size_t stride, size_t n_rows, size_t n_cols, unsigned forms);
  PrepareArgs q8_args() const;
  friend void matmul_with(cudaStream_t stream, const struct Tuning& tuning, const Activations& x,
                          std::span<const struct MatmulTask> tasks);
  FragmentView q8() const;
  FragmentView f16() const;

  size_t max_rows_ = 0;
  size_t max_cols_ = 0;
  size_t n_rows_ = 0;
  size_t n_cols_ = 0;
  unsigned forms_ = 0;
  const float* f32_ = nullptr;
  size_t f32_stride_ = 0;
  DeviceBuffer<uint2> q8_fragments_;
  DeviceBuffer<float2> q8_scales_;
  DeviceBuffer<uint2> f16_fragments_;
  DeviceBuffer<float> f16_row_scales_;
};

// y = x W^T + bias; y [n_rows, w->n_out()] with y_stride floats from row to row, bias [w->n_out()]
// or null, all on the device.
struct MatmulTask {
  const Matrix* w = nullptr;
  float* y = nullptr;
  size_t y_stride = 0;
  const float* bias = nullptr;
};

// Makes rows of x [n_rows, n_cols] on the device, `stride` floats from row to row, ready for
// matmul() with weights of the given forms. n_cols is a multiple of 32, stride one of 4, x aligned to
// 16 bytes; in the form f32 x itself is kept and must stay. A NaN or infinity in a block of 32 makes
// every output that reads it NaN (in the form f32, NaN or infinite).
void prepare(cudaStream_t stream, const float* x, size_t stride, size_t n_rows, size_t n_cols,
             Activations& activations, unsigned forms = kFormQ8);

// All tasks read the same activations. Tasks of one type, up to 8, are one launch.
void matmul(cudaStream_t stream, const Activations& x, std::span<const MatmulTask> tasks);

// An embedding table [n_rows, n_cols] on the device, in the file's layout.
class Table {
 public:
  Table() = default;
  // As Matrix::load().
  static Result<Table> load(TensorType type, const std::byte* rows, size_t n_rows, size_t n_cols,
                            cudaStream_t stream);
  // Bytes of the device; 0 for a type without a kernel.
  static size_t bytes(TensorType type, size_t n_rows, size_t n_cols);

  TensorType type() const { return type_; }
  size_t n_rows() const { return n_rows_; }
  size_t n_cols() const { return n_cols_; }
  const std::byte* data() const { return data_.data(); }

 private:
  TensorType type_ = TensorType::kF32;
  size_t n_rows_ = 0;
  size_t n_cols_ = 0;
  DeviceBuffer<std::byte> data_;
};

// out [n_rows, n_cols] = scale * the rows `tokens` [n_rows] of the table, all on the device. A token
// outside the table gives a row of NaN.
void embed(cudaStream_t stream, const Table& table, const int32_t* tokens, size_t n_rows,
           float scale, float* out);

}  // namespace longhaul::cuda
