// A checkpoint as a GGUF file that any engine loads.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "trainer/vocabulary.h"

namespace longhaul::trainer {

struct ExportOptions {
  std::string checkpoint;
  std::string path;
  std::string type = "Q8_0";       // of the matrices; vectors are always F32
  uint32_t context_length = 8192;  // what the file claims: lengths the model was measured at
  std::string name = "Longhaul Pathfinder";
  std::string license = "MIT";
};

// Architecture "qwen3" with QK-norm, "llama" without (then the rows of q and k are put into the
// interleaved order that "llama" rotates). Tied output: there is no output.weight.
Status export_gguf(const ExportOptions& options, const Vocabulary& vocabulary);

}  // namespace longhaul::trainer
