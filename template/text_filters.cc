// Filters that make texts.
#include "template/builtin.h"
#include "template/characters.h"
#include "template/json.h"
#include "template/operators.h"
#include "template/print.h"
#include "template/text_operations.h"

namespace longhaul::jinja {
namespace {

// The input as a text, kept alive by `held`.
Result<const Text*> input_text(CallSite& call) {
  LH_ASSIGN_OR_RETURN(call.self, to_text(call.budget(), call.self));
  return call.self.as_text();
}

Result<Value> filter_string(CallSite& call) { return to_text(call.budget(), call.self); }

template <LetterCase letter_case>
Result<Value> filter_case(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const Text* text, input_text(call));
  return change_case(call.budget(), *text, letter_case);
}

Result<Value> filter_capitalize(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const Text* text, input_text(call));
  return capitalize(call.budget(), *text, false);
}

Result<Value> filter_title(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const Text* text, input_text(call));
  return title_words(call.budget(), *text);
}

Result<Value> filter_trim(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const Text* text, input_text(call));
  const Text* chars = nullptr;
  if (call.has(0) && !call[0].is_none()) {
    LH_ASSIGN_OR_RETURN(chars, call.text(0));
  }
  return strip(call.budget(), *text, chars, Side::kBoth);
}

Result<Value> filter_replace(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const Text* text, input_text(call));
  LH_ASSIGN_OR_RETURN(const Value from, to_text(call.budget(), call[0]));
  LH_ASSIGN_OR_RETURN(const Value to, to_text(call.budget(), call[1]));
  int64_t most = -1;
  if (call.has(2) && !call[2].is_none()) {
    LH_ASSIGN_OR_RETURN(most, call.integer(2, -1));
  }
  return replace(call.budget(), *text, *from.as_text(), *to.as_text(), most);
}

// Blanks, as many as the number says, or the text itself.
Result<Value> indentation(CallSite& call, size_t i, int64_t other) {
  if (call.has(i) && call[i].as_text() != nullptr) return call[i];
  LH_ASSIGN_OR_RETURN(const int64_t width, call.integer(i, other));
  return binary(call.budget(), "*", Value::own(" "), Value::integer(width));
}

Result<Value> filter_indent(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const Text* text, input_text(call));
  LH_ASSIGN_OR_RETURN(const Value indent, indentation(call, 0, 4));
  const bool indents_blank = call.flag(2, false);
  LH_ASSIGN_OR_RETURN(const Value lines, split_lines(call.budget(), *text, false));
  std::vector<Value> items = lines.as_list()->items;
  // A newline is put behind the text before it is cut into lines: one that ends it counts as one
  // more line.
  if (text->empty() || text->bytes().ends_with('\n')) items.push_back(Value::own(""));
  Writer out = call.writer();
  if (call.flag(1, false)) LH_RETURN_IF_ERROR(out.text(*indent.as_text()));
  for (size_t i = 0; i < items.size(); ++i) {
    const Text& line = *items[i].as_text();
    if (i > 0) LH_RETURN_IF_ERROR(out.data("\n"));
    if (i > 0 && (indents_blank || !line.empty())) LH_RETURN_IF_ERROR(out.text(*indent.as_text()));
    LH_RETURN_IF_ERROR(out.text(line));
  }
  return Value::text(out.take());
}

Result<Value> filter_center(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const Text* text, input_text(call));
  LH_ASSIGN_OR_RETURN(const int64_t width, call.integer(0, 80));
  LH_ASSIGN_OR_RETURN(const size_t n_characters, length_of(call.budget(), call.self));
  const int64_t n_blanks = std::max<int64_t>(0, width - static_cast<int64_t>(n_characters));
  const int64_t n_left = n_blanks / 2 + (n_blanks & width & 1);  // as Python rounds
  Writer out = call.writer();
  for (int64_t i = 0; i < n_left; ++i) LH_RETURN_IF_ERROR(out.own(" "));
  LH_RETURN_IF_ERROR(out.text(*text));
  for (int64_t i = n_left; i < n_blanks; ++i) LH_RETURN_IF_ERROR(out.own(" "));
  return Value::text(out.take());
}

Result<Value> filter_join(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const std::vector<Value> items, items_of(call.budget(), call.self));
  LH_ASSIGN_OR_RETURN(const Value between,
                      to_text(call.budget(), call.value_or(0, Value::own(""))));
  const bool has_attribute = call.has(1) && !call[1].is_none();
  Writer out = call.writer();
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) LH_RETURN_IF_ERROR(out.text(*between.as_text()));
    Value item = items[i];
    if (has_attribute) {
      LH_ASSIGN_OR_RETURN(item, path_of(call.rendering, item, call[1]));
    }
    LH_RETURN_IF_ERROR(print(out, item));
  }
  return Value::text(out.take());
}

Status read_separators(const Value& value, JsonStyle& style) {
  const List* pair = value.as_list();
  const bool is_pair = pair != nullptr && pair->items.size() == 2 && pair->items[0].as_text() &&
                       pair->items[1].as_text();
  if (!is_pair) return bad_input("separators: expected two texts, found {}", value.type_name());
  style.item_separator = pair->items[0].as_text()->bytes();
  style.key_separator = pair->items[1].as_text()->bytes();
  return {};
}

Result<Value> filter_tojson(CallSite& call) {
  JsonStyle style;
  style.ascii_only = call.flag(0, false);
  if (call.has(1) && !call[1].is_none()) {
    LH_ASSIGN_OR_RETURN(const Value indent, indentation(call, 1, 0));
    style.indent = indent.as_text()->bytes();
    style.has_lines = true;
    style.item_separator = ",";
  }
  if (call.has(2) && !call[2].is_none()) LH_RETURN_IF_ERROR(read_separators(call[2], style));
  style.sort_keys = call.flag(3, false);
  Writer out = call.writer();
  LH_RETURN_IF_ERROR(write_json(out, call.self, style));
  return Value::text(out.take());
}

constexpr Builtin kFilters[] = {
    {"capitalize", "", filter_capitalize},
    {"center", "width?", filter_center},
    {"indent", "width? first? blank?", filter_indent},
    {"join", "d? attribute?", filter_join},
    {"lower", "", filter_case<LetterCase::kLower>},
    {"replace", "old new count?", filter_replace},
    {"safe", "", filter_string},  // nothing is escaped
    {"string", "", filter_string},
    {"title", "", filter_title},
    {"tojson", "ensure_ascii? indent? separators? sort_keys?", filter_tojson},
    {"trim", "chars?", filter_trim},
    {"upper", "", filter_case<LetterCase::kUpper>},
};

}  // namespace

std::span<const Builtin> text_filters() { return kFilters; }

}  // namespace longhaul::jinja
