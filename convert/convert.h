// Model files from others: a Hugging Face checkpoint folder as a GGUF file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "convert/weight_types.h"

namespace longhaul {

struct ConvertOptions {
  const WeightTypes* types = nullptr;  // of the matrices; nullptr: each as the checkpoint has it
  std::string name = {};               // general.name; empty: the folder's
  size_t n_threads = 1;
};

struct ConvertReport {
  std::string architecture;
  size_t n_tensors = 0;
  uint64_t n_parameters = 0;
  std::vector<std::string> notes;  // what was left out or could not be said
};

// Converts the folder (config.json, model.safetensors or its shards, tokenizer.json, ...) to the file
// `out`, which appears whole or not at all. Holds a few rows of a tensor at a time. Errors name file,
// key or tensor, what was expected and found: a family other than llama, mistral, qwen2, qwen3 and
// gemma3, a setting that a GGUF file cannot say, a tensor that is missing, of another shape or not of
// F32, F16 or BF16, one that nobody reads, a weight that its new type cannot store.
Result<ConvertReport> convert_checkpoint(const std::string& folder, const std::string& out,
                                         const ConvertOptions& options);

}  // namespace longhaul
