#include "server/choice_shapes.h"

#include <fmt/format.h>

#include "base/utf8.h"
#include "server/event_stream.h"

namespace longhaul {
namespace {

using Json = nlohmann::ordered_json;
using Tokens = AnswerShape::Tokens;

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
Json text_logprobs(const Tokens& tokens, size_t offset) {
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
    if (named.is_in_text) offset += n_characters(named.text);
  }
  return {{"tokens", std::move(texts)},
          {"token_logprobs", std::move(logprobs)},
          {"top_logprobs", std::move(tops)},
          {"text_offset", std::move(offsets)}};
}

Json usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.n_prompt},
          {"completion_tokens", usage.n_completion},
          {"total_tokens", usage.n_prompt + usage.n_completion},
          {"prompt_tokens_details", {{"cached_tokens", usage.n_cached}}},
          {"completion_tokens_details", {{"reasoning_tokens", usage.n_reasoning}}},
          {"longhaul", attention_json(usage)}};
}

std::string reason_of(const Ending& ending) {
  const bool calls = ending.reason == FinishReason::kStop && ending.has_calls;
  return calls ? "tool_calls" : std::string(to_string(ending.reason));
}

// What both have: {"id", "object", "created", "model", "choices": [...]}, whole or as a chunk.
class ChoiceShape : public AnswerShape {
 public:
  ChoiceShape(std::string_view prefix, const AnswerIdentity& identity, std::string object,
              std::string chunk_object, std::string model)
      : id_(std::string(prefix) + identity.id),
        object_(std::move(object)),
        chunk_object_(std::move(chunk_object)),
        model_(std::move(model)),
        created_(identity.created) {}

  std::string piece(size_t index, const OutputDelta& delta, const Tokens* tokens,
                    size_t offset) override {
    return event(chunk(index, delta, tokens, offset));
  }
  std::string close(size_t index, const Ending& ending) override {
    return event(last_chunk(index, reason_of(ending)));
  }
  std::string end(const Usage& usage, bool includes_usage) override {
    if (!includes_usage) return std::string(kDoneEvent);
    Json document = around(Json::array(), chunk_object_);
    document["usage"] = usage_json(usage);
    return event_of(document) + std::string(kDoneEvent);
  }
  Json whole(const std::vector<AnswerChoice>& choices, const Usage& usage,
             bool has_logprobs) override {
    Json list = Json::array();
    for (const AnswerChoice& choice : choices) {
      OutputMessage message;
      for (const OutputDelta& delta : choice.deltas) message.add(delta);
      list.push_back(whole_choice(list.size(), message, has_logprobs ? &choice.tokens : nullptr,
                                  reason_of(choice.ending)));
    }
    Json document = around(std::move(list), object_);
    document["usage"] = usage_json(usage);
    return document;
  }

 protected:
  virtual Json chunk(size_t index, const OutputDelta& delta, const Tokens* tokens,
                     size_t offset) const = 0;
  virtual Json last_chunk(size_t index, const std::string& reason) const = 0;
  virtual Json whole_choice(size_t index, const OutputMessage& message, const Tokens* tokens,
                            const std::string& reason) const = 0;
  std::string event(Json choice) const {
    return event_of(around(Json::array({std::move(choice)}), chunk_object_));
  }

  const std::string id_;

 private:
  Json around(Json choices, const std::string& object) const {
    return {{"id", id_},
            {"object", object},
            {"created", created_},
            {"model", model_},
            {"choices", std::move(choices)}};
  }

  const std::string object_, chunk_object_, model_;
  const int64_t created_;
};

class TextShape : public ChoiceShape {
 public:
  TextShape(const std::string& model, const AnswerIdentity& identity)
      : ChoiceShape("cmpl-", identity, "text_completion", "text_completion", model) {}

 protected:
  Json chunk(size_t index, const OutputDelta& delta, const Tokens* tokens,
             size_t offset) const override {
    return choice(index, delta.text, tokens, offset, {});
  }
  Json last_chunk(size_t index, const std::string& reason) const override {
    return choice(index, "", nullptr, 0, reason);
  }
  Json whole_choice(size_t index, const OutputMessage& message, const Tokens* tokens,
                    const std::string& reason) const override {
    return choice(index, message.content, tokens, 0, reason);
  }

 private:
  static Json choice(size_t index, const std::string& text, const Tokens* tokens, size_t offset,
                     const std::string& reason) {
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

Json chat_logprobs(const Tokens* tokens) {
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

class ChatShape : public ChoiceShape {
 public:
  ChatShape(const std::string& model, const AnswerIdentity& identity)
      : ChoiceShape("chatcmpl-", identity, "chat.completion", "chat.completion.chunk", model) {}

  std::string open(size_t index) override {
    return event(delta(index, {{"role", "assistant"}, {"content", nullptr}}, nullptr, {}));
  }

 protected:
  Json chunk(size_t index, const OutputDelta& said, const Tokens* tokens, size_t) const override {
    return delta(index, fields_of(index, said), tokens, {});
  }
  Json last_chunk(size_t index, const std::string& reason) const override {
    return delta(index, Json::object(), nullptr, reason);
  }
  Json whole_choice(size_t index, const OutputMessage& said, const Tokens* tokens,
                    const std::string& reason) const override {
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
  Json call_of(size_t index, size_t call, const std::string& name,
               const std::string& arguments) const {
    return {{"index", call},
            {"id", call_id(id_, index, call)},
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
  static Json delta(size_t index, Json content, const Tokens* tokens, const std::string& reason) {
    Json choice = {{"index", index}, {"delta", std::move(content)}};
    if (tokens != nullptr) choice["logprobs"] = chat_logprobs(tokens);
    choice["finish_reason"] = reason.empty() ? Json() : Json(reason);
    return choice;
  }
};

}  // namespace

std::unique_ptr<AnswerShape> make_text_shape(const std::string& model,
                                             const AnswerIdentity& identity) {
  return std::make_unique<TextShape>(model, identity);
}
std::unique_ptr<AnswerShape> make_chat_shape(const std::string& model,
                                             const AnswerIdentity& identity) {
  return std::make_unique<ChatShape>(model, identity);
}

}  // namespace longhaul
