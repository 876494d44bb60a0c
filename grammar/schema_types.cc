// Texts, numbers and arrays of a schema.
#include <cmath>
#include <optional>

#include "grammar/number_range.h"
#include "grammar/pattern_parser.h"
#include "grammar/schema_compiler.h"
#include "grammar/string_formats.h"

namespace longhaul::grammar {
namespace {

Status check_bounds(uint32_t min, uint32_t max, std::string_view what, const std::string& path) {
  if (min <= max) return {};
  return bad_input("{}/max{}: expected at least min{}, {}, found {}", path, what, what, min, max);
}

// The stricter of the two keywords for one end of a range, as a decimal.
Result<std::optional<Decimal>> bound(const Json& schema, std::string_view inclusive,
                                     std::string_view exclusive, bool is_low,
                                     const std::string& path) {
  std::optional<Decimal> strictest;
  double strictest_value = 0;
  for (const std::string_view keyword : {inclusive, exclusive}) {
    const auto found = schema.find(keyword);
    if (found == schema.end()) continue;
    if (!found->is_number())
      return bad_input("{}/{}: expected a number, found {}", path, keyword, quoted(*found));
    auto decimal = decimal_of(*found);
    if (!decimal)
      return unsupported("{}/{}: expected a number of at most 18 digits, found {}", path, keyword,
                         quoted(*found));
    decimal->is_in = keyword == inclusive;
    const auto value = found->get<double>();
    const bool is_stricter =
        !strictest || (is_low ? value >= strictest_value : value <= strictest_value);
    if (!is_stricter) continue;
    strictest = std::move(*decimal);
    strictest_value = value;
  }
  return strictest;
}

Result<DecimalRange> range_of(const Json& schema, const std::string& path) {
  DecimalRange range;
  LH_ASSIGN_OR_RETURN(range.low, bound(schema, "minimum", "exclusiveMinimum", true, path));
  LH_ASSIGN_OR_RETURN(range.high, bound(schema, "maximum", "exclusiveMaximum", false, path));
  return range;
}

// The first whole number within a bound, counted from it upwards or downwards.
int64_t whole_number(const Decimal& bound, bool upwards) {
  const int64_t whole = std::stoll(bound.whole) * (bound.is_negative ? -1 : 1);
  const int64_t step = upwards ? 1 : -1;
  // Cutting the fraction off went towards zero.
  if (!bound.fraction.empty()) return bound.is_negative == upwards ? whole : whole + step;
  return bound.is_in ? whole : whole + step;
}

}  // namespace

Result<ExprId> SchemaCompiler::string(const Json& schema, const std::string& path) {
  LH_ASSIGN_OR_RETURN(const uint32_t min, count_of(schema, "minLength", 0, path));
  LH_ASSIGN_OR_RETURN(const uint32_t max, count_of(schema, "maxLength", kUnbounded, path));
  LH_RETURN_IF_ERROR(check_bounds(min, max, "Length", path));
  const bool has_length = min > 0 || max != kUnbounded;
  const bool has_pattern = schema.contains("pattern"), has_format = schema.contains("format");
  if (has_length + has_pattern + has_format > 1)
    return unsupported("{}: of pattern, format and a length only one is supported at a time", path);
  if (!has_length && !has_pattern && !has_format) return parts_.string();
  ExprId content = 0;
  if (has_length) {
    content = syntax_.repeat(parts_.any_char(), min, max);
  } else {
    const std::string keyword = has_pattern ? "pattern" : "format";
    const Json& value = schema[keyword];
    if (!value.is_string())
      return bad_input("{}/{}: expected a text, found {}", path, keyword, quoted(value));
    const auto& text = value.get_ref<const std::string&>();
    const auto pattern = has_pattern ? text : format_pattern(text);
    if (!pattern)
      return unsupported("{}/format: expected one of {}, found {}", path, format_names(),
                         quoted(value));
    auto made = add_pattern(*pattern, parts_);
    if (!made)
      return make_error(made.error().code, "{}/{}: {}", path, keyword, made.error().message);
    content = *made;
  }
  return syntax_.sequence({syntax_.text("\""), content, syntax_.text("\"")});
}

Result<ExprId> SchemaCompiler::integer(const Json& schema, const std::string& path) {
  LH_ASSIGN_OR_RETURN(const DecimalRange range, range_of(schema, path));
  IntegerRange whole;
  if (range.low) whole.low = whole_number(*range.low, true);
  if (range.high) whole.high = whole_number(*range.high, false);
  return add_integers(whole, parts_);
}

Result<ExprId> SchemaCompiler::number(const Json& schema, const std::string& path) {
  if (schema.contains("multipleOf")) return integer(schema, path);  // of 1: no other is supported
  LH_ASSIGN_OR_RETURN(const DecimalRange range, range_of(schema, path));
  if (!range.low && !range.high) return parts_.number();
  return add_decimals(range, parts_);
}

Result<ExprId> SchemaCompiler::array(const Json& schema, const std::string& path) {
  LH_ASSIGN_OR_RETURN(const uint32_t min, count_of(schema, "minItems", 0, path));
  LH_ASSIGN_OR_RETURN(const uint32_t max, count_of(schema, "maxItems", kUnbounded, path));
  LH_RETURN_IF_ERROR(check_bounds(min, max, "Items", path));
  std::vector<ExprId> first;
  if (schema.contains("prefixItems")) {
    const Json& list = schema["prefixItems"];
    if (!list.is_array())
      return bad_input("{}/prefixItems: expected a list of schemas, found {}", path, quoted(list));
    for (size_t i = 0; i < list.size() && i < max; ++i) {
      LH_ASSIGN_OR_RETURN(const ExprId item,
                          value(list[i], fmt::format("{}/prefixItems/{}", path, i)));
      first.push_back(item);
    }
  }
  std::optional<ExprId> rest;
  if (!schema.contains("items")) {
    rest = parts_.value();
  } else if (schema["items"].is_array()) {
    return unsupported("{}/items: a list is not supported: prefixItems says the same", path);
  } else if (schema["items"] != false) {
    LH_ASSIGN_OR_RETURN(rest, value(schema["items"], path + "/items"));
  }
  return array_of(std::move(first), rest, min, max);
}

// From the end to the beginning: what may follow the items before.
Result<ExprId> SchemaCompiler::array_of(std::vector<ExprId> first, std::optional<ExprId> rest,
                                        uint32_t min, uint32_t max) {
  const auto n_first = static_cast<uint32_t>(first.size());
  const uint32_t more_min = min - std::min(min, n_first);
  const uint32_t more_max = max == kUnbounded ? kUnbounded : max - n_first;
  ExprId tail = syntax_.empty();
  if (!rest || more_max == 0) {
    if (more_min > 0) tail = syntax_.nothing();
  } else if (n_first > 0) {
    tail = syntax_.repeat(syntax_.sequence({parts_.comma(), *rest}), more_min, more_max);
  } else {
    const ExprId others =
        syntax_.repeat(syntax_.sequence({parts_.comma(), *rest}), more_min - std::min(more_min, 1U),
                       more_max == kUnbounded ? kUnbounded : more_max - 1);
    tail = syntax_.sequence({*rest, others});
  }
  const bool begins_with_rest = n_first == 0 && rest && more_max > 0;
  for (uint32_t i = n_first; i-- > 0;) {
    std::vector<ExprId> parts = {first[i], tail};
    if (i > 0) parts.insert(parts.begin(), parts_.comma());
    tail = syntax_.sequence(std::move(parts));
    if (i >= min && i > 0) tail = syntax_.optional(tail);
  }
  if (n_first == 0 && !begins_with_rest) {
    // Nothing, or not even that.
    return syntax_.sequence({parts_.bracketed("[", {}, "]"), tail});
  }
  const ExprId content = parts_.bracketed("[", tail, "]");
  if (min > 0) return content;
  return syntax_.choice({parts_.bracketed("[", {}, "]"), content});
}

}  // namespace longhaul::grammar
