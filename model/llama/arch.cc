// Llama 2 and 3.x, Mistral, SmolLM2, DeepSeek-R1-Distill-Llama. GGUF files of this architecture
// have the rows of q and k permuted so that RoPE rotates neighbours.
#include "model/config.h"

namespace longhaul {
namespace {

Status refine(const GgufFile& file, ModelConfig& config) {
  config.rope.layout = RopeLayout::kInterleaved;
  // Some fine-tunes and relatives have biases; the file tells.
  config.qkv_bias = file.find_tensor("blk.0.attn_q.bias") != nullptr;
  return {};
}

}  // namespace

extern const Architecture kLlamaArchitecture;
const Architecture kLlamaArchitecture = {.name = "llama", .refine = refine};

}  // namespace longhaul
