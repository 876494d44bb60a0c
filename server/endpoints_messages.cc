// /messages, in Anthropic's words.
#include <nlohmann/json.hpp>

#include "server/chat_prompt.h"
#include "server/generation.h"
#include "server/message_request.h"
#include "server/message_shape.h"

namespace longhaul {
namespace {

tl::expected<ApiRequest, ApiError> read(const Services& services, const Call& call) {
  const auto body = json_body(call);
  if (!body) return tl::unexpected<ApiError>(body.error());
  auto request = parse_message(*body, services.options.defaults, call.request.body);
  if (!request) return tl::unexpected<ApiError>(to_api_error(request.error()));
  return std::move(*request);
}

}  // namespace

ApiStatus message(Services& services, Call& call) {
  auto request = read(services, call);
  if (!request) return refuse(request.error());
  return generate_chat(services, call, *request,
                       make_message_shape(services.options.model_id, identity_of(call)));
}

ApiStatus count_message_tokens(Services& services, Call& call) {
  const auto request = read(services, call);
  if (!request) return refuse(request.error());
  const auto tokens = chat_prompt(services.engine, services.chat_format, request->chat);
  if (!tokens) return refuse(to_api_error(tokens.error()));
  call.exchange->reply(json_reply({{"input_tokens", tokens->size()}}));
  return {};
}

}  // namespace longhaul
