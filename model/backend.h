// The table of operations: all arithmetic of a pass goes through it, over the rows of the pass. A
// backend is one device. Its memory is its own: only its operations look into a Floats, a Matrix or
// an Embedding, and the host sees what read() brings.
//
// Operations may still be under way when they return; they run in the order of the calls. The bits
// of a row depend neither on the other rows nor on how many there are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/function_ref.h"
#include "base/matrix_view.h"
#include "base/result.h"
#include "base/tensor_type.h"
#include "longhaul/device.h"
#include "model/plan.h"

namespace longhaul {

class DeviceMemory;
class Pass;
struct Step;

// Numbers in the memory of a backend, zero until written. Move-only.
class Floats {
 public:
  Floats() = default;
  // `memory` frees itself.
  Floats(std::shared_ptr<float> memory, size_t size) : memory_(std::move(memory)), size_(size) {}
  Floats(Floats&& other) noexcept = default;
  Floats& operator=(Floats&& other) noexcept = default;

  float* data() const { return memory_.get(); }
  size_t size() const { return size_; }
  // The first n_rows rows of n_cols numbers.
  MatrixView<float> rows(size_t n_rows, size_t n_cols) const { return {data(), n_rows, n_cols}; }

 private:
  std::shared_ptr<float> memory_;
  size_t size_ = 0;
};

// A weight matrix [n_out, n_in], laid out as the backend multiplies with it.
class Matrix {
 public:
  Matrix(TensorType type, size_t n_out, size_t n_in) : type_(type), n_out_(n_out), n_in_(n_in) {}
  virtual ~Matrix() = default;

  TensorType type() const { return type_; }
  size_t n_out() const { return n_out_; }
  size_t n_in() const { return n_in_; }

 private:
  TensorType type_;
  size_t n_out_, n_in_;
};
using MatrixPtr = std::unique_ptr<const Matrix>;

// A table of rows that are looked up.
class Embedding {
 public:
  virtual ~Embedding() = default;
};
using EmbeddingPtr = std::unique_ptr<const Embedding>;

// y = x W^T + bias, x being the rows prepared last.
struct Product {
  const Matrix* w = nullptr;
  MatrixView<float> y;           // [n_rows, w->n_out()]
  const Floats* bias = nullptr;  // [w->n_out()]; null or empty: none
};

// Cosines and sines of the angles of rows, [n_rows, pairs] each.
struct Angles {
  MatrixView<const float> cos, sin;
  RopeLayout layout = RopeLayout::kHalf;
};

// Heads side by side in rows, to be normed and rotated in place.
struct HeadRows {
  MatrixView<float> rows;  // [n_rows, n_heads * head_dim]
  size_t head_dim = 0;
  const Floats* norm = nullptr;    // RMSNorm of each run of that many numbers; empty: none
  const Angles* angles = nullptr;  // null: not rotated
};

// What the second head of a pair is multiplied with: a number, or where there are gates
// [n_rows, pairs] the sigmoid of each.
struct Lambda {
  float value = 0;
  MatrixView<const float> gates = {};
};

// What a selective scan reads, by rows (kernels/scan.h).
struct ScanInput {
  MatrixView<const float> step, x, b, c;
  const Floats* step_bias = nullptr;
  const Floats* a = nullptr;
  const Floats* d = nullptr;
};

// Rows [from, from + n) that move to [to, to + n).
struct RowMove {
  size_t from = 0, to = 0, n = 0;
};

// A buffer with `width` numbers a row.
struct RowBuffer {
  float* data = nullptr;
  size_t width = 0;
};

// A row and how much of it counts.
struct RowShare {
  uint32_t row = 0;
  float weight = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;

  // Measures, in some milliseconds; nothing for the host.
  virtual std::optional<DeviceInfo> measure_device() = 0;

  // --- Memory and weights. `rows` of weights are the host's, in a file's layout of the type; they
  // may be dropped afterwards, but those of an embedding on the host.

  // Throws std::bad_alloc if the memory cannot be had.
  virtual Floats floats(size_t size) = 0;
  virtual Floats floats_of(std::span<const float> numbers) = 0;
  // Announces matrices: what they will take in all, so that they lie together.
  virtual void reserve_weights(size_t n_bytes) = 0;
  virtual Result<MatrixPtr> matrix(TensorType type, const std::byte* rows, size_t n_out,
                                   size_t n_in) = 0;
  virtual Result<EmbeddingPtr> embedding(TensorType type, const std::byte* rows, size_t n_rows,
                                         size_t n_cols) = 0;
  // Where the keys and values of sequences lie; null: in the host's memory.
  virtual DeviceMemory* device_memory() = 0;
  // An Error that names what a model of this plan has and the backend has not.
  virtual Status check(const ModelPlan& plan) const = 0;
  // The same of a step: a selector, a partial rectification.
  virtual Status check(const Step& step) const = 0;

