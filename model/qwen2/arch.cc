// Qwen2, Qwen2.5, DeepSeek-R1-Distill-Qwen: q, k and v have biases.
#include "model/config.h"

namespace longhaul {
namespace {

Status refine(const GgufFile& /*file*/, ModelConfig& config) {
  config.rope.layout = RopeLayout::kHalf;
  config.qkv_bias = true;
  return {};
}

}  // namespace

extern const Architecture kQwen2Architecture;
const Architecture kQwen2Architecture = {.name = "qwen2", .refine = refine};

}  // namespace longhaul
