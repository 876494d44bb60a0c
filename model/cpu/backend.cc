#include "model/cpu/backend.h"

#include <algorithm>
#include <cstring>

#include "base/aligned_buffer.h"
#include "base/check.h"
#include "kernels/ops.h"
#include "model/pass.h"

namespace longhaul {
namespace {

struct CpuMatrix final : Matrix {
  explicit CpuMatrix(PackedMatrix matrix)
      : Matrix(matrix.type(), matrix.n_out(), matrix.n_in()), packed(std::move(matrix)) {}
  PackedMatrix packed;
};

// Rows where they are mapped.
struct CpuEmbedding final : Embedding {
  CpuEmbedding(TensorType type_in, const std::byte* rows_in) : type(type_in), rows(rows_in) {}
  TensorType type;
  const std::byte* rows;
};

void norm_and_rotate(const HeadRows& heads, size_t r, float eps) {
  float* const row = heads.rows.row(r);
  const size_t n = heads.norm == nullptr ? 0 : heads.norm->size();
  for (size_t i = 0; n > 0 && i < heads.rows.n_cols; i += n)
    rms_norm(row + i, heads.norm->data(), eps, n, row + i);
  if (heads.angles == nullptr) return;
  const Angles& angles = *heads.angles;
  apply_rope(row, heads.rows.n_cols / heads.head_dim, heads.head_dim, 2 * angles.cos.n_cols,
             angles.cos.row(r), angles.sin.row(r), angles.layout);
}

}  // namespace

void for_each(ThreadPool& pool, size_t n, size_t serial, FunctionRef<void(size_t, size_t)> task) {
  if (n <= serial) {
    for (size_t i = 0; i < n; ++i) task(i, 0);
  } else {
    pool.run(n, task);
  }
}

void CpuBackend::for_each_row(size_t n_rows, FunctionRef<void(size_t, size_t)> task) {
  for_each(pool_, n_rows, kSerialRows, task);
}

Floats CpuBackend::floats(size_t size) {
  const auto buffer = std::make_shared<AlignedBuffer<float>>(size);
  return {std::shared_ptr<float>(buffer, buffer->data()), size};
}

Floats CpuBackend::floats_of(std::span<const float> numbers) {
  Floats result = floats(numbers.size());
  std::copy(numbers.begin(), numbers.end(), result.data());
  return result;
}

void CpuBackend::reserve_weights(size_t n_bytes) {
  weights_ = PageRegion::reserve(n_bytes);
  weights_left_ = weights_.bytes();
}

Result<MatrixPtr> CpuBackend::matrix(TensorType type, const std::byte* rows, size_t n_out,
                                     size_t n_in) {
  LH_ASSIGN_OR_RETURN(PackedMatrix packed,
                      PackedMatrix::pack(type, rows, n_out, n_in, pool_, weights_left_));
  weights_left_ = weights_left_.subspan(std::min(weights_left_.size(), packed.bytes()));
  return MatrixPtr(std::make_unique<CpuMatrix>(std::move(packed)));
}

Result<EmbeddingPtr> CpuBackend::embedding(TensorType type, const std::byte* rows,
                                           size_t /*n_rows*/, size_t /*n_cols*/) {
  return EmbeddingPtr(std::make_unique<CpuEmbedding>(type, rows));
}

void CpuBackend::read(MatrixView<const float> from, float* to) {
  if (from.data == to) return;
  for (size_t r = 0; r < from.n_rows; ++r)
    std::memcpy(to + r * from.n_cols, from.row(r), from.n_cols * sizeof(float));
}

// In ascending order: no row is overwritten before it has moved.
void CpuBackend::narrow(std::span<const RowMove> moves, std::span<const RowBuffer> buffers) {
  const auto move_rows = [&](float* data, size_t width) {
    for (const RowMove& move : moves) {
      std::memmove(data + move.to * width, data + move.from * width,
                   move.n * width * sizeof(float));
    }
  };
  for (const RowBuffer& buffer : buffers) move_rows(buffer.data, buffer.width);
  attention_.for_each_row_buffer(move_rows);
}

void CpuBackend::embed(const Pass& pass, const Embedding& embedding, float scale,
                       MatrixView<float> x) {
  const auto& rows = static_cast<const CpuEmbedding&>(embedding);
  for_each_row(x.n_rows, [&](size_t r, size_t) {
    embed_row(rows.type, rows.rows, x.n_cols, static_cast<size_t>(pass.row(r).token), x.row(r));
    if (scale != 1.0F) scale_in_place(x.row(r), scale, x.n_cols);
  });
}

void CpuBackend::angles(const Pass& pass, const RopeTable& rope, MatrixView<float> cos,
                        MatrixView<float> sin) {
  for_each_row(cos.n_rows,
               [&](size_t r, size_t) { rope.angles(pass.row(r).pos, cos.row(r), sin.row(r)); });
}

void CpuBackend::norm(MatrixView<const float> x, const Floats& weight, float eps,
                      MatrixView<float> out) {
  for_each_row(x.n_rows, [&](size_t r, size_t) {
    rms_norm(x.row(r), weight.data(), eps, x.n_cols, out.row(r));
  });
}

void CpuBackend::layer_norm(MatrixView<const float> x, const Floats& weight, const Floats& bias,
                            float eps, MatrixView<float> out) {
  for_each_row(x.n_rows, [&](size_t r, size_t) {
    longhaul::layer_norm(x.row(r), weight.data(), bias.data(), eps, x.n_cols, out.row(r));
  });
}

void CpuBackend::add(MatrixView<float> x, MatrixView<float> y, const Floats& norm, float eps) {
  for_each_row(x.n_rows, [&](size_t r, size_t) {
    float* const row = y.row(r);
    if (norm.size() > 0) rms_norm(row, norm.data(), eps, x.n_cols, row);
    add_in_place(x.row(r), row, x.n_cols);
  });
}

void CpuBackend::rotate(std::span<const HeadRows> heads, float eps) {
  for_each_row(heads.front().rows.n_rows, [&](size_t r, size_t) {
    for (const HeadRows& each : heads) norm_and_rotate(each, r, eps);
  });
}

void CpuBackend::activate(Activation activation, MatrixView<float> gate,
                          MatrixView<const float> up) {
  for_each_row(gate.n_rows, [&](size_t r, size_t) {
    switch (activation) {
      case Activation::kSilu:
        silu_mul(gate.row(r), up.row(r), gate.n_cols, gate.row(r));
        break;
      case Activation::kGelu:
        gelu_mul(gate.row(r), up.row(r), gate.n_cols, gate.row(r));
        break;
    }
  });
}

void CpuBackend::gather(MatrixView<const float> from, std::span<const uint32_t> rows,
                        MatrixView<float> to) {
  for_each_row(rows.size(), [&](size_t i, size_t) {
    std::memcpy(to.row(i), from.row(rows[i]), from.n_cols * sizeof(float));
  });
}

void CpuBackend::add_shares(MatrixView<float> from, std::span<const RowShare> shares,
                            MatrixView<float> to) {
  for_each_row(shares.size(), [&](size_t i, size_t) {
    scale_in_place(from.row(i), shares[i].weight, from.n_cols);
    add_in_place(to.row(shares[i].row), from.row(i), from.n_cols);
  });
}

void CpuBackend::zero(MatrixView<float> x) {
  for (size_t r = 0; r < x.n_rows; ++r) std::memset(x.row(r), 0, x.n_cols * sizeof(float));
}

void CpuBackend::prepare(MatrixView<const float> x) { longhaul::prepare(pool_, x, activations_); }

void CpuBackend::multiply(std::span<const Product> products) {
  tasks_.clear();
  for (const Product& product : products) {
    tasks_.push_back({&static_cast<const CpuMatrix*>(product.w)->packed, product.y,
                      product.bias == nullptr ? nullptr : product.bias->data()});
  }
  matmul(pool_, activations_, tasks_);
}

}  // namespace longhaul
