#include <cmath>

#include "template/operators.h"
#include "template/print.h"
#include "template/writer.h"

namespace longhaul::jinja {
namespace {

tl::unexpected<Error> unsupported_operands(std::string_view name, const Value& left,
                                           const Value& right) {
  if (left.is_undefined()) return undefined_error(left);
  if (right.is_undefined()) return undefined_error(right);
  return bad_input("unsupported operand types for {}: '{}' and '{}'", name, left.type_name(),
                   right.type_name());
}

Result<Value> beyond_64_bits() {
  return bad_input("expected a whole number of 64 bits, found one beyond");
}

Result<Value> whole_power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return bad_input("zero cannot be raised to a negative power");
    return Value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  if (base == 0 || base == 1) return Value::integer(exponent == 0 ? 1 : base);
  if (base == -1) return Value::integer(exponent % 2 == 0 ? 1 : -1);
  for (int64_t i = 0; i < exponent; ++i) {  // at most 63 times: |base| is at least 2
    if (__builtin_mul_overflow(result, base, &result)) return beyond_64_bits();
  }
  return Value::integer(result);
}

Result<Value> whole_binary(std::string_view name, int64_t a, int64_t b) {
  int64_t result = 0;
  if (name == "+" || name == "-" || name == "*") {
    const bool overflows = name == "+"   ? __builtin_add_overflow(a, b, &result)
                           : name == "-" ? __builtin_sub_overflow(a, b, &result)
                                         : __builtin_mul_overflow(a, b, &result);
    return overflows ? beyond_64_bits() : Value::integer(result);
  }
  if (name == "**") return whole_power(a, b);
  if (b == 0) return bad_input("division by zero");
  if (name == "/") return Value::real(static_cast<double>(a) / static_cast<double>(b));
  if (b == -1) return name == "%" ? Result<Value>(Value::integer(0)) : whole_binary("-", 0, a);
  const bool rounds_up = a % b != 0 && (a < 0) != (b < 0);  // C++ rounds to zero, Python down
  if (name == "//") return Value::integer(a / b - (rounds_up ? 1 : 0));
  return Value::integer(a % b + (rounds_up ? b : 0));
}

Result<Value> real_binary(std::string_view name, double a, double b) {
  if (name == "+") return Value::real(a + b);
  if (name == "-") return Value::real(a - b);
  if (name == "*") return Value::real(a * b);
  if (name == "**") {
    const double result = std::pow(a, b);
    const bool is_impossible = (a == 0 && b < 0) || (std::isnan(result) && !std::isnan(a + b));
    if (is_impossible || (std::isinf(result) && std::isfinite(a) && std::isfinite(b)))
      return bad_input("{} ** {} has no value among floats", a, b);
    return Value::real(result);
  }
  if (b == 0) return bad_input("float division by zero");
  if (name == "/") return Value::real(a / b);
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (rest < 0) != (b < 0)) {
    rest += b;
    quotient -= 1;
  }
  if (name == "%") return Value::real(rest == 0 ? std::copysign(0.0, b) : rest);
  if (quotient == 0) return Value::real(std::copysign(0.0, a / b));
  const double floor = std::floor(quotient);
  return Value::real(quotient - floor > 0.5 ? floor + 1 : floor);
}

Result<Value> join_lists(Budget& budget, const List& a, const List& b) {
  LH_RETURN_IF_ERROR(budget.memory((a.items.size() + b.items.size()) * sizeof(Value)));
  std::vector<Value> items = a.items;
  items.insert(items.end(), b.items.begin(), b.items.end());
  return Value::list(std::move(items), a.kind);
}

Result<Value> repeat(Budget& budget, const Value& value, int64_t n_times) {
  const size_t n = n_times < 0 ? 0 : static_cast<size_t>(n_times);
  if (const Text* text = value.as_text()) {
    Writer out(budget);
    for (size_t i = 0; i < n && !text->empty(); ++i) LH_RETURN_IF_ERROR(out.text(*text));
    return Value::text(out.take());
  }
  const List& list = *value.as_list();
  std::vector<Value> items;
  for (size_t i = 0; i < n && !list.items.empty(); ++i) {
    LH_RETURN_IF_ERROR(budget.memory(list.items.size() * sizeof(Value)));
    items.insert(items.end(), list.items.begin(), list.items.end());
  }
  return Value::list(std::move(items), list.kind);
}

bool is_sequence(const Value& value) {
  const List* list = value.as_list();
  if (list != nullptr) return list->kind == ListKind::kList || list->kind == ListKind::kTuple;
  return value.as_text() != nullptr;
}

}  // namespace

Result<Value> binary(Budget& budget, std::string_view name, const Value& left, const Value& right) {
  const auto a = left.as_integer();
  const auto b = right.as_integer();
  if (a && b) return whole_binary(name, *a, *b);
  if (left.is_number() && right.is_number())
    return real_binary(name, *left.as_real(), *right.as_real());
  if (name == "+" && left.as_text() != nullptr && right.as_text() != nullptr) {
    Writer out(budget);
    LH_RETURN_IF_ERROR(out.text(*left.as_text()));
    LH_RETURN_IF_ERROR(out.text(*right.as_text()));
    return Value::text(out.take());
  }
  if (name == "+" && is_sequence(left) && is_sequence(right) && left.as_list() && right.as_list() &&
      left.as_list()->kind == right.as_list()->kind) {
    return join_lists(budget, *left.as_list(), *right.as_list());
  }
  if (name == "*" && is_sequence(left) && b) return repeat(budget, left, *b);
  if (name == "*" && is_sequence(right) && a) return repeat(budget, right, *a);
  if (name == "%" && left.as_text() != nullptr)
    return make_error(ErrorCode::kUnsupported, "formatting by % is not supported");
  return unsupported_operands(name, left, right);
}

Result<Value> negate(const Value& value) {
  if (const auto number = value.as_integer()) return whole_binary("-", 0, *number);
  if (value.is_real()) return Value::real(-*value.as_real());
  if (value.is_undefined()) return undefined_error(value);
  return bad_input("bad operand type for a sign: '{}'", value.type_name());
}

}  // namespace longhaul::jinja
