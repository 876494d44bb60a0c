// Filters over lists.
#include <algorithm>

#include "template/builtin.h"
#include "template/operators.h"
#include "template/print.h"
#include "template/text_operations.h"

namespace longhaul::jinja {
namespace {

Result<Value> filter_length(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const size_t n, length_of(call.budget(), call.self));
  return Value::integer(static_cast<int64_t>(n));
}

Result<std::vector<Value>> input_items(CallSite& call) {
  return items_of(call.budget(), call.self);
}

Result<Value> filter_first(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const std::vector<Value> items, input_items(call));
  return items.empty() ? Value::undefined("the first of nothing") : items.front();
}

Result<Value> filter_last(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const std::vector<Value> items, input_items(call));
  return items.empty() ? Value::undefined("the last of nothing") : items.back();
}

Result<Value> filter_list(CallSite& call) {
  LH_ASSIGN_OR_RETURN(std::vector<Value> items, input_items(call));
  return Value::list(std::move(items));
}

Result<Value> filter_items(CallSite& call) {
  if (call.self.is_undefined()) return Value::list({}, ListKind::kIterator);
  const Dict* dict = call.self.as_dict();
  if (dict == nullptr) return bad_input("items: expected a dict, found {}", call.self.type_name());
  LH_ASSIGN_OR_RETURN(const Value view,
                      run_builtin(call.rendering, *find_method(call.self, "items"), call.self, {}));
  return Value::list(view.as_list()->items, ListKind::kIterator);
}

Result<Value> filter_reverse(CallSite& call) {
  const Text* text = call.self.as_text();
  if (text != nullptr)
    return slice(call.budget(), call.self, Value::none(), Value::none(), Value::integer(-1));
  LH_ASSIGN_OR_RETURN(std::vector<Value> items, input_items(call));
  std::reverse(items.begin(), items.end());
  return Value::list(std::move(items), ListKind::kIterator);
}

// What an item is compared by: an attribute of it if one is given, texts without regard to case.
struct Key {
  std::optional<Value> path;
  bool with_case = false;

  Result<Value> operator()(CallSite& call, const Value& item) const {
    Value key = item;
    if (path && !path->is_none()) {
      LH_ASSIGN_OR_RETURN(key, path_of(call.rendering, item, *path));
    }
    if (with_case || key.as_text() == nullptr) return key;
    return change_case(call.budget(), *key.as_text(), LetterCase::kLower);
  }
};

using Keyed = std::pair<Value, Value>;

// Sorts by the keys, items with equal ones in their order.
Result<std::vector<Value>> sorted(CallSite& call, std::vector<Keyed> items, bool is_reversed) {
  Status status;
  const auto below = [&](const Keyed& a, const Keyed& b) {
    if (!status) return false;  // the order means nothing any more; all are equal
    const auto sign = is_reversed ? order(call.budget(), b.first, a.first)
                                  : order(call.budget(), a.first, b.first);
    if (!sign) status = tl::unexpected<Error>(sign.error());
    return sign && *sign < 0;
  };
  std::stable_sort(items.begin(), items.end(), below);
  LH_RETURN_IF_ERROR(status);
  std::vector<Value> values;
  for (Keyed& item : items) values.push_back(std::move(item.second));
  return values;
}

Result<Value> filter_sort(CallSite& call) {
  LH_ASSIGN_OR_RETURN(std::vector<Value> items, input_items(call));
  const Key key{call.slots[2], call.flag(1, false)};
  std::vector<Keyed> keyed;
  for (Value& item : items) {
    LH_ASSIGN_OR_RETURN(Value its_key, key(call, item));
    keyed.emplace_back(std::move(its_key), std::move(item));
  }
  LH_ASSIGN_OR_RETURN(std::vector<Value> values,
                      sorted(call, std::move(keyed), call.flag(0, false)));
  return Value::list(std::move(values));
}

Result<Value> filter_dictsort(CallSite& call) {
  const Dict* dict = call.self.as_dict();
  if (dict == nullptr)
    return bad_input("dictsort: expected a dict, found {}", call.self.type_name());
  const Key key{std::nullopt, call.flag(0, false)};
  bool by_value = false;
  if (call.has(1)) {
    LH_ASSIGN_OR_RETURN(const Text* by, call.text(1));
    by_value = by->bytes() == "value";
    if (!by_value && by->bytes() != "key")
      return bad_input("dictsort: expected by 'key' or 'value', found '{}'", by->bytes());
  }
  std::vector<Keyed> keyed;
  LH_RETURN_IF_ERROR(call.budget().memory(dict->entries.size() * sizeof(List)));
  for (const Entry& entry : dict->entries) {
    LH_ASSIGN_OR_RETURN(Value its_key, key(call, by_value ? entry.second : entry.first));
    LH_ASSIGN_OR_RETURN(Value pair, Value::list({entry.first, entry.second}, ListKind::kTuple));
    keyed.emplace_back(std::move(its_key), std::move(pair));
  }
  LH_ASSIGN_OR_RETURN(std::vector<Value> values,
                      sorted(call, std::move(keyed), call.flag(2, false)));
  return Value::list(std::move(values));
}

