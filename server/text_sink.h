// What comes of a text that the server runs, and where it goes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "longhaul/engine.h"

namespace longhaul {

// A token with what it and the likeliest ones in its place look like.
struct NamedToken {
  GeneratedToken token;
  std::string text;
  std::vector<std::string> top = {};  // texts of token.top
  bool has_logprob = true;            // the first token of a text has none
  bool is_in_text = true;             // a BOS that was put before a text is not
};

// Seconds.
struct TextTimes {
  double queue_s = 0;        // before a thread took it
  double prefill_s = 0;      // reading what was not kept of the prompt
  double first_token_s = 0;  // since the request came
  double decode_s = 0;
  double all_s = 0;
};

// A text that is over.
struct TextOutcome {
  Result<GenerateResult> result;
  size_t n_reused = 0;  // tokens of the prompt that were kept from other texts
  TextTimes times = {};
  std::vector<std::vector<float>> embeddings = {};  // of a job that asks for them
  std::string stop_text = {};                       // of the request, where one ended the text
};

// Called by the thread that runs the text, in this order; bool: false ends the text.
class TextSink {
 public:
  virtual ~TextSink() = default;
  // Of a prompt that is scored, token by token.
  virtual void on_prompt_token(NamedToken token) = 0;
  virtual bool on_token(NamedToken token) = 0;
  virtual bool on_text(std::string_view text) = 0;
  virtual void on_end(const TextOutcome& outcome) = 0;
};

}  // namespace longhaul
