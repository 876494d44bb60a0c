// A GGUF file as weights to train on, or to keep frozen.
#pragma once

#include <string>

#include "base/result.h"
#include "trainer/checkpoint.h"

namespace longhaul::trainer {

// Reads a model of plain attention and gated feed-forward (llama, qwen2, qwen3), its matrices
// decoded to float32: biases, QK-norm, an output matrix of its own, and scaled or partial RoPE. q
// and k are put into the order
// of RoPE on halves. The state is that of a fresh run. Errors name the file and the key or tensor.
Result<Checkpoint> import_gguf(const std::string& path);

// Refuses a model that export_gguf() could not state; `path` is what the message names.
Status check_writable(const Checkpoint& model, const std::string& path);

// A checkpoint's folder, or a GGUF file.
Result<Checkpoint> load_model(const std::string& path);

}  // namespace longhaul::trainer
