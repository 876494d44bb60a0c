#include "server/api_request.h"

#include <algorithm>
#include <charconv>

#include "server/answer_format.h"
#include "server/generate_fields.h"

namespace longhaul {
namespace {

using Json = nlohmann::json;

constexpr size_t kMostSamples = 128;
constexpr size_t kMostLogprobs = 20;
constexpr size_t kMostStops = 64;
constexpr size_t kNoLimit = std::numeric_limits<uint32_t>::max();

bool is_minus_one(const Json& value) { return value.is_number_integer() && value == -1; }

// A count, or -1 for `none`.
FieldReader count_or_none(size_t& target, size_t none) {
  return [&target, none](const Json& value) -> Status {
    if (!is_minus_one(value)) return count(target)(value);
    target = none;
    return {};
  };
}

// {"50256": -100}: what is added to a token's logit.
Status read_logit_bias(const Json& value, SamplingOptions& options) {
  if (!value.is_object())
    return bad_input("expected an object of token ids and biases, found {}", shown(value));
  for (const auto& [name, bias] : value.items()) {
    int32_t token = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), token);
    if (error != std::errc() || end != name.data() + name.size() || token < 0)
      return bad_input("expected token ids, found {}", shown(Json(name)));
    float number = 0;
    LH_RETURN_IF_ERROR(real(number, -std::numeric_limits<float>::max())(bias));
    options.logit_bias.emplace_back(token, number);
  }
  return {};
}

Status read_prompt_list(const Json& list, std::vector<Prompt>& prompts) {
  for (const Json& item : list) {
    Prompt& prompt = prompts.emplace_back();
    if (item.is_string()) {
      prompt.text = item.get<std::string>();
    } else {
      LH_RETURN_IF_ERROR(token_ids(prompt.tokens.emplace())(item));
    }
  }
  return {};
}

// "text", ["text", ...], [1, 2] or [[1, 2], ...].
Status read_prompts(const Json& value, std::vector<Prompt>& prompts) {
  prompts.clear();
  const bool is_list = value.is_array() && !value.empty();
  if (!value.is_string() && !is_list)
    return bad_input("expected a text, token ids or a list of these, found {}", shown(value));
  if (value.is_string()) return read_prompt_list(Json::array({value}), prompts);
  if (value.front().is_number()) return token_ids(prompts.emplace_back().tokens.emplace())(value);
  return read_prompt_list(value, prompts);
}

tl::expected<ApiRequest, FieldError> missing(std::string field, std::string_view what) {
  return tl::unexpected<FieldError>(
      FieldError{std::move(field), bad_input("expected {}, found none", what).value()});
}

}  // namespace

FieldReader count_or_no_limit(size_t& target) { return count_or_none(target, kNoLimit); }

FieldReader prompts(std::vector<Prompt>& prompts) {
  return [&prompts](const Json& value) { return read_prompts(value, prompts); };
}

FieldReader only(std::string_view allowed, std::function<bool(const Json&)> asks_nothing) {
  return [allowed, asks_nothing = std::move(asks_nothing)](const Json& value) -> Status {
    if (asks_nothing(value)) return {};
    return unsupported("this server can do {}, found {}", allowed, shown(value));
  };
}

bool is_empty(const Json& value) {
  return value.empty() || (value.is_string() && value.get_ref<const std::string&>().empty());
}

FieldReader stop_texts(std::vector<std::string>& stop) {
  return [&stop](const Json& value) -> Status {
    if (value.is_structured() && value.size() > kMostStops)
      return bad_input("expected at most {} texts, found {}", kMostStops, value.size());
    return texts(stop)(value);
  };
}

