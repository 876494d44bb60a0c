// Statements.
#include "template/rendering.h"

#include <algorithm>

#include "template/builtin.h"
#include "template/operators.h"
#include "template/print.h"

namespace longhaul::jinja {
namespace {

// A macro, or the body of a {% call %} as its caller(). What a caller sees lives no longer than the
// call.
class Macro : public Object {
 public:
  Macro(const Statement& statement, Scope& parent) : statement_(statement), parent_(&parent) {}
  std::string_view type_name() const override { return "Macro"; }
  bool is_callable() const override { return true; }
  Result<Value> call(Rendering& rendering, Arguments arguments) override {
    if (parent_ == nullptr) return bad_input("caller() was called when its call was over");
    return rendering.run_macro(statement_, *parent_, std::move(arguments));
  }
  void end() { parent_ = nullptr; }

 private:
  const Statement& statement_;
  Scope* parent_;
};

}  // namespace

// One more level of nesting, while it lives.
class Rendering::Level {
 public:
  explicit Level(size_t& depth) : depth_(depth) { ++depth_; }
  ~Level() { --depth_; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;

 private:
  size_t& depth_;
};

const Value* Scope::find(std::string_view name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->parent) {
    const auto found = scope->names.find(name);
    if (found != scope->names.end()) return &found->second;
  }
  return nullptr;
}

Result<Text> Rendering::run(const Block& block, const Dict& variables) {
  Scope globals(nullptr);
  for (const Builtin& builtin : global_functions()) {
    LH_ASSIGN_OR_RETURN(Function * function, make<Function>(builtin, Value()));
    globals.names[builtin.name] = Value::object(function);
  }
  Scope top(&globals);
  for (const auto& [key, value] : variables.entries) {
    if (const Text* name = key.as_text()) top.names[name->bytes()] = value;
  }
  Writer out(budget_, budget_.limits().output_bytes);
  LH_RETURN_IF_ERROR(run_block(block, top, out));
  return out.take();
}

Result<Rendering::Flow> Rendering::run_block(const Block& block, Scope& scope, Writer& out) {
  const Level level(depth_);
  for (const Statement& statement : block) {
    LH_RETURN_IF_ERROR(placed(statement.at, budget_.step()));
    if (depth_ > budget_.limits().depth) {
      return placed<Flow>(statement.at, bad_input("expected macros and blocks at most {} deep",
                                                  budget_.limits().depth));
    }
    LH_ASSIGN_OR_RETURN(const Flow flow, run_statement(statement, scope, out));
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Result<Rendering::Flow> Rendering::run_statement(const Statement& statement, Scope& scope,
                                                 Writer& out) {
  switch (statement.kind) {
    case StatementKind::kText:
      LH_RETURN_IF_ERROR(placed(statement.at, out.text(statement.text)));
      break;
    case StatementKind::kOutput: {
      LH_ASSIGN_OR_RETURN(const Value value, evaluate(*statement.value, scope));
      LH_RETURN_IF_ERROR(placed(statement.at, print(out, value)));
      break;
    }
    case StatementKind::kIf:
      return run_if(statement, scope, out);
    case StatementKind::kFor:
      return run_for(statement, scope, out);
    case StatementKind::kSet:
      LH_RETURN_IF_ERROR(run_set(statement, scope));
      break;
    case StatementKind::kSetBlock:
      LH_RETURN_IF_ERROR(run_set_block(statement, scope));
      break;
    case StatementKind::kMacro:
      LH_RETURN_IF_ERROR(define_macro(statement, scope));
      break;
    case StatementKind::kCall:
      LH_RETURN_IF_ERROR(run_call(statement, scope, out));
      break;
    case StatementKind::kFilter: {
      LH_ASSIGN_OR_RETURN(const Value value, captured(statement, scope));
      LH_RETURN_IF_ERROR(placed(statement.at, print(out, value)));
      break;
    }
    case StatementKind::kWith:
    case StatementKind::kScope:
      return run_with(statement, scope, out);
    case StatementKind::kBreak:
      return Flow::kBreak;
    case StatementKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

Result<Rendering::Flow> Rendering::run_if(const Statement& statement, Scope& scope, Writer& out) {
  for (const Branch& branch : statement.branches) {
    if (branch.condition) {
      LH_ASSIGN_OR_RETURN(const Value condition, evaluate(*branch.condition, scope));
      if (!condition.truth()) continue;
    }
    return run_block(branch.body, scope, out);
  }
  return Flow::kNext;
}

Result<std::vector<Value>> Rendering::loop_items(const Statement& statement, Scope& scope) {
  LH_ASSIGN_OR_RETURN(const Value value, evaluate(*statement.value, scope));
  LH_ASSIGN_OR_RETURN(std::vector<Value> items,
                      placed(statement.value->at, items_of(budget_, value)));
  if (!statement.condition) return items;
  std::vector<Value> chosen;
  for (Value& item : items) {
    Scope inner(&scope);
    LH_RETURN_IF_ERROR(assign(statement.target, statement.at, item, inner));
    LH_ASSIGN_OR_RETURN(const Value condition, evaluate(*statement.condition, inner));
    if (condition.truth()) chosen.push_back(std::move(item));
  }
  return chosen;
}

Result<Rendering::Flow> Rendering::run_for(const Statement& statement, Scope& scope, Writer& out) {
  LH_ASSIGN_OR_RETURN(std::vector<Value> items, loop_items(statement, scope));
  if (items.empty()) {
    Scope inner(&scope);
    return run_block(statement.otherwise, inner, out);
  }
  LH_ASSIGN_OR_RETURN(Loop * loop, placed(statement.at, make<Loop>(std::move(items))));
  for (; !loop->at_end(); loop->advance()) {
    Scope inner(&scope);
    inner.names["loop"] = Value::object(loop);
    LH_RETURN_IF_ERROR(assign(statement.target, statement.at, loop->item(), inner));
    LH_RETURN_IF_ERROR(placed(statement.at, budget_.step()));
    LH_ASSIGN_OR_RETURN(const Flow flow, run_block(statement.body, inner, out));
    if (flow == Flow::kBreak) break;
  }
  return Flow::kNext;
}

Status Rendering::assign(const Target& target, size_t at, Value value, Scope& scope) {
  if (!target.attribute.empty()) {
    const Value* held = scope.find(target.names[0]);
    auto* names = held == nullptr ? nullptr : dynamic_cast<Namespace*>(held->as_object());
    if (names == nullptr)
      return placed<void>(at, bad_input("{}: expected a namespace to set .{} of", target.names[0],
                                        target.attribute));
    LH_RETURN_IF_ERROR(placed(at, budget_.memory(sizeof(Value))));
    names->set(target.attribute, std::move(value));
    return {};
  }
  if (!target.is_tuple) {
    scope.names[target.names[0]] = std::move(value);
    return {};
  }
  LH_ASSIGN_OR_RETURN(const std::vector<Value> items, placed(at, items_of(budget_, value)));
  if (items.size() != target.names.size())
    return placed<void>(
        at, bad_input("expected {} values to unpack, found {}", target.names.size(), items.size()));
  for (size_t i = 0; i < items.size(); ++i) scope.names[target.names[i]] = items[i];
  return {};
}

Status Rendering::run_set(const Statement& statement, Scope& scope) {
  LH_ASSIGN_OR_RETURN(Value value, evaluate(*statement.value, scope));
  return assign(statement.target, statement.at, std::move(value), scope);
}

Result<Value> Rendering::captured(const Statement& statement, Scope& scope) {
  Scope inner(&scope);
  Writer body(budget_);
  LH_RETURN_IF_ERROR(run_block(statement.body, inner, body));
  Value value = Value::text(body.take());
  if (!statement.value) return value;
  return evaluate_filters(*statement.value, std::move(value), scope);
}

Status Rendering::run_set_block(const Statement& statement, Scope& scope) {
  LH_ASSIGN_OR_RETURN(Value value, captured(statement, scope));
  return assign(statement.target, statement.at, std::move(value), scope);
}

Result<Rendering::Flow> Rendering::run_with(const Statement& statement, Scope& scope, Writer& out) {
  Scope inner(&scope);
  for (const Parameter& parameter : statement.parameters) {
    LH_ASSIGN_OR_RETURN(inner.names[parameter.name], evaluate(*parameter.default_value, scope));
  }
  return run_block(statement.body, inner, out);
}

Status Rendering::define_macro(const Statement& statement, Scope& scope) {
  LH_ASSIGN_OR_RETURN(Macro * macro, placed(statement.at, make<Macro>(statement, scope)));
  scope.names[statement.target.names[0]] = Value::object(macro);
  return {};
}

Status Rendering::run_call(const Statement& statement, Scope& scope, Writer& out) {
  LH_ASSIGN_OR_RETURN(Macro * caller, placed(statement.at, make<Macro>(statement, scope)));
  auto value = evaluate_call(*statement.value, scope, Value::object(caller));
  caller->end();
  LH_RETURN_IF_ERROR(value);
  return placed(statement.at, print(out, *value));
}

Result<Value> Rendering::run_macro(const Statement& macro, Scope& parent, Arguments arguments) {
  const std::string name = macro.target.names.empty() ? "caller" : macro.target.names[0];
  const auto& parameters = macro.parameters;
  if (arguments.positional.size() > parameters.size())
    return bad_input("{}(): expected at most {} arguments, found {}", name, parameters.size(),
                     arguments.positional.size());
  Scope scope(&parent);
  for (size_t i = 0; i < arguments.positional.size(); ++i)
    scope.names[parameters[i].name] = std::move(arguments.positional[i]);
  for (auto& [key, value] : arguments.named) {
    const auto found =
        std::find_if(parameters.begin(), parameters.end(),
                     [&, &wanted = key](const Parameter& p) { return p.name == wanted; });
    if (found != parameters.end() && !scope.names.contains(found->name)) {
      scope.names[found->name] = std::move(value);
    } else if (key == "caller") {
      scope.names["caller"] = std::move(value);
    } else {
      return bad_input("{}(): unexpected argument '{}'", name, key);
    }
  }
  for (const Parameter& parameter : parameters) {
    if (scope.names.contains(parameter.name)) continue;
    Value value = Value::undefined(parameter.name);
    if (parameter.default_value) {
      LH_ASSIGN_OR_RETURN(value, evaluate(*parameter.default_value, scope));
    }
    scope.names[parameter.name] = std::move(value);
  }
  Writer out(budget_);
  LH_RETURN_IF_ERROR(run_block(macro.body, scope, out));
  return Value::text(out.take());
}

}  // namespace longhaul::jinja
