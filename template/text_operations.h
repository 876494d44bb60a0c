// What methods and filters do with texts; every byte keeps its origin.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "template/limits.h"
#include "template/value.h"

namespace longhaul::jinja {

enum class Side : uint8_t { kLeft, kRight, kBoth };
enum class LetterCase : uint8_t { kLower, kUpper };

// Without the characters of `chars` at its sides; without white space where there are none.
Result<Value> strip(Budget& budget, const Text& text, const Text* chars, Side side);
// At most `most` occurrences replaced; negative: all.
Result<Value> replace(Budget& budget, const Text& text, const Text& from, const Text& to,
                      int64_t most);

// The parts between `separator` (null: runs of white space), at most `most` cuts, from the right if
// asked. Error: an empty separator.
Result<Value> split(Budget& budget, const Text& text, const Text* separator, int64_t most,
                    bool from_right);
Result<Value> split_lines(Budget& budget, const Text& text, bool keeps_ends);

// Characters [begin, end) in another case. Error: a character whose case depends on its place.
Result<Value> change_case(Budget& budget, const Text& text, LetterCase letter_case);
// Each word (Python's: a run of letters), or the first one alone, with a capital and small letters
// behind. Error: as above, and characters with a title case of their own.
Result<Value> capitalize(Budget& budget, const Text& text, bool every_word);
// Words as Jinja's filter `title` has them: what stands between - and white space and brackets.
Result<Value> title_words(Budget& budget, const Text& text);

Result<Value> part(Budget& budget, const Text& text, size_t begin, size_t end);

}  // namespace longhaul::jinja
