// Published SeerAttention-R gates as a gate file.
#pragma once

#include <string>

#include "base/result.h"

namespace longhaul::trainer {

struct ImportGatesOptions {
  std::string folder;        // holds attn_gate_weights.pth and config.json, as published
  std::string model;         // the GGUF file they are for
  std::string path;          // the gate file to write
  std::string type = "F16";  // of the matrices; or F32
};

// Reads a PyTorch state dict in the zip format (torch.save since 1.6; no code in it is run) and
// writes our gate file; inputs are put into the order of the model's q and k. Errors: a pooling
// other than Qproj and Kmaxminavg, gates that begin at a later layer, tensors that are missing or
// not expected (all named), shapes that do not fit the model.
Status import_gates(const ImportGatesOptions& options);

}  // namespace longhaul::trainer
