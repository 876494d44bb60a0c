#include "server/answer_shape.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <ctime>
#include <random>

namespace longhaul {

AnswerIdentity new_identity() {
  std::random_device random;
  return {fmt::format("{:08x}{:08x}{:08x}", random(), random(), random()), std::time(nullptr)};
}

std::string call_id(const std::string& answer_id, size_t choice, size_t call) {
  constexpr std::string_view kDigits =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  const std::string name = fmt::format("{}/{}/{}", answer_id, choice, call);
  std::string id;
  for (uint64_t hash = XXH3_64bits(name.data(), name.size()); id.size() < 9; hash /= kDigits.size())
    id += kDigits[hash % kDigits.size()];
  return id;
}

nlohmann::ordered_json attention_json(const Usage& usage) {
  return {{"blocks_read", usage.attention.blocks_read},
          {"blocks_total", usage.attention.blocks_total},
          {"rectifications", usage.attention.rectifications},
          {"drafted", usage.attention.drafted},
          {"accepted", usage.attention.accepted}};
}

}  // namespace longhaul
