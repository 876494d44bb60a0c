#include "template/print.h"

#include <charconv>
#include <cmath>

#include "template/characters.h"

namespace longhaul::jinja {
namespace {

// Characters that repr() writes by their code, those that no character has been assigned to
// excepted: they are written as they are.
bool is_hidden(uint32_t code) {
  if (code < 0x20 || (code >= 0x7F && code <= 0xA0) || code == 0xAD) return true;
  if (code < 0x600) return false;
  return (code > 0x20 && is_space(code)) || (code >= 0x600 && code <= 0x605) || code == 0x61C ||
         code == 0x6DD || code == 0x70F || code == 0x180E || (code >= 0x200B && code <= 0x200F) ||
         (code >= 0x202A && code <= 0x202E) || (code >= 0x2060 && code <= 0x206F) ||
         (code >= 0xD800 && code <= 0xF8FF) || code == 0xFEFF ||
         (code >= 0xFFF0 && code <= 0xFFFB) || code >= 0xE0000;
}

std::string escaped(uint32_t code) {
  if (code == '\n') return "\\n";
  if (code == '\r') return "\\r";
  if (code == '\t') return "\\t";
  if (code < 0x100) return fmt::format("\\x{:02x}", code);
  if (code < 0x10000) return fmt::format("\\u{:04x}", code);
  return fmt::format("\\U{:08x}", code);
}

Status print_quoted(Writer& out, const Text& text) {
  const std::string_view bytes = text.bytes();
  const bool has_single = bytes.find('\'') != std::string_view::npos;
  const char quote = has_single && bytes.find('"') == std::string_view::npos ? '"' : '\'';
  LH_RETURN_IF_ERROR(out.data({&quote, 1}));
  for (size_t at = 0; at < bytes.size();) {
    const size_t n_bytes = character_bytes(bytes, at);
    const uint32_t code = code_point(bytes, at);
    if (code == '\\' || code == static_cast<uint32_t>(quote))
      LH_RETURN_IF_ERROR(out.as(text, at, "\\"));
    if (is_hidden(code)) {
      LH_RETURN_IF_ERROR(out.as(text, at, escaped(code)));
    } else {
      LH_RETURN_IF_ERROR(out.text(text, at, at + n_bytes));
    }
    at += n_bytes;
  }
  return out.data({&quote, 1});
}

Status print_items(Writer& out, const std::vector<Value>& items) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) LH_RETURN_IF_ERROR(out.data(", "));
    LH_RETURN_IF_ERROR(print_repr(out, items[i]));
  }
  return {};
}

Status print_list(Writer& out, const List& list) {
  switch (list.kind) {
    case ListKind::kList:
      LH_RETURN_IF_ERROR(out.data("["));
      LH_RETURN_IF_ERROR(print_items(out, list.items));
      return out.data("]");
    case ListKind::kTuple:
      LH_RETURN_IF_ERROR(out.data("("));
      LH_RETURN_IF_ERROR(print_items(out, list.items));
      return out.data(list.items.size() == 1 ? ",)" : ")");
    case ListKind::kView:
    case ListKind::kRange:
    case ListKind::kIterator:
      break;
  }
  return bad_input("a {} cannot be printed: expected a list, such as `|list` gives",
                   list.kind == ListKind::kRange ? "range" : "generator or view of a dict");
}

Status print_dict(Writer& out, const Dict& dict) {
  LH_RETURN_IF_ERROR(out.data("{"));
  for (size_t i = 0; i < dict.entries.size(); ++i) {
    if (i > 0) LH_RETURN_IF_ERROR(out.data(", "));
    LH_RETURN_IF_ERROR(print_repr(out, dict.entries[i].first));
    LH_RETURN_IF_ERROR(out.data(": "));
    LH_RETURN_IF_ERROR(print_repr(out, dict.entries[i].second));
  }
  return out.data("}");
}

}  // namespace

std::string format_real(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto scientific =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific);
  const std::string text(buffer, scientific.ptr);
  const int exponent = std::stoi(text.substr(text.find('e') + 1));
  if (exponent < -4 || exponent >= 16) return text;
  const auto fixed =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::fixed);
  std::string digits(buffer, fixed.ptr);
  if (digits.find('.') == std::string::npos) digits += ".0";
  return digits;
}

Status print(Writer& out, const Value& value) {
  if (const Text* text = value.as_text()) return out.text(*text);
  if (value.is_undefined()) return {};
  return print_repr(out, value);
}

Status print_repr(Writer& out, const Value& value) {
  LH_RETURN_IF_ERROR(out.budget().step());
  if (const Text* text = value.as_text()) return print_quoted(out, *text);
  if (const List* list = value.as_list()) return print_list(out, *list);
  if (const Dict* dict = value.as_dict()) return print_dict(out, *dict);
  if (value.is_undefined()) return out.data("Undefined");
  if (value.is_none()) return out.data("None");
  if (value.is_boolean()) return out.data(value.truth() ? "True" : "False");
  if (value.is_integer()) return out.data(std::to_string(*value.as_integer()));
  if (value.is_real()) return out.data(format_real(*value.as_real()));
  return bad_input("a {} cannot be printed", value.type_name());
}

Result<Value> to_text(Budget& budget, const Value& value) {
  if (value.as_text() != nullptr) return value;
  Writer out(budget);
  LH_RETURN_IF_ERROR(print(out, value));
  return Value::text(out.take());
}

}  // namespace longhaul::jinja
