#include "server/answer_shape.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <ctime>
#include <random>

#include "base/utf8.h"

namespace longhaul {
namespace {

using Json = nlohmann::ordered_json;

// Half a character cannot stand in JSON: its bytes are spelled out, as "bytes:\\xe2\\x82".
std::string json_name(const std::string& text) {
  std::string spelled = "bytes:";
  bool is_text = true;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text, at);
    is_text &= c.state == Utf8State::kValid;
    at += c.n_bytes;
  }
  if (is_text) return text;
  for (const char byte : text)
    spelled += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  return spelled;
}

// /completions: parallel lists over the tokens.
Json text_logprobs(const AnswerShape::Tokens& tokens, size_t offset) {
  Json texts = Json::array(), logprobs = Json::array(), tops = Json::array(),
       offsets = Json::array();
  for (const NamedToken& named : tokens) {
    texts.push_back(json_name(named.text));
    logprobs.push_back(named.has_logprob ? Json(named.token.chosen.logprob) : Json());
    Json top = named.has_logprob ? Json::object() : Json();
    for (size_t i = 0; i < named.top.size(); ++i)
      top[json_name(named.top[i])] = named.token.top[i].logprob;
    tops.push_back(std::move(top));
    offsets.push_back(offset);
    offset += n_characters(named.text);
  }
  return {{"tokens", std::move(texts)},
          {"token_logprobs", std::move(logprobs)},
          {"top_logprobs", std::move(tops)},
          {"text_offset", std::move(offsets)}};
}

class TextShape : public AnswerShape {
 public:
  TextShape(const std::string& model, AnswerIdentity identity)
      : AnswerShape("cmpl-", std::move(identity), "text_completion", "text_completion", model) {}

  Json opening(size_t) const override { return {}; }
  Json piece(size_t index, const OutputDelta& delta, const Tokens* tokens,
             size_t offset) const override {
    return choice(index, delta.text, tokens, offset, {});
  }
  Json ending(size_t index, std::string_view reason) const override {
    return choice(index, "", nullptr, 0, reason);
  }
  Json whole(size_t index, const OutputMessage& message, const Tokens* tokens,
             std::string_view reason) const override {
    return choice(index, message.content, tokens, 0, reason);
  }

 private:
  static Json choice(size_t index, const std::string& text, const Tokens* tokens, size_t offset,
                     std::string_view reason) {
    return {{"index", index},
            {"text", text},
            {"logprobs", tokens != nullptr ? text_logprobs(*tokens, offset) : Json()},
            {"finish_reason", reason.empty() ? Json() : Json(reason)}};
  }
};

Json chat_logprob(const std::string& text, float logprob) {
  Json bytes = Json::array();
  for (const char byte : text) bytes.push_back(static_cast<unsigned char>(byte));
  return {{"token", text}, {"logprob", logprob}, {"bytes", std::move(bytes)}};
}

