// Requests that several tests of the engine make.
#pragma once

#include <utility>
#include <vector>

#include "longhaul/engine.h"

namespace longhaul {

// Greedy, of exactly max_tokens tokens; sparse steps read a twentieth of the blocks, at least 4, and
// draft for `exact` at any cost.
inline GenerateRequest request_of(AttentionMode mode, size_t max_tokens,
                                  std::vector<int32_t> prompt) {
  GenerateRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  request.attention.mode = mode;
  request.attention.always_draft = true;
  request.attention.sparse_ratio = 0.05;
  request.attention.min_blocks = 4;
  return request;
}

}  // namespace longhaul
