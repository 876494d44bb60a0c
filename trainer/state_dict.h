// PyTorch state dicts: what torch.save(model.state_dict(), FILE) writes since PyTorch 1.6, a zip
// archive of one pickle and the raw values.
#pragma once

#include <torch/types.h>

#include <map>
#include <string>

#include "base/result.h"

namespace longhaul::trainer {

// All tensors by name, on the CPU, of the type they are stored in. Reads dictionaries and
// OrderedDicts of tensors and parameters (LibTorch's own reader knows no OrderedDict). Of the
// pickle only what such files hold is understood; nothing in it is run, anything else is an error
// that names the file.
Result<std::map<std::string, torch::Tensor>> read_state_dict(const std::string& path);

}  // namespace longhaul::trainer
