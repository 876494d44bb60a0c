// Tokens to text one by one, for a reader who must never see half a character.
#pragma once

#include <cstdint>
#include <string>

#include "tokenizer/tokenizer.h"

namespace longhaul {

// What it gives is always valid UTF-8: the bytes of a character whose end has not come yet are held
// back, and bytes that no continuation can make a character become U+FFFD, one for each maximal
// subpart (Unicode 15, section 3.9). Control tokens give no text. `tokenizer` must outlive it.
class StreamDecoder {
 public:
  // With `at_start` the blank that SentencePiece puts before a text is taken off the first token;
  // without it the tokens continue a text, as an answer continues a prompt.
  explicit StreamDecoder(const Tokenizer& tokenizer, bool at_start = false)
      : tokenizer_(tokenizer), drop_blank_(at_start && tokenizer.adds_space_prefix()) {}

  // The text that `id` completes; often all of its own, sometimes none.
  std::string feed(int32_t id);
  // What was held back, as U+FFFD if it is not a whole character. Then the decoder starts anew.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  bool drop_blank_;
  std::string pending_;  // the beginning of a character, at most 3 bytes between calls
};

}  // namespace longhaul
