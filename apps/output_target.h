// Where a result is to go, looked at before any work.
#pragma once

#include <string>

#include "base/result.h"

namespace longhaul {

// The file that `path` names in the end, links followed, for an option or command `name`. Error: a
// device, a pipe or a folder is there, the folder it is to lie in is none, or nothing can be
// written there. Nothing is made or changed.
Result<std::string> output_target(const std::string& name, const std::string& path);

}  // namespace longhaul
