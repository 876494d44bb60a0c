// What leaves the program: exit statuses, JSON documents, sizes in words, warnings.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "longhaul/engine.h"

namespace longhaul {

// 2 for bad usage and bad input, 1 for anything else.
int exit_status(ErrorCode code);

// Prints one document on standard output. Text that is not UTF-8 has its bad bytes replaced by
// U+FFFD, since JSON cannot hold them; token ids beside it stay exact.
void print_json(const nlohmann::ordered_json& document);

// The fields of `generate --json`.
nlohmann::ordered_json to_json(const GenerateResult& result);
nlohmann::ordered_json to_json(const AttentionStats& stats);

// Prints what the engine thinks the user should know, on standard error.
void print_warnings(const Engine& engine);

// "prompt 512 tokens, 1830 tok/s; 256 tokens, 92.1 tok/s; exact, 14% of KV blocks read": one line
// about a result.
std::string summary(const GenerateResult& result);

// "12.3%", or "-" where the whole is zero.
std::string percent(size_t part, size_t whole);

// The middle of at least one value; the mean of the two in the middle of an even number.
double median(std::vector<double> values);

}  // namespace longhaul
