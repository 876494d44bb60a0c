// Plain English made from a seed: filler sentences without digits, and words for lists.
#pragma once

#include <span>
#include <string>

#include "tasks/random.h"

namespace longhaul {

// "The quiet river waits near the old bridge." No digit, no word in capitals.
std::string filler_sentence(TaskRandom& random);

// " river, lamp, bridge.": the end of a sentence.
std::string listed(std::span<const std::string> words);

// Two nouns: "river-lamp". There are n_compound_words() of them.
size_t n_compound_words();
std::string compound_word(size_t index);

}  // namespace longhaul