bool is_hashable(const Value& value) {
  const List* list = value.as_list();
  if (list != nullptr) return list->kind == ListKind::kTuple && list->nesting == 1;
  return value.as_dict() == nullptr;
}

Result<Value> filter_unique(CallSite& call) {
  LH_ASSIGN_OR_RETURN(std::vector<Value> items, input_items(call));
  const Key key{call.slots[1], call.flag(0, false)};
  std::vector<Value> seen, kept;
  for (Value& item : items) {
    LH_ASSIGN_OR_RETURN(Value its_key, key(call, item));
    if (!is_hashable(its_key))
      return bad_input("unique: expected texts, numbers or tuples of these, found {}",
                       its_key.type_name());
    bool is_new = true;
    for (size_t i = 0; is_new && i < seen.size(); ++i) {
      LH_ASSIGN_OR_RETURN(const bool same, equal(call.budget(), seen[i], its_key));
      is_new = !same;
    }
    if (!is_new) continue;
    seen.push_back(std::move(its_key));
    kept.push_back(std::move(item));
  }
  return Value::list(std::move(kept), ListKind::kIterator);
}

template <bool wants_most>
Result<Value> filter_extreme(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const std::vector<Value> items, input_items(call));
  if (items.empty()) return Value::undefined("the extreme of nothing");
  const Key key{call.slots[1], call.flag(0, false)};
  const Value* best = &items[0];
  LH_ASSIGN_OR_RETURN(Value best_key, key(call, items[0]));
  for (const Value& item : items) {
    LH_ASSIGN_OR_RETURN(Value its_key, key(call, item));
    LH_ASSIGN_OR_RETURN(const int sign, order(call.budget(), its_key, best_key));
    if (wants_most ? sign <= 0 : sign >= 0) continue;
    best = &item;
    best_key = std::move(its_key);
  }
  return *best;
}

Result<Value> filter_sum(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const std::vector<Value> items, input_items(call));
  Value total = call.value_or(1, Value::integer(0));
  const bool has_path = call.has(0) && !call[0].is_none();
  for (const Value& item : items) {
    Value added = item;
    if (has_path) {
      LH_ASSIGN_OR_RETURN(added, path_of(call.rendering, item, call[0]));
    }
    LH_ASSIGN_OR_RETURN(total, binary(call.budget(), "+", total, added));
  }
  return total;
}

Result<Value> filter_batch(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const std::vector<Value> items, input_items(call));
  LH_ASSIGN_OR_RETURN(const int64_t size, call.integer(0, 0));
  if (size <= 0) return bad_input("batch: expected a size above 0, found {}", size);
  std::vector<Value> batches;
  for (size_t at = 0; at < items.size();) {
    const size_t n = std::min(static_cast<size_t>(size), items.size() - at);
    std::vector<Value> batch(items.begin() + static_cast<std::ptrdiff_t>(at),
                             items.begin() + static_cast<std::ptrdiff_t>(at + n));
    const bool fills = call.has(1) && !call[1].is_none();
    while (fills && batch.size() < static_cast<size_t>(size)) {
      LH_RETURN_IF_ERROR(call.budget().memory(sizeof(Value)));
      batch.push_back(call[1]);
    }
    LH_RETURN_IF_ERROR(call.budget().memory(sizeof(List)));
    LH_ASSIGN_OR_RETURN(Value list, Value::list(std::move(batch)));
    batches.push_back(std::move(list));
    at += n;
  }
  return Value::list(std::move(batches), ListKind::kIterator);
}

constexpr Builtin kFilters[] = {
    {"batch", "linecount fill_with?", filter_batch},
    {"count", "", filter_length},
    {"dictsort", "case_sensitive? by? reverse?", filter_dictsort},
    {"first", "", filter_first},
    {"items", "", filter_items},
    {"last", "", filter_last},
    {"length", "", filter_length},
    {"list", "", filter_list},
    {"max", "case_sensitive? attribute?", filter_extreme<true>},
    {"min", "case_sensitive? attribute?", filter_extreme<false>},
    {"reverse", "", filter_reverse},
    {"sort", "reverse? case_sensitive? attribute?", filter_sort},
    {"sum", "attribute? start?", filter_sum},
    {"unique", "case_sensitive? attribute?", filter_unique},
};

}  // namespace

std::span<const Builtin> list_filters() { return kFilters; }

}  // namespace longhaul::jinja
