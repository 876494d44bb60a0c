#include "template/characters.h"
#include "template/operators.h"

namespace longhaul::jinja {
namespace {

Result<bool> equal_lists(Budget& budget, const List& a, const List& b) {
  if (&a == &b) return true;
  if (a.kind != b.kind || a.items.size() != b.items.size()) return false;
  for (size_t i = 0; i < a.items.size(); ++i) {
    LH_ASSIGN_OR_RETURN(const bool same, equal(budget, a.items[i], b.items[i]));
    if (!same) return false;
  }
  return true;
}

Result<bool> equal_dicts(Budget& budget, const Dict& a, const Dict& b) {
  if (&a == &b) return true;
  if (a.entries.size() != b.entries.size()) return false;
  for (const Entry& entry : a.entries) {
    const Value* other = b.find(entry.first);
    if (other == nullptr) return false;
    LH_ASSIGN_OR_RETURN(const bool same, equal(budget, entry.second, *other));
    if (!same) return false;
  }
  return true;
}

Result<int> order_lists(Budget& budget, const List& a, const List& b) {
  for (size_t i = 0; i < std::min(a.items.size(), b.items.size()); ++i) {
    LH_ASSIGN_OR_RETURN(const bool same, equal(budget, a.items[i], b.items[i]));
    if (!same) return order(budget, a.items[i], b.items[i]);
  }
  return a.items.size() < b.items.size() ? -1 : a.items.size() > b.items.size() ? 1 : 0;
}

}  // namespace

Result<bool> equal(Budget& budget, const Value& left, const Value& right) {
  LH_RETURN_IF_ERROR(budget.step());
  if (left.is_number() && right.is_number()) return same_number(left, right);
  if (left.is_undefined() || left.is_none()) {
    return left.is_undefined() == right.is_undefined() && left.is_none() == right.is_none();
  }
  if (left.as_text() != nullptr && right.as_text() != nullptr) {
    LH_RETURN_IF_ERROR(budget.scan(left.as_text()->size()));
    return left.as_text()->bytes() == right.as_text()->bytes();
  }
  if (left.as_list() != nullptr && right.as_list() != nullptr)
    return equal_lists(budget, *left.as_list(), *right.as_list());
  if (left.as_dict() != nullptr && right.as_dict() != nullptr)
    return equal_dicts(budget, *left.as_dict(), *right.as_dict());
  return left.as_object() != nullptr && left.as_object() == right.as_object();
}

Result<int> order(Budget& budget, const Value& left, const Value& right) {
  LH_RETURN_IF_ERROR(budget.step());
  const auto a = left.as_integer();
  const auto b = right.as_integer();
  if (a && b) return *a < *b ? -1 : *a > *b ? 1 : 0;
  if (left.is_number() && right.is_number()) {
    const double x = *left.as_real();
    const double y = *right.as_real();
    return x < y ? -1 : x > y ? 1 : 0;
  }
  if (left.as_text() != nullptr && right.as_text() != nullptr) {
    LH_RETURN_IF_ERROR(budget.scan(left.as_text()->size()));
    return left.as_text()->bytes().compare(right.as_text()->bytes());
  }
  const List* x = left.as_list();
  const List* y = right.as_list();
  if (x != nullptr && y != nullptr && x->kind == y->kind) return order_lists(budget, *x, *y);
  if (left.is_undefined()) return undefined_error(left);
  if (right.is_undefined()) return undefined_error(right);
  return bad_input("'{}' and '{}' have no order", left.type_name(), right.type_name());
}

Result<bool> contains(Budget& budget, const Value& container, const Value& item) {
  if (const Text* text = container.as_text()) {
    if (item.as_text() == nullptr)
      return bad_input("'in' a text: expected a text, found {}", item.type_name());
    LH_RETURN_IF_ERROR(budget.scan(text->size()));
    return find_in(text->bytes(), item.as_text()->bytes()) != std::string_view::npos;
  }
  if (const Dict* dict = container.as_dict()) return dict->find(item) != nullptr;
  LH_ASSIGN_OR_RETURN(const std::vector<Value> items, items_of(budget, container));
  for (const Value& candidate : items) {
    LH_ASSIGN_OR_RETURN(const bool same, equal(budget, candidate, item));
    if (same) return true;
  }
  return false;
}

Result<bool> compare(Budget& budget, std::string_view name, const Value& left, const Value& right) {
  if (name == "==") return equal(budget, left, right);
  if (name == "in") return contains(budget, right, left);
  if (name == "!=" || name == "not in") {
    LH_ASSIGN_OR_RETURN(const bool holds,
                        name == "!=" ? equal(budget, left, right) : contains(budget, right, left));
    return !holds;
  }
  LH_ASSIGN_OR_RETURN(const int sign, order(budget, left, right));
  const bool is_nan = left.is_number() && right.is_number() &&
                      (*left.as_real() != *left.as_real() || *right.as_real() != *right.as_real());
  if (is_nan) return false;
  if (name == "<") return sign < 0;
  if (name == "<=") return sign <= 0;
  return name == ">" ? sign > 0 : sign >= 0;
}

}  // namespace longhaul::jinja
