// What the commands that judge answers share.
#pragma once

#include <utility>

#include "base/result.h"
#include "longhaul/engine.h"

namespace longhaul {

// Tokens beyond the right answer before a run is cut off, so that a model that does not stop is
// seen to be wrong.
inline constexpr size_t kSpareAnswerTokens = 8;

// A run the user stopped is an error, not a short answer.
inline Result<GenerateResult> finished(Result<GenerateResult> result) {
  if (result && result->finish_reason == FinishReason::kCancelled) {
    return make_error(ErrorCode::kCancelled, "stopped");
  }
  return result;
}

}  // namespace longhaul
