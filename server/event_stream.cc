#include "server/event_stream.h"

#include <nlohmann/json.hpp>

#include "server/api_error.h"

namespace longhaul {

std::string event_of(const nlohmann::ordered_json& document) {
  return "data: " + dump(document) + "\n\n";
}

std::string event_of(std::string_view name, const nlohmann::ordered_json& document) {
  return "event: " + std::string(name) + "\n" + event_of(document);
}

}  // namespace longhaul
