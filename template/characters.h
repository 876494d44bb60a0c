// UTF-8 by characters, as Python counts them. A byte that belongs to no character counts as one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace longhaul::jinja {

// Bytes of the character at `at`, which is inside the text.
size_t character_bytes(std::string_view text, size_t at);
// Its code point; of a lone byte 0xDC00 and the byte, which no character has.
uint32_t code_point(std::string_view text, size_t at);
size_t count_characters(std::string_view text);
// Where character `n` begins; the text's end for the number of characters and beyond.
size_t character_offset(std::string_view text, size_t n);
// UTF-8 of a code point; nothing for surrogates and beyond Unicode.
std::string encode_character(uint32_t code);

// White space as str.isspace() has it.
bool is_space(uint32_t code);
// Where the white space at the beginning ends, and where that at the end begins.
size_t space_end(std::string_view text, size_t from = 0);
size_t space_begin(std::string_view text);

// Linear in both texts. npos where there is none.
size_t find_in(std::string_view text, std::string_view part, size_t from = 0);

}  // namespace longhaul::jinja
