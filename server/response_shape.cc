#include "server/response_shape.h"

#include <fmt/format.h>

#include "server/block_shape.h"
#include "server/event_stream.h"

namespace longhaul {
namespace {

using Json = nlohmann::ordered_json;
using Kind = OutputDelta::Kind;

constexpr std::string_view kPrefix = "resp_";

// A field of the request as it was sent, or what stands for it.
Json repeated(const nlohmann::json& request, const char* name, Json otherwise) {
  const auto found = request.find(name);
  return found == request.end() || found->is_null() ? std::move(otherwise) : Json(*found);
}

Json response(const ResponseHead& head, std::string_view status, Json output) {
  const nlohmann::json& request = head.request;
  return {
      {"id", response_id(head.identity.id)},
      {"object", "response"},
      {"created_at", head.identity.created},
      {"status", status},
      {"background", repeated(request, "background", false)},
      {"error", nullptr},
      {"incomplete_details", nullptr},
      {"instructions", repeated(request, "instructions", nullptr)},
      {"max_output_tokens", repeated(request, "max_output_tokens", nullptr)},
      {"model", head.model},
      {"output", std::move(output)},
      {"parallel_tool_calls", repeated(request, "parallel_tool_calls", true)},
      {"previous_response_id", repeated(request, "previous_response_id", nullptr)},
      {"reasoning", repeated(request, "reasoning", {{"effort", nullptr}, {"summary", nullptr}})},
      {"store", repeated(request, "store", true)},
      {"temperature", repeated(request, "temperature", nullptr)},
      {"text", repeated(request, "text", {{"format", {{"type", "text"}}}})},
      {"tool_choice", repeated(request, "tool_choice", "auto")},
      {"tools", repeated(request, "tools", Json::array())},
      {"top_p", repeated(request, "top_p", nullptr)},
      {"truncation", "disabled"},
      {"usage", nullptr},
      {"user", repeated(request, "user", nullptr)},
      {"metadata", repeated(request, "metadata", Json::object())}};
}

Json error_json(const ApiError& error) {
  return {{"code", error.code.empty() ? error.type : error.code}, {"message", error.message}};
}

Json usage_json(const Usage& usage) {
  return {{"input_tokens", usage.n_prompt},
          {"input_tokens_details", {{"cached_tokens", usage.n_cached}}},
          {"output_tokens", usage.n_completion},
          {"output_tokens_details", {{"reasoning_tokens", usage.n_reasoning}}},
          {"total_tokens", usage.n_prompt + usage.n_completion},
          {"longhaul", attention_json(usage)}};
}

class ResponseShape : public BlockShape {
 public:
  explicit ResponseShape(ResponseHead head) : head_(std::move(head)) {}

  std::string begin(size_t) override {
    const Json begun = response(head_, "in_progress", Json::array());
    std::string events = event("response.created", {{"response", begun}});
    events += event("response.in_progress", {{"response", begun}});
    return events;
  }
  std::string end(const Usage& usage, bool) override {
    Json document = document_of(usage);
    const std::string type =
        document["status"] == "completed" ? "response.completed" : "response.incomplete";
    return event(type, {{"response", std::move(document)}});
  }
  // Of a stream that has said who it is.
  std::string events(const ApiError& error) const override {
    const bool is_cancelled = error.code == "cancelled";
    Json failed = response(head_, is_cancelled ? "cancelled" : "failed", output("incomplete"));
    failed["error"] = error_json(error);
    return numbered("response.failed", {{"response", std::move(failed)}}, n_events_);
  }

 protected:
  std::string begin_block() override {
    std::string events = event("response.output_item.added",
                               {{"output_index", block_index()}, {"item", item("in_progress")}});
    if (block().kind != Kind::kCall) {
      events += event("response.content_part.added", at_part({{"part", part("")}}));
    }
    return events;
  }
  std::string extend_block(const std::string& piece) override {
    if (block().kind == Kind::kCall)
      return event("response.function_call_arguments.delta", at_item({{"delta", piece}}));
    Json fields = at_part({{"delta", piece}});
    if (block().kind == Kind::kContent) fields["logprobs"] = Json::array();
    return event(text_event("delta"), std::move(fields));
  }
  std::string end_block() override {
    std::string events;
    if (block().kind == Kind::kCall) {
      events = event("response.function_call_arguments.done",
                     at_item({{"name", block().name}, {"arguments", block().text}}));
    } else {
      Json fields = at_part({{"text", block().text}});
      if (block().kind == Kind::kContent) fields["logprobs"] = Json::array();
      events = event(text_event("done"), std::move(fields));
      events += event("response.content_part.done", at_part({{"part", part(block().text)}}));
    }
    events += event("response.output_item.done",
                    {{"output_index", block_index()}, {"item", item(status_of_last())}});
    return events;
  }
  Json document_of(const Usage& usage) override {
    const std::string_view status = status_of_last();
    Json document = response(head_, status, output(status));
    if (status != "completed") document["incomplete_details"] = {{"reason", "max_output_tokens"}};
    document["usage"] = usage_json(usage);
    return document;
  }