FieldReaders common_fields(ApiRequest& request, std::string_view text) {
  GenerateRequest& generate = request.generate;
  SamplingOptions& sampling = generate.sampling;
  FieldReaders readers = sampling_fields(sampling);
  readers.merge(answer_format_fields(generate.grammar, text));
  readers["seed"] = [&](const Json& value) -> Status {
    if (is_minus_one(value)) return {};  // llama.cpp's word for "any"
    request.has_seed = true;
    return seed(sampling.seed)(value);
  };
  readers["n"] = count(request.n, 1, kMostSamples);
  readers["stream"] = flag(request.is_stream);
  readers["stream_options"] =
      fields({{"include_usage", flag(request.include_usage)}}, UnknownFields::kIgnored);
  readers["max_tokens"] = count_or_no_limit(generate.max_tokens);
  readers["stop"] = stop_texts(generate.stop);
  readers["ignore_eos"] = flag(generate.ignore_eos);
  readers["cache_prompt"] = flag(request.use_kept);
  readers["id_slot"] = count_or_none(request.slot, kAnySlot);
  readers["top_k"] = count_or_none(sampling.top_k, 0);
  readers["repeat_penalty"] = real(sampling.repetition_penalty, 0);
  readers["repetition_penalty"] = real(sampling.repetition_penalty, 0);
  readers["repeat_last_n"] = count(sampling.penalty_last_n);
  readers["logit_bias"] = [&](const Json& value) { return read_logit_bias(value, sampling); };
  readers["longhaul"] =
      fields(attention_fields(generate.attention, "attention"), UnknownFields::kRefused);
  readers["typical_p"] = only("1 alone", [](const Json& value) { return value == 1; });
  for (const std::string_view name : {"guided_regex", "guided_choice", "structural_tag"})
    readers[name] = only("grammars and JSON schemas", is_empty);
  return readers;
}

FieldStatus check_together(const ApiRequest& request) {
  if (request.generate.grammar == nullptr || !request.generate.ignore_eos) return {};
  return tl::unexpected<FieldError>(FieldError{
      "ignore_eos",
      bad_input("expected false beside a grammar, which says where a text ends, found true")
          .value()});
}

tl::expected<ApiRequest, FieldError> parse_completion(const Json& body,
                                                      const GenerateRequest& defaults,
                                                      std::string_view text) {
  ApiRequest request;
  request.generate = defaults;
  FieldReaders readers = common_fields(request, text);
  readers["prompt"] = prompts(request.prompts);
  readers["echo"] = flag(request.echo);
  readers["logprobs"] = [&](const Json& value) {
    if (value == false) return Status();
    return count(request.n_logprobs.emplace(), 0, kMostLogprobs)(value);
  };
  readers["suffix"] = only("text after the prompt alone", is_empty);
  readers["best_of"] = only("1 alone", [](const Json& value) { return value == 1; });
  FieldStatus status = read_fields(body, readers, UnknownFields::kIgnored);
  if (status) status = check_together(request);
  if (!status) return tl::unexpected<FieldError>(std::move(status.error()));
  if (request.prompts.empty()) return missing("prompt", "a text or token ids");
  return request;
}

tl::expected<ApiRequest, FieldError> parse_chat(const Json& body, const GenerateRequest& defaults,
                                                std::string_view text) {
  ApiRequest request;
  request.generate = defaults;
  bool wants_logprobs = false;
  size_t n_top = 0;
  std::optional<size_t> max_tokens, max_completion_tokens;
  FieldReaders readers = common_fields(request, text);
  readers.merge(chat_fields(request.chat, text));
  readers["logprobs"] = flag(wants_logprobs);
  readers["top_logprobs"] = count(n_top, 0, kMostLogprobs);
  readers["max_tokens"] = [&](const Json& value) {
    return count_or_none(max_tokens.emplace(), kNoLimit)(value);
  };
  readers["max_completion_tokens"] = [&](const Json& value) {
    return count_or_none(max_completion_tokens.emplace(), kNoLimit)(value);
  };
  readers["continue_final_message"] =
      only("a new message alone", [](const Json& value) { return value == false; });
  readers["add_generation_prompt"] =
      only("a new message alone", [](const Json& value) { return value == true; });
  FieldStatus status = read_fields(body, readers, UnknownFields::kIgnored);
  if (status) status = check_together(request);
  if (!status) return tl::unexpected<FieldError>(std::move(status.error()));
  if (request.chat.messages.empty()) return missing("messages", "at least one message");
  if (max_tokens || max_completion_tokens) {
    request.generate.max_tokens =
        std::min(max_tokens.value_or(kNoLimit), max_completion_tokens.value_or(kNoLimit));
  }
  if (wants_logprobs) request.n_logprobs = n_top;
  return request;
}

}  // namespace longhaul
