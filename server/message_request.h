// Requests of /messages and /messages/count_tokens.
#pragma once

#include <string_view>

#include "server/api_request.h"

namespace longhaul {

// As parse_chat().
tl::expected<ApiRequest, FieldError> parse_message(const nlohmann::json& body,
                                                   const GenerateRequest& defaults,
                                                   std::string_view text = {});

}  // namespace longhaul
