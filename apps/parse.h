// What the command line writes as text: counts with size suffixes, numbers, lists. Errors say what
// was expected and found; the option's name is put in front by the caller.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace longhaul {

// A whole number with an optional suffix K, M or G (powers of 1,024): "4096", "4K", "1M".
Result<size_t> parse_size(std::string_view text);

// A finite decimal number.
Result<double> parse_real(std::string_view text);

// Token ids separated by commas or white space, each from 0.
Result<std::vector<int32_t>> parse_ids(std::string_view text);

// "ID=BIAS": a token id and what is added to its logit ("-inf" forbids it).
Result<std::pair<int32_t, float>> parse_bias(std::string_view text);

// The parts between commas; none is empty.
Result<std::vector<std::string_view>> split_list(std::string_view text);

}  // namespace longhaul
