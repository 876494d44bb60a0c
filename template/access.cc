// Items, slices and loops.
#include <algorithm>

#include "template/characters.h"
#include "template/operators.h"
#include "template/writer.h"

namespace longhaul::jinja {
namespace {

constexpr std::string_view kItem = "item";

struct Slice {
  int64_t start, stop, step;
};

Result<std::optional<int64_t>> slice_part(const Value& value) {
  if (value.is_none()) return std::optional<int64_t>();
  if (const auto number = value.as_integer()) return number;
  if (value.is_undefined()) return undefined_error(value);
  return bad_input("slice indices: expected integers, found {}", value.type_name());
}

// Python's rules for indices before the beginning, behind the end and left out.
Result<Slice> resolve(int64_t length, const Value& start, const Value& stop, const Value& step) {
  LH_ASSIGN_OR_RETURN(const auto by, slice_part(step));
  LH_ASSIGN_OR_RETURN(const auto from, slice_part(start));
  LH_ASSIGN_OR_RETURN(const auto to, slice_part(stop));
  Slice slice{0, length, by.value_or(1)};
  if (slice.step == 0) return bad_input("slice step cannot be zero");
  const bool is_forward = slice.step > 0;
  const int64_t least = is_forward ? 0 : -1;
  const int64_t most = is_forward ? length : length - 1;
  const auto clamp = [&](int64_t index) {
    return std::clamp(index < 0 ? std::max(index, -length - 1) + length : index, least, most);
  };
  slice.start = from ? clamp(*from) : is_forward ? 0 : length - 1;
  slice.stop = to ? clamp(*to) : is_forward ? length : -1;
  return slice;
}

// Calls `take` with each index; stops at an error.
template <class Take>
Status for_each(const Slice& slice, int64_t length, Take take) {
  const int64_t step = std::clamp(slice.step, -length - 1, length + 1);  // no overflow below
  for (int64_t i = slice.start; slice.step > 0 ? i < slice.stop : i > slice.stop; i += step)
    LH_RETURN_IF_ERROR(take(static_cast<size_t>(i)));
  return {};
}

Result<Value> slice_text(Budget& budget, const Text& text, const Value& start, const Value& stop,
                         const Value& step) {
  const std::string_view bytes = text.bytes();
  LH_RETURN_IF_ERROR(budget.scan(bytes.size()));
  const auto length = static_cast<int64_t>(count_characters(bytes));
  LH_ASSIGN_OR_RETURN(const Slice slice, resolve(length, start, stop, step));
  Writer out(budget);
  if (slice.step == 1) {
    const auto first = static_cast<size_t>(slice.start);
    const auto last = static_cast<size_t>(std::max(slice.start, slice.stop));
    const size_t begin = character_offset(bytes, first);
    const size_t end = begin + character_offset(bytes.substr(begin), last - first);
    LH_RETURN_IF_ERROR(out.text(text, begin, end));
    return Value::text(out.take());
  }
  std::vector<size_t> offsets;
  LH_RETURN_IF_ERROR(budget.memory(static_cast<size_t>(length) * sizeof(size_t)));
  for (size_t at = 0; at < bytes.size(); at += character_bytes(bytes, at)) offsets.push_back(at);
  LH_RETURN_IF_ERROR(for_each(slice, length, [&](size_t i) {
    return out.text(text, offsets[i], offsets[i] + character_bytes(bytes, offsets[i]));
  }));
  return Value::text(out.take());
}

Result<Value> item_of_text(Budget& budget, const Text& text, int64_t index) {
  LH_RETURN_IF_ERROR(budget.scan(text.size()));
  const auto length = static_cast<int64_t>(count_characters(text.bytes()));
  const int64_t i = index < 0 ? index + length : index;
  if (i < 0 || i >= length) return Value::undefined(kItem);
  const size_t begin = character_offset(text.bytes(), static_cast<size_t>(i));
  Writer out(budget);
  LH_RETURN_IF_ERROR(out.text(text, begin, begin + character_bytes(text.bytes(), begin)));
  return Value::text(out.take());
}

}  // namespace

tl::unexpected<Error> undefined_error(const Value& value) {
  return bad_input("'{}' is undefined", value.undefined_name());
}

Result<Value> item_at(Budget& budget, const Value& container, const Value& key) {
  if (const Dict* dict = container.as_dict()) {
    const Value* found = dict->find(key);
    return found == nullptr ? Value::undefined(kItem) : *found;
  }
  const auto index = key.as_integer();
  if (!index) return Value::undefined(kItem);
  if (const Text* text = container.as_text()) return item_of_text(budget, *text, *index);
  const List* list = container.as_list();
  if (list == nullptr || !list->has_indices()) return Value::undefined(kItem);
  const auto length = static_cast<int64_t>(list->items.size());
  const int64_t i = *index < 0 ? *index + length : *index;
  if (i < 0 || i >= length) return Value::undefined(kItem);
  return list->items[static_cast<size_t>(i)];
}

Result<Value> slice(Budget& budget, const Value& value, const Value& start, const Value& stop,
                    const Value& step) {
  if (value.is_undefined()) return undefined_error(value);
  if (const Text* text = value.as_text()) return slice_text(budget, *text, start, stop, step);
  const List* list = value.as_list();
  if (list == nullptr || !list->has_indices())
    return Value::undefined("slice");  // as Jinja has it of what cannot be sliced
  const auto length = static_cast<int64_t>(list->items.size());
  LH_ASSIGN_OR_RETURN(const Slice slice, resolve(length, start, stop, step));
  LH_RETURN_IF_ERROR(budget.memory(list->items.size() * sizeof(Value)));
  std::vector<Value> items;
  LH_RETURN_IF_ERROR(for_each(slice, length, [&](size_t i) -> Status {
    items.push_back(list->items[i]);
    return {};
  }));
  return Value::list(std::move(items), list->kind);
}

Result<std::vector<Value>> items_of(Budget& budget, const Value& value) {
  std::vector<Value> items;
  if (const List* list = value.as_list()) {
    LH_RETURN_IF_ERROR(budget.memory(list->items.size() * sizeof(Value)));
    if (list->is_spent) return items;
    list->is_spent = list->kind == ListKind::kIterator;
    return list->items;
  }
  if (const Dict* dict = value.as_dict()) {
    LH_RETURN_IF_ERROR(budget.memory(dict->entries.size() * sizeof(Value)));
    for (const Entry& entry : dict->entries) items.push_back(entry.first);
    return items;
  }
  if (const Text* text = value.as_text()) {
    for (size_t at = 0; at < text->size();) {
      const size_t end = at + character_bytes(text->bytes(), at);
      LH_RETURN_IF_ERROR(budget.memory(sizeof(Value) + sizeof(Text)));
      Writer out(budget);
      LH_RETURN_IF_ERROR(out.text(*text, at, end));
      items.push_back(Value::text(out.take()));
      at = end;
    }
    return items;
  }
  if (value.is_undefined()) return items;
  return bad_input("'{}' is not iterable", value.type_name());
}

Result<size_t> length_of(Budget& budget, const Value& value) {
  if (const Text* text = value.as_text()) {
    LH_RETURN_IF_ERROR(budget.scan(text->size()));
    return count_characters(text->bytes());
  }
  if (const Dict* dict = value.as_dict()) return dict->entries.size();
  if (value.is_undefined()) return size_t{0};
  const List* list = value.as_list();
  if (list != nullptr && list->has_length()) return list->items.size();
  return bad_input("'{}' has no length", value.type_name());
}

}  // namespace longhaul::jinja
