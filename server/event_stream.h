// The text of server-sent events.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace longhaul {

// `data: {...}` on one line, and an empty one.
std::string event_of(const nlohmann::ordered_json& document);
// The same with a name, `event: NAME` before it.
std::string event_of(std::string_view name, const nlohmann::ordered_json& document);
// What ends streams of choices.
inline constexpr std::string_view kDoneEvent = "data: [DONE]\n\n";
// A comment, which says to proxies and clients that the line is alive.
inline constexpr std::string_view kPing = ": ping\n\n";

}  // namespace longhaul
