// SambaY as Phi-4-mini-flash-reasoning has it: its config.json, its keys and its tensors, which are
// those of the community's GGUF files (docs/architectures.md).
#pragma once

#include <vector>

#include "convert/model_config.h"
#include "convert/tensor_list.h"

namespace longhaul {

// Reads what other families do not have.
Status read_sambay(const JsonFields& fields, CheckpointConfig& config);

// Sets the keys of it.
void set_sambay_keys(const CheckpointConfig& config, GgufWriter& writer);

// Appends the tensors of all layers.
void list_sambay_layers(const CheckpointConfig& config, std::vector<TensorOrder>& orders);

}  // namespace longhaul
