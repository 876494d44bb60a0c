// One line about a result, for a person.
#pragma once

#include <optional>
#include <string>

#include "longhaul/engine.h"

namespace longhaul {

// What a result does not say of itself.
struct SummaryFacts {
  size_t ctx_size = 0;               // of the engine
  size_t n_before = 0;               // tokens the session held before the prompt
  std::optional<uint64_t> seed;      // where tokens were drawn by one
  std::optional<Calibration> costs;  // what dense decoding is compared by, where it is known
};

// The facts about an answer to `request`, which is over: a calibration it asked for is there.
SummaryFacts facts_of(Engine& engine, size_t n_before, const GenerateRequest& request);

// True if it ended because the context is full.
bool filled_context(const GenerateResult& result, const SummaryFacts& facts);

// "prompt 512 tokens in 0.28 s; 256 tokens, 92.1 tokens/s; exact, 14.0% of KV blocks read, 1.31
// times as fast as dense is predicted to be; stop".
std::string summary(const GenerateResult& result, const SummaryFacts& facts);

// "length: the context of 2048 tokens is full" and "length: as long as -n allows" tell apart what
// one reason of the API stands for.
std::string finish_words(const GenerateResult& result, const SummaryFacts& facts);

}  // namespace longhaul
