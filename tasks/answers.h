// Reading answers whose wording is free: the numbers, words, boxed results and letters in a text.
// Pure functions of text.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tasks/task.h"

namespace longhaul {

// Runs of decimal digits, in order.
std::vector<std::string> numbers_in(std::string_view text);

// Runs of letters, digits, "-" and "_", in order.
std::vector<std::string> words_in(std::string_view text);

// One step per wanted number, compared with the numbers of the text in order; steps after the first
// wrong one do not count, nor do numbers after the last wanted.
TaskScore score_numbers(const Task& task, std::string_view generated);

// One step per wanted word: right if the text has it. Exact if besides no other word is in the text
// that `is_candidate` takes for an answer.
TaskScore score_words(const Task& task, std::string_view generated,
                      bool (*is_candidate)(std::string_view word));

// The text without white space at its ends and without what stands around an answer: quotes, a
// final full stop.
std::string_view bare(std::string_view text);

// True if both are the same bare text but for the case of the letters A to Z.
bool same_text(std::string_view a, std::string_view b);

// The result a worked answer ends with: inside the last \boxed{...}, else after the last "####",
// else the last number of the text (with its sign, commas and decimals). Bare.
std::optional<std::string> final_result(std::string_view text);

// True if both are numbers of equal value ("1,000", "$1000.0"), or the same_text().
bool same_result(std::string_view a, std::string_view b);

// The first capital letter from A on, of `n_choices`, that stands alone: "B", "(B)", "B.", "is B".
// "A" that begins a sentence ("A man") does not count. A small letter is one where it is all there
// is: "b", "(b)", "b.".
std::optional<char> chosen_letter(std::string_view text, size_t n_choices);

}  // namespace longhaul
