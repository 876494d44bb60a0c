// Qwen3, dense: every head of q and k is normalised before RoPE; no biases.
#include "model/config.h"

namespace longhaul {
namespace {

Status refine(const GgufFile& /*file*/, ModelConfig& config) {
  config.rope.layout = RopeLayout::kHalf;
  config.qk_norm = true;
  return {};
}

}  // namespace

extern const Architecture kQwen3Architecture;
const Architecture kQwen3Architecture = {.name = "qwen3", .refine = refine};

}  // namespace longhaul
