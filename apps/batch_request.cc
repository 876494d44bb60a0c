#include "apps/batch_request.h"

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/options.h"
#include "base/result.h"

namespace longhaul {
namespace {

using Json = nlohmann::ordered_json;  // templates write tools in the order of their keys
using Reader = std::function<Status(const Json&)>;

constexpr size_t kMostSamples = 1024;

// A value as it is quoted in a message.
std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

Reader count(size_t& target, size_t least = 0, size_t most = std::numeric_limits<uint32_t>::max()) {
  return [&target, least, most](const Json& value) -> Status {
    const bool fits = value.is_number_unsigned() && value.get<uint64_t>() >= least &&
                      value.get<uint64_t>() <= most;
    if (!fits) {
      return bad_input("expected a whole number from {} to {}, found {}", least, most,
                       shown(value));
    }
    target = value.get<size_t>();
    return {};
  };
}

template <class T>
Reader real(T& target, double least, double most = std::numeric_limits<float>::max()) {
  return [&target, least, most](const Json& value) -> Status {
    if (!value.is_number() || !(value.get<double>() >= least && value.get<double>() <= most)) {
      return bad_input("expected a number from {} to {}, found {}", least, most, shown(value));
    }
    target = static_cast<T>(value.get<double>());
    return {};
  };
}

Reader flag(bool& target) {
  return [&target](const Json& value) -> Status {
    if (!value.is_boolean()) return bad_input("expected true or false, found {}", shown(value));
    target = value.get<bool>();
    return {};
  };
}

// A name that `parse` knows.
template <class T, class Parse>
Reader named(T& target, Parse parse) {
  return [&target, parse](const Json& value) -> Status {
    if (!value.is_string()) return bad_input("expected a name, found {}", shown(value));
    LH_ASSIGN_OR_RETURN(target, parse(value.get_ref<const std::string&>()));
    return {};
  };
}

Status read_fields(const Json& object, const std::map<std::string_view, Reader>& readers) {
  if (!object.is_object()) return bad_input("expected an object, found {}", shown(object));
  for (const auto& [name, value] : object.items()) {
    const auto reader = readers.find(name);
    if (reader == readers.end()) {
      std::string known;
      for (const auto& [key, unused] : readers)
        known += (known.empty() ? "" : ", ") + std::string(key);
      return bad_input("{}: expected one of the fields {}", name, known);
    }
    const Status status = reader->second(value);
    if (!status) return make_error(status.error().code, "{}: {}", name, status.error().message);
  }
  return {};
}

Status read_attention(const Json& value, AttentionOptions& options) {
  return read_fields(value, {{"mode", named(options.mode, parse_attention_mode)},
                             {"selector", named(options.selector,
                                                [](std::string_view name) -> Result<std::string> {
                                                  return std::string(name);
                                                })},
                             {"sparse_ratio", real(options.sparse_ratio, 0, 1)},
                             {"token_budget", count(options.token_budget)},
                             {"gate_threshold", real(options.gate_threshold, 0, 1)},
                             {"min_blocks", count(options.min_blocks)},
                             {"local_blocks", count(options.local_blocks)},
                             {"sink_blocks", count(options.sink_blocks)},
                             {"rectify_every", count(options.rectify_every, 1)},
                             {"auto_may", named(options.auto_may, parse_auto_may)},
                             {"rectify", named(options.rectify, parse_rectify_kind)},
                             {"rectify_ratio", real(options.rectify_ratio, 0, 1)},
                             {"rectify_tolerance", real(options.rectify_tolerance, 0, 1)}});
}

Status read_stop(const Json& value, std::vector<std::string>& stop) {
  stop.clear();
  const Json list = value.is_string() ? Json::array({value}) : value;
  if (!list.is_array())
    return bad_input("expected a text or a list of texts, found {}", shown(value));
  for (const Json& text : list) {
    if (!text.is_string() || text.get_ref<const std::string&>().empty())
      return bad_input("expected texts that are not empty, found {}", shown(Json(text)));
    stop.push_back(text.get<std::string>());
  }
  return {};
}

Status read_messages(const Json& value, std::string& messages) {
  const auto has_role = [](const Json& turn) {
    return turn.is_object() && turn.contains("role") && turn["role"].is_string();
  };
  if (!value.is_array() || value.empty())
    return bad_input("expected a list of turns, found {}", shown(value));
  for (const Json& turn : value) {
    if (!has_role(turn))
      return bad_input("expected turns with a text `role`, found {}", shown(turn));
  }
  messages = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return {};
}

// A list or an object, as it stands, for the chat template.
Reader passed_on(std::string& target, bool is_list) {
  return [&target, is_list](const Json& value) -> Status {
    if (is_list ? !value.is_array() : !value.is_object())
      return bad_input("expected {}, found {}", is_list ? "a list" : "an object", shown(value));
    target = value.dump(-1, ' ', false, Json::error_handler_t::replace);
    return {};
  };
}

Status read_tokens(const Json& value, std::vector<int32_t>& tokens) {
  if (!value.is_array() || value.empty())
    return bad_input("expected a list of token ids, found {}", shown(value));
  for (const Json& id : value) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > std::numeric_limits<int32_t>::max())
      return bad_input("expected token ids, found {}", shown(id));
    tokens.push_back(id.get<int32_t>());
  }
  return {};
}

