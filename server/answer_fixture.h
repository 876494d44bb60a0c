// Answers as clients get them, from texts that are given: no engine.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "server/answer.h"
#include "server/test_client.h"

namespace longhaul {

// What is said to a client.
class SaidToClient : public Exchange {
 public:
  void reply(HttpReply reply) override { said_.body = std::move(reply.body); }
  void begin_stream() override {}
  bool write(std::string_view events) override {
    said_.body += events;
    return true;
  }
  void end_stream(std::string_view events) override { said_.body += events; }
  void fail(const ApiError& error, const ErrorWords& words) override {
    said_.body += said_.body.empty() ? words.document(error).dump() : words.events(error);
  }
  std::stop_token gone() const override { return {}; }

  TestReply said_;
};

// Reasoning, content and two calls, as models of the format hermes write them.
inline constexpr const char* kSaidText =
    "<think>\nHm.\n</think>\n\nI look.\n<tool_call>\n"
    R"({"name": "look", "arguments": {"q": "x", "n": 2}})"
    "\n</tool_call>\n<tool_call>\n"
    R"({"name": "add", "arguments": {}})"
    "\n</tool_call>";

// The answer of a model that says `text`; in a stream n_bytes at a time.
inline TestReply answer_of(std::unique_ptr<AnswerShape> shape, bool is_stream,
                           const std::string& text, size_t n_bytes, const TextOutcome& outcome) {
  const auto client = std::make_shared<SaidToClient>();
  AnswerOptions options;
  options.is_stream = is_stream;
  options.output.calls = &kHermesCalls;
  options.output.has_reasoning = true;
  options.n_prompt = 7;
  options.token_text = [](int32_t token) { return std::string(1, static_cast<char>(token)); };
  const auto answer = std::make_shared<Answer>(client, std::move(shape), options, 1);
  const auto choice = answer->choice(0, "", true);
  if (is_stream) {
    for (size_t at = 0; at < text.size(); at += n_bytes) choice->on_text(text.substr(at, n_bytes));
  }
  choice->on_end(outcome);
  return client->said_;
}

// A text that is over, a token for each byte.
inline TextOutcome text_over(const std::string& text, FinishReason reason = FinishReason::kStop) {
  GenerateResult result;
  result.text = text;
  result.tokens.assign(text.begin(), text.end());
  result.prompt_tokens = 7;
  result.finish_reason = reason;
  return {.result = std::move(result), .n_reused = 3};
}

}  // namespace longhaul
