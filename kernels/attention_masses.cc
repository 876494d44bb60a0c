// The true share of each block of tokens.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/check.h"
#include "kernels/attention_work.h"

namespace longhaul {

using namespace attention;

namespace {

// Adds the probabilities of one head's scores to its blocks. scores[j * 16 + slot] belongs to token
// slot of tile j of the range.
void add_masses(const TileRange& tiles, std::span<const float> scores, size_t block_size,
                std::span<double> masses) {
  const float max = *std::max_element(scores.begin(), scores.end());
  if (max == -std::numeric_limits<float>::infinity()) return;
  double sum = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    const double p = std::exp2(double{scores[i]} - max);
    const size_t j = i / kTileTokens;
    const size_t tile = tiles.list == nullptr ? tiles.first_tile + j : tiles.list[j].tile;
    const size_t block = (tile * kTileTokens + i % kTileTokens) / block_size;
    if (block < masses.size()) masses[block] += p;
    sum += p;
  }
  for (double& mass : masses) mass /= sum;
}

}  // namespace

void block_masses(const AttentionJob& job, size_t block_size, size_t n_blocks, float* masses,
                  AttentionWorkspace& workspace) {
  check_job(job);
  LH_CHECK(block_size > 0);
  std::fill_n(masses, n_blocks, 0.0F);
  const TileRange tiles = tiles_of_first_row(job);
  const size_t n_tiles = tiles.n_tiles;
  if (n_tiles == 0 || n_blocks == 0) return;
  AttentionWorkspace::Impl& work = workspace.impl();
  work.start(1);
  const RowBlock block{&job, 0, 0, 1, 0, 1};
  SegmentTask task = task_of(block, nullptr, work.workers[0]);
  task.tiles = tiles;
  const size_t stride = (n_tiles + kGroupTiles - 1) / kGroupTiles * kGroupTokens;
  AlignedBuffer<float> scores(job.n_group * stride);
  segment_scores(task, scores.data(), stride);
  std::vector<double> head_masses(n_blocks);
  for (size_t head = 0; head < job.n_group; ++head) {
    std::fill(head_masses.begin(), head_masses.end(), 0.0);
    add_masses(tiles, scores.span().subspan(head * stride, n_tiles * kTileTokens), block_size,
               head_masses);
    for (size_t b = 0; b < n_blocks; ++b) {
      masses[b] = std::max(masses[b], static_cast<float>(head_masses[b]));
    }
  }
}

}  // namespace longhaul
