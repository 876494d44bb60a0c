// How much memory running a model takes, computed from its file alone: weights, and the cache for
// each context length.
#pragma once

#include <cstddef>
#include <vector>

#include "io/gguf.h"
#include "longhaul/options.h"
#include "model/plan.h"
#include "state/memory_plan.h"

namespace longhaul {

// The cache for one context length and one storage type of both K and V.
struct CachePlan {
  size_t n_tokens = 0;
  KvType type = KvType::kF16;
  StateBytes bytes;
};

struct MemoryPlan {
  size_t weight_bytes = 0;        // interleaved for the kernels
  size_t other_bytes = 0;         // vocabulary, buffers, the program: whatever the context
  std::vector<CachePlan> caches;  // for each length, f16 and q8_0
};

MemoryPlan plan_memory(const GgufFile& file, const ModelPlan& model, size_t block_size);

// The context lengths worth a line: powers of two from 4K to twice the trained length or 1M, and
// the trained length.
std::vector<size_t> plan_lengths(size_t trained);

}  // namespace longhaul
