#include "kernels/linear.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/linear_kernels.h"
#include "parallel/shares.h"
#include "quant/registry.h"

namespace longhaul {
namespace {

// A unit of work reads about this much of the weights, and serves at most kUnitRows rows: what fits
// in a second-level cache, and takes much longer than handing it out. Panels are a multiple of
// kUnitPanels, which the kernels for many rows take at once.
constexpr size_t kUnitBytes = 64 * 1024;
constexpr size_t kUnitPanels = 2;
constexpr size_t kUnitRows = kMaxWorkRows;
static_assert(kUnitRows % kMaxGroupRows == 0);

constexpr size_t kQuantiseRows = 8;  // rows a task of prepare() rounds: a group

size_t divide_up(size_t a, size_t b) { return (a + b - 1) / b; }

// How one product is cut in units: chunks of panels by tiles of rows.
struct Cut {
  size_t panels;  // per unit
  size_t n_row_tiles;
  size_t n_units;
};

Cut cut(const PackedMatrix& w, size_t n_rows) {
  const size_t panels =
      std::max<size_t>(kUnitPanels, kUnitBytes / w.panel_bytes() / kUnitPanels * kUnitPanels);
  const size_t n_row_tiles = divide_up(n_rows, kUnitRows);
  return {panels, n_row_tiles, divide_up(w.n_panels(), panels) * n_row_tiles};
}

// The tiles of rows of one chunk of panels follow one another, so that the weights come from memory
// once.
void run_unit(const LinearKernels& kernels, const Activations& x, const MatmulTask& task,
              const Cut& cut, size_t unit) {
  const PackedMatrix& w = *task.w;
  const size_t panel = unit / cut.n_row_tiles * cut.panels;
  const size_t row = unit % cut.n_row_tiles * kUnitRows;
  const size_t column = panel * kPanelRows;
  const size_t n_rows = std::min(kUnitRows, x.f32().n_rows - row);
  PanelWork work;
  work.panels = w.panel(panel);
  work.panel_bytes = w.panel_bytes();
  work.n_panels = std::min(cut.panels, w.n_panels() - panel);
  work.n_out = std::min(work.n_panels * kPanelRows, w.n_out() - column);
  work.n_in = w.n_in();
  work.x = x.f32().rows(row, n_rows);
  work.blocks = x.has_q8() ? x.group(row) : nullptr;
  work.y = {task.y.data + row * task.y.stride + column, n_rows, work.n_out, task.y.stride};
  work.bias = task.bias == nullptr ? nullptr : task.bias + column;
  kernels.find(w.type())(work);
}

void check_task(const Activations& x, const MatmulTask& task) {
  LH_CHECK(task.w != nullptr && task.w->n_in() == x.f32().n_cols);
  LH_CHECK(task.y.n_rows == x.f32().n_rows && task.y.n_cols == task.w->n_out());
  LH_CHECK(x.has_q8() || !reads_q8(task.w->type()));
}

}  // namespace

Result<PackedMatrix> PackedMatrix::pack(TensorType type, const std::byte* rows, size_t n_out,
                                        size_t n_in, ThreadPool& pool,
                                        std::span<std::byte> memory) {
  const TensorTypeInfo& info = tensor_type_info(type);
  if (find_panel_format(type) == nullptr)
    return unsupported("no matrix kernel for weights of type {}", info.name);
  const size_t multiple = std::max<size_t>(info.block_len, kBlockInputs);
  if (n_out == 0 || n_in == 0 || n_in % multiple != 0) {
    return unsupported(
        "a {} matrix of {} outputs and {} inputs: expected at least one output, and inputs in a "
        "multiple of {}",
        info.name, n_out, n_in, multiple);
  }
  PackedMatrix out;
  out.type_ = type;
  out.n_out_ = n_out;
  out.n_in_ = n_in;
  out.panel_bytes_ = longhaul::panel_bytes(type, n_in);
  if (memory.size() < out.bytes()) {
    out.owned_ = AlignedBuffer<std::byte>(out.bytes());
    memory = out.owned_.span();
  }
  out.panels_ = memory.data();
  const size_t row_bytes = n_in / info.block_len * info.block_bytes;
  pool.run(out.n_panels(), [&](size_t panel, size_t) {
    const size_t row = panel * kPanelRows;
    pack_panel(type, rows + row * row_bytes, std::min(kPanelRows, n_out - row), n_in,
               memory.data() + panel * out.panel_bytes_);
  });
  return out;
}

size_t PackedMatrix::packed_bytes(TensorType type, size_t n_out, size_t n_in) {
  if (find_panel_format(type) == nullptr) return 0;
  return divide_up(n_out, kPanelRows) * longhaul::panel_bytes(type, n_in);
}

bool reads_q8(TensorType type) {
  return type != TensorType::kF32 && type != TensorType::kF16 && type != TensorType::kBF16;
}

void prepare_with(const LinearKernels& kernels, ThreadPool& pool, MatrixView<const float> x,
                  Activations& activations, bool quantise) {
  LH_CHECK(x.n_cols % kBlockInputs == 0);
  activations.f32_ = x;
  activations.has_q8_ = quantise;
  if (!quantise) return;
  const size_t n_blocks = activations.n_blocks();
  activations.blocks_.ensure(padded_rows(x.n_rows) * n_blocks);
  pool.run(divide_up(x.n_rows, kQuantiseRows), [&](size_t task, size_t) {
    const size_t row = task * kQuantiseRows;
    kernels.quantise(x.rows(row, std::min(kQuantiseRows, x.n_rows - row)),
                     activations.blocks_.data() + row * n_blocks);
  });
}

void matmul_with(const LinearKernels& kernels, ThreadPool& pool, const Activations& x,
                 std::span<const MatmulTask> tasks) {
  size_t n_units = 0;
  for (const MatmulTask& task : tasks) {
    check_task(x, task);
    n_units += cut(*task.w, x.f32().n_rows).n_units;
  }
  const auto run = [&](size_t unit) {
    for (const MatmulTask& task : tasks) {
      const Cut c = cut(*task.w, x.f32().n_rows);
      if (unit < c.n_units) return run_unit(kernels, x, task, c, unit);
      unit -= c.n_units;
    }
  };
  Shares shares(n_units, pool.n_threads());
  pool.run(shares.size(), [&](size_t share, size_t) { shares.work(share, run); });
}

const LinearKernels& best_linear_kernels() {
  if (const LinearKernels* kernels = avx512_vnni_linear_kernels()) return *kernels;
  if (const LinearKernels* kernels = avx_vnni_linear_kernels()) return *kernels;
  return simd_linear_kernels();
}

void prepare(ThreadPool& pool, MatrixView<const float> x, Activations& activations, bool quantise) {
  prepare_with(best_linear_kernels(), pool, x, activations, quantise);
}

void matmul(ThreadPool& pool, const Activations& x, std::span<const MatmulTask> tasks) {
  matmul_with(best_linear_kernels(), pool, x, tasks);
}

void embed_row(TensorType type, const std::byte* table, size_t n_cols, size_t row, float* out) {
  const TensorTypeInfo& info = tensor_type_info(type);
  const QuantTraits* traits = find_quant(type);
  LH_CHECK(traits != nullptr && n_cols % info.block_len == 0);
  traits->dequantize(table + row * (n_cols / info.block_len * info.block_bytes), out, n_cols);
}

}  // namespace longhaul
