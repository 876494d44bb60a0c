// From final tokens to text for the user: whole UTF-8 characters, stop strings found and held back
// while undecided.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/stop_matcher.h"
#include "tokenizer/stream_decoder.h"
#include "tokenizer/tokenizer.h"

namespace longhaul {

class TextOutput {
 public:
  // `shown`: control tokens whose names are part of the text.
  TextOutput(const Tokenizer& tokenizer, std::vector<std::string> stop,
             const std::vector<std::string>& shown, std::function<bool(std::string_view)> on_text);

  // Takes one token. False once the text is over: a stop string is complete, or the caller wants no
  // more.
  bool add(int32_t token);
  // Releases what was held back.
  void finish();

  bool stopped() const { return stopped_; }      // by a stop string
  bool cancelled() const { return cancelled_; }  // by the caller
  std::string take_text() { return std::move(text_); }

 private:
  void emit(std::string_view text);

  std::string decode(int32_t token);

  const Tokenizer& tokenizer_;
  StreamDecoder decoder_;
  StopMatcher matcher_;
  std::vector<int32_t> shown_;
  std::function<bool(std::string_view)> on_text_;
  std::string text_;
  bool stopped_ = false;
  bool cancelled_ = false;
};

}  // namespace longhaul
