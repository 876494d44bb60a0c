// The model that comes with the program.
#pragma once

#include <string>

#include "base/result.h"

namespace longhaul {

// The first .gguf that is no gates file ("-gates-" in its name) of the folders where it may lie: beside
// an installed program (bin/ and share/longhaul/), in the tree the program was built in
// (build/<preset>/apps and models/), in models/ here.
Result<std::string> find_bundled_model();

}  // namespace longhaul
