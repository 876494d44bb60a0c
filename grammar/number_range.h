// Numbers between bounds, digit by digit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "grammar/json_parts.h"

namespace longhaul::grammar {

// Whole numbers from `low` to `high`, both in it; nothing: no bound. At most 18 digits each.
struct IntegerRange {
  std::optional<int64_t> low, high;
};
ExprId add_integers(IntegerRange range, JsonParts& parts);

// A bound as decimal digits: 12.5 is "12" and "5". No zeros lead or trail.
struct Decimal {
  bool is_negative = false;
  std::string whole = "0";    // at least one digit
  std::string fraction = {};  // perhaps none
  bool is_in = true;          // the bound itself is in the range

  bool is_zero() const { return whole == "0" && fraction.empty(); }
};
// A finite number with at most 18 digits before the point and 40 behind it, or nothing.
std::optional<Decimal> decimal_of(const Json& number);

struct DecimalRange {
  std::optional<Decimal> low, high;
};
// Numbers of a range that has a bound: written without an exponent, zero without a sign.
ExprId add_decimals(const DecimalRange& range, JsonParts& parts);

}  // namespace longhaul::grammar
