// What the calls of attention share of a workspace. Internal to kernels/.
#pragma once

#include <vector>

#include "kernels/attention_int8.h"
#include "kernels/attention_plan.h"

namespace longhaul {

struct AttentionWorkspace::Impl {
  const attention::Int8Kernels* int8 = nullptr;  // null: f32
  std::vector<attention::Scratch> workers;
  attention::Plan plan;
  std::vector<uint32_t> n_left;  // per block, ranges that are not done
  SegmentStates states;          // of all ranges in the split form

  // Room for the workers of a call, with queries of none of its blocks.
  void start(size_t n_workers);
};

namespace attention {

// Makes the worker ready for the rows of a block: prepared queries and room for tiles.
SegmentTask task_of(const RowBlock& block, const Int8Kernels* int8, Scratch& scratch);

}  // namespace attention
}  // namespace longhaul
