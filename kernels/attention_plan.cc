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
    const size_t segment = begin / kSegmentTiles;
    const size_t start = segment * kSegmentTiles;
    const size_t next = std::min(end, start + kSegmentTiles);
    ranges.push_back({tile_range(job, start, begin, next), block, segment});
    begin = next;
  }
}

// The same of those that are listed.
void cut_list(const AttentionJob& job, size_t first_tile, size_t end_tile, size_t block,
              std::vector<Range>& ranges) {
  size_t begin = find_tile(job.tiles, 0, first_tile);
  const size_t end = find_tile(job.tiles, begin, end_tile);
  while (begin < end) {
    const size_t segment = job.tiles[begin].tile / kListSegmentTiles;
    const size_t start = find_tile(job.tiles, 0, segment * kListSegmentTiles);
    const size_t next =
        std::min(end, find_tile(job.tiles, begin, (segment + 1) * kListSegmentTiles));
    ranges.push_back({tile_range(job, start, begin, next), block, segment});
    begin = next;
  }
}

// What some rows of a job, from `first_row` to the one at `last_pos`, may see of a part.
TextPart part_seen(const AttentionJob& job, TextPart part, size_t first_row, uint32_t last_pos) {
  const uint32_t first_pos = job.first_pos + static_cast<uint32_t>(first_row);
  return {std::max<size_t>(part.first_tile,
                           sight_from(first_pos, job.window, job.window_step).first / kTileTokens),
          std::min<size_t>(part.end_tile, last_pos / kTileTokens + 1)};
}

}  // namespace

void check_job(const AttentionJob& job) {
  for (const size_t dim : {job.kv.key_dim, job.kv.value_dim}) {
    LH_CHECK(dim % kScaleDims == 0 && dim > 0 && dim <= kMaxHeadDim);
  }
  LH_CHECK(std::has_single_bit(job.kv.tiles_per_page));
}

TileRange tiles_of_first_row(const AttentionJob& job) {
  size_t begin = sight_from(job.first_pos, job.window, job.window_step).first / kTileTokens;
  size_t end = job.first_pos / kTileTokens + 1;
  if (!job.all_tiles) {
    begin = find_tile(job.tiles, 0, begin);
    end = find_tile(job.tiles, begin, end);
  }
  return tile_range(job, begin, begin, end);
}

void Plan::make(std::span<const AttentionJob> jobs, std::span<const TextPart> parts) {
  LH_CHECK(parts.empty() || parts.size() == jobs.size());
  blocks.clear();
  ranges.clear();
  shapes.clear();
  for (size_t i = 0; i < jobs.size(); ++i) {
    check_job(jobs[i]);
    shapes.push_back(add_job(jobs[i], i, parts.empty() ? TextPart() : parts[i]));
  }
}

SegmentStates::Shape Plan::add_job(const AttentionJob& job, size_t index, TextPart part) {
  const size_t n_queries = job.n_rows * job.n_group;
  if (n_queries == 0) return {0, 0, job.kv.value_dim};
  const auto last_pos = static_cast<uint32_t>(job.first_pos + job.n_rows - 1);
  const size_t segment_tiles = job.all_tiles ? kSegmentTiles : kListSegmentTiles;
  const TextPart seen = part_seen(job, part, 0, last_pos);
  LH_CHECK(part.first_tile % segment_tiles == 0);
  LH_CHECK(part.end_tile % segment_tiles == 0 || part.end_tile > last_pos / kTileTokens);
  const bool nothing = seen.first_tile >= seen.end_tile;
  const size_t first_segment = seen.first_tile / segment_tiles;
  const size_t n_segments = nothing ? 0 : (seen.end_tile - 1) / segment_tiles + 1 - first_segment;
  const size_t step = rows_per_block(job.n_group);
  for (size_t row = 0; row < job.n_rows; row += step) {
    RowBlock block{&job, index, row, std::min(step, job.n_rows - row), ranges.size(), 0};
    const TextPart of_block = part_seen(job, part, row, block.last_pos());
    (job.all_tiles ? cut_text : cut_list)(job, of_block.first_tile, of_block.end_tile,
                                          blocks.size(), ranges);
    block.n_ranges = ranges.size() - block.first_range;
    for (size_t i = block.first_range; i < ranges.size(); ++i) ranges[i].segment -= first_segment;
    blocks.push_back(block);
  }
  return {n_segments, n_queries, job.kv.value_dim};
}

}  // namespace longhaul::attention
