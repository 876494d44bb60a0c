#include "template/object.h"

#include <algorithm>

#include "template/builtin.h"
#include "template/operators.h"

namespace longhaul::jinja {
namespace {

Loop& loop_of(CallSite& call) { return *static_cast<Loop*>(call.self.as_object()); }

Result<Value> loop_cycle(CallSite& call) {
  const std::vector<Value>& values = call.rest.positional;
  if (values.empty()) return bad_input("cycle(): expected at least one value, found none");
  return values[loop_of(call).index() % values.size()];
}

Result<Value> loop_changed(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const bool changed,
                      loop_of(call).changed(call.rendering, std::move(call.rest.positional)));
  return Value::boolean(changed);
}

constexpr Builtin kLoopMethods[] = {{"cycle", "*", loop_cycle}, {"changed", "*", loop_changed}};

}  // namespace

Result<Value> Object::attribute(Rendering&, std::string_view) {
  return Value::undefined("attribute");
}

Result<Value> Object::call(Rendering&, Arguments) {
  return bad_input("'{}' cannot be called", type_name());
}

Result<Value> Namespace::attribute(Rendering&, std::string_view name) {
  const auto found = std::find_if(values_.begin(), values_.end(),
                                  [name](const auto& entry) { return entry.first == name; });
  return found == values_.end() ? Value::undefined("attribute of the namespace") : found->second;
}

void Namespace::set(std::string_view name, Value value) {
  const auto found = std::find_if(values_.begin(), values_.end(),
                                  [name](const auto& entry) { return entry.first == name; });
  if (found == values_.end()) {
    values_.emplace_back(name, std::move(value));
  } else {
    found->second = std::move(value);
  }
}

Result<Value> Loop::attribute(Rendering& rendering, std::string_view name) {
  const auto number = [](size_t n) { return Value::integer(static_cast<int64_t>(n)); };
  const size_t length = items_.size();
  if (name == "index") return number(index_ + 1);
  if (name == "index0") return number(index_);
  if (index_ >= length) return bad_input("loop.{}: the loop is over", name);
  if (name == "revindex") return number(length - index_);
  if (name == "revindex0") return number(length - index_ - 1);
  if (name == "first") return Value::boolean(index_ == 0);
  if (name == "last") return Value::boolean(index_ + 1 == length);
  if (name == "length") return number(length);
  if (name == "depth") return number(1);  // of recursive loops, which there are none of
  if (name == "depth0") return number(0);
  if (name == "previtem")
    return index_ == 0 ? Value::undefined("there is no previous item") : items_[index_ - 1];
  if (name == "nextitem")
    return index_ + 1 >= length ? Value::undefined("there is no next item") : items_[index_ + 1];
  const Builtin* method = find_builtin(kLoopMethods, name);
  if (method == nullptr) return Value::undefined("attribute of the loop");
  LH_ASSIGN_OR_RETURN(Function * function, rendering.make<Function>(*method, Value::object(this)));
  return Value::object(function);
}

Result<bool> Loop::changed(Rendering& rendering, std::vector<Value> values) {
  bool same = has_last_ && values.size() == last_.size();
  for (size_t i = 0; same && i < values.size(); ++i) {
    LH_ASSIGN_OR_RETURN(same, equal(rendering.budget(), values[i], last_[i]));
  }
  has_last_ = true;
  last_ = std::move(values);
  return !same;
}

}  // namespace longhaul::jinja
