// How attend() cuts its jobs: rows into blocks, the tiles of a block into segments. Internal to
// kernels/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/attention_kernel.h"

namespace longhaul::attention {

// Rows of a job that pass the tiles together.
struct RowBlock {
  const AttentionJob* job;
  size_t job_index;
  size_t first_row;
  size_t n_rows;
  size_t first_range;
  size_t n_ranges;

  size_t first_query() const { return first_row * job->n_group; }
  size_t n_queries() const { return n_rows * job->n_group; }
  uint32_t first_pos() const { return job->first_pos + static_cast<uint32_t>(first_row); }
  uint32_t last_pos() const { return first_pos() + static_cast<uint32_t>(n_rows - 1); }
};

// The tiles of one segment, and the block of rows that visits them.
struct Range {
  TileRange tiles;
  size_t block;
  size_t segment;  // of those of the job
};

struct Plan {
  std::vector<RowBlock> blocks;
  std::vector<Range> ranges;                 // block by block, ascending
  std::vector<SegmentStates::Shape> shapes;  // of the jobs' states

  // A part for each job, or none: the whole text.
  void make(std::span<const AttentionJob> jobs, std::span<const TextPart> parts);

 private:
  SegmentStates::Shape add_job(const AttentionJob& job, size_t index, TextPart part);
};

// The tiles of a job that row 0 may see, in one piece.
TileRange tiles_of_first_row(const AttentionJob& job);

// The invariants of a job that the kernels rely on.
void check_job(const AttentionJob& job);

}  // namespace longhaul::attention
