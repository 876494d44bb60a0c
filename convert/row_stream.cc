#include "convert/row_stream.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "quant/registry.h"

namespace longhaul {
namespace {

// Numbers encoded at once: enough work to share, small beside any tensor worth converting.
constexpr size_t kBatchNumbers = size_t{1} << 20;

// The index of the first number that `type` cannot store, or row.size().
size_t find_unfit(std::span<const float> row, TensorType type) {
  if (type != TensorType::kF32 && type != TensorType::kBF16) return find_unquantizable(row);
  const auto found =
      std::find_if(row.begin(), row.end(), [](float x) { return !std::isfinite(x); });
  return static_cast<size_t>(found - row.begin());
}

}  // namespace

Status stream_rows(const RowSource& rows, TensorType type, const std::string& name,
                   ThreadPool& pool, FunctionRef<Status(const RowBatch&)> next) {
  const QuantTraits* traits = find_quant(type);
  const TensorTypeInfo& info = tensor_type_info(type);
  LH_CHECK(traits != nullptr && rows.n_in > 0 && rows.n_in % info.block_len == 0);
  const size_t row_bytes = rows.n_in / info.block_len * info.block_bytes;
  const size_t n_batch =
      std::clamp<size_t>(kBatchNumbers / rows.n_in, 1, std::max<size_t>(rows.n_rows, 1));
  std::vector<float> values(n_batch * rows.n_in);
  std::vector<std::byte> encoded(n_batch * row_bytes);
  std::vector<size_t> unfit(n_batch);
  for (size_t first = 0; first < rows.n_rows; first += n_batch) {
    const size_t n = std::min(n_batch, rows.n_rows - first);
    pool.run(n, [&](size_t i, size_t) {
      float* const row = values.data() + i * rows.n_in;
      rows.read(first + i, row);
      unfit[i] = find_unfit({row, rows.n_in}, type);
      if (unfit[i] == rows.n_in) traits->quantize(row, encoded.data() + i * row_bytes, rows.n_in);
    });
    for (size_t i = 0; i < n; ++i) {
      if (unfit[i] == rows.n_in) continue;
      return bad_input("tensor {}: row {}: expected finite numbers that {} can store, found {}",
                       name, first + i, info.name, values[i * rows.n_in + unfit[i]]);
    }
    LH_RETURN_IF_ERROR(
        next({n, std::span(values).first(n * rows.n_in), std::span(encoded).first(n * row_bytes)}));
  }
  return {};
}

}  // namespace longhaul
