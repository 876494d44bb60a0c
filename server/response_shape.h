// The answers of /responses.
#pragma once

#include <memory>

#include "server/answer_shape.h"

namespace longhaul {

// What a response says of itself beside its output.
struct ResponseHead {
  AnswerIdentity identity;
  std::string model;
  nlohmann::json request;  // the body: parts of it are repeated
};

std::unique_ptr<AnswerShape> make_response_shape(ResponseHead head);

// Ids of responses are those of kept requests behind a prefix. Nothing: it is none.
std::string response_id(const std::string& kept_id);
std::string kept_id_of(const std::string& response_id);

// A response without output: `status` as "in_progress", "failed", "cancelled"; `error`: null or
// {"code", "message"}.
nlohmann::ordered_json response_without_output(const ResponseHead& head, std::string_view status,
                                               nlohmann::ordered_json error);
// The response of a kept answer that is done.
nlohmann::ordered_json response_of(const std::string& answer, bool is_stream);

}  // namespace longhaul
