// Texts: /completions and /chat/completions.
#include <nlohmann/json.hpp>

#include "server/choice_shapes.h"
#include "server/generation.h"

namespace longhaul {
namespace {

Result<std::vector<int32_t>> encode(const Engine& engine, const Prompt& prompt) {
  if (prompt.tokens) return *prompt.tokens;
  return engine.tokenize(prompt.text, /*add_bos=*/true, /*parse_special=*/true);
}

}  // namespace

ApiStatus complete(Services& services, Call& call) {
  const auto body = json_body(call);
  if (!body) return refuse(body.error());
  auto request = parse_completion(*body, services.options.defaults, call.request.body);
  if (!request) return refuse(to_api_error(request.error()));
  if (ApiStatus status = check(services, call, *request); !status) return status;
  std::vector<EncodedPrompt> prompts;
  for (const Prompt& prompt : request->prompts) {
    auto tokens = encode(services.engine, prompt);
    if (!tokens) return refuse(to_api_error(tokens.error(), "prompt"));
    if (ApiStatus status = check_prompt(services, *tokens); !status) return status;
    std::string echo;
    if (request->echo) echo = prompt.tokens ? services.engine.detokenize(*tokens) : prompt.text;
    prompts.push_back({std::move(*tokens), std::move(echo)});
  }
  return generate(services, call, *request, std::move(prompts), {},
                  make_text_shape(services.options.model_id, identity_of(call)));
}

ApiStatus chat(Services& services, Call& call) {
  const auto body = json_body(call);
  if (!body) return refuse(body.error());
  auto request = parse_chat(*body, services.options.defaults, call.request.body);
  if (!request) return refuse(to_api_error(request.error()));
  return generate_chat(services, call, *request,
                       make_chat_shape(services.options.model_id, identity_of(call)));
}

}  // namespace longhaul
