// The launches behind cuda/attention.h. Without {fmt}, for nvcc.
#pragma once

#include <type_traits>

#include "cuda/attention_types.h"

namespace longhaul::cuda {

// Calls f with the dimension as a constant.
template <class F>
void for_dim(uint32_t dim, const F& f) {
  switch (dim) {
    case 64:
      return f(std::integral_constant<int, 64>());
    case 96:
      return f(std::integral_constant<int, 96>());
    case 128:
      return f(std::integral_constant<int, 128>());
    case 256:
      return f(std::integral_constant<int, 256>());
    default:
      LH_CHECK(false);
  }
}

// K and V of the rows of a pass.
struct StoreArgs {
  Pass pass;
  KvLayer kv;
  const float* k = nullptr;  // [n_rows, n_kv_heads, dim], k_stride floats from row to row
  size_t k_stride = 0;
  const float* v = nullptr;
  size_t v_stride = 0;
};
// Then the bounds of their blocks, where the layer has any.
void launch_store(cudaStream_t stream, const StoreArgs& args);
// The bounds of the blocks that the rows of the pass lie in, from the stored keys.
void launch_bounds(cudaStream_t stream, const Pass& pass, const KvLayer& kv);

struct SelectArgs {
  Pass pass;
  KvLayer kv;
  BlockLists lists;
  const float* q = nullptr;  // as in AttendArgs
  size_t q_stride = 0;
  uint32_t n_group = 0;
};
// The scores of all blocks of the sparse steps; +inf where a block is forced in.
void launch_scores(cudaStream_t stream, const SelectArgs& args);
// The n_selected highest scores; ties go to the lower index.
void launch_top_k(cudaStream_t stream, const SelectArgs& args);

// Segments of short steps into states: [step][kv head][segment][query], and their merge.
void launch_segments(cudaStream_t stream, const AttendArgs& args);
void launch_merge_short(cudaStream_t stream, const AttendArgs& args);

// Longer steps, n_blocks blocks of kChunkQueries queries for each KV head. With n_units == 1 a block
// of threads walks through the text; its states hold the sums over the spans so far, in its own
// order. Otherwise each span has its own and leaves a state for the merge:
// [block][kv head][span][query].
void launch_chunks(cudaStream_t stream, const AttendArgs& args, uint32_t n_blocks);
void launch_merge_chunks(cudaStream_t stream, const AttendArgs& args, uint32_t n_blocks);

}  // namespace longhaul::cuda
