// Filters that look at each item through an attribute, a filter or a test.
#include "template/builtin.h"
#include "template/operators.h"

namespace longhaul::jinja {

Result<Value> path_of(Rendering& rendering, const Value& value, const Value& path,
                      const std::optional<Value>& other) {
  const auto step = [&](const Value& from, const Value& key) -> Result<Value> {
    LH_ASSIGN_OR_RETURN(Value found, rendering.subscript(from, key));
    return found.is_undefined() && other ? *other : found;
  };
  if (path.as_text() == nullptr) return step(value, path);
  Value found = value;
  std::string_view rest = path.as_text()->bytes();
  for (bool is_last = false; !is_last;) {
    const size_t dot = rest.find('.');
    is_last = dot == std::string_view::npos;
    const std::string_view name = rest.substr(0, dot);
    const bool is_number = !name.empty() && name.size() < 10 &&
                           name.find_first_not_of("0123456789") == std::string_view::npos;
    const Value key = is_number ? Value::integer(std::stoll(std::string(name))) : Value::data(name);
    LH_ASSIGN_OR_RETURN(found, step(found, key));
    if (!is_last) rest.remove_prefix(dot + 1);
  }
  return found;
}

namespace {

// The first of the further arguments, taken out; undefined if there is none.
Value take_first(Arguments& arguments) {
  if (arguments.positional.empty()) return Value();
  Value first = std::move(arguments.positional.front());
  arguments.positional.erase(arguments.positional.begin());
  return first;
}

Result<std::string> name_of(const Value& value, std::string_view what) {
  if (const Text* text = value.as_text()) return std::string(text->bytes());
  return bad_input("expected the name of a {}, found {}", what, value.type_name());
}

std::optional<Value> named(const Arguments& arguments, std::string_view name) {
  for (const auto& [key, value] : arguments.named)
    if (key == name) return value;
  return std::nullopt;
}

// The items of the input; none of whatever is false, be it no list at all, as Jinja has it.
Result<std::vector<Value>> input_items(CallSite& call) {
  if (!call.self.truth()) return std::vector<Value>();
  return items_of(call.budget(), call.self);
}

Result<Value> filter_map(CallSite& call) {
  LH_ASSIGN_OR_RETURN(std::vector<Value> items, input_items(call));
  const auto path = named(call.rest, "attribute");
  const auto other = named(call.rest, "default");
  std::string filter;
  if (!path) {
    LH_ASSIGN_OR_RETURN(filter, name_of(take_first(call.rest), "filter"));
  }
  for (Value& item : items) {
    LH_RETURN_IF_ERROR(call.budget().step());
    if (!path) {
      LH_ASSIGN_OR_RETURN(item, call.rendering.filter(filter, item, call.rest));
      continue;
    }
    LH_ASSIGN_OR_RETURN(item, path_of(call.rendering, item, *path, other));
  }
  return Value::list(std::move(items), ListKind::kIterator);
}

template <bool by_attribute, bool wanted>
Result<Value> filter_select(CallSite& call) {
  LH_ASSIGN_OR_RETURN(std::vector<Value> items, input_items(call));
  const Value path = by_attribute ? take_first(call.rest) : Value();
  if (by_attribute && path.is_undefined())
    return bad_input("expected the name of an attribute, found none");
  std::string test;
  if (!call.rest.positional.empty()) {
    LH_ASSIGN_OR_RETURN(test, name_of(take_first(call.rest), "test"));
  }
  std::vector<Value> chosen;
  for (Value& item : items) {
    LH_RETURN_IF_ERROR(call.budget().step());
    Value seen = item;
    if (by_attribute) {
      LH_ASSIGN_OR_RETURN(seen, path_of(call.rendering, item, path));
    }
    bool holds = seen.truth();
    if (!test.empty()) {
      LH_ASSIGN_OR_RETURN(holds, call.rendering.test(test, std::move(seen), call.rest));
    }
    if (holds == wanted) chosen.push_back(std::move(item));
  }
  return Value::list(std::move(chosen), ListKind::kIterator);
}

constexpr Builtin kFilters[] = {
    {"map", "*", filter_map},
    {"reject", "*", filter_select<false, false>},
    {"rejectattr", "*", filter_select<true, false>},
    {"select", "*", filter_select<false, true>},
    {"selectattr", "*", filter_select<true, true>},
};

}  // namespace

std::span<const Builtin> select_filters() { return kFilters; }

}  // namespace longhaul::jinja
