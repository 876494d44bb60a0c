// Embeddings: what the model makes of texts, as vectors of length 1.
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "server/api_request.h"
#include "server/endpoints.h"
#include "server/generation.h"

namespace longhaul {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMostInputs = 2048;

struct EmbeddingRequest {
  std::vector<Prompt> inputs;
  Pooling pooling = Pooling::kMean;
  size_t n_dimensions = 0;  // 0: all
  bool is_base64 = false;
};

FieldStatus read_request(const nlohmann::json& body, size_t d_model, EmbeddingRequest& request) {
  FieldReaders readers;
  readers["input"] = prompts(request.inputs);
  readers["pooling"] = named(request.pooling, parse_pooling);
  readers["dimensions"] = count(request.n_dimensions, 1, d_model);
  readers["encoding_format"] = [&](const nlohmann::json& value) -> Status {
    if (value != "float" && value != "base64")
      return bad_input("expected \"float\" or \"base64\", found {}", shown(value));
    request.is_base64 = value == "base64";
    return {};
  };
  return read_fields(body, readers, UnknownFields::kIgnored);
}

// Cut to `n` dimensions and brought to length 1; zeros stay.
void settle(std::vector<float>& embedding, size_t n) {
  if (n > 0) embedding.resize(n);
  double sum = 0;
  for (const float number : embedding) sum += double{number} * number;
  if (sum <= 0) return;
  const double scale = 1 / std::sqrt(sum);
  for (float& number : embedding) number = static_cast<float>(number * scale);
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const size_t n = std::min<size_t>(3, bytes.size() - at);
    uint32_t three = 0;
    for (size_t i = 0; i < 3; ++i)
      three = three << 8U | (i < n ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    for (size_t i = 0; i < 4; ++i) text += i <= n ? kDigits[three >> (18 - 6 * i) & 63U] : '=';
  }
  return text;
}

// As 32-bit floats in this machine's order, which is that of all machines this runs on.
Json to_json(const std::vector<float>& embedding, bool is_base64) {
  if (!is_base64) return embedding;
  return base64(
      {reinterpret_cast<const char*>(embedding.data()), embedding.size() * sizeof(float)});
}

class EmbeddingSink : public TextSink {
 public:
  EmbeddingSink(std::shared_ptr<Exchange> exchange, std::string model, size_t n_dimensions,
                bool is_base64)
      : exchange_(std::move(exchange)),
        model_(std::move(model)),
        n_dimensions_(n_dimensions),
        is_base64_(is_base64) {}

  void on_prompt_token(NamedToken) override {}
  bool on_token(NamedToken) override { return true; }
  bool on_text(std::string_view) override { return true; }
  void on_end(const TextOutcome& outcome) override {
    if (!outcome.result)
      return exchange_->fail(to_api_error(outcome.result.error()), openai_errors());
    Json data = Json::array();
    for (std::vector<float> embedding : outcome.embeddings) {
      settle(embedding, n_dimensions_);
      data.push_back({{"object", "embedding"},
                      {"index", data.size()},
                      {"embedding", to_json(embedding, is_base64_)}});
    }
    const size_t n_tokens = outcome.result->prompt_tokens;
    exchange_->reply(
        json_reply({{"object", "list"},
                    {"data", std::move(data)},
                    {"model", model_},
                    {"usage", {{"prompt_tokens", n_tokens}, {"total_tokens", n_tokens}}}}));
  }

 private:
  const std::shared_ptr<Exchange> exchange_;
  const std::string model_;
  const size_t n_dimensions_;
  const bool is_base64_;
};

}  // namespace

ApiStatus embed(Services& services, Call& call) {
  const auto body = json_body(call);
  if (!body) return refuse(body.error());
  EmbeddingRequest request{.inputs = {}, .pooling = services.options.pooling};
  const size_t d_model = services.engine.model_info().d_model;
  if (const auto status = read_request(*body, d_model, request); !status)
    return refuse(to_api_error(status.error()));
  if (request.inputs.empty() || request.inputs.size() > kMostInputs) {
    return refuse({.message = fmt::format("input: expected 1 to {} texts or lists of token ids, "
                                          "found {}",
                                          kMostInputs, request.inputs.size()),
                   .param = "input"});
  }
  TextJob job;
  for (const Prompt& input : request.inputs) {
    // What documents say is data: a name of a control token in it is text.
    auto tokens = input.tokens ? Result<std::vector<int32_t>>(*input.tokens)
                               : services.engine.tokenize(input.text, /*add_bos=*/true,
                                                          /*parse_special=*/false);
    if (!tokens) return refuse(to_api_error(tokens.error(), "input"));
    if (ApiStatus status = check_prompt(services, *tokens, "input"); !status) return status;
    job.embed.push_back(std::move(*tokens));
  }
  job.pooling = request.pooling;
  job.owner = call.owner;
  job.gone = call.exchange->gone();
  job.sink = std::make_shared<EmbeddingSink>(call.exchange, services.options.model_id,
                                             request.n_dimensions, request.is_base64);
  std::vector<TextJob> jobs;
  jobs.push_back(std::move(job));
  return submit(services, call, jobs);
}

}  // namespace longhaul
