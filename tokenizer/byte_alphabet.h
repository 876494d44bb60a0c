// GPT-2's byte alphabet: a printable character for every byte, in which byte-level vocabularies and
// merges are written (Radford et al. 2019, the released encoder's `bytes_to_unicode`).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace longhaul {

// The character of a byte: itself for the printable ones of Latin-1, otherwise U+0100 and up in the
// order of the bytes (a blank is U+0120).
char32_t alphabet_char(uint8_t byte);

// The bytes that a token written in the alphabet stands for. A character outside of the alphabet
// stands for its own UTF-8 bytes.
std::string bytes_from_alphabet(std::string_view text);

}  // namespace longhaul
