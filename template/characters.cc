#include "template/characters.h"

#include <string.h>  // memmem, which is linear where std::string_view::find is not

#include <algorithm>

namespace longhaul::jinja {
namespace {

uint8_t byte_at(std::string_view text, size_t at) { return static_cast<uint8_t>(text[at]); }

bool continues(uint8_t byte) { return (byte & 0xC0) == 0x80; }

uint32_t decode(std::string_view text, size_t at, size_t n_bytes) {
  const uint8_t lead = byte_at(text, at);
  if (n_bytes == 1) return lead < 0x80 ? lead : 0xDC00u + lead;
  uint32_t code = lead & (0xFFu >> (n_bytes + 1));
  for (size_t i = 1; i < n_bytes; ++i) code = code << 6 | (byte_at(text, at + i) & 0x3Fu);
  return code;
}

}  // namespace

size_t character_bytes(std::string_view text, size_t at) {
  const uint8_t lead = byte_at(text, at);
  const size_t n_bytes = lead < 0xC2 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 1;
  if (n_bytes > text.size() - at) return 1;
  for (size_t i = 1; i < n_bytes; ++i) {
    if (!continues(byte_at(text, at + i))) return 1;
  }
  if (n_bytes < 3) return n_bytes;
  const uint32_t code = decode(text, at, n_bytes);
  const bool is_shortest = code >= (n_bytes == 3 ? 0x800u : 0x10000u);
  const bool is_character = code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
  return is_shortest && is_character ? n_bytes : 1;
}

uint32_t code_point(std::string_view text, size_t at) {
  return decode(text, at, character_bytes(text, at));
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
  const auto tail = [](uint32_t bits) { return static_cast<char>(0x80 | (bits & 0x3F)); };
  if (code < 0x80) return {static_cast<char>(code)};
  if (code < 0x800) return {static_cast<char>(0xC0 | code >> 6), tail(code)};
  if (code >= 0xD800 && code <= 0xDFFF) return {};
  if (code < 0x10000) return {static_cast<char>(0xE0 | code >> 12), tail(code >> 6), tail(code)};
  if (code > 0x10FFFF) return {};
  return {static_cast<char>(0xF0 | code >> 18), tail(code >> 12), tail(code >> 6), tail(code)};
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
    while (at > 0 && end - at < 4 && continues(byte_at(text, at))) --at;
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
