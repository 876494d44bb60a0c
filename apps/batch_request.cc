#include "apps/batch_request.h"

#include <nlohmann/json.hpp>

#include "base/result.h"
#include "server/generate_fields.h"

namespace longhaul {
namespace {

using Json = nlohmann::json;

constexpr size_t kMostSamples = 1024;

Status read_messages(const Json& value, std::vector<ChatTurn>& turns) {
  const auto is_text = [](const Json& turn, const char* key) {
    return turn.is_object() && turn.contains(key) && turn[key].is_string();
  };
  if (!value.is_array() || value.empty())
    return bad_input("expected a list of turns, found {}", shown(value));
  for (const Json& turn : value) {
    if (!is_text(turn, "role") || !is_text(turn, "content") || turn.size() != 2)
      return bad_input("expected turns with texts `role` and `content`, found {}", shown(turn));
    turns.push_back({turn["role"], turn["content"]});
  }
  return {};
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
  readers["id"] = [&](const Json& value) { return read_id(value, batch.id); };
  readers["prompt"] = [&](const Json& value) {
    return longhaul::text(batch.prompt.emplace())(value);
  };
  readers["messages"] = [&](const Json& value) { return read_messages(value, batch.messages); };
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
  const int n_prompts = batch.prompt.has_value() + !batch.messages.empty() + !batch.tokens.empty();
  if (n_prompts != 1) {
    return bad_input("prompt: expected one of the fields prompt, messages and tokens, found {}",
                     n_prompts);
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
