// The values of `format` as patterns.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace longhaul::grammar {

// A pattern for whole texts; nothing if the format is not known.
std::optional<std::string> format_pattern(std::string_view name);
// All names, with commas, for messages.
std::string format_names();

}  // namespace longhaul::grammar
