// The keys and layers that most decoder-only transformers share. An architecture calls
// read_transformer(), then varies what it gives.
#pragma once

#include "base/function_ref.h"
#include "model/key_reader.h"
#include "model/plan.h"

namespace longhaul {

inline constexpr size_t kMaxContext = size_t{1} << 28;            // tokens
inline constexpr Bounds kRopeBases = {.least = 1, .most = 1e30};  // theta

// A plan of equal layers: attention to all tokens with one RoPE over q and k, then a SiLU-gated
// feed-forward; the last layer goes on with the rows whose logits are wanted.
Result<ModelPlan> read_transformer(KeyReader& keys, RopeLayout layout);

// Retention of such heads, its decays to be filled in.
RetentionSpec retention_of(size_t n_heads, size_t key_dim, size_t value_dim);

// Reads whether the last frequency is 1 / theta, as RetNet and YOCO have it unless the file says no.
Status read_inclusive(KeyReader& keys, RopeConfig& rope);

// Calls change(i, spec) for the attention of every layer i.
void for_each_attention(ModelPlan& plan, FunctionRef<void(size_t i, AttentionSpec& spec)> change);

// Blockwise causal attention of a model that was trained on texts of that length.
void see_two_blocks(AttentionSpec& spec, size_t trained_length);

// Replaces the feed-forward of every layer by experts, read from the expert_* keys. `normalises`:
// unless the file says otherwise.
Status read_experts(KeyReader& keys, ModelPlan& plan, bool normalises);

}  // namespace longhaul
