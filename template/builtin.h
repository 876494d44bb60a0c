// Functions, filters, tests and methods: tables of rows, each a name, its parameters and a function.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "template/object.h"
#include "template/rendering.h"
#include "template/writer.h"

namespace longhaul::jinja {

// A call of a builtin, its arguments in the places of its parameters.
struct CallSite {
  Rendering& rendering;
  Value self;                               // what the filter, test or method is of
  std::vector<std::optional<Value>> slots;  // in the order of the parameters
  Arguments rest;                           // beyond them, where the builtin takes more

  Budget& budget() const { return rendering.budget(); }
  Writer writer() const { return Writer(rendering.budget()); }
  bool has(size_t i) const { return slots[i].has_value(); }
  const Value& operator[](size_t i) const { return *slots[i]; }
  Value value_or(size_t i, Value other) const { return slots[i].value_or(std::move(other)); }
  bool flag(size_t i, bool other) const { return slots[i] ? slots[i]->truth() : other; }
  // Error: not a text, not a whole number.
  Result<const Text*> text(size_t i) const;
  Result<int64_t> integer(size_t i, int64_t other) const;
};

using BuiltinFunction = Result<Value> (*)(CallSite& call);

struct Builtin {
  std::string_view name;
  // Names apart by blanks, those that may be left out with a question mark; a star at the end: any
  // more.
  std::string_view parameters;
  BuiltinFunction run;  // null: known and not supported
};

const Builtin* find_builtin(std::span<const Builtin> table, std::string_view name);
Result<Value> run_builtin(Rendering& rendering, const Builtin& builtin, Value self,
                          Arguments arguments);

const Builtin* find_filter(std::string_view name);
const Builtin* find_test(std::string_view name);
// Of the type of `self`.
const Builtin* find_method(const Value& self, std::string_view name);

// What an attribute such as "function.name" or "0.role" of a value is, as the filters take it;
// `other` wherever there is none.
Result<Value> path_of(Rendering& rendering, const Value& value, const Value& path,
                      const std::optional<Value>& other = {});

std::span<const Builtin> text_filters();
std::span<const Builtin> list_filters();
std::span<const Builtin> select_filters();
std::span<const Builtin> value_filters();
std::span<const Builtin> tests();
std::span<const Builtin> text_methods();
std::span<const Builtin> list_methods();
std::span<const Builtin> dict_methods();
std::span<const Builtin> global_functions();

// A builtin as a value: a global function, or a method with what it is of.
class Function : public Object {
 public:
  Function(const Builtin& builtin, Value self) : builtin_(builtin), self_(std::move(self)) {}
  std::string_view type_name() const override { return "function"; }
  bool is_callable() const override { return true; }
  Result<Value> call(Rendering& rendering, Arguments arguments) override {
    return run_builtin(rendering, builtin_, self_, std::move(arguments));
  }

 private:
  const Builtin& builtin_;
  Value self_;
};

}  // namespace longhaul::jinja
