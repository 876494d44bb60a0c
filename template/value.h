// The values of a template: those of Python, as far as templates see them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "template/text.h"

namespace longhaul::jinja {

class Value;
class Object;
using Entry = std::pair<Value, Value>;

// Lists and tuples print differently; a view (of a dict) and a range cannot be indexed or have no
// list's name; an iterator gives its items once, is always true and has no length.
enum class ListKind : uint8_t { kList, kTuple, kView, kRange, kIterator };

struct List;
struct Dict;

// A value is small, cheap to copy and does not change. Values cannot hold themselves.
class Value {
 public:
  struct Undefined {
    std::string_view name;  // of what is not there; lives as long as the template
  };
  struct None {};

  Value() : held_(Undefined{}) {}  // undefined
  static Value undefined(std::string_view name) { return Value(Undefined{name}); }
  static Value none() { return Value(None{}); }
  static Value boolean(bool value) { return Value(value); }
  static Value integer(int64_t value) { return Value(value); }
  static Value real(double value) { return Value(value); }
  static Value text(Text value) { return Value(std::make_shared<const Text>(std::move(value))); }
  static Value own(std::string_view bytes) { return text(Text::own(std::string(bytes))); }
  static Value data(std::string_view bytes) { return text(Text::data(std::string(bytes))); }
  static Value object(Object* value) { return Value(value); }
  // Error: nested more than kMaxNesting deep.
  static Result<Value> list(std::vector<Value> items, ListKind kind = ListKind::kList);
  // Later entries take the place of earlier ones with the same key. Error: as list(), or a key that
  // is a list or a dict.
  static Result<Value> dict(std::vector<Entry> entries);

  static constexpr size_t kMaxNesting = 100;

  bool is_undefined() const { return std::holds_alternative<Undefined>(held_); }
  bool is_none() const { return std::holds_alternative<None>(held_); }
  bool is_boolean() const { return std::holds_alternative<bool>(held_); }
  bool is_integer() const { return std::holds_alternative<int64_t>(held_); }  // not a boolean
  bool is_real() const { return std::holds_alternative<double>(held_); }
  bool is_number() const { return is_boolean() || is_integer() || is_real(); }

  // Null unless the value is of that kind.
  const Text* as_text() const;
  const List* as_list() const;
  const Dict* as_dict() const;
  Object* as_object() const;
  // Of a boolean or an integer.
  std::optional<int64_t> as_integer() const;
  // Of any number.
  std::optional<double> as_real() const;
  std::string_view undefined_name() const { return std::get<Undefined>(held_).name; }

  bool truth() const;
  bool same(const Value& other) const;  // Python's `is`
  size_t nesting() const;               // 0: no list and no dict
  std::string_view type_name() const;   // as Python calls it: "str"

 private:
  using Held = std::variant<Undefined, None, bool, int64_t, double, std::shared_ptr<const Text>,
                            std::shared_ptr<const List>, std::shared_ptr<const Dict>, Object*>;
  explicit Value(Held held) : held_(std::move(held)) {}

  Held held_;
};

// Of two numbers; whole ones are compared as such.
bool same_number(const Value& a, const Value& b);

struct List {
  std::vector<Value> items;
  ListKind kind = ListKind::kList;
  size_t nesting = 1;
  mutable bool is_spent = false;  // an iterator that has given its items

  bool has_length() const { return kind != ListKind::kIterator; }
  bool has_indices() const { return kind != ListKind::kIterator && kind != ListKind::kView; }
};

// In the order of the first insertion.
struct Dict {
  std::vector<Entry> entries;
  std::unordered_map<std::string_view, size_t> index;  // of the entries whose keys are texts
  size_t nesting = 1;

  const Value* find(std::string_view key) const;
  const Value* find(const Value& key) const;
};

}  // namespace longhaul::jinja
