// Files of a checkpoint for tests.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace longhaul {

// A file of that header and data.
inline std::string safetensors_bytes(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  std::string bytes(reinterpret_cast<const char*>(&length), sizeof(length));
  return bytes + header + data;
}

// A document as it is once written and read: its numbers from 0 are unsigned ones.
inline nlohmann::json as_read(const nlohmann::json& document) {
  return nlohmann::json::parse(document.dump());
}

}  // namespace longhaul
