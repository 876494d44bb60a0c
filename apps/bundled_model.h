// The model that comes with the program.
#pragma once

#include <string>

#include "base/result.h"

namespace longhaul {

// The first .gguf of models/ that is no gates file ("-gates-" in its name), here or in the tree
// this program was built in (build/<preset>/apps).
Result<std::string> find_bundled_model();

}  // namespace longhaul
