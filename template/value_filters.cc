// Filters for numbers and for what is not there.
#include <charconv>
#include <cmath>

#include "template/builtin.h"
#include "template/characters.h"
#include "template/operators.h"

namespace longhaul::jinja {
namespace {

Result<Value> filter_default(CallSite& call) {
  const bool is_missing = call.self.is_undefined() || (call.flag(1, false) && !call.self.truth());
  return is_missing ? call.value_or(0, Value::own("")) : call.self;
}

Result<Value> filter_abs(CallSite& call) {
  if (const auto number = call.self.as_integer())
    return *number < 0 ? negate(call.self) : Value::integer(*number);
  if (call.self.is_real()) return Value::real(std::abs(*call.self.as_real()));
  return bad_input("abs: expected a number, found {}", call.self.type_name());
}

// A number as Python reads it: blanks around and single underscores within are taken off. Empty if
// it is none.
std::string number_text(std::string_view bytes) {
  bytes = bytes.substr(0, space_begin(bytes));
  bytes = bytes.substr(space_end(bytes));
  std::string text;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const auto is_digit = [&](size_t at) {
      return at < bytes.size() && std::isdigit(static_cast<unsigned char>(bytes[at])) != 0;
    };
    if (bytes[i] == '_' && i > 0 && is_digit(i - 1) && is_digit(i + 1)) continue;
    if (i == 0 && bytes[i] == '+' && bytes.substr(1, 1) != "-") continue;
    text += bytes[i];
  }
  return text;
}

std::optional<double> read_real(std::string_view bytes) {
  const std::string text = number_text(bytes);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_whole = end == text.data() + text.size() && !text.empty();
  if (error != std::errc() || !is_whole || text.find('(') != std::string::npos) return std::nullopt;
  return value;
}

std::optional<int64_t> whole_part(double value) {
  if (!(std::abs(value) < 9.2e18)) return std::nullopt;
  return static_cast<int64_t>(value);
}

Result<Value> filter_int(CallSite& call) {
  if (call.self.is_undefined()) return undefined_error(call.self);
  const Value other = call.value_or(0, Value::integer(0));
  LH_ASSIGN_OR_RETURN(const int64_t base, call.integer(1, 10));
  if (const auto number = call.self.as_integer()) return Value::integer(*number);
  std::optional<double> real = call.self.as_real();
  if (const Text* input = call.self.as_text()) {
    if (base != 10)
      return make_error(ErrorCode::kUnsupported, "int: bases other than 10 are not supported");
    const std::string text = number_text(input->bytes());
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc::result_out_of_range)
      return bad_input("int: expected a whole number of 64 bits, found {}", text);
    if (error == std::errc() && end == text.data() + text.size()) return Value::integer(value);
    real = read_real(input->bytes());
  }
  if (!real) return other;
  const auto value = whole_part(*real);
  if (!value && std::isfinite(*real))
    return bad_input("int: expected a whole number of 64 bits, found {}", *real);
  return value ? Value::integer(*value) : other;
}

Result<Value> filter_float(CallSite& call) {
  if (call.self.is_undefined()) return undefined_error(call.self);
  if (const auto number = call.self.as_real()) return Value::real(*number);
  const Text* text = call.self.as_text();
  const auto value = text == nullptr ? std::nullopt : read_real(text->bytes());
  return value ? Value::real(*value) : call.value_or(0, Value::real(0));
}

Result<Value> filter_round(CallSite& call) {
  const auto number = call.self.as_real();
  if (!number) return bad_input("round: expected a number, found {}", call.self.type_name());
  LH_ASSIGN_OR_RETURN(const int64_t digits, call.integer(0, 0));
  std::string method = "common";
  if (call.has(1)) {
    LH_ASSIGN_OR_RETURN(const Text* text, call.text(1));
    method = text->bytes();
  }
  if (digits < 0 || digits > 300)
    return make_error(ErrorCode::kUnsupported, "round: expected 0 to 300 digits, found {}", digits);
  if (method == "common") {
    if (!call.self.is_real()) return Value::integer(*call.self.as_integer());
    if (!std::isfinite(*number)) return call.self;
    return Value::real(std::stod(fmt::format("{:.{}f}", *number, digits)));
  }
  if (method != "ceil" && method != "floor")
    return bad_input("round: expected common, ceil or floor, found '{}'", method);
  const double scale = std::pow(10.0, static_cast<double>(digits));
  const double scaled = *number * scale;
  return Value::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

Result<Value> filter_attr(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const Text* name, call.text(0));
  if (call.self.as_object() != nullptr) return call.rendering.attribute(call.self, name->bytes());
  if (find_method(call.self, name->bytes()) == nullptr) return Value::undefined("attribute");
  return call.rendering.attribute(call.self, name->bytes());
}

constexpr Builtin kFilters[] = {
    {"abs", "", filter_abs},
    {"attr", "name", filter_attr},
    {"d", "default_value? boolean?", filter_default},
    {"default", "default_value? boolean?", filter_default},
    {"float", "default?", filter_float},
    {"int", "default? base?", filter_int},
    {"round", "precision? method?", filter_round},
};

}  // namespace

std::span<const Builtin> value_filters() { return kFilters; }

}  // namespace longhaul::jinja
