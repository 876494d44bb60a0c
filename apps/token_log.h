// The tokens of an answer with how likely the model held them, for `generate --logprobs`.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "longhaul/engine.h"

namespace longhaul {

class TokenLog {
 public:
  // Has the request tell every token, with the n_top likeliest in its place. The log must outlive
  // the request.
  void attach(GenerateRequest& request, size_t n_top);

  // A list of {token, text, logprob, top: [{token, text, logprob}]}; the logarithms are natural.
  nlohmann::ordered_json to_json(const Engine& engine) const;

 private:
  std::vector<GeneratedToken> tokens_;
};

}  // namespace longhaul
