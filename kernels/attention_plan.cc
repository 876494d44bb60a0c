#include "kernels/attention_plan.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "base/check.h"

namespace longhaul::attention {
namespace {

constexpr size_t kBlockQueries = 96;  // of a row block: their states stay in L2 beside the tiles

// As many as make up to kBlockQueries queries, that the kernels find full blocks of queries in.
size_t rows_per_block(size_t n_group) {
  const size_t most = std::max<size_t>(1, kBlockQueries / n_group);
  const size_t even = kMaxQueryBlock / std::gcd(kMaxQueryBlock, n_group);
  return most < even ? most : most / even * even;
}

// The first of the listed tiles [first, end) that is not before `tile`.
size_t find_tile(std::span<const TileRef> list, size_t first, size_t tile) {
  const auto at = std::partition_point(list.begin() + static_cast<ptrdiff_t>(first), list.end(),
                                       [=](const TileRef& ref) { return ref.tile < tile; });
  return static_cast<size_t>(at - list.begin());
}

// Appends one range per segment of the tiles before end_tile.
void cut_text(const AttentionJob& job, size_t end_tile, size_t block, std::vector<Range>& ranges) {
  for (size_t first = 0; first < end_tile; first += kSegmentTiles) {
    const size_t n = std::min(kSegmentTiles, end_tile - first);
    ranges.push_back({{&job.kv, nullptr, static_cast<uint32_t>(first), n}, block});
  }
}

// The same of those that are listed.
void cut_list(const AttentionJob& job, size_t end_tile, size_t block, std::vector<Range>& ranges) {
  const size_t end = find_tile(job.tiles, 0, end_tile);
  for (size_t first = 0; first < end;) {
    const size_t segment = job.tiles[first].tile / kListSegmentTiles;
    const size_t next =
        std::min(end, find_tile(job.tiles, first, (segment + 1) * kListSegmentTiles));
    ranges.push_back({{&job.kv, job.tiles.data() + first, 0, next - first}, block});
    first = next;
  }
}

}  // namespace

void check_job(const AttentionJob& job) {
  for (const size_t dim : {job.kv.key_dim, job.kv.value_dim}) {
    LH_CHECK(dim % kScaleDims == 0 && dim > 0 && dim <= kMaxHeadDim);
  }
  LH_CHECK(std::has_single_bit(job.kv.tiles_per_page));
}

void Plan::make(std::span<const AttentionJob> jobs) {
  blocks.clear();
  ranges.clear();
  n_states = 0;
  for (const AttentionJob& job : jobs) {
    check_job(job);
    if (job.n_rows == 0 || job.n_group == 0) continue;
    const size_t step = rows_per_block(job.n_group);
    for (size_t row = 0; row < job.n_rows; row += step) {
      RowBlock block{&job, row, std::min(step, job.n_rows - row), ranges.size(), 0, n_states};
      const size_t end_tile = block.last_pos() / kTileTokens + 1;
      (job.all_tiles ? cut_text : cut_list)(job, end_tile, blocks.size(), ranges);
      block.n_ranges = ranges.size() - block.first_range;
      n_states += block.n_ranges * block.n_queries();
      blocks.push_back(block);
    }
  }
}

}  // namespace longhaul::attention
