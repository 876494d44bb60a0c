#include "template/value.h"

#include <algorithm>

#include "template/object.h"

namespace longhaul::jinja {
namespace {

Status check_nesting(size_t nesting) {
  if (nesting <= Value::kMaxNesting) return {};
  return bad_input("expected values nested at most {} deep", Value::kMaxNesting);
}

// Numbers that are equal are one key, whatever their type.
bool same_key(const Value& a, const Value& b) {
  return a.is_number() && b.is_number() ? same_number(a, b) : a.same(b);
}

}  // namespace

bool same_number(const Value& a, const Value& b) {
  const auto whole_a = a.as_integer();
  const auto whole_b = b.as_integer();
  return whole_a && whole_b ? *whole_a == *whole_b : *a.as_real() == *b.as_real();
}

Result<Value> Value::list(std::vector<Value> items, ListKind kind) {
  List made{std::move(items), kind};
  for (const Value& item : made.items) made.nesting = std::max(made.nesting, item.nesting() + 1);
  LH_RETURN_IF_ERROR(check_nesting(made.nesting));
  return Value(Held(std::make_shared<const List>(std::move(made))));
}

Result<Value> Value::dict(std::vector<Entry> entries) {
  Dict made;
  std::vector<size_t> other_keys;  // entries whose keys are no texts: few, compared one by one
  for (Entry& entry : entries) {
    const Value& key = entry.first;
    if (key.as_dict() != nullptr || (key.as_list() != nullptr && key.nesting() > 0)) {
      return bad_input("unhashable type: '{}'", key.type_name());
    }
    made.nesting = std::max(made.nesting, entry.second.nesting() + 1);
    const size_t next = made.entries.size();
    size_t at = next;
    if (const Text* text = key.as_text()) {
      at = made.index.emplace(text->bytes(), next).first->second;
    } else {
      const auto found = std::find_if(other_keys.begin(), other_keys.end(), [&](size_t i) {
        return same_key(made.entries[i].first, key);
      });
      if (found != other_keys.end()) {
        at = *found;
      } else {
        other_keys.push_back(next);
      }
    }
    if (at == next) {
      made.entries.push_back(std::move(entry));
    } else {
      made.entries[at].second = std::move(entry.second);
    }
  }
  LH_RETURN_IF_ERROR(check_nesting(made.nesting));
  return Value(Held(std::make_shared<const Dict>(std::move(made))));
}

const Text* Value::as_text() const {
  const auto* held = std::get_if<std::shared_ptr<const Text>>(&held_);
  return held == nullptr ? nullptr : held->get();
}

const List* Value::as_list() const {
  const auto* held = std::get_if<std::shared_ptr<const List>>(&held_);
  return held == nullptr ? nullptr : held->get();
}

const Dict* Value::as_dict() const {
  const auto* held = std::get_if<std::shared_ptr<const Dict>>(&held_);
  return held == nullptr ? nullptr : held->get();
}

Object* Value::as_object() const {
  const auto* held = std::get_if<Object*>(&held_);
  return held == nullptr ? nullptr : *held;
}

std::optional<int64_t> Value::as_integer() const {
  if (const auto* flag = std::get_if<bool>(&held_)) return *flag ? 1 : 0;
  if (const auto* number = std::get_if<int64_t>(&held_)) return *number;
  return std::nullopt;
}

std::optional<double> Value::as_real() const {
  if (const auto* number = std::get_if<double>(&held_)) return *number;
  if (const auto whole = as_integer()) return static_cast<double>(*whole);
  return std::nullopt;
}

bool Value::truth() const {
  if (is_undefined() || is_none()) return false;
  if (const auto number = as_real()) return *number != 0;
  if (const Text* text = as_text()) return !text->empty();
  if (const List* items = as_list()) return !items->has_length() || !items->items.empty();
  if (const Dict* entries = as_dict()) return !entries->entries.empty();
  return true;
}

bool Value::same(const Value& other) const {
  if (held_.index() != other.held_.index()) return false;
  if (is_undefined()) return undefined_name().data() == other.undefined_name().data();
  if (is_none()) return true;
  if (is_number()) return same_number(*this, other);
  if (const Text* text = as_text()) return text->bytes() == other.as_text()->bytes();
  if (as_list() != nullptr) return as_list() == other.as_list();
  if (as_dict() != nullptr) return as_dict() == other.as_dict();
  return as_object() == other.as_object();
}

size_t Value::nesting() const {
  if (const List* items = as_list()) return items->nesting;
  if (const Dict* entries = as_dict()) return entries->nesting;
  return 0;
}

std::string_view Value::type_name() const {
  if (is_undefined()) return "Undefined";
  if (is_none()) return "NoneType";
  if (is_boolean()) return "bool";
  if (is_integer()) return "int";
  if (is_real()) return "float";
  if (as_text() != nullptr) return "str";
  if (as_dict() != nullptr) return "dict";
  if (const Object* thing = as_object()) return thing->type_name();
  switch (as_list()->kind) {
    case ListKind::kList:
      return "list";
    case ListKind::kTuple:
      return "tuple";
    case ListKind::kView:
      return "dict view";
    case ListKind::kRange:
      return "range";
    case ListKind::kIterator:
      return "generator";
  }
  return "list";
}

const Value* Dict::find(std::string_view key) const {
  const auto found = index.find(key);
  return found == index.end() ? nullptr : &entries[found->second].second;
}

const Value* Dict::find(const Value& key) const {
  if (const Text* text = key.as_text()) return find(text->bytes());
  if (index.size() == entries.size()) return nullptr;
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const Entry& entry) { return same_key(entry.first, key); });
  return found == entries.end() ? nullptr : &found->second;
}

}  // namespace longhaul::jinja
