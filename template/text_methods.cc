// Methods of texts.
#include <algorithm>

#include "template/builtin.h"
#include "template/characters.h"
#include "template/operators.h"
#include "template/print.h"
#include "template/text_operations.h"

namespace longhaul::jinja {
namespace {

constexpr size_t kNone = std::string_view::npos;

const Text& self_text(const CallSite& call) { return *call.self.as_text(); }

// A text, or null where it is left out or none.
Result<const Text*> text_or_null(const CallSite& call, size_t i) {
  if (!call.has(i) || call[i].is_none()) return nullptr;
  return call.text(i);
}

template <Side side>
Result<Value> method_strip(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const Text* chars, text_or_null(call, 0));
  return strip(call.budget(), self_text(call), chars, side);
}

template <bool from_right>
Result<Value> method_split(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const Text* separator, text_or_null(call, 0));
  LH_ASSIGN_OR_RETURN(const int64_t most, call.integer(1, -1));
  return split(call.budget(), self_text(call), separator, most, from_right);
}

Result<Value> method_splitlines(CallSite& call) {
  return split_lines(call.budget(), self_text(call), call.flag(0, false));
}

Result<Value> method_replace(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const Text* from, call.text(0));
  LH_ASSIGN_OR_RETURN(const Text* to, call.text(1));
  LH_ASSIGN_OR_RETURN(const int64_t most, call.integer(2, -1));
  return replace(call.budget(), self_text(call), *from, *to, most);
}

template <LetterCase letter_case>
Result<Value> method_case(CallSite& call) {
  return change_case(call.budget(), self_text(call), letter_case);
}

template <bool every_word>
Result<Value> method_capitalize(CallSite& call) {
  return capitalize(call.budget(), self_text(call), every_word);
}

// The bytes of characters [slots[first], slots[first + 1]); nothing if it begins behind the end.
Result<std::optional<TextRange>> character_range(const CallSite& call, size_t first) {
  const std::string_view bytes = self_text(call).bytes();
  LH_RETURN_IF_ERROR(call.budget().scan(bytes.size()));
  if (!call.has(first) && !call.has(first + 1)) return TextRange{0, bytes.size()};
  const auto length = static_cast<int64_t>(count_characters(bytes));
  LH_ASSIGN_OR_RETURN(int64_t begin, call.integer(first, 0));
  LH_ASSIGN_OR_RETURN(int64_t end, call.integer(first + 1, length));
  if (begin < 0) begin = std::max<int64_t>(0, begin + length);
  if (end < 0) end = std::max<int64_t>(0, end + length);
  end = std::min(end, length);
  if (begin > end) return std::optional<TextRange>();
  return TextRange{character_offset(bytes, static_cast<size_t>(begin)),
                   character_offset(bytes, static_cast<size_t>(end))};
}

template <bool at_end>
Result<Value> method_starts(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const auto range, character_range(call, 1));
  std::vector<Value> choices = {call[0]};
  if (const List* list = call[0].as_list(); list != nullptr && list->kind == ListKind::kTuple)
    choices = list->items;
  for (const Value& choice : choices) {
    const Text* text = choice.as_text();
    if (text == nullptr)
      return bad_input("expected a text or a tuple of texts, found {}", choice.type_name());
    if (!range) continue;
    const std::string_view bytes =
        self_text(call).bytes().substr(range->begin, range->end - range->begin);
    if (at_end ? bytes.ends_with(text->bytes()) : bytes.starts_with(text->bytes()))
      return Value::boolean(true);
  }
  return Value::boolean(false);
}

// Where the argument is, in bytes; kNone if nowhere.
Result<size_t> locate(const CallSite& call, bool from_right) {
  LH_ASSIGN_OR_RETURN(const Text* wanted, call.text(0));
  LH_ASSIGN_OR_RETURN(const auto range, character_range(call, 1));
  if (!range) return kNone;
  const std::string_view bytes = self_text(call).bytes().substr(0, range->end);
  if (!from_right) return find_in(bytes, wanted->bytes(), range->begin);
  LH_RETURN_IF_ERROR(call.budget().step(wanted->size()));  // rfind compares at every place
  LH_RETURN_IF_ERROR(call.budget().step(bytes.size() / 64 * wanted->size()));
  const size_t found = bytes.rfind(wanted->bytes());
  return found == kNone || found < range->begin ? kNone : found;
}

