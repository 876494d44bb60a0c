// From text to tokens and back, in the shapes of llama.cpp and of vLLM.
#include <nlohmann/json.hpp>

#include "server/chat_prompt.h"
#include "server/endpoints.h"

namespace longhaul {
namespace {

using Json = nlohmann::ordered_json;

struct TokenizeRequest {
  std::string content, prompt;
  bool has_content = false, has_prompt = false;
  bool add_special = false;        // llama.cpp's, of `content`
  bool add_special_tokens = true;  // vLLM's, of `prompt`
  bool parse_special = true;
};

FieldStatus read_tokenize(const nlohmann::json& body, TokenizeRequest& request,
                          FieldReaders readers) {
  const auto noted = [](bool& seen, std::string& target) -> FieldReader {
    return [&seen, read = text(target)](const nlohmann::json& value) {
      seen = true;
      return read(value);
    };
  };
  readers["content"] = noted(request.has_content, request.content);
  readers["prompt"] = noted(request.has_prompt, request.prompt);
  readers["add_special"] = flag(request.add_special);
  readers["add_special_tokens"] = flag(request.add_special_tokens);
  readers["parse_special"] = flag(request.parse_special);
  return read_fields(body, readers, UnknownFields::kIgnored);
}

Result<std::vector<int32_t>> encode(const Engine& engine, const TokenizeRequest& request) {
  if (request.has_content)
    return engine.tokenize(request.content, request.add_special, request.parse_special);
  return engine.tokenize(request.prompt, request.add_special_tokens, request.parse_special);
}

}  // namespace

ApiStatus tokenize(Services& services, Call& call) {
  const auto body = json_body(call);
  if (!body) return refuse(body.error());
  TokenizeRequest request;
  ChatRequest chat;
  if (const auto status = read_tokenize(*body, request, chat_fields(chat, call.request.body));
      !status)
    return refuse(to_api_error(status.error()));
  if (request.has_content + request.has_prompt + !chat.messages.empty() != 1) {
    return refuse({.message = "content: expected one of the fields content, prompt and messages"});
  }
  std::vector<int32_t> tokens;
  if (chat.messages.empty()) {
    auto encoded = encode(services.engine, request);
    if (!encoded) return refuse(to_api_error(encoded.error()));
    tokens = std::move(*encoded);
  } else {
    auto encoded = chat_prompt(services.engine, services.chat_format, chat);
    if (!encoded) return refuse(to_api_error(encoded.error()));
    tokens = std::move(*encoded);
  }
  Json reply = {{"tokens", tokens}};
  if (!request.has_content) {
    reply["count"] = tokens.size();
    reply["max_model_len"] = services.engine.options().ctx_size;
  }
  call.exchange->reply(json_reply(reply));
  return {};
}

ApiStatus detokenize(Services& services, Call& call) {
  const auto body = json_body(call);
  if (!body) return refuse(body.error());
  std::vector<int32_t> tokens;
  bool has_tokens = false;
  const auto read = [&](const nlohmann::json& value) {
    has_tokens = true;
    return token_ids(tokens)(value);
  };
  if (const auto status = read_fields(*body, {{"tokens", read}}, UnknownFields::kIgnored); !status)
    return refuse(to_api_error(status.error()));
  if (!has_tokens)
    return refuse(
        {.message = "tokens: expected a list of token ids, found none", .param = "tokens"});
  const size_t vocab_size = services.engine.model_info().vocab_size;
  for (const int32_t token : tokens) {
    if (static_cast<size_t>(token) < vocab_size) continue;
    return refuse({.message = "tokens: expected ids below " + std::to_string(vocab_size) +
                              ", found " + std::to_string(token),
                   .param = "tokens"});
  }
  // llama.cpp's name and vLLM's.
  const std::string text = services.engine.detokenize(tokens);
  call.exchange->reply(json_reply({{"content", text}, {"prompt", text}}));
  return {};
}

ApiStatus apply_template(Services& services, Call& call) {
  const auto body = json_body(call);
  if (!body) return refuse(body.error());
  ChatRequest chat;
  const FieldReaders readers = chat_fields(chat, call.request.body);
  if (const auto status = read_fields(*body, readers, UnknownFields::kIgnored); !status)
    return refuse(to_api_error(status.error()));
  const auto text = chat_prompt_text(services.engine, services.chat_format, chat);
  if (!text) return refuse(to_api_error(text.error()));
  call.exchange->reply(json_reply({{"prompt", *text}}));
  return {};
}

}  // namespace longhaul
