// Llama 2 and 3.x, Mistral, SmolLM2, DeepSeek-R1-Distill-Llama. GGUF files of this architecture
// have the rows of q and k permuted so that RoPE rotates neighbours.
#include "model/common_keys.h"

namespace longhaul {
namespace {

Result<ModelPlan> plan(KeyReader& keys) {
  LH_ASSIGN_OR_RETURN(ModelPlan plan, read_transformer(keys, RopeLayout::kInterleaved));
  // Some fine-tunes and relatives have biases; the file tells.
  const bool bias = keys.has_tensor("blk.0.attn_q.bias");
  for_each_attention(plan, [&](size_t, AttentionSpec& spec) { spec.bias = bias; });
  return plan;
}

}  // namespace

extern const Architecture kLlamaArchitecture;
const Architecture kLlamaArchitecture = {.name = "llama", .plan = plan};

}  // namespace longhaul
