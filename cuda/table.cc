#include "cuda/table.h"

#include <algorithm>
#include <new>

#include "base/check.h"
#include "cuda/backend.h"
#include "cuda/widen.h"
#include "model/step.h"

namespace longhaul::cuda {
namespace {

struct DeviceMatrix final : ::longhaul::Matrix {
  explicit DeviceMatrix(cuda::Matrix matrix)
      : ::longhaul::Matrix(matrix.type(), matrix.n_out(), matrix.n_in()),
        device(std::move(matrix)) {}
  cuda::Matrix device;
};

struct DeviceEmbedding final : ::longhaul::Embedding {
  explicit DeviceEmbedding(cuda::Table table) : device(std::move(table)) {}
  cuda::Table device;
};

Rows rows_of(MatrixView<const float> view) {
  return {const_cast<float*>(view.data), static_cast<uint32_t>(view.n_rows),
          static_cast<uint32_t>(view.n_cols), view.stride};
}

// Makes room for at least n elements; what was there is lost if it has to grow.
template <class T>
void ensure(DeviceBuffer<T>& buffer, size_t n) {
  if (n <= buffer.size()) return;
  auto larger = DeviceBuffer<T>::create(n);
  if (!larger) throw std::bad_alloc();
  buffer = std::move(*larger);
}

// The numbers on the device, until the next call with that buffer.
template <class T>
const T* upload(std::span<const T> numbers, DeviceBuffer<T>& buffer, cudaStream_t stream) {
  constexpr size_t kLeast = 1024;
  ensure(buffer, std::max(numbers.size(), kLeast));
  buffer.upload(numbers, stream);
  return buffer.data();
}

}  // namespace

Result<std::unique_ptr<Backend>> make_backend() {
  LH_ASSIGN_OR_RETURN(Card card, open_device());
  return std::make_unique<CudaBackend>(std::move(card));
}

CudaBackend::~CudaBackend() {
  stream_.wait();
  drop_graphs();
}

std::optional<DeviceInfo> CudaBackend::measure_device() {
  return DeviceInfo{card_.name, copy_rate(stream_)};
}

Floats CudaBackend::floats(size_t size) {
  auto buffer = DeviceBuffer<float>::create(size);
  if (!buffer) throw std::bad_alloc();
  const auto shared = std::make_shared<DeviceBuffer<float>>(std::move(*buffer));
  if (size > 0) LH_CUDA(cudaMemsetAsync(shared->data(), 0, size * sizeof(float), stream_));
  return {std::shared_ptr<float>(shared, shared->data()), size};
}

Floats CudaBackend::floats_of(std::span<const float> numbers) {
  Floats result = floats(numbers.size());
  if (!numbers.empty()) {
    LH_CUDA(cudaMemcpyAsync(result.data(), numbers.data(), numbers.size_bytes(),
                            cudaMemcpyHostToDevice, stream_));
    stream_.wait();
  }
  return result;
}

Result<MatrixPtr> CudaBackend::matrix(TensorType type, const std::byte* rows, size_t n_out,
                                      size_t n_in) {
  if (Matrix::bytes(type, n_out, n_in) == 0) {
    const WideRows wide = widen(type, rows, n_out * n_in);
    return this->matrix(wide.type, wide.bytes.data(), n_out, n_in);
  }
  LH_ASSIGN_OR_RETURN(Matrix matrix, Matrix::load(type, rows, n_out, n_in, stream_));
  return MatrixPtr(std::make_unique<DeviceMatrix>(std::move(matrix)));
}

Result<EmbeddingPtr> CudaBackend::embedding(TensorType type, const std::byte* rows, size_t n_rows,
                                            size_t n_cols) {
  if (Table::bytes(type, n_rows, n_cols) == 0) {
    const WideRows wide = widen(type, rows, n_rows * n_cols);
    return embedding(wide.type, wide.bytes.data(), n_rows, n_cols);
  }
  LH_ASSIGN_OR_RETURN(Table table, Table::load(type, rows, n_rows, n_cols, stream_));
  return EmbeddingPtr(std::make_unique<DeviceEmbedding>(std::move(table)));
}

void CudaBackend::read(MatrixView<const float> from, float* to) {
  settle();
  if (from.n_rows > 0) {
    LH_CUDA(cudaMemcpy2DAsync(to, from.n_cols * sizeof(float), from.data,
                              from.stride * sizeof(float), from.n_cols * sizeof(float), from.n_rows,
                              cudaMemcpyDeviceToHost, stream_));
  }
  stream_.wait();
}

MatrixView<float> CudaBackend::staging(MatrixView<float> host) {
  if (host.n_rows * host.n_cols > staging_.size()) {
    stream_.wait();
    drop_graphs();
    ensure(staging_, host.n_rows * host.n_cols);
  }
  return {staging_.data(), host.n_rows, host.n_cols};
}

void CudaBackend::narrow(std::span<const RowMove> moves, std::span<const RowBuffer> buffers) {
  settle();
  row_ids_.clear();
  for (const RowMove& move : moves) {
    for (size_t i = 0; i < move.n; ++i) row_ids_.push_back(static_cast<uint32_t>(move.from + i));
  }
  is_narrowed_ = true;
  if (row_ids_.empty()) return;
  const uint32_t* const ids = upload<uint32_t>(row_ids_, rows_, stream_);
  for (const RowBuffer& buffer : buffers) {
    // By way of a scratch: rows move in parallel, and some move onto others.
    const size_t n = row_ids_.size() * buffer.width;
    ensure(scratch_, n);
    const auto n_rows = static_cast<uint32_t>(row_ids_.size());
    const auto width = static_cast<uint32_t>(buffer.width);
    cuda::gather(stream_, {buffer.data, n_rows, width, width}, ids,
                 {scratch_.data(), n_rows, width, width});
    LH_CUDA(cudaMemcpyAsync(buffer.data, scratch_.data(), n * sizeof(float),
                            cudaMemcpyDeviceToDevice, stream_));
  }
}

void CudaBackend::embed(const ::longhaul::Pass&, const ::longhaul::Embedding& embedding,
                        float scale, MatrixView<float> x) {
  settle();
  cuda::embed(stream_, static_cast<const DeviceEmbedding&>(embedding).device, pass_table_->tokens(),
              x.n_rows, scale, x.data);
}

void CudaBackend::angles(const ::longhaul::Pass&, const RopeTable& rope, MatrixView<float> cos,
                         MatrixView<float> sin) {
  settle();
  DeviceBuffer<double>& frequencies = frequencies_[&rope];
  if (frequencies.size() == 0) {
    ensure(frequencies, rope.n_frequencies());
    frequencies.upload(rope.frequencies(), stream_);
  }
  cuda::angles(stream_, pass_table_->positions(), static_cast<uint32_t>(cos.n_rows),
               frequencies.data(), static_cast<uint32_t>(cos.n_cols), rope.magnitude(), cos.data,
               sin.data);
}

// An addition waits for the norm that follows it, a norm and an activation for the rounding of what
// they make: one launch for all.
void CudaBackend::norm(MatrixView<const float> x, const Floats& weight, float eps,
                       MatrixView<float> out) {
  Norm norm = {.x = rows_of(x), .weight = weight.data(), .eps = eps, .out = rows_of(out)};
  const Sum* const sum = std::get_if<Sum>(&pending_);
  if (sum != nullptr && sum->x.data == x.data && sum->x.n_rows == x.n_rows && out.data != x.data) {
    norm.more = sum->y;
  } else {
    settle();
  }
  pending_ = norm;
}

void CudaBackend::add(MatrixView<float> x, MatrixView<float> y, const Floats& norm, float eps) {
  settle();
  if (norm.size() == 0) {
    pending_ = Sum{rows_of(x), rows_of(y)};
  } else {
    cuda::add(stream_, rows_of(x), rows_of(y), norm.data(), eps);
  }
}

// Every operation but those that may take along what is pending begins with it.
void CudaBackend::settle() {
  if (const auto* sum = std::get_if<Sum>(&pending_)) cuda::add(stream_, sum->x, sum->y, nullptr, 0);
  if (const auto* norm = std::get_if<Norm>(&pending_)) cuda::norm(stream_, *norm);
  if (const auto* made = std::get_if<Activated>(&pending_)) cuda::activate(stream_, *made);
  pending_ = {};
}

void CudaBackend::rotate(std::span<const HeadRows> heads, float eps) {
  settle();
  LH_CHECK(!heads.empty() && heads.size() <= 2);
  Heads on_device[2];
  for (size_t i = 0; i < heads.size(); ++i) {
    const HeadRows& each = heads[i];
    const float* weight = each.norm == nullptr ? nullptr : each.norm->data();
    on_device[i] = {rows_of(each.rows), static_cast<uint32_t>(each.head_dim), weight};
    if (weight == nullptr || each.norm->size() == each.head_dim) continue;
    // Of all heads as one.
    cuda::norm(stream_, {on_device[i].rows, {}, weight, eps, on_device[i].rows});
    on_device[i].norm = nullptr;
  }
  // Both are rotated alike.
  const Angles angles = heads.front().angles == nullptr ? Angles() : *heads.front().angles;
  cuda::rotate(stream_, on_device[0], on_device[1], angles.cos.data, angles.sin.data,
               static_cast<uint32_t>(angles.cos.n_cols), angles.layout == RopeLayout::kHalf, eps);
}

void CudaBackend::activate(Activation activation, MatrixView<float> gate,
                           MatrixView<const float> up) {
  settle();
  pending_ = Activated{activation == Activation::kGelu, rows_of(gate), rows_of(up)};
}

void CudaBackend::gather(MatrixView<const float> from, std::span<const uint32_t> rows,
                         MatrixView<float> to) {
  settle();
  cuda::gather(stream_, rows_of(from), upload(rows, rows_, stream_), rows_of(to));
}

void CudaBackend::add_shares(MatrixView<float> from, std::span<const RowShare> shares,
                             MatrixView<float> to) {
  settle();
  row_ids_.clear();
  weights_.clear();
  for (const RowShare& share : shares) {
    row_ids_.push_back(share.row);
    weights_.push_back(share.weight);
  }
  const uint32_t* const ids = upload<uint32_t>(row_ids_, rows_, stream_);
  const float* const weights = upload<float>(weights_, shares_, stream_);
  Rows rows = rows_of(from);
  rows.n_rows = static_cast<uint32_t>(shares.size());
  add_scaled(stream_, rows, ids, weights, rows_of(to));
}

void CudaBackend::zero(MatrixView<float> x) {
  settle();
  LH_CUDA(cudaMemset2DAsync(x.data, x.stride * sizeof(float), 0, x.n_cols * sizeof(float), x.n_rows,
                            stream_));
}

// Whether the pending operation makes x.
bool CudaBackend::makes(MatrixView<const float> x) const {
  const Rows* made = nullptr;
  if (const auto* norm = std::get_if<Norm>(&pending_)) made = &norm->out;
  if (const auto* activated = std::get_if<Activated>(&pending_)) made = &activated->gate;
  return made != nullptr && made->data == x.data && made->n_rows == x.n_rows &&
         made->n_cols == x.n_cols;
}

void CudaBackend::prepare(MatrixView<const float> x) {
  if (!makes(x)) settle();
  input_ = x;
  forms_ = 0;  // multiply() knows which it needs
  make_activations(x.n_rows, x.n_cols);
}

void CudaBackend::make_activations(size_t n_rows, size_t n_cols) {
  if (n_rows <= activation_rows_ && n_cols <= activation_cols_) return;
  stream_.wait();
  drop_graphs();
  activation_rows_ = std::max(n_rows, activation_rows_);
  activation_cols_ = std::max(n_cols, activation_cols_);
  auto larger = Activations::create(activation_rows_, activation_cols_, stream_);
  if (!larger) throw std::bad_alloc();
  activations_ = std::move(*larger);
}

void CudaBackend::prepare_forms(unsigned forms) {
  if (forms != kFormQ8 || !makes(input_)) {
    settle();
    cuda::prepare(stream_, input_.data, input_.stride, input_.n_rows, input_.n_cols, activations_,
                  forms);
    return;
  }
  const PrepareArgs rounded =
      activations_.start_q8(input_.data, input_.stride, input_.n_rows, input_.n_cols);
  if (const auto* norm = std::get_if<Norm>(&pending_)) cuda::norm(stream_, *norm, &rounded);
  if (const auto* made = std::get_if<Activated>(&pending_))
    cuda::activate(stream_, *made, &rounded);
  pending_ = {};
}

void CudaBackend::multiply(std::span<const Product> products) {
  tasks_.clear();
  unsigned forms = 0;
  for (const Product& product : products) {
    const Matrix& matrix = static_cast<const DeviceMatrix*>(product.w)->device;
    forms |= form_of(matrix.type());
    const bool has_bias = product.bias != nullptr && product.bias->size() > 0;
    tasks_.push_back(
        {&matrix, product.y.data, product.y.stride, has_bias ? product.bias->data() : nullptr});
  }
  if ((forms & ~forms_) != 0) {
    forms_ |= forms;
    prepare_forms(forms_);
  }
  settle();
  matmul(stream_, activations_, tasks_);
}

}  // namespace longhaul::cuda
