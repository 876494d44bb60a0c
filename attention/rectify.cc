#include "attention/rectify.h"

#include <algorithm>
#include <cmath>

#include "attention/outlier/summary.h"
#include "base/check.h"
#include "kernels/kv_tile.h"

namespace longhaul {
namespace {

// Every how many rows the missed mass is estimated: one more look at all descriptors for each
// probed row.
constexpr size_t kProbeEvery = 8;

// Row r of the pass as a step of its own.
AttentionJob row_job(const AttentionJob& job, size_t r) {
  AttentionJob row = job;
  row.q = job.q + r * job.q_stride;
  row.n_rows = 1;
  row.first_pos = job.first_pos + static_cast<uint32_t>(r);
  return row;
}

}  // namespace

float estimate_missed_mass(const SelectionInput& input, std::span<const uint32_t> block_ids,
                           std::span<float> log_masses) {
  const SummaryView* view = input.find_summary(kOutlierSummary);
  LH_CHECK(view != nullptr);
  const size_t n_blocks = (input.query->first_pos + 1) / input.block_size;
  LH_CHECK(log_masses.size() >= n_blocks);
  if (n_blocks == 0) return 0.0F;
  score_blocks(outlier_blocks(*view, n_blocks),
               {input.q_mean, 1, input.query->scale, input.block_size}, log_masses.data(),
               n_blocks);
  const double highest = *std::max_element(log_masses.begin(), log_masses.begin() + n_blocks);
  double all = 0;
  double missed = 0;
  for (size_t i = 0, next = 0; i < n_blocks; ++i) {
    const double mass = std::exp(double{log_masses[i]} - highest);
    all += mass;
    if (next < block_ids.size() && block_ids[next] == i) {
      ++next;
    } else {
      missed += mass;
    }
  }
  return static_cast<float>(missed / all);
}

std::span<const SummaryView> RectifySelection::summaries_of_row(const SelectionInput& input,
                                                                size_t r) {
  summaries_.assign(input.summaries.begin(), input.summaries.end());
  for (SummaryView& view : summaries_) {
    if (view.rows != nullptr) view.rows += r * view.summary->n_row_floats();
  }
  return summaries_;
}

void RectifySelection::reserve(size_t n_blocks, size_t block_size, size_t head_dim) {
  row_.reserve(n_blocks, block_size, head_dim);
  q_mean_.ensure(head_dim);
  if (n_blocks <= chosen_.size()) return;
  n_blocks = std::max(n_blocks, 2 * chosen_.size());
  chosen_.resize(n_blocks);
  ids_.resize(n_blocks);
  tiles_.resize(n_blocks * std::max<size_t>(1, block_size / kTileTokens));
  log_masses_.ensure(n_blocks);
}

TileChoice RectifySelection::select(const Selector& selector, const AttentionOptions& options,
                                    double tolerance, const SelectionInput& input,
                                    AttentionWorkspace& workspace) {
  const AttentionJob& job = *input.query;
  std::fill_n(chosen_.begin(), input.n_blocks, uint8_t{0});
  for (size_t r = 0; r < job.n_rows; ++r) {
    const AttentionJob row = row_job(job, r);
    SelectionInput row_input = input;
    row_input.query = &row;
    row_input.n_blocks = row.first_pos / input.block_size + 1;
    row_input.summaries = summaries_of_row(input, r);
    (void)row_.select(selector, options, row_input, row.first_pos + 1, workspace);
    for (const uint32_t id : row_.block_ids()) chosen_[id] = 1;
  }
  size_t n_ids = 0;
  for (size_t i = 0; i < input.n_blocks; ++i) {
    if (chosen_[i] != 0) ids_[n_ids++] = static_cast<uint32_t>(i);
  }
  const std::span<const uint32_t> ids(ids_.data(), n_ids);
  if (n_ids == input.n_blocks) return {true, {}, n_ids};
  for (size_t r = 0; tolerance >= 0 && r < job.n_rows; r += kProbeEvery) {
    const AttentionJob row = row_job(job, r);
    SelectionInput row_input = input;
    row_input.query = &row;
    mean_over_group(row, q_mean_.data());
    row_input.q_mean = q_mean_.data();
    if (estimate_missed_mass(row_input, ids, log_masses_.span()) > tolerance)
      return {true, {}, input.n_blocks};
  }
  const size_t n_tiles = expand_blocks(ids, input.block_size, job.first_pos + job.n_rows, tiles_);
  return {false, {tiles_.data(), n_tiles}, n_ids};
}

}  // namespace longhaul