template <bool from_right, bool must_be>
Result<Value> method_find(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const size_t found, locate(call, from_right));
  if (found == kNone && must_be) return bad_input("substring not found");
  if (found == kNone) return Value::integer(-1);
  const size_t n = count_characters(self_text(call).bytes().substr(0, found));
  return Value::integer(static_cast<int64_t>(n));
}

Result<Value> method_count(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const Text* wanted, call.text(0));
  const std::string_view bytes = self_text(call).bytes();
  LH_RETURN_IF_ERROR(call.budget().scan(bytes.size()));
  if (wanted->empty()) return Value::integer(static_cast<int64_t>(count_characters(bytes)) + 1);
  int64_t n = 0;
  for (size_t at = 0; (at = find_in(bytes, wanted->bytes(), at)) != kNone; at += wanted->size())
    ++n;
  return Value::integer(n);
}

Result<Value> method_join(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const std::vector<Value> items, items_of(call.budget(), call[0]));
  Writer out = call.writer();
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].as_text() == nullptr)
      return bad_input("join: expected texts, found {}", items[i].type_name());
    if (i > 0) LH_RETURN_IF_ERROR(out.text(self_text(call)));
    LH_RETURN_IF_ERROR(out.text(*items[i].as_text()));
  }
  return Value::text(out.take());
}

template <bool at_end>
Result<Value> method_remove(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const Text* affix, call.text(0));
  const Text& text = self_text(call);
  const size_t n = affix->size();
  if (at_end) {
    const bool has = text.bytes().ends_with(affix->bytes());
    return part(call.budget(), text, 0, text.size() - (has ? n : 0));
  }
  return part(call.budget(), text, text.bytes().starts_with(affix->bytes()) ? n : 0, text.size());
}

// The separator is cut out of the text, not taken from the argument: it keeps the text's origin.
template <bool from_right>
Result<Value> method_partition(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const Text* separator, call.text(0));
  if (separator->empty()) return bad_input("partition: expected a separator, found an empty one");
  const Text& text = self_text(call);
  LH_ASSIGN_OR_RETURN(const Value pieces, split(call.budget(), text, separator, 1, from_right));
  const std::vector<Value>& parts = pieces.as_list()->items;
  if (parts.size() == 2) {
    const size_t begin = parts[0].as_text()->size();
    LH_ASSIGN_OR_RETURN(Value middle, part(call.budget(), text, begin, begin + separator->size()));
    return Value::list({parts[0], std::move(middle), parts[1]}, ListKind::kTuple);
  }
  const Value nothing = Value::own("");
  return from_right ? Value::list({nothing, nothing, call.self}, ListKind::kTuple)
                    : Value::list({call.self, nothing, nothing}, ListKind::kTuple);
}

using CharacterTest = bool (*)(uint32_t);

bool is_ascii_alpha(uint32_t c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }
bool is_ascii_digit(uint32_t c) { return c >= '0' && c <= '9'; }
bool is_ascii_alnum(uint32_t c) { return is_ascii_alpha(c) || is_ascii_digit(c); }

// Whether a text has characters and all are of a kind; kinds but white space are told of ASCII.
template <CharacterTest holds, bool of_ascii>
Result<Value> method_is(CallSite& call) {
  const std::string_view bytes = self_text(call).bytes();
  LH_RETURN_IF_ERROR(call.budget().scan(bytes.size()));
  for (size_t at = 0; at < bytes.size(); at += character_bytes(bytes, at)) {
    const uint32_t code = code_point(bytes, at);
    if (of_ascii && code >= 0x80)
      return make_error(ErrorCode::kUnsupported,
                        "the kind of characters beyond ASCII is not supported, found U+{:04X}",
                        code);
    if (!holds(code)) return Value::boolean(false);
  }
  return Value::boolean(!bytes.empty());
}

