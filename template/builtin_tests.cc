// What stands behind `is`.
#include "template/builtin.h"
#include "template/operators.h"
#include "template/text_operations.h"

namespace longhaul::jinja {
namespace {

using Kind = bool (*)(const Value& value);

template <Kind kind>
Result<Value> of_kind(CallSite& call) {
  return Value::boolean(kind(call.self));
}

bool is_defined(const Value& v) { return !v.is_undefined(); }
bool is_undefined(const Value& v) { return v.is_undefined(); }
bool is_none(const Value& v) { return v.is_none(); }
bool is_boolean(const Value& v) { return v.is_boolean(); }
bool is_true(const Value& v) { return v.is_boolean() && v.truth(); }
bool is_false(const Value& v) { return v.is_boolean() && !v.truth(); }
bool is_integer(const Value& v) { return v.is_integer(); }
bool is_real(const Value& v) { return v.is_real(); }
bool is_number(const Value& v) { return v.is_number(); }
bool is_text(const Value& v) { return v.as_text() != nullptr; }
bool is_mapping(const Value& v) { return v.as_dict() != nullptr; }
bool is_iterable(const Value& v) {
  return is_text(v) || is_mapping(v) || v.as_list() != nullptr || v.is_undefined();
}
// Jinja asks for a length and for items by number, and finds both of a dict and of nothing.
bool is_sequence(const Value& v) {
  return is_text(v) || is_mapping(v) || v.is_undefined() ||
         (v.as_list() != nullptr && v.as_list()->has_indices());
}
bool is_callable(const Value& v) {
  return v.is_undefined() || (v.as_object() != nullptr && v.as_object()->is_callable());
}

constexpr char kEqual[] = "==", kNotEqual[] = "!=", kLess[] = "<", kAtMost[] = "<=", kMore[] = ">",
               kAtLeast[] = ">=", kIn[] = "in";

template <const char* name>
Result<Value> compares(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const bool holds, compare(call.budget(), name, call.self, call[0]));
  return Value::boolean(holds);
}

Result<bool> divides(CallSite& call, const Value& divisor) {
  LH_ASSIGN_OR_RETURN(const Value rest, binary(call.budget(), "%", call.self, divisor));
  return !rest.truth();
}

Result<Value> test_divisible(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const bool holds, divides(call, call[0]));
  return Value::boolean(holds);
}

template <bool wanted>
Result<Value> test_even(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const bool is_even, divides(call, Value::integer(2)));
  return Value::boolean(is_even == wanted);
}

Result<Value> test_same(CallSite& call) { return Value::boolean(call.self.same(call[0])); }

// Has letters with a case, and all in this one.
template <LetterCase letter_case>
Result<Value> test_case(CallSite& call) {
  const Text* text = call.self.as_text();
  if (text == nullptr) return bad_input("expected a text, found {}", call.self.type_name());
  LH_ASSIGN_OR_RETURN(const Value lower, change_case(call.budget(), *text, LetterCase::kLower));
  LH_ASSIGN_OR_RETURN(const Value upper, change_case(call.budget(), *text, LetterCase::kUpper));
  const std::string_view wanted =
      (letter_case == LetterCase::kLower ? lower : upper).as_text()->bytes();
  return Value::boolean(text->bytes() == wanted &&
                        lower.as_text()->bytes() != upper.as_text()->bytes());
}

template <bool of_filters>
Result<Value> test_known(CallSite& call) {
  const Text* name = call.self.as_text();
  if (name == nullptr) return Value::boolean(false);
  return Value::boolean((of_filters ? find_filter(name->bytes()) : find_test(name->bytes())) !=
                        nullptr);
}

constexpr Builtin kTests[] = {
    {"!=", "other", compares<kNotEqual>},
    {"<", "other", compares<kLess>},
    {"<=", "other", compares<kAtMost>},
    {"==", "other", compares<kEqual>},
    {">", "other", compares<kMore>},
    {">=", "other", compares<kAtLeast>},
    {"boolean", "", of_kind<is_boolean>},
    {"callable", "", of_kind<is_callable>},
    {"defined", "", of_kind<is_defined>},
    {"divisibleby", "num", test_divisible},
    {"eq", "other", compares<kEqual>},
    {"equalto", "other", compares<kEqual>},
    {"even", "", test_even<true>},
    {"false", "", of_kind<is_false>},
    {"filter", "", test_known<true>},
    {"float", "", of_kind<is_real>},
    {"ge", "other", compares<kAtLeast>},
    {"greaterthan", "other", compares<kMore>},
    {"gt", "other", compares<kMore>},
    {"in", "seq", compares<kIn>},
    {"integer", "", of_kind<is_integer>},
    {"iterable", "", of_kind<is_iterable>},
    {"le", "other", compares<kAtMost>},
    {"lessthan", "other", compares<kLess>},
    {"lower", "", test_case<LetterCase::kLower>},
    {"lt", "other", compares<kLess>},
    {"mapping", "", of_kind<is_mapping>},
    {"ne", "other", compares<kNotEqual>},
    {"none", "", of_kind<is_none>},
    {"number", "", of_kind<is_number>},
    {"odd", "", test_even<false>},
    {"sameas", "other", test_same},
    {"sequence", "", of_kind<is_sequence>},
    {"string", "", of_kind<is_text>},
    {"test", "", test_known<false>},
    {"true", "", of_kind<is_true>},
    {"undefined", "", of_kind<is_undefined>},
    {"upper", "", test_case<LetterCase::kUpper>},
};

}  // namespace

std::span<const Builtin> tests() { return kTests; }

}  // namespace longhaul::jinja
