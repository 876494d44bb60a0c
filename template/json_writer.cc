#include <algorithm>
#include <cmath>

#include "template/characters.h"
#include "template/json.h"
#include "template/print.h"

namespace longhaul::jinja {
namespace {

std::string escaped(uint32_t code) {
  constexpr std::string_view kCodes = "\"\\\n\r\t\b\f";
  constexpr std::string_view kLetters = "\"\\nrtbf";
  const size_t known = code < 0x80 ? kCodes.find(static_cast<char>(code)) : std::string_view::npos;
  if (known != std::string_view::npos) return {'\\', kLetters[known]};
  if (code < 0x10000) return fmt::format("\\u{:04x}", code);
  return fmt::format("\\u{:04x}\\u{:04x}", 0xD7C0 + (code >> 10), 0xDC00 + (code & 0x3FF));
}

class JsonWriter {
 public:
  JsonWriter(Writer& out, const JsonStyle& style) : out_(out), style_(style) {}

  Status write(const Value& value, size_t level) {
    LH_RETURN_IF_ERROR(out_.budget().step());
    if (const Text* text = value.as_text()) return write_text(*text);
    if (const Dict* dict = value.as_dict()) return write_dict(*dict, level);
    if (const List* list = value.as_list()) {
      const bool is_sequence = list->kind == ListKind::kList || list->kind == ListKind::kTuple;
      if (is_sequence) return write_list(*list, level);
    }
    LH_ASSIGN_OR_RETURN(const std::string scalar, scalar_text(value));
    return out_.data(scalar);
  }

 private:
  static Result<std::string> scalar_text(const Value& value) {
    if (value.is_none()) return "null";
    if (value.is_boolean()) return value.truth() ? "true" : "false";
    if (value.is_integer()) return std::to_string(*value.as_integer());
    if (value.is_real()) {
      const double number = *value.as_real();
      if (std::isnan(number)) return "NaN";
      if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
      return format_real(number);
    }
    return bad_input("expected a value that JSON has, found {}", value.type_name());
  }

  Status write_text(const Text& text) {
    LH_RETURN_IF_ERROR(out_.data("\""));
    const std::string_view bytes = text.bytes();
    size_t plain = 0;  // begin of what is written as it is
    for (size_t at = 0; at < bytes.size();) {
      const size_t n_bytes = character_bytes(bytes, at);
      const uint32_t code = code_point(bytes, at);
      if (code < 0x20 || code == '"' || code == '\\' || (style_.ascii_only && code >= 0x7F)) {
        LH_RETURN_IF_ERROR(out_.text(text, plain, at));
        LH_RETURN_IF_ERROR(out_.as(text, at, escaped(code)));
        plain = at + n_bytes;
      }
      at += n_bytes;
    }
    LH_RETURN_IF_ERROR(out_.text(text, plain, bytes.size()));
    return out_.data("\"");
  }

  Status new_line(size_t level) {
    if (!style_.has_lines) return {};
    LH_RETURN_IF_ERROR(out_.data("\n"));
    for (size_t i = 0; i < level; ++i) LH_RETURN_IF_ERROR(out_.data(style_.indent));
    return {};
  }

  // What stands before item `i`.
  Status separate(size_t i, size_t level) {
    if (i > 0) LH_RETURN_IF_ERROR(out_.data(style_.item_separator));
    return new_line(level);
  }

  Status write_list(const List& list, size_t level) {
    if (list.items.empty()) return out_.data("[]");
    LH_RETURN_IF_ERROR(out_.data("["));
    for (size_t i = 0; i < list.items.size(); ++i) {
      LH_RETURN_IF_ERROR(separate(i, level + 1));
      LH_RETURN_IF_ERROR(write(list.items[i], level + 1));
    }
    LH_RETURN_IF_ERROR(new_line(level));
    return out_.data("]");
  }

  Status write_dict(const Dict& dict, size_t level) {
    if (dict.entries.empty()) return out_.data("{}");
    std::vector<const Entry*> entries;
    for (const Entry& entry : dict.entries) entries.push_back(&entry);
    if (style_.sort_keys) LH_RETURN_IF_ERROR(sort(entries));
    LH_RETURN_IF_ERROR(out_.data("{"));
    for (size_t i = 0; i < entries.size(); ++i) {
      LH_RETURN_IF_ERROR(separate(i, level + 1));
      LH_RETURN_IF_ERROR(write_key(entries[i]->first));
      LH_RETURN_IF_ERROR(out_.data(style_.key_separator));
      LH_RETURN_IF_ERROR(write(entries[i]->second, level + 1));
    }
    LH_RETURN_IF_ERROR(new_line(level));
    return out_.data("}");
  }

  Status write_key(const Value& key) {
    if (const Text* text = key.as_text()) return write_text(*text);
    auto scalar = scalar_text(key);
    if (!scalar) return bad_input("expected a key that JSON has, found {}", key.type_name());
    return out_.data("\"" + *scalar + "\"");
  }

  Status sort(std::vector<const Entry*>& entries) {
    LH_RETURN_IF_ERROR(out_.budget().step(entries.size() * 8));
    for (const Entry* entry : entries) {
      if (entry->first.as_text() == nullptr)
        return bad_input("expected keys that are texts, to sort them, found {}",
                         entry->first.type_name());
    }
    std::sort(entries.begin(), entries.end(), [](const Entry* a, const Entry* b) {
      return a->first.as_text()->bytes() < b->first.as_text()->bytes();
    });
    return {};
  }

  Writer& out_;
  const JsonStyle& style_;
};

}  // namespace

Status write_json(Writer& out, const Value& value, const JsonStyle& style) {
  return JsonWriter(out, style).write(value, 0);
}

}  // namespace longhaul::jinja