Status read_id(const Json& value, std::string& id) {
  if (!value.is_string() && !value.is_number_integer())
    return bad_input("expected a text or a whole number, found {}", shown(value));
  id = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return {};
}

Status read_prompt(const Json& value, std::optional<std::string>& prompt) {
  if (!value.is_string()) return bad_input("expected a text, found {}", shown(value));
  prompt = value.get<std::string>();
  return {};
}

}  // namespace

Result<BatchRequest> parse_batch_request(std::string_view text, size_t line,
                                         const GenerateRequest& defaults) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded())
    return bad_input("expected one JSON object, found {}", shown(Json(text)));
  BatchRequest batch;
  batch.id = std::to_string(line);
  batch.line = line;
  batch.request = defaults;
  GenerateRequest& request = batch.request;
  SamplingOptions& sampling = request.sampling;
  size_t seed = sampling.seed;
  constexpr double kMost = std::numeric_limits<float>::max();
  LH_RETURN_IF_ERROR(read_fields(
      json,
      {{"id", [&](const Json& value) { return read_id(value, batch.id); }},
       {"prompt", [&](const Json& value) { return read_prompt(value, batch.prompt); }},
       {"messages", [&](const Json& value) { return read_messages(value, batch.chat.messages); }},
       {"tools", passed_on(batch.chat.tools, true)},
       {"documents", passed_on(batch.chat.documents, true)},
       {"chat_template_kwargs", passed_on(batch.chat.variables, false)},
       {"tokens", [&](const Json& value) { return read_tokens(value, batch.tokens); }},
       {"max_tokens", count(request.max_tokens)},
       {"temperature", real(sampling.temperature, 0)},
       {"top_k", count(sampling.top_k)},
       {"top_p", real(sampling.top_p, 0, 1)},
       {"min_p", real(sampling.min_p, 0, 1)},
       {"repetition_penalty", real(sampling.repetition_penalty, 0)},
       {"presence_penalty", real(sampling.presence_penalty, -kMost)},
       {"frequency_penalty", real(sampling.frequency_penalty, -kMost)},
       {"seed", count(seed, 0, std::numeric_limits<size_t>::max())},
       {"n", count(batch.n, 1, kMostSamples)},
       {"stop", [&](const Json& value) { return read_stop(value, request.stop); }},
       {"ignore_eos", flag(request.ignore_eos)},
       {"attention",
        [&](const Json& value) { return read_attention(value, request.attention); }}}));
  sampling.seed = seed;
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
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  std::string id = std::to_string(line);
  const bool has_id = json.is_object() && json.contains("id");
  if (has_id && !read_id(json["id"], id)) id = std::to_string(line);
  return id;
}

}  // namespace longhaul
