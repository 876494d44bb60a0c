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

// The index of the first listed tile, from index `first` on, that is not before `tile`.
size_t find_tile(std::span<const TileRef> list, size_t first, size_t tile) {
  const auto at = std::partition_point(list.begin() + static_cast<ptrdiff_t>(first), list.end(),
                                       [=](const TileRef& ref) { return ref.tile < tile; });
  return static_cast<size_t>(at - list.begin());
}

// Tiles [begin, end) of a segment that starts at `start`, all as numbers of tiles or, of a list, as
// indices: from the start of the group that holds `begin`.
TileRange tile_range(const AttentionJob& job, size_t start, size_t begin, size_t end) {
  const size_t n_before = (begin - start) % kGroupTiles;
  const size_t first = begin - n_before;
  const TileRef* list = job.all_tiles ? nullptr : job.tiles.data() + first;
  return {&job.kv, list, static_cast<uint32_t>(first), end - first, n_before};
}

// Appends one range per segment of the tiles [begin, end).
void cut_text(const AttentionJob& job, size_t begin, size_t end, size_t block,
              std::vector<Range>& ranges) {
  while (begin < end) {
    const size_t start = begin / kSegmentTiles * kSegmentTiles;
    const size_t next = std::min(end, start + kSegmentTiles);
    ranges.push_back({tile_range(job, start, begin, next), block});
    begin = next;
  }
}

// The same of those that are listed.
void cut_list(const AttentionJob& job, size_t first_tile, size_t end_tile, size_t block,
              std::vector<Range>& ranges) {
  size_t begin = find_tile(job.tiles, 0, first_tile);
  const size_t end = find_tile(job.tiles, begin, end_tile);
  while (begin < end) {
    const size_t first = job.tiles[begin].tile / kListSegmentTiles * kListSegmentTiles;
    const size_t start = find_tile(job.tiles, 0, first);
    const size_t next = std::min(end, find_tile(job.tiles, begin, first + kListSegmentTiles));
    ranges.push_back({tile_range(job, start, begin, next), block});
    begin = next;
  }
}

}  // namespace

void check_job(const AttentionJob& job) {
  for (const size_t dim : {job.kv.key_dim, job.kv.value_dim}) {
    LH_CHECK(dim % kScaleDims == 0 && dim > 0 && dim <= kMaxHeadDim);
  }
  LH_CHECK(std::has_single_bit(job.kv.tiles_per_page));
}

TileRange tiles_of_first_row(const AttentionJob& job) {
  size_t begin = sight_from(job.first_pos, job.window).first / kTileTokens;
  size_t end = job.first_pos / kTileTokens + 1;
  if (!job.all_tiles) {
    begin = find_tile(job.tiles, 0, begin);
    end = find_tile(job.tiles, begin, end);
  }
  return tile_range(job, begin, begin, end);
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
      const size_t first_tile = sight_from(block.first_pos(), job.window).first / kTileTokens;
      const size_t end_tile = block.last_pos() / kTileTokens + 1;
      (job.all_tiles ? cut_text : cut_list)(job, first_tile, end_tile, blocks.size(), ranges);
      block.n_ranges = ranges.size() - block.first_range;
      n_states += block.n_ranges * block.n_queries();
      blocks.push_back(block);
    }
  }
}

}  // namespace longhaul::attention
