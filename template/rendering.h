// One run of a template: its variables, its objects and what it may still cost.
#pragma once

#include <ctime>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "template/ast.h"
#include "template/lexer.h"
#include "template/limits.h"
#include "template/object.h"
#include "template/writer.h"

namespace longhaul::jinja {

// Variables that live together; what is not found is looked up in the parent.
struct Scope {
  explicit Scope(Scope* its_parent) : parent(its_parent) {}
  const Value* find(std::string_view name) const;

  Scope* parent;
  std::unordered_map<std::string_view, Value> names;  // keys live in the template
};

class Rendering {
 public:
  // The source is that of the blocks run; `now` is what strftime_now() tells.
  Rendering(std::string_view source, const Limits& limits, const std::tm& now)
      : source_(source), budget_(limits), now_(now) {}

  // Error: the template's own (raise_exception), a limit, or what Jinja refuses; with its place.
  Result<Text> run(const Block& block, const Dict& variables);

  Budget& budget() { return budget_; }
  const std::tm& now() const { return now_; }

  // For builtins: what a template could write. Errors have no place.
  Result<Value> call(const Value& callee, Arguments arguments);
  Result<Value> filter(std::string_view name, Value input, Arguments arguments);
  Result<bool> test(std::string_view name, Value value, Arguments arguments);
  // value.name and value[key]; undefined where there is none. Error: the value is.
  Result<Value> attribute(const Value& value, std::string_view name);
  Result<Value> subscript(const Value& value, const Value& key);

  template <class T, class... Args>
  Result<T*> make(Args&&... args) {
    LH_RETURN_IF_ERROR(budget_.memory(sizeof(T) + sizeof(void*)));
    auto made = std::make_unique<T>(std::forward<Args>(args)...);
    T* pointer = made.get();
    objects_.push_back(std::move(made));
    return pointer;
  }

  // Runs a macro's body with its parameters bound.
  Result<Value> run_macro(const Statement& macro, Scope& parent, Arguments arguments);

 private:
  enum class Flow { kNext, kBreak, kContinue };
  class Level;

  // What an operation without a place gave, with one.
  template <class T>
  Result<T> placed(size_t at, Result<T> result);

  Result<Flow> run_block(const Block& block, Scope& scope, Writer& out);
  Result<Flow> run_statement(const Statement& statement, Scope& scope, Writer& out);
  Result<Flow> run_if(const Statement& statement, Scope& scope, Writer& out);
  Result<Flow> run_for(const Statement& statement, Scope& scope, Writer& out);
  Result<std::vector<Value>> loop_items(const Statement& statement, Scope& scope);
  Status run_set(const Statement& statement, Scope& scope);
  Status run_set_block(const Statement& statement, Scope& scope);
  Result<Flow> run_with(const Statement& statement, Scope& scope, Writer& out);
  Status run_call(const Statement& statement, Scope& scope, Writer& out);
  Status define_macro(const Statement& statement, Scope& scope);
  Status assign(const Target& target, size_t at, Value value, Scope& scope);
  // The text of a body of its own scope, through the filters of the statement.
  Result<Value> captured(const Statement& statement, Scope& scope);

  Result<Value> evaluate(const Expression& node, Scope& scope);
  Result<Value> evaluate_kind(const Expression& node, Scope& scope);
  Result<Value> evaluate_filter(const Expression& node, Value input, Scope& scope);
  Result<Value> evaluate_filters(const Expression& node, Value input, Scope& scope);
  Result<Value> evaluate_list(const Expression& node, Scope& scope);
  Result<Value> evaluate_dict(const Expression& node, Scope& scope);
  Result<Value> evaluate_member(const Expression& node, Scope& scope);
  Result<Value> evaluate_slice(const Expression& node, Scope& scope);
  Result<Value> evaluate_call(const Expression& node, Scope& scope, Value caller);
  Result<Value> evaluate_test(const Expression& node, Scope& scope);
  Result<Value> evaluate_binary(const Expression& node, Scope& scope);
  Result<Value> evaluate_concat(const Expression& node, Scope& scope);
  Result<Value> evaluate_compare(const Expression& node, Scope& scope);
  Result<Value> evaluate_logic(const Expression& node, Scope& scope);
  Result<Value> evaluate_conditional(const Expression& node, Scope& scope);
  Result<std::vector<Value>> evaluate_all(const std::vector<ExpressionPtr>& parts, Scope& scope);
  Result<Arguments> evaluate_arguments(const std::vector<Argument>& arguments, Scope& scope);
  Result<Value> method_of(const Value& value, std::string_view name);

  std::string_view source_;
  Budget budget_;
  std::tm now_;
  size_t depth_ = 0;
  bool is_placed_ = false;  // the error on its way has its place
  std::vector<std::unique_ptr<Object>> objects_;
};

template <class T>
Result<T> Rendering::placed(size_t at, Result<T> result) {
  if (result || is_placed_) return result;
  is_placed_ = true;
  return make_error(result.error().code, "{}: {}", place_in(source_, at), result.error().message);
}

}  // namespace longhaul::jinja
