// Which blocks a partial rectification pass reads: the union, over the rows of the pass, of the
// blocks each row's selection asks for; or every block where that union would miss too much
// attention (`adaptive`). docs/modes.md says what each promises.
#pragma once

#include <span>
#include <vector>

#include "attention/selector.h"

namespace longhaul {

// Estimated share of the softmax over all blocks that the blocks outside `block_ids` (ascending)
// hold, for the group's mean query, from the mean keys and outliers of the complete blocks alone
// (kernels/block_outlier.h). An estimate without a guarantee. `log_masses` is room for n_blocks
// floats: the estimates of the blocks.
float estimate_missed_mass(const SelectionInput& input, std::span<const uint32_t> block_ids,
                           std::span<float> log_masses);

// Room for the selection of one job of a partial rectification; reused, grown only when the context
// grows.
class RectifySelection {
 public:
  // Makes room for contexts of up to n_blocks blocks.
  void reserve(size_t n_blocks, size_t block_size, size_t head_dim);

  // The tiles that the rows of `input.query` attend to: the union of what `selector` chooses for
  // each row under `options`. With a tolerance of at least 0: every tile if the estimated missed
  // mass of a probed row exceeds it. `input.n_blocks` covers the last row. The tiles stay valid
  // until the next call.
  TileChoice select(const Selector& selector, const AttentionOptions& options, double tolerance,
                    const SelectionInput& input, AttentionWorkspace& workspace);

 private:
  // The summaries as row r of the pass sees them.
  std::span<const SummaryView> summaries_of_row(const SelectionInput& input, size_t r);

  SelectionBuffer row_;
  std::vector<SummaryView> summaries_;
  std::vector<uint8_t> chosen_;  // [n_blocks], 1 if some row wants the block
  std::vector<uint32_t> ids_;
  std::vector<TileRef> tiles_;
  AlignedBuffer<float> log_masses_, q_mean_;
};

}  // namespace longhaul
