// The command line as people type it from habit, made into the one that the subcommands read.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace longhaul {

// Looks at every argument that stands where an option may: other programs' names for an option
// become ours, low lines in a name become dashes, what means what happens anyway is dropped. Error:
// a name that has no equal here, with what to take instead, and an unknown one, with the nearest.
// `arguments` are those behind the program's name, the subcommand first.
Status settle_spelling(const CLI::App& app, std::vector<std::string>& arguments);

// The name of `known` that `text` was probably meant to be; empty if none is near.
std::string nearest(const std::string& text, const std::vector<std::string>& known);

}  // namespace longhaul
