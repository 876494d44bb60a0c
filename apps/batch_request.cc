#include "apps/batch_request.h"

#include <nlohmann/json.hpp>

#include "base/result.h"
#include "server/answer_format.h"
#include "server/generate_fields.h"

namespace longhaul {
namespace {

using Json = nlohmann::json;

constexpr size_t kMostSamples = 1024;

// The value of a field as it stands in the line, its keys in their order: templates write tools so.
std::string as_it_stands(std::string_view line, std::string_view field) {
  const auto json = nlohmann::ordered_json::parse(line, nullptr, /*allow_exceptions=*/false);
  return json[std::string(field)].dump(-1, ' ', false, Json::error_handler_t::replace);
}

FieldReader messages(std::string& target, std::string_view line) {
  return [&target, line](const Json& value) -> Status {
    if (!value.is_array() || value.empty())
      return bad_input("expected a list of turns, found {}", shown(value));
    for (const Json& turn : value) {
      if (!turn.is_object() || !turn.contains("role") || !turn["role"].is_string())
        return bad_input("expected turns with a text `role`, found {}", shown(turn));
    }
    target = as_it_stands(line, "messages");
    return {};
  };
}

// A list or an object for the chat template.
FieldReader passed_on(std::string& target, bool is_list, std::string_view line,
                      std::string_view field) {
  return [&target, is_list, line, field](const Json& value) -> Status {
    if (is_list ? !value.is_array() : !value.is_object())
      return bad_input("expected {}, found {}", is_list ? "a list" : "an object", shown(value));
    target = as_it_stands(line, field);
    return {};
  };
}

Status read_id(const Json& value, std::string& id) {
  if (!value.is_string() && !value.is_number_integer())
    return bad_input("expected a text or a whole number, found {}", shown(value));
  id = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return {};
}

}  // namespace

Result<BatchRequest> parse_batch_request(std::string_view text, size_t line,
                                         const GenerateRequest& defaults) {
  LH_ASSIGN_OR_RETURN(const Json json, parse_json(text));
  BatchRequest batch;
  batch.id = std::to_string(line);
  batch.line = line;
  batch.request = defaults;
  GenerateRequest& request = batch.request;
  SamplingOptions& sampling = request.sampling;
  FieldReaders readers = sampling_fields(sampling);
  readers.merge(answer_format_fields(request.grammar, text));
  readers["id"] = [&](const Json& value) { return read_id(value, batch.id); };
  readers["prompt"] = [&](const Json& value) {
    return longhaul::text(batch.prompt.emplace())(value);
  };
  readers["messages"] = messages(batch.chat.messages, text);
  readers["tools"] = passed_on(batch.chat.tools, true, text, "tools");
  readers["documents"] = passed_on(batch.chat.documents, true, text, "documents");
  readers["chat_template_kwargs"] =
      passed_on(batch.chat.variables, false, text, "chat_template_kwargs");
  readers["tokens"] = token_ids(batch.tokens);
  readers["max_tokens"] = count(request.max_tokens);
  readers["top_k"] = count(sampling.top_k);
  readers["repetition_penalty"] = real(sampling.repetition_penalty, 0);
  readers["n"] = count(batch.n, 1, kMostSamples);
  readers["stop"] = texts(request.stop);
  readers["ignore_eos"] = flag(request.ignore_eos);
  readers["attention"] =
      fields(attention_fields(request.attention, "mode"), UnknownFields::kRefused);
  if (FieldStatus status = read_fields(json, readers, UnknownFields::kRefused); !status)
    return tl::unexpected<Error>(status.error().as_error());
  const int n_prompts =
      batch.prompt.has_value() + !batch.chat.messages.empty() + !batch.tokens.empty();
  if (n_prompts != 1) {
    return bad_input("prompt: expected one of the fields prompt, messages and tokens, found {}",
                     n_prompts);
  }
  const ChatPrompt& chat = batch.chat;
  if (chat.messages.empty() &&
      !(chat.tools.empty() && chat.documents.empty() && chat.variables.empty())) {
    return bad_input(
        "tools, documents, chat_template_kwargs: expected messages beside them, found none");
  }
  return batch;
}

std::string id_of_line(std::string_view text, size_t line) {
  const auto json = parse_json(text);
  std::string id = std::to_string(line);
  const bool has_id = json && json->is_object() && json->contains("id");
  if (has_id && !read_id((*json)["id"], id)) id = std::to_string(line);
  return id;
}

}  // namespace longhaul
