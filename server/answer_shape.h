// How the answers of an endpoint look: what an API shape has beside the reader of its requests.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "server/api_error.h"
#include "server/output_parser.h"
#include "server/text_sink.h"

namespace longhaul {

struct Usage {
  size_t n_prompt = 0;
  size_t n_completion = 0;
  size_t n_cached = 0;            // of the prompt
  size_t n_reasoning = 0;         // of the completion
  AttentionStats attention = {};  // of all choices; blocks_total 0: nothing was decoded
};
// What the modes of attention did, for the usage of every shape.
nlohmann::ordered_json attention_json(const Usage& usage);

// Who an answer is: the same when a kept request goes on.
struct AnswerIdentity {
  std::string id;       // without the prefix of the kind
  int64_t created = 0;  // seconds since 1970
};
AnswerIdentity new_identity();

// Why a choice is over.
struct Ending {
  FinishReason reason = FinishReason::kStop;
  bool has_calls = false;
  std::string stop_text = {};  // of the request, where one ended it
};

// A choice that is over.
struct AnswerChoice {
  std::vector<OutputDelta> deltas;  // neighbours of one kind are one
  std::vector<NamedToken> tokens;   // with log probabilities, if they are wanted
  Ending ending;
};

// Words an answer. A stream is begin(), then for each choice open(), piece()s and close(), then
// end(), or in their place the events() of an error; each returns whole events, or nothing. Choices
// of a stream are worded by several threads at once; a shape that remembers has one choice.
class AnswerShape : public ErrorWords {
 public:
  using Tokens = std::vector<NamedToken>;

  virtual std::string begin(size_t /*n_prompt*/) { return {}; }
  virtual std::string open(size_t /*index*/) { return {}; }
  // `offset`: characters of the choice before it. `tokens`: that it settles, if their log
  // probabilities are wanted.
  virtual std::string piece(size_t index, const OutputDelta& delta, const Tokens* tokens,
                            size_t offset) = 0;
  virtual std::string close(size_t index, const Ending& ending) = 0;
  virtual std::string end(const Usage& usage, bool includes_usage) = 0;

  // The whole answer as one document.
  virtual nlohmann::ordered_json whole(const std::vector<AnswerChoice>& choices, const Usage& usage,
                                       bool has_logprobs) = 0;

  nlohmann::ordered_json document(const ApiError& error) const override {
    return openai_errors().document(error);
  }
  std::string events(const ApiError& error) const override { return openai_errors().events(error); }
};

// The id of a call of a tool. Clients send calls back with their ids, and what goes on after a
// restart says the same ones. Nine letters and digits is what the templates of Mistral insist on.
std::string call_id(const std::string& answer_id, size_t choice, size_t call);

}  // namespace longhaul