 private:
  std::string_view status_of_last() const {
    return ending().reason == FinishReason::kStop ? "completed" : "incomplete";
  }
  std::string text_event(std::string_view what) const {
    return fmt::format("response.{}.{}",
                       block().kind == Kind::kContent ? "output_text" : "reasoning_text", what);
  }
  Json part(const std::string& text) const { return part_of(block().kind, text); }
  static Json part_of(Kind kind, const std::string& text) {
    if (kind == Kind::kReasoning) return {{"type", "reasoning_text"}, {"text", text}};
    return {{"type", "output_text"}, {"text", text}, {"annotations", Json::array()}};
  }
  std::string item_id(size_t index) const {
    const Kind kind = blocks()[index].kind;
    const std::string_view prefix = kind == Kind::kContent     ? "msg"
                                    : kind == Kind::kReasoning ? "rs"
                                                               : "fc";
    return fmt::format("{}_{}_{}", prefix, head_.identity.id, index);
  }
  // The item that is being said: without its content, which comes in events, until it is over.
  Json item(std::string_view status) const {
    return item_of(block_index(), status, status != "in_progress");
  }
  Json item_of(size_t index, std::string_view status, bool has_content) const {
    const AnswerBlock& block = blocks()[index];
    Json item = {{"id", item_id(index)}, {"type", ""}, {"status", status}};
    if (block.kind == Kind::kCall) {
      item["type"] = "function_call";
      item["call_id"] = call_id(response_id(head_.identity.id), 0, block.call);
      item["name"] = block.name;
      item["arguments"] = has_content ? block.text : "";
      return item;
    }
    const bool is_reasoning = block.kind == Kind::kReasoning;
    item["type"] = is_reasoning ? "reasoning" : "message";
    if (is_reasoning) {
      item["summary"] = Json::array();
    } else {
      item["role"] = "assistant";
    }
    item["content"] = Json::array();
    if (has_content) item["content"].push_back(part_of(block.kind, block.text));
    return item;
  }
  // All items; `last`: the status of the last one.
  Json output(std::string_view last) const {
    Json items = Json::array();
    for (size_t i = 0; i < blocks().size(); ++i)
      items.push_back(item_of(i, i + 1 == blocks().size() ? last : "completed", true));
    return items;
  }
  Json at_item(Json fields) const {
    Json at = {{"item_id", item_id(block_index())}, {"output_index", block_index()}};
    at.update(fields);
    return at;
  }
  Json at_part(Json fields) const {
    Json at = at_item({{"content_index", 0}});
    at.update(fields);
    return at;
  }
  std::string event(const std::string& type, Json fields) {
    return numbered(type, std::move(fields), n_events_++);
  }
  static std::string numbered(const std::string& type, Json fields, size_t number) {
    Json event = {{"type", type}, {"sequence_number", number}};
    event.update(fields);
    return event_of(type, event);
  }

  const ResponseHead head_;
  size_t n_events_ = 0;
};

}  // namespace

std::unique_ptr<AnswerShape> make_response_shape(ResponseHead head) {
  return std::make_unique<ResponseShape>(std::move(head));
}

std::string response_id(const std::string& kept_id) { return std::string(kPrefix) + kept_id; }

std::string kept_id_of(const std::string& response_id) {
  return response_id.starts_with(kPrefix) ? response_id.substr(kPrefix.size()) : std::string();
}

Json response_without_output(const ResponseHead& head, std::string_view status, Json error) {
  Json document = response(head, status, Json::array());
  document["error"] = std::move(error);
  return document;
}

Json response_of(const std::string& answer, bool is_stream) {
  if (!is_stream) return Json::parse(answer, nullptr, /*allow_exceptions=*/false);
  constexpr std::string_view kData = "\ndata: ";
  const size_t last = answer.rfind(kData);  // its data is one line
  if (last == std::string::npos) return {};
  const Json event = Json::parse(answer.substr(last + kData.size()), nullptr, false);
  return event.is_object() ? event.value("response", Json()) : Json();
}

}  // namespace longhaul
