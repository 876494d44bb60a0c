// The options that have one meaning everywhere: attention modes, selectors, cache types, sampling.
// Plain data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace longhaul {

// How the KV cache stores an element; K and V are chosen apart.
enum class KvType : uint8_t { kF16, kQ8_0 };

// What the next tokens attend to. See docs/modes.md.
enum class AttentionMode : uint8_t {
  kDense,   // every earlier token
  kSparse,  // the selected blocks
  kResa,   // sparse, with a dense pass over the last rectify_every tokens that rewrites their K and
           // V
  kExact,  // sparse drafts verified by the dense pass: the output is that of dense decoding
  kAuto,   // the cheapest by a measured cost model, among those that `auto_may` allows
};

// What the rectification pass of `resa` reads. See docs/modes.md.
enum class RectifyKind : uint8_t {
  kDense,     // every block: the published method; afterwards the cache is that of a dense prefill
  kWide,      // the union of a larger list of blocks for every row of the pass
  kAdaptive,  // as kWide, but every block for the KV heads that the descriptors say would miss too
              // much
};

struct AttentionOptions {
  AttentionMode mode = AttentionMode::kDense;
  // Who chooses the blocks of a sparse step, by the name of its folder in attention/: `outlier`,
  // `minmax` (EngineOptions::selectors), `gate` (EngineOptions::gates_path), `window`, `oracle`.
  std::string selector = "outlier";
  double sparse_ratio = 0.1;  // share of the blocks selected, in (0, 1]
  size_t token_budget = 0;    // tokens selected, instead of the ratio; 0 means use the ratio
  // gate: every block whose share of the gate's softmax is above this, instead of a number of
  // blocks; 0 means use a number
  double gate_threshold = 0;
  size_t min_blocks = 16;     // with a ratio never fewer than this many (or all there are)
  size_t local_blocks = 1;    // newest blocks always selected
  size_t sink_blocks = 0;     // first blocks always selected; some selectors have 1 anyway
  size_t rectify_every = 32;  // resa: tokens between dense passes; exact: the longest draft
  // exact: draft by sparse steps though the calibration says that a dense step is cheaper.
  bool always_draft = false;
  // auto: the loosest mode it may take. kDense: only those whose output is dense decoding's (dense,
  // exact); kResa: resa too; kSparse: any.
  AttentionMode auto_may = AttentionMode::kDense;
  RectifyKind rectify = RectifyKind::kDense;
  double rectify_ratio = 0.2;  // wide, adaptive: share of the blocks each row asks for, in (0, 1]
  double rectify_tolerance =
      0.1;  // adaptive: estimated share of attention a KV head may miss, in [0, 1]
};

struct SamplingOptions {
  float temperature = 0.0F;  // 0 is greedy
  size_t top_k = 0;          // 0: off
  float top_p = 1.0F;        // 1: off
  float min_p = 0.0F;        // 0: off
  float repetition_penalty = 1.0F;
  float presence_penalty = 0.0F;
  float frequency_penalty = 0.0F;
  size_t penalty_last_n = 64;  // how many of the last tokens the penalties look at
  std::vector<std::pair<int32_t, float>> logit_bias = {};
  uint64_t seed = 0;
};

}  // namespace longhaul