Json chat_logprobs(const AnswerShape::Tokens* tokens) {
  if (tokens == nullptr) return {};
  Json content = Json::array();
  for (const NamedToken& named : *tokens) {
    Json entry = chat_logprob(named.text, named.token.chosen.logprob);
    entry["top_logprobs"] = Json::array();
    for (size_t i = 0; i < named.top.size(); ++i)
      entry["top_logprobs"].push_back(chat_logprob(named.top[i], named.token.top[i].logprob));
    content.push_back(std::move(entry));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

class ChatShape : public AnswerShape {
 public:
  ChatShape(const std::string& model, AnswerIdentity identity)
      : AnswerShape("chatcmpl-", std::move(identity), "chat.completion", "chat.completion.chunk",
                    model) {}

  Json opening(size_t index) const override {
    return delta(index, {{"role", "assistant"}, {"content", nullptr}}, nullptr, {});
  }
  Json piece(size_t index, const OutputDelta& said, const Tokens* tokens, size_t) const override {
    return delta(index, fields_of(index, said), tokens, {});
  }
  Json ending(size_t index, std::string_view reason) const override {
    return delta(index, Json::object(), nullptr, reason);
  }
  Json whole(size_t index, const OutputMessage& said, const Tokens* tokens,
             std::string_view reason) const override {
    const bool has_content = said.calls.empty() || !said.content.empty();
    Json message = {{"role", "assistant"},
                    {"content", has_content ? Json(said.content) : Json()},
                    {"refusal", nullptr}};
    if (!said.reasoning.empty()) message["reasoning_content"] = said.reasoning;
    for (size_t i = 0; i < said.calls.size(); ++i) {
      Json call = call_of(index, i, said.calls[i].name, said.calls[i].arguments);
      call.erase("index");
      message["tool_calls"].push_back(std::move(call));
    }
    return {{"index", index},
            {"message", std::move(message)},
            {"logprobs", chat_logprobs(tokens)},
            {"finish_reason", reason}};
  }

 private:
  // Clients send calls back with their ids, and what goes on after a restart says the same ones.
  // Nine letters and digits is what the templates of Mistral insist on.
  std::string call_id(size_t index, size_t call) const {
    constexpr std::string_view kDigits =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const std::string name = fmt::format("{}/{}/{}", id_, index, call);
    std::string id;
    for (uint64_t hash = XXH3_64bits(name.data(), name.size()); id.size() < 9;
         hash /= kDigits.size())
      id += kDigits[hash % kDigits.size()];
    return id;
  }
  Json call_of(size_t index, size_t call, const std::string& name,
               const std::string& arguments) const {
    return {{"index", call},
            {"id", call_id(index, call)},
            {"type", "function"},
            {"function", {{"name", name}, {"arguments", arguments}}}};
  }
  Json fields_of(size_t index, const OutputDelta& said) const {
    switch (said.kind) {
      case OutputDelta::Kind::kContent:
        break;
      case OutputDelta::Kind::kReasoning:
        return {{"reasoning_content", said.text}};
      case OutputDelta::Kind::kCall:
        return {{"tool_calls", Json::array({call_of(index, said.call, said.text, "")})}};
      case OutputDelta::Kind::kArguments:
        return {{"tool_calls",
                 Json::array({{{"index", said.call}, {"function", {{"arguments", said.text}}}}})}};
    }
    return {{"content", said.text}};
  }
  static Json delta(size_t index, Json content, const Tokens* tokens, std::string_view reason) {
    Json choice = {{"index", index}, {"delta", std::move(content)}};
    if (tokens != nullptr) choice["logprobs"] = chat_logprobs(tokens);
    choice["finish_reason"] = reason.empty() ? Json() : Json(reason);
    return choice;
  }
};

}  // namespace

AnswerIdentity new_identity() {
  std::random_device random;
  return {fmt::format("{:08x}{:08x}{:08x}", random(), random(), random()), std::time(nullptr)};
}

AnswerShape::AnswerShape(std::string_view prefix, AnswerIdentity identity, std::string object,
                         std::string chunk_object, std::string model)
    : id_(std::string(prefix) + identity.id),
      object_(std::move(object)),
      chunk_object_(std::move(chunk_object)),
      model_(std::move(model)),
      created_(identity.created) {}

Json AnswerShape::document(Json choices, bool is_chunk) const {
  return {{"id", id_},
          {"object", is_chunk ? chunk_object_ : object_},
          {"created", created_},
          {"model", model_},
          {"choices", std::move(choices)}};
}

std::unique_ptr<AnswerShape> make_text_shape(const std::string& model, AnswerIdentity identity) {
  return std::make_unique<TextShape>(model, std::move(identity));
}
std::unique_ptr<AnswerShape> make_chat_shape(const std::string& model, AnswerIdentity identity) {
  return std::make_unique<ChatShape>(model, std::move(identity));
}

Json to_json(const Usage& usage) {
  return {{"prompt_tokens", usage.n_prompt},
          {"completion_tokens", usage.n_completion},
          {"total_tokens", usage.n_prompt + usage.n_completion},
          {"prompt_tokens_details", {{"cached_tokens", usage.n_cached}}},
          {"longhaul",
           {{"blocks_read", usage.attention.blocks_read},
            {"blocks_total", usage.attention.blocks_total},
            {"rectifications", usage.attention.rectifications},
            {"drafted", usage.attention.drafted},
            {"accepted", usage.attention.accepted}}}};
}

}  // namespace longhaul
