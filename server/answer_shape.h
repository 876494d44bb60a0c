// How the answers of an endpoint look: the documents of /completions and of /chat/completions.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "server/output_parser.h"
#include "server/text_sink.h"

namespace longhaul {

struct Usage {
  size_t n_prompt = 0;
  size_t n_completion = 0;
  size_t n_cached = 0;            // of the prompt
  AttentionStats attention = {};  // of all choices; blocks_total 0: nothing was decoded
};
nlohmann::ordered_json to_json(const Usage& usage);

// Who an answer is: the same when a kept request goes on.
struct AnswerIdentity {
  std::string id;       // without the prefix of the kind
  int64_t created = 0;  // seconds since 1970
};
AnswerIdentity new_identity();

class AnswerShape {
 public:
  using Json = nlohmann::ordered_json;
  using Tokens = std::vector<NamedToken>;

  virtual ~AnswerShape() = default;
  // A document around choices; `is_chunk`: one event of a stream.
  Json document(Json choices, bool is_chunk) const;
  // What a choice begins with in a stream; null: nothing.
  virtual Json opening(size_t index) const = 0;
  // A piece of a choice in a stream. `offset`: characters of the choice before it.
  virtual Json piece(size_t index, const OutputDelta& delta, const Tokens* tokens,
                     size_t offset) const = 0;
  virtual Json ending(size_t index, std::string_view reason) const = 0;
  // A choice that is over.
  virtual Json whole(size_t index, const OutputMessage& message, const Tokens* tokens,
                     std::string_view reason) const = 0;

 protected:
  // `prefix`: of the id, by the kind of answer.
  AnswerShape(std::string_view prefix, AnswerIdentity identity, std::string object,
              std::string chunk_object, std::string model);

  const std::string id_;

 private:
  const std::string object_, chunk_object_, model_;
  const int64_t created_;
};

std::unique_ptr<AnswerShape> make_text_shape(const std::string& model, AnswerIdentity identity);
std::unique_ptr<AnswerShape> make_chat_shape(const std::string& model, AnswerIdentity identity);

}  // namespace longhaul
