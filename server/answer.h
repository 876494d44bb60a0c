// One request's answer: choices come from the texts that run for it, in any order and by several
// threads, and leave as one document or as a stream of events.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "server/answer_shape.h"
#include "server/api_error.h"
#include "server/http.h"
#include "server/output_parser.h"
#include "server/runner.h"

namespace longhaul {

struct AnswerOptions {
  bool is_stream = false;
  bool includes_usage = false;  // in a stream
  bool has_logprobs = false;
  OutputOptions output = {};  // how the texts are to be read
  size_t n_prompt = 0;        // tokens of the first prompt
  // The text of a token; nothing: tokens of reasoning are not counted.
  std::function<std::string(int32_t)> token_text = {};
};

class Answer : public std::enable_shared_from_this<Answer> {
 public:
  Answer(std::shared_ptr<Exchange> exchange, std::unique_ptr<AnswerShape> shape,
         const AnswerOptions& options, size_t n_choices);

  // Where the text of a choice goes. `echo`: what its text begins with. Of the choices of one
  // prompt, of n_prompt_tokens, the first is counted in the usage.
  std::shared_ptr<TextSink> choice(size_t index, std::string echo, bool counts_prompt);

  // Says what a stream begins with, now and not with the first piece: its client is then told who
  // the answer is while the prompt is read. From then on errors are events.
  void begin();

 private:
  class Choice;

  // Sends events, or none; false: the client is gone.
  bool send(const std::string& events);
  size_t n_reasoning_tokens(const std::vector<int32_t>& tokens) const;
  void over(Choice& choice, const TextOutcome& outcome);
  void finish();

  const std::shared_ptr<Exchange> exchange_;
  const std::unique_ptr<AnswerShape> shape_;
  const AnswerOptions options_;
  std::once_flag begun_;
  std::mutex mutex_;                   // guards what follows
  std::vector<AnswerChoice> choices_;  // that are over, by index
  size_t n_left_;
  Usage usage_;
  std::optional<ApiError> error_;
};

}  // namespace longhaul
