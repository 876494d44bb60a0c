// Blocks of queries of the longer steps of a pass, and the spans of the text that they see.
#pragma once

#include "cuda/attention_types.h"

namespace longhaul::cuda {

// kChunkQueries queries, fewer at the end of a step, of each KV head. Query i of a step is head
// i % n_group of the group of row i / n_group.
struct QueryBlock {
  StepRows step;
  uint32_t first_query;
  bool is_there;
};

// Block `number` of the pass, the blocks of its longer steps in order.
__device__ inline QueryBlock find_query_block(const Pass& pass, uint32_t n_group, uint32_t number) {
  for (uint32_t i = 0; i < pass.n_steps; ++i) {
    const StepRows step = pass.steps[i];
    if (is_short(step, n_group)) continue;
    const uint32_t n_blocks = (step.n_rows * n_group + kChunkQueries - 1) / kChunkQueries;
    if (number < n_blocks) return {step, number * kChunkQueries, true};
    number -= n_blocks;
  }
  return {StepRows(), 0, false};
}

// What the rows of a block see.
struct Spans {
  uint32_t first_token, last_token;
  uint32_t first, last;  // spans
};
__device__ inline Spans spans_of(const QueryBlock& block, uint32_t n_group, uint32_t window) {
  const uint32_t end = min(block.first_query + kChunkQueries, block.step.n_rows * n_group);
  Spans spans;
  spans.first_token = first_visible(block.step.first_pos + block.first_query / n_group, window);
  spans.last_token = block.step.first_pos + (end - 1) / n_group;
  spans.first = spans.first_token / kSpanTokens;
  spans.last = spans.last_token / kSpanTokens;
  return spans;
}

}  // namespace longhaul::cuda
