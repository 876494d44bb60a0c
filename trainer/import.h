// A GGUF file as weights to train on, or to keep frozen.
#pragma once

#include <string>

#include "base/result.h"
#include "trainer/checkpoint.h"

namespace longhaul::trainer {

// Reads a model that export_gguf() could have written: architecture "qwen3", or "llama" (whose q
// and k rows are put back from interleaved order); every matrix of a type of quant/; tied output;
// no RoPE scaling. The state is that of a fresh run. Errors name the file and the key or tensor.
Result<Checkpoint> import_gguf(const std::string& path);

// A checkpoint's folder, or a GGUF file.
Result<Checkpoint> load_model(const std::string& path);

}  // namespace longhaul::trainer
