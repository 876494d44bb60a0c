#include "template/characters.h"

#include <string.h>  // memmem, which is linear where std::string_view::find is not

#include "base/utf8.h"

namespace longhaul::jinja {

size_t character_bytes(std::string_view text, size_t at) {
  const Utf8Char found = decode_utf8(text, at);
  return found.state == Utf8State::kValid ? found.n_bytes : 1;
}

uint32_t code_point(std::string_view text, size_t at) {
  const Utf8Char found = decode_utf8(text, at);
  return found.state == Utf8State::kValid ? found.code : 0xDC00u + static_cast<uint8_t>(text[at]);
}

size_t count_characters(std::string_view text) {
  size_t n = 0;
  for (size_t at = 0; at < text.size(); at += character_bytes(text, at)) ++n;
  return n;
}

size_t character_offset(std::string_view text, size_t n) {
  size_t at = 0;
  for (; n > 0 && at < text.size(); --n) at += character_bytes(text, at);
  return at;
}

std::string encode_character(uint32_t code) {
  std::string text;
  const bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (!is_surrogate && code <= 0x10FFFF) append_utf8(text, code);
  return text;
}

bool is_space(uint32_t code) {
  if (code < 0x80) return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x20);
  return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
         code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

size_t space_end(std::string_view text, size_t from) {
  size_t at = from;
  while (at < text.size() && is_space(code_point(text, at))) at += character_bytes(text, at);
  return at;
}

size_t space_begin(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    size_t at = end - 1;
    while (at > 0 && end - at < 4 && continues_character(text[at])) --at;
    if (at + character_bytes(text, at) != end || !is_space(code_point(text, at))) return end;
    end = at;
  }
  return end;
}

size_t find_in(std::string_view text, std::string_view part, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (part.empty()) return from;
  const void* found = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

}  // namespace longhaul::jinja
