// Requests of /responses.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/api_request.h"

namespace longhaul {

struct ResponseRequest {
  ApiRequest api;  // its messages are those of the input alone
  std::string instructions;
  std::string previous_id;  // of the response that this one goes on from; empty: none
  bool is_background = false;
  bool is_stored = true;
};

// As parse_chat().
tl::expected<ResponseRequest, FieldError> parse_response(const nlohmann::json& body,
                                                         const GenerateRequest& defaults,
                                                         std::string_view text = {});

// Appends what an input says, a text or a list of items; also the output of a response.
Status read_items(const nlohmann::json& value, std::vector<ApiMessage>& messages);

// The whole conversation: what was said before comes before the messages of the request, and the
// instructions before all of it. Chat templates know one system message, at the start: those there
// become one.
void put_together(ResponseRequest& request, std::vector<ApiMessage> past);

}  // namespace longhaul
