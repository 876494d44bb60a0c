#include "server/message_shape.h"

#include "server/block_shape.h"
#include "server/event_stream.h"
#include "server/json_fields.h"

namespace longhaul {
namespace {

using Json = nlohmann::ordered_json;
using Kind = OutputDelta::Kind;

// The prompt's tokens come in two parts.
Json usage_json(const Usage& usage) {
  return {{"input_tokens", usage.n_prompt - usage.n_cached},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", usage.n_cached},
          {"output_tokens", usage.n_completion},
          {"output_tokens_details", {{"thinking_tokens", usage.n_reasoning}}},
          {"longhaul", attention_json(usage)}};
}

// Clients want an object. What a model wrote need not be one.
Json input_of(const std::string& arguments) {
  if (arguments.empty()) return Json::object();
  if (!parse_json(arguments)) return {{"INVALID_JSON", arguments}};
  Json input = Json::parse(arguments, nullptr, /*allow_exceptions=*/false);
  return input.is_object() ? input : Json({{"INVALID_JSON", arguments}});
}

class MessageShape : public BlockShape {
 public:
  MessageShape(const std::string& model, const AnswerIdentity& identity)
      : id_("msg_" + identity.id), model_(model) {}

  // How much of the prompt was kept is not known yet.
  std::string begin(size_t n_prompt) override {
    Json begun = message(Json::array());
    begun["usage"] = usage_json({.n_prompt = n_prompt});
    std::string events = event({{"type", "message_start"}, {"message", std::move(begun)}});
    return events + event({{"type", "ping"}});
  }
  std::string end(const Usage& usage, bool) override {
    const std::string events =
        event({{"type", "message_delta"}, {"delta", stop_fields()}, {"usage", usage_json(usage)}});
    return events + event({{"type", "message_stop"}});
  }
  Json document(const ApiError& error) const override { return anthropic_errors().document(error); }
  std::string events(const ApiError& error) const override {
    return anthropic_errors().events(error);
  }

 protected:
  std::string begin_block() override {
    AnswerBlock empty = block();
    empty.text.clear();
    Json begun = content_of(empty);
    if (empty.kind == Kind::kCall) begun["input"] = Json::object();
    return event({{"type", "content_block_start"},
                  {"index", block_index()},
                  {"content_block", std::move(begun)}});
  }
  std::string extend_block(const std::string& piece) override {
    switch (block().kind) {
      case Kind::kReasoning:
        return delta({{"type", "thinking_delta"}, {"thinking", piece}});
      case Kind::kCall:
        return delta({{"type", "input_json_delta"}, {"partial_json", piece}});
      default:
        return delta({{"type", "text_delta"}, {"text", piece}});
    }
  }
  std::string end_block() override {
    return event({{"type", "content_block_stop"}, {"index", block_index()}});
  }
  Json document_of(const Usage& usage) override {
    Json content = Json::array();
    for (const AnswerBlock& block : blocks()) content.push_back(content_of(block));
    Json document = message(std::move(content));
    document.update(stop_fields());
    document["usage"] = usage_json(usage);
    return document;
  }

 private:
  Json message(Json content) const {
    return {{"id", id_},
            {"type", "message"},
            {"role", "assistant"},
            {"model", model_},
            {"content", std::move(content)},
            {"stop_reason", nullptr},
            {"stop_sequence", nullptr}};
  }
  Json content_of(const AnswerBlock& block) const {
    switch (block.kind) {
      case Kind::kReasoning:
        // Nobody here signs what was thought: it is plain text, which clients send back.
        return {{"type", "thinking"}, {"thinking", block.text}, {"signature", ""}};
      case Kind::kCall:
        return {{"type", "tool_use"},
                {"id", call_id(id_, 0, block.call)},
                {"name", block.name},
                {"input", input_of(block.text)}};
      default:
        return {{"type", "text"}, {"text", block.text}};
    }
  }
  Json stop_fields() const {
    const std::string& stop = ending().stop_text;
    const bool is_stop = ending().reason == FinishReason::kStop;
    const std::string_view reason = !is_stop             ? "max_tokens"
                                    : ending().has_calls ? "tool_use"
                                    : !stop.empty()      ? "stop_sequence"
                                                         : "end_turn";
    return {{"stop_reason", reason},
            {"stop_sequence", reason == "stop_sequence" ? Json(stop) : Json()}};
  }
  std::string delta(Json piece) const {
    return event(
        {{"type", "content_block_delta"}, {"index", block_index()}, {"delta", std::move(piece)}});
  }
  static std::string event(const Json& document) {
    return event_of(document["type"].get_ref<const std::string&>(), document);
  }

  const std::string id_, model_;
};

}  // namespace

std::unique_ptr<AnswerShape> make_message_shape(const std::string& model,
                                                const AnswerIdentity& identity) {
  return std::make_unique<MessageShape>(model, identity);
}

}  // namespace longhaul
