#include "cuda/linear.h"

#include <algorithm>

#include "cuda/linear_kernels.h"
#include "cuda/linear_tuning.h"

namespace longhaul::cuda {
namespace {

// Packing goes through a buffer of about this size on the device.
constexpr size_t kStagingBytes = 64 << 20;

struct Shape {
  uint32_t unit_inputs = 0;  // 0: not a type in fragment order
  uint32_t unit_bytes = 0;
};

Shape shape_of(TensorType type) {
  Shape shape;
  with_fragment_type(type, [&]<TensorType kType>() {
    shape = {Layout<kType>::kInputs, Layout<kType>::kBytes};
  });
  return shape;
}

bool is_float(TensorType type) { return type == TensorType::kF32 || type == TensorType::kBF16; }

size_t file_row_bytes(TensorType type, size_t n_in) {
  const TensorTypeInfo& info = tensor_type_info(type);
  return n_in / info.block_len * info.block_bytes;
}

Status check_shape(TensorType type, size_t n_out, size_t n_in) {
  const TensorTypeInfo& info = tensor_type_info(type);
  if (!is_float(type) && shape_of(type).unit_inputs == 0)
    return unsupported("CUDA: no kernel for weights of type {}", info.name);
  const size_t multiple = std::max<size_t>(info.block_len, 32);
  if (n_out == 0 || n_in == 0 || n_in % multiple != 0) {
    return unsupported(
        "CUDA: a {} matrix of {} outputs and {} inputs: expected at least one output, and inputs "
        "in "
        "a multiple of {}",
        info.name, n_out, n_in, multiple);
  }
  return {};
}

// Copies some tiles at a time to the device and packs them there.
Status pack(TensorType type, const FileMatrix& from, std::byte* to, cudaStream_t stream) {
  const Shape shape = shape_of(type);
  const uint32_t n_units = divide_up(from.n_in, shape.unit_inputs);
  const uint32_t n_tiles = divide_up(from.n_out, kTileRows);
  const size_t row_bytes = file_row_bytes(type, from.n_in);
  const size_t tiles_at_once =
      std::clamp<size_t>(kStagingBytes / (row_bytes * kTileRows), 1, n_tiles);
  LH_ASSIGN_OR_RETURN(const auto staging,
                      DeviceBuffer<std::byte>::create(tiles_at_once * kTileRows * row_bytes));
  for (size_t tile = 0; tile < n_tiles; tile += tiles_at_once) {
    const auto n = static_cast<uint32_t>(std::min<size_t>(tiles_at_once, n_tiles - tile));
    const size_t first = tile * kTileRows;
    const size_t n_rows = std::min<size_t>(size_t{n} * kTileRows, from.n_out - first);
    staging.upload({from.rows + first * row_bytes, n_rows * row_bytes}, stream);
    launch_pack(stream, type, {staging.data(), n_rows, from.n_in}, n, n_units,
                reinterpret_cast<uint32_t*>(to + tile * n_units * shape.unit_bytes));
  }
  return check(cudaStreamSynchronize(stream), "packing a matrix");
}

FloatArgs float_args(const float* x, size_t x_stride, size_t n_rows, const MatmulTask& task) {
  return {x,
          x_stride,
          task.w->data(),
          task.y,
          task.y_stride,
          task.bias,
          static_cast<uint32_t>(n_rows),
          static_cast<uint32_t>(task.w->n_out()),
          static_cast<uint32_t>(task.w->n_in())};
}

TaskArgs task_args(const MatmulTask& task) {
  return {
      task.w->data(), task.y, task.y_stride, task.bias, static_cast<uint32_t>(task.w->n_out()), 0};
}

void launch(cudaStream_t stream, const Tuning& tuning, TensorType type, MatmulArgs args) {
  const size_t n_blocks =
      size_t{place_tasks(args, kManyOutputs)} * divide_up(args.n_rows, kManyRows);
  const bool many = args.n_rows >= tuning.many_from_rows && n_blocks >= tuning.many_from_blocks;
  if (many) return launch_many(stream, type, args);
  launch_few(stream, type, args, tuning.two_tiles_from_blocks);
}

// Those of the tasks that have this type.
void matmul_of_type(cudaStream_t stream, const Tuning& tuning, TensorType type,
                    const FragmentView& x, size_t n_rows, std::span<const MatmulTask> tasks) {
  MatmulArgs args = {};
  args.x = x;
  args.n_rows = static_cast<uint32_t>(n_rows);
  args.prefetch = tuning.prefetch;
  for (const MatmulTask& task : tasks) {
    if (task.w->type() != type) continue;
    set_units(args, divide_up(task.w->n_in(), shape_of(type).unit_inputs));
    args.tasks[args.n_tasks++] = task_args(task);
    if (args.n_tasks < kMaxTasks) continue;
    launch(stream, tuning, type, args);
    args.n_tasks = 0;
  }
  if (args.n_tasks > 0) launch(stream, tuning, type, args);
}

// Of one call: the second axis of a grid has no more.
constexpr size_t kMaxRows = 65528;

size_t padded_rows(size_t n_rows) { return size_t{divide_up(n_rows, kPaddedRows)} * kPaddedRows; }

// Bytes of zeros: what the kernels read past the last row is then a number.
template <class T>
Status clear(const DeviceBuffer<T>& buffer, cudaStream_t stream) {
  return check(cudaMemsetAsync(buffer.data(), 0, buffer.size() * sizeof(T), stream),
               "clearing memory");
}

}  // namespace

size_t Matrix::bytes(TensorType type, size_t n_out, size_t n_in) {
  if (is_float(type)) return n_out * file_row_bytes(type, n_in);
  const Shape shape = shape_of(type);
  if (shape.unit_inputs == 0) return 0;
  return size_t{divide_up(n_out, kTileRows)} * divide_up(n_in, shape.unit_inputs) *
         shape.unit_bytes;
}

Result<Matrix> Matrix::load(TensorType type, const std::byte* rows, size_t n_out, size_t n_in,
                            cudaStream_t stream) {
  LH_RETURN_IF_ERROR(check_shape(type, n_out, n_in));
  Matrix matrix;
  matrix.type_ = type;
  matrix.n_out_ = n_out;
  matrix.n_in_ = n_in;
  LH_ASSIGN_OR_RETURN(matrix.data_, DeviceBuffer<std::byte>::create(bytes(type, n_out, n_in)));
  if (is_float(type)) {
    matrix.data_.upload({rows, matrix.data_.size()}, stream);
  } else {
    LH_RETURN_IF_ERROR(pack(type, {rows, n_out, n_in}, matrix.data_.data(), stream));
  }
  return matrix;
}

ActivationForm form_of(TensorType type) {
  if (is_float(type)) return kFormF32;
  return type == TensorType::kF16 ? kFormF16 : kFormQ8;
}

size_t Activations::bytes(size_t max_rows, size_t max_cols) {
  const size_t rows = padded_rows(max_rows);
  const size_t blocks = rows / kGroupRows * (q8_blocks(max_cols) + f16_blocks(max_cols));
  return blocks * kFragmentBytes + rows * q8_blocks(max_cols) * sizeof(float2) +
         rows * sizeof(float);
}

Result<Activations> Activations::create(size_t max_rows, size_t max_cols, cudaStream_t stream) {
  const size_t rows = padded_rows(max_rows);
  const size_t groups = rows / kGroupRows;
  Activations out;
  out.max_rows_ = max_rows;
  out.max_cols_ = max_cols;
  LH_ASSIGN_OR_RETURN(out.q8_fragments_,
                      DeviceBuffer<uint2>::create(groups * q8_blocks(max_cols) * 32));
  LH_ASSIGN_OR_RETURN(out.q8_scales_, DeviceBuffer<float2>::create(rows * q8_blocks(max_cols)));
  LH_ASSIGN_OR_RETURN(out.f16_fragments_,
                      DeviceBuffer<uint2>::create(groups * f16_blocks(max_cols) * 32));
  LH_ASSIGN_OR_RETURN(out.f16_row_scales_, DeviceBuffer<float>::create(rows));
  LH_RETURN_IF_ERROR(clear(out.q8_fragments_, stream));
  LH_RETURN_IF_ERROR(clear(out.q8_scales_, stream));
  LH_RETURN_IF_ERROR(clear(out.f16_fragments_, stream));
  LH_RETURN_IF_ERROR(clear(out.f16_row_scales_, stream));
  LH_RETURN_IF_ERROR(check(cudaStreamSynchronize(stream), "clearing memory"));
  return out;
}

FragmentView Activations::q8() const {
  return {q8_fragments_.data(), q8_scales_.data(), nullptr, q8_blocks(n_cols_)};
}

FragmentView Activations::f16() const {
  return {f16_fragments_.data(), nullptr, f16_row_scales_.data(), f16_blocks(n_cols_)};
}

void Activations::start(const float* x, size_t stride, size_t n_rows, size_t n_cols,
                        unsigned forms) {
  LH_CHECK(n_rows <= max_rows_ && n_rows <= kMaxRows);
  LH_CHECK(n_cols <= max_cols_);
  LH_CHECK(n_cols % 32 == 0 && stride % 4 == 0 && reinterpret_cast<uintptr_t>(x) % 16 == 0);
  n_rows_ = n_rows;
  n_cols_ = n_cols;
  forms_ = forms;
  f32_ = x;
  f32_stride_ = stride;
}

PrepareArgs Activations::start_q8(const float* x, size_t stride, size_t n_rows, size_t n_cols) {
  start(x, stride, n_rows, n_cols, kFormQ8);
  return q8_args();
}

PrepareArgs Activations::q8_args() const {
  return {.x = f32_,
          .stride = f32_stride_,
          .n_rows = static_cast<uint32_t>(n_rows_),
          .n_cols = static_cast<uint32_t>(n_cols_),
          .n_blocks = q8_blocks(n_cols_),
          .fragments = reinterpret_cast<uint32_t*>(q8_fragments_.data()),
          .scales = q8_scales_.data(),
          .row_scales = nullptr};
}

void prepare(cudaStream_t stream, const float* x, size_t stride, size_t n_rows, size_t n_cols,
             Activations& activations, unsigned forms) {
  activations.start(x, stride, n_rows, n_cols, forms);
  if (n_rows == 0) return;
  PrepareArgs args = activations.q8_args();
  if ((forms & kFormQ8) != 0) launch_prepare_q8(stream, args);
  if ((forms & kFormF16) != 0) {
    args.n_blocks = f16_blocks(n_cols);
    args.fragments = reinterpret_cast<uint32_t*>(activations.f16_fragments_.data());
    args.row_scales = activations.f16_row_scales_.data();
    launch_prepare_f16(stream, args);
  }
}

void matmul_with(cudaStream_t stream, const Tuning& tuning, const Activations& x,
                 std::span<const MatmulTask> tasks) {
  if (x.n_rows() == 0) return;
  for (size_t i = 0; i < tasks.size(); ++i) {
    const Matrix& w = *tasks[i].w;
    const unsigned form = form_of(w.type());
    LH_CHECK(w.n_in() == x.n_cols() && (x.forms_ & form) != 0);
    if (form == kFormF32) {
      launch_float(stream, w.type(), float_args(x.f32_, x.f32_stride_, x.n_rows(), tasks[i]));
      continue;
    }
    const auto same = [&](const MatmulTask& task) { return task.w->type() == w.type(); };
    if (std::any_of(tasks.begin(), tasks.begin() + i, same)) continue;  // launched with the first
    const auto rest = tasks.subspan(i);
    for (const MatmulTask& task : rest) LH_CHECK(task.w->n_in() == x.n_cols());
    matmul_of_type(stream, tuning, w.type(), form == kFormQ8 ? x.q8() : x.f16(), x.n_rows(), rest);
  }
}

void matmul(cudaStream_t stream, const Activations& x, std::span<const MatmulTask> tasks) {
  matmul_with(stream, {}, x, tasks);
}

size_t Table::bytes(TensorType type, size_t n_rows, size_t n_cols) {
  if (!is_float(type) && shape_of(type).unit_inputs == 0) return 0;
  return n_rows * file_row_bytes(type, n_cols);
}

Result<Table> Table::load(TensorType type, const std::byte* rows, size_t n_rows, size_t n_cols,
                          cudaStream_t stream) {
  LH_RETURN_IF_ERROR(check_shape(type, n_rows, n_cols));
  Table table;
  table.type_ = type;
  table.n_rows_ = n_rows;
  table.n_cols_ = n_cols;
  LH_ASSIGN_OR_RETURN(table.data_, DeviceBuffer<std::byte>::create(bytes(type, n_rows, n_cols)));
  table.data_.upload({rows, table.data_.size()}, stream);
  return table;
}

void embed(cudaStream_t stream, const Table& table, const int32_t* tokens, size_t n_rows,
           float scale, float* out) {
  LH_CHECK(n_rows <= kMaxRows);
  if (n_rows == 0) return;
  launch_embed(stream, table.type(),
               {table.data(), table.n_rows(), static_cast<uint32_t>(table.n_cols()), tokens,
                static_cast<uint32_t>(n_rows), scale, out});
}

}  // namespace longhaul::cuda
