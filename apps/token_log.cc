#include "apps/token_log.h"

#include <nlohmann/json.hpp>

namespace longhaul {
namespace {

nlohmann::ordered_json entry(const Engine& engine, const TokenLogprob& token) {
  return {
      {"token", token.token}, {"text", engine.token_text(token.token)}, {"logprob", token.logprob}};
}

}  // namespace

void TokenLog::attach(GenerateRequest& request, size_t n_top) {
  request.n_top_logprobs = n_top;
  request.on_token = [this](const GeneratedToken& token) {
    tokens_.push_back(token);
    return true;
  };
}

nlohmann::ordered_json TokenLog::to_json(const Engine& engine) const {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const GeneratedToken& token : tokens_) {
    nlohmann::ordered_json item = entry(engine, token.chosen);
    item["top"] = nlohmann::ordered_json::array();
    for (const TokenLogprob& other : token.top) item["top"].push_back(entry(engine, other));
    list.push_back(std::move(item));
  }
  return list;
}

}  // namespace longhaul
