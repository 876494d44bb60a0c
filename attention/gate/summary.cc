#include "attention/gate/summary.h"

#include <algorithm>

#include "base/check.h"

namespace longhaul {

static_assert(kHalfTileRows == kGroupBlocks);

SummarySpec gate_summary_spec(size_t dim) {
  return {.name = kGateSummary, .tag = 0, .group_bytes = half_tile_bytes(dim)};
}

SummarySpec GateSummary::spec() const {
  SummarySpec spec = gate_summary_spec(gates_.dim());
  spec.summary = this;
  return spec;
}

void GateSummary::update(const KeyChange& change) const {
  LH_DCHECK(change.block_size == gates_.block_size());
  const size_t n_complete = change.n_tokens / change.block_size;
  for (size_t block = change.first / change.block_size;
       block < n_complete && block * change.block_size < change.end; ++block) {
    const auto read = [&](size_t t, float* key) {
      change.read_key(block * change.block_size + t, key);
    };
    alignas(64) float gate_key[kMaxGateDim];
    gates_.encode_key(change.layer, change.kv_head, block, read, gate_key);
    half_tile_set_row(change.group(block), block % kGroupBlocks, gate_key, gates_.dim());
  }
}

void GateSummary::blank(std::byte* group, size_t n_tokens, size_t block_size) const {
  const std::vector<float> zeros(gates_.dim(), 0.0F);
  for (size_t row = n_tokens / block_size; row < kGroupBlocks; ++row)
    half_tile_set_row(group, row, zeros.data(), gates_.dim());
}

HalfMatrixView gate_keys(const SummaryView& view) {
  const Gates& gates = static_cast<const GateSummary*>(view.summary)->gates();
  return {.base = view.base,
          .tile_stride = view.page_stride,
          .pages = view.pages,
          .n_rows = view.n_tokens / gates.block_size(),
          .n_cols = gates.dim()};
}

}  // namespace longhaul