// {} and {0} and {name}; doubled braces are braces.
Result<Value> method_format(CallSite& call) {
  const Text& text = self_text(call);
  const std::string_view bytes = text.bytes();
  Writer out = call.writer();
  size_t n_next = 0;
  for (size_t at = 0; at < bytes.size(); ++at) {
    const char c = bytes[at];
    const bool is_doubled =
        (c == '{' || c == '}') && bytes.substr(at + 1, 1) == bytes.substr(at, 1);
    if ((c != '{' && c != '}') || is_doubled) {
      LH_RETURN_IF_ERROR(out.text(text, at, at + 1));
      at += is_doubled ? 1 : 0;
      continue;
    }
    const size_t end = bytes.find('}', at);
    if (c == '}' || end == kNone)
      return bad_input("format: expected {{ and }} in pairs, found one");
    const std::string_view field = bytes.substr(at + 1, end - at - 1);
    const Value* value = nullptr;
    if (field.empty() || (field.size() < 4 && field.find_first_not_of("0123456789") == kNone)) {
      const size_t i = field.empty() ? n_next++ : std::stoul(std::string(field));
      if (i < call.rest.positional.size()) value = &call.rest.positional[i];
    }
    for (const auto& [name, named] : call.rest.named) {
      if (name == field) value = &named;
    }
    if (value == nullptr)
      return bad_input(
          "format: expected an argument for {{{}}}, found none (details of a field "
          "are not supported)",
          field);
    LH_RETURN_IF_ERROR(print(out, *value));
    at = end;
  }
  return Value::text(out.take());
}

constexpr Builtin kMethods[] = {
    {"capitalize", "", method_capitalize<false>},
    {"count", "sub", method_count},
    {"endswith", "suffix start? end?", method_starts<true>},
    {"find", "sub start? end?", method_find<false, false>},
    {"format", "*", method_format},
    {"index", "sub start? end?", method_find<false, true>},
    {"isalnum", "", method_is<is_ascii_alnum, true>},
    {"isalpha", "", method_is<is_ascii_alpha, true>},
    {"isdigit", "", method_is<is_ascii_digit, true>},
    {"isspace", "", method_is<is_space, false>},
    {"join", "iterable", method_join},
    {"lower", "", method_case<LetterCase::kLower>},
    {"lstrip", "chars?", method_strip<Side::kLeft>},
    {"partition", "sep", method_partition<false>},
    {"removeprefix", "prefix", method_remove<false>},
    {"removesuffix", "suffix", method_remove<true>},
    {"replace", "old new count?", method_replace},
    {"rfind", "sub start? end?", method_find<true, false>},
    {"rindex", "sub start? end?", method_find<true, true>},
    {"rpartition", "sep", method_partition<true>},
    {"rsplit", "sep? maxsplit?", method_split<true>},
    {"rstrip", "chars?", method_strip<Side::kRight>},
    {"split", "sep? maxsplit?", method_split<false>},
    {"splitlines", "keepends?", method_splitlines},
    {"startswith", "prefix start? end?", method_starts<false>},
    {"strip", "chars?", method_strip<Side::kBoth>},
    {"title", "", method_capitalize<true>},
    {"upper", "", method_case<LetterCase::kUpper>},
    {"casefold", "", nullptr},
    {"center", "", nullptr},
    {"encode", "", nullptr},
    {"expandtabs", "", nullptr},
    {"format_map", "", nullptr},
    {"isascii", "", nullptr},
    {"isdecimal", "", nullptr},
    {"isidentifier", "", nullptr},
    {"islower", "", nullptr},
    {"isnumeric", "", nullptr},
    {"isprintable", "", nullptr},
    {"istitle", "", nullptr},
    {"isupper", "", nullptr},
    {"ljust", "", nullptr},
    {"maketrans", "", nullptr},
    {"rjust", "", nullptr},
    {"swapcase", "", nullptr},
    {"translate", "", nullptr},
    {"zfill", "", nullptr},
};

}  // namespace

std::span<const Builtin> text_methods() { return kMethods; }

}  // namespace longhaul::jinja