  // Waits; `to` is the host's, rows without gaps. Nothing where the two are the same memory.
  virtual void read(MatrixView<const float> from, float* to) = 0;
  // Returns when all operations are done; for clocks.
  virtual void wait() = 0;
  // Where to compute what read() will bring to `host`: there itself, or in memory of the backend
  // that lasts until the next call.
  virtual MatrixView<float> staging(MatrixView<float> host) = 0;

  // --- A pass.

  // The rows and steps are known; narrow() will come if pass.can_narrow().
  virtual void begin(Pass& pass) = 0;
  // Calls `operations`, or does again what a pass of the same shape did.
  virtual void run(Pass& pass, FunctionRef<void()> operations) = 0;
  // Rows of the buffers, and of what the backend itself holds by row, move to lower places, in
  // ascending order.
  virtual void narrow(std::span<const RowMove> moves, std::span<const RowBuffer> buffers) = 0;

  // --- Rows.

  // x = scale * the rows of the embedding that the pass's tokens name.
  virtual void embed(const Pass& pass, const Embedding& embedding, float scale,
                     MatrixView<float> x) = 0;
  // Of the positions of the pass's rows.
  virtual void angles(const Pass& pass, const RopeTable& rope, MatrixView<float> cos,
                      MatrixView<float> sin) = 0;
  // out = RMSNorm(x) * weight; `out` may be x.
  virtual void norm(MatrixView<const float> x, const Floats& weight, float eps,
                    MatrixView<float> out) = 0;
  // out = LayerNorm(x) * weight + bias; `out` may be x.
  virtual void layer_norm(MatrixView<const float> x, const Floats& weight, const Floats& bias,
                          float eps, MatrixView<float> out) = 0;
  // x += y, normed first where there is a weight. y may be changed.
  virtual void add(MatrixView<float> x, MatrixView<float> y, const Floats& norm, float eps) = 0;
  virtual void rotate(std::span<const HeadRows> heads, float eps) = 0;
  // gate = activation(gate) * up
  virtual void activate(Activation activation, MatrixView<float> gate,
                        MatrixView<const float> up) = 0;
  // to[i] = from[rows[i]]
  virtual void gather(MatrixView<const float> from, std::span<const uint32_t> rows,
                      MatrixView<float> to) = 0;
  // to[shares[i].row] += shares[i].weight * from[i], which is changed; no row twice.
  virtual void add_shares(MatrixView<float> from, std::span<const RowShare> shares,
                          MatrixView<float> to) = 0;
  virtual void zero(MatrixView<float> x) = 0;
  // Heads 2i and 2i + 1 of `from` become twice as wide: what there is of the first one stands in
  // its first half, of the second in its second half, zeros beside it.
  virtual void spread_parts(MatrixView<const float> from, size_t head_dim,
                            MatrixView<float> to) = 0;
  // Head i of `to` = head 2i of `heads` - lambda * head 2i + 1.
  virtual void subtract_pairs(MatrixView<const float> heads, size_t head_dim, const Lambda& lambda,
                              MatrixView<float> to) = 0;

  // --- Matrix products.

  // Makes the rows of x those that multiply() reads, until the next call.
  virtual void prepare(MatrixView<const float> x) = 0;
  virtual void multiply(std::span<const Product> products) = 0;

  // --- Attention.

  // Scales the keys of a layer with xpos_base as they are stored (model/cpu/xpos.h).
  virtual void decay_keys(const Pass& pass, const AttentionSpec& spec, MatrixView<float> k) = 0;
  // Writes the keys and values of the pass's rows to its sequences.
  virtual void store(const Pass& pass, const AttentionSpec& spec, MatrixView<const float> k,
                     MatrixView<const float> v) = 0;
  // out = softmax(q k^T) v of the pass's rows; those of a step with a selector over the blocks that
  // it chooses. Counts what steps read.
  virtual void attend(Pass& pass, const AttentionSpec& spec, MatrixView<const float> q,
                      MatrixView<float> out) = 0;
  // --- Retention.

  // out = q S of the pass's rows, S being the states of its sequences brought to each row in turn
  // (kernels/retention.h). `gates` [n_rows, n_heads] where spec.is_gated(). k is changed.
  virtual void retain(Pass& pass, const RetentionSpec& spec, MatrixView<const float> q,
                      MatrixView<float> k, MatrixView<const float> v, MatrixView<const float> gates,
                      MatrixView<float> out) = 0;

  // --- Mamba. Both go on with the states of the pass's sequences; scan() comes last.

  // out = silu(a short causal convolution of each column of u): weight [d_inner, d_conv], bias
  // [d_inner].
  virtual void convolve(Pass& pass, const MambaSpec& spec, MatrixView<const float> u,
                        const Floats& weight, const Floats& bias, MatrixView<float> out) = 0;
  virtual void scan(Pass& pass, const MambaSpec& spec, const ScanInput& input,
                    MatrixView<float> out) = 0;

  // Makes tokens [first, first + count), prepared before, random: a depth to measure speed at.
  virtual void fill_random(KvSequence& kv, size_t first, size_t count, uint64_t seed) = 0;
};

}  // namespace longhaul
