// Expressions.
#include "template/builtin.h"
#include "template/operators.h"
#include "template/print.h"
#include "template/rendering.h"

namespace longhaul::jinja {

Result<Value> Rendering::evaluate(const Expression& node, Scope& scope) {
  LH_RETURN_IF_ERROR(placed(node.at, budget_.step()));
  if (depth_ >= budget_.limits().depth) {
    return placed<Value>(node.at, bad_input("expected macros and expressions at most {} deep",
                                            budget_.limits().depth));
  }
  ++depth_;
  auto value = evaluate_kind(node, scope);
  --depth_;
  return value;
}

Result<Value> Rendering::evaluate_kind(const Expression& node, Scope& scope) {
  switch (node.kind) {
    case ExpressionKind::kLiteral:
      return node.value;
    case ExpressionKind::kName: {
      const Value* found = scope.find(node.name);
      return found == nullptr ? Value::undefined(node.name) : *found;
    }
    case ExpressionKind::kList:
    case ExpressionKind::kTuple:
      return evaluate_list(node, scope);
    case ExpressionKind::kDict:
      return evaluate_dict(node, scope);
    case ExpressionKind::kAttribute:
    case ExpressionKind::kSubscript:
      return evaluate_member(node, scope);
    case ExpressionKind::kSlice:
      return evaluate_slice(node, scope);
    case ExpressionKind::kCall:
      return evaluate_call(node, scope, Value());
    case ExpressionKind::kFilter: {
      LH_ASSIGN_OR_RETURN(Value input, evaluate(*node.parts[0], scope));
      return evaluate_filter(node, std::move(input), scope);
    }
    case ExpressionKind::kTest:
      return evaluate_test(node, scope);
    case ExpressionKind::kNot:
    case ExpressionKind::kAnd:
    case ExpressionKind::kOr:
      return evaluate_logic(node, scope);
    case ExpressionKind::kSign:
    case ExpressionKind::kBinary:
      return evaluate_binary(node, scope);
    case ExpressionKind::kConcat:
      return evaluate_concat(node, scope);
    case ExpressionKind::kCompare:
      return evaluate_compare(node, scope);
    case ExpressionKind::kConditional:
      return evaluate_conditional(node, scope);
  }
  return Value();
}

Result<std::vector<Value>> Rendering::evaluate_all(const std::vector<ExpressionPtr>& parts,
                                                   Scope& scope) {
  std::vector<Value> values;
  for (const ExpressionPtr& part : parts) {
    LH_ASSIGN_OR_RETURN(Value value, part ? evaluate(*part, scope) : Result<Value>(Value::none()));
    values.push_back(std::move(value));
  }
  return values;
}

Result<Value> Rendering::evaluate_list(const Expression& node, Scope& scope) {
  LH_ASSIGN_OR_RETURN(std::vector<Value> items, evaluate_all(node.parts, scope));
  LH_RETURN_IF_ERROR(placed(node.at, budget_.memory(sizeof(List) + items.size() * sizeof(Value))));
  const bool is_tuple = node.kind == ExpressionKind::kTuple;
  return placed(node.at,
                Value::list(std::move(items), is_tuple ? ListKind::kTuple : ListKind::kList));
}

Result<Value> Rendering::evaluate_dict(const Expression& node, Scope& scope) {
  LH_ASSIGN_OR_RETURN(std::vector<Value> parts, evaluate_all(node.parts, scope));
  LH_RETURN_IF_ERROR(
      placed(node.at, budget_.memory(sizeof(Dict) + parts.size() * 2 * sizeof(Value))));
  std::vector<Entry> entries;
  for (size_t i = 0; i < parts.size(); i += 2)
    entries.emplace_back(std::move(parts[i]), std::move(parts[i + 1]));
  return placed(node.at, Value::dict(std::move(entries)));
}

Result<Value> Rendering::evaluate_member(const Expression& node, Scope& scope) {
  LH_ASSIGN_OR_RETURN(const Value value, evaluate(*node.parts[0], scope));
  if (node.kind == ExpressionKind::kAttribute) return placed(node.at, attribute(value, node.name));
  LH_ASSIGN_OR_RETURN(const Value key, evaluate(*node.parts[1], scope));
  return placed(node.at, subscript(value, key));
}

Result<Value> Rendering::evaluate_slice(const Expression& node, Scope& scope) {
  LH_ASSIGN_OR_RETURN(const std::vector<Value> parts, evaluate_all(node.parts, scope));
  return placed(node.at, slice(budget_, parts[0], parts[1], parts[2], parts[3]));
}

Result<Arguments> Rendering::evaluate_arguments(const std::vector<Argument>& arguments,
                                                Scope& scope) {
  Arguments values;
  for (const Argument& argument : arguments) {
    LH_ASSIGN_OR_RETURN(Value value, evaluate(*argument.value, scope));
    if (argument.is_spread) {
      LH_ASSIGN_OR_RETURN(const std::vector<Value> items,
                          placed(argument.value->at, items_of(budget_, value)));
      values.positional.insert(values.positional.end(), items.begin(), items.end());
    } else if (argument.name.empty()) {
      values.positional.push_back(std::move(value));
    } else {
      values.named.emplace_back(argument.name, std::move(value));
    }
  }
  return values;
}

Result<Value> Rendering::evaluate_call(const Expression& node, Scope& scope, Value caller) {
  LH_ASSIGN_OR_RETURN(const Value callee, evaluate(*node.parts[0], scope));
  LH_ASSIGN_OR_RETURN(Arguments arguments, evaluate_arguments(node.arguments, scope));
  if (!caller.is_undefined()) arguments.named.emplace_back("caller", std::move(caller));
  return placed(node.at, call(callee, std::move(arguments)));
}

Result<Value> Rendering::evaluate_filter(const Expression& node, Value input, Scope& scope) {
  LH_ASSIGN_OR_RETURN(Arguments arguments, evaluate_arguments(node.arguments, scope));
  return placed(node.at, filter(node.name, std::move(input), std::move(arguments)));
}

// The filters of a block, the innermost first.
Result<Value> Rendering::evaluate_filters(const Expression& node, Value input, Scope& scope) {
  if (node.parts[0]) {
    LH_ASSIGN_OR_RETURN(input, evaluate_filters(*node.parts[0], std::move(input), scope));
  }
  return evaluate_filter(node, std::move(input), scope);
}

Result<Value> Rendering::evaluate_test(const Expression& node, Scope& scope) {
  LH_ASSIGN_OR_RETURN(Value value, evaluate(*node.parts[0], scope));
  LH_ASSIGN_OR_RETURN(Arguments arguments, evaluate_arguments(node.arguments, scope));
  LH_ASSIGN_OR_RETURN(const bool holds,
                      placed(node.at, test(node.name, std::move(value), std::move(arguments))));
  return Value::boolean(holds);
}

Result<Value> Rendering::evaluate_binary(const Expression& node, Scope& scope) {
  LH_ASSIGN_OR_RETURN(const std::vector<Value> parts, evaluate_all(node.parts, scope));
  if (node.kind == ExpressionKind::kBinary)
    return placed(node.at, binary(budget_, node.name, parts[0], parts[1]));
  LH_ASSIGN_OR_RETURN(const Value negative, placed(node.at, negate(parts[0])));
  if (node.name == "-") return negative;
  return parts[0].is_boolean() ? Value::integer(*parts[0].as_integer()) : parts[0];
}

Result<Value> Rendering::evaluate_concat(const Expression& node, Scope& scope) {
  Writer out(budget_);
  for (const ExpressionPtr& part : node.parts) {
    LH_ASSIGN_OR_RETURN(const Value value, evaluate(*part, scope));
    LH_RETURN_IF_ERROR(placed(node.at, print(out, value)));
  }
  return Value::text(out.take());
}

Result<Value> Rendering::evaluate_compare(const Expression& node, Scope& scope) {
  LH_ASSIGN_OR_RETURN(Value left, evaluate(*node.parts[0], scope));
  for (size_t i = 0; i < node.names.size(); ++i) {
    LH_ASSIGN_OR_RETURN(Value right, evaluate(*node.parts[i + 1], scope));
    LH_ASSIGN_OR_RETURN(const bool holds,
                        placed(node.at, compare(budget_, node.names[i], left, right)));
    if (!holds) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Result<Value> Rendering::evaluate_logic(const Expression& node, Scope& scope) {
  LH_ASSIGN_OR_RETURN(Value left, evaluate(*node.parts[0], scope));
  if (node.kind == ExpressionKind::kNot) return Value::boolean(!left.truth());
  if (left.truth() == (node.kind == ExpressionKind::kOr)) return left;
  return evaluate(*node.parts[1], scope);
}

Result<Value> Rendering::evaluate_conditional(const Expression& node, Scope& scope) {
  LH_ASSIGN_OR_RETURN(const Value condition, evaluate(*node.parts[1], scope));
  if (condition.truth()) return evaluate(*node.parts[0], scope);
  if (node.parts[2]) return evaluate(*node.parts[2], scope);
  return Value::undefined("if without else");
}

Result<Value> Rendering::call(const Value& callee, Arguments arguments) {
  if (callee.is_undefined()) return undefined_error(callee);
  Object* object = callee.as_object();
  if (object == nullptr || !object->is_callable())
    return bad_input("'{}' cannot be called", callee.type_name());
  return object->call(*this, std::move(arguments));
}

Result<Value> Rendering::filter(std::string_view name, Value input, Arguments arguments) {
  const Builtin* builtin = find_filter(name);
  if (builtin == nullptr)
    return make_error(ErrorCode::kUnsupported, "filter '{}' is not supported", name);
  return run_builtin(*this, *builtin, std::move(input), std::move(arguments));
}

Result<bool> Rendering::test(std::string_view name, Value value, Arguments arguments) {
  const Builtin* builtin = find_test(name);
  if (builtin == nullptr)
    return make_error(ErrorCode::kUnsupported, "test '{}' is not supported", name);
  LH_ASSIGN_OR_RETURN(const Value result,
                      run_builtin(*this, *builtin, std::move(value), std::move(arguments)));
  return result.truth();
}

Result<Value> Rendering::method_of(const Value& value, std::string_view name) {
  const Builtin* builtin = find_method(value, name);
  if (builtin == nullptr) return Value::undefined(name);
  LH_ASSIGN_OR_RETURN(Function * function, make<Function>(*builtin, value));
  return Value::object(function);
}

Result<Value> Rendering::attribute(const Value& value, std::string_view name) {
  if (value.is_undefined()) return undefined_error(value);
  if (Object* object = value.as_object()) return object->attribute(*this, name);
  LH_ASSIGN_OR_RETURN(Value method, method_of(value, name));
  if (!method.is_undefined()) return method;
  const Dict* dict = value.as_dict();
  const Value* found = dict == nullptr ? nullptr : dict->find(name);
  return found == nullptr ? method : *found;
}

Result<Value> Rendering::subscript(const Value& value, const Value& key) {
  if (value.is_undefined()) return undefined_error(value);
  LH_ASSIGN_OR_RETURN(Value item, item_at(budget_, value, key));
  const Text* name = key.as_text();
  if (!item.is_undefined() || name == nullptr) return item;
  if (Object* object = value.as_object()) return object->attribute(*this, name->bytes());
  LH_ASSIGN_OR_RETURN(Value method, method_of(value, name->bytes()));
  return method.is_undefined() ? item : method;
}

}  // namespace longhaul::jinja
