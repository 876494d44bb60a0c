// What the server is and how it fares.
#include <ctime>
#include <nlohmann/json.hpp>

#include "server/endpoints.h"

namespace longhaul {
namespace {

using Json = nlohmann::ordered_json;

Json model_entry(const Services& services) {
  const ModelInfo& info = services.engine.model_info();
  const std::string& id = services.options.model_id;
  static const std::time_t kStarted = std::time(nullptr);
  return {{"id", id},
          {"object", "model"},
          {"created", kStarted},
          {"owned_by", "longhaul"},
          {"root", id},
          {"max_model_len", services.engine.options().ctx_size},
          {"meta",
           {{"n_ctx_train", info.context_length},
            {"n_vocab", info.vocab_size},
            {"n_embd", info.d_model},
            {"n_params", info.n_parameters},
            {"size", info.weight_bytes}}}};
}

}  // namespace

ApiStatus health(Services& services, Call& call) {
  if (services.runner.is_draining()) return refuse(shutting_down());
  call.exchange->reply(json_reply({{"status", "ok"}}));
  return {};
}

ApiStatus list_models(Services& services, Call& call) {
  call.exchange->reply(
      json_reply({{"object", "list"}, {"data", Json::array({model_entry(services)})}}));
  return {};
}

ApiStatus show_model(Services& services, Call& call) {
  if (call.argument != services.options.model_id) {
    ApiError error = not_found("no such model: expected " + services.options.model_id + ", found " +
                               call.argument);
    error.code = "model_not_found";
    return tl::unexpected<ApiError>(std::move(error));
  }
  call.exchange->reply(json_reply(model_entry(services)));
  return {};
}

ApiStatus show_props(Services& services, Call& call) {
  const GenerateRequest& defaults = services.options.defaults;
  const SamplingOptions& sampling = defaults.sampling;
  const AttentionOptions& attention = defaults.attention;
  const size_t n_ctx = services.engine.options().ctx_size;
  Json generation = {{"n_ctx", n_ctx},
                     {"params",
                      {{"temperature", sampling.temperature},
                       {"top_k", sampling.top_k},
                       {"top_p", sampling.top_p},
                       {"min_p", sampling.min_p},
                       {"repeat_penalty", sampling.repetition_penalty},
                       {"presence_penalty", sampling.presence_penalty},
                       {"frequency_penalty", sampling.frequency_penalty}}},
                     {"longhaul",
                      {{"attention", to_string(attention.mode)},
                       {"selector", attention.selector},
                       {"sparse_ratio", attention.sparse_ratio},
                       {"token_budget", attention.token_budget},
                       {"rectify_every", attention.rectify_every},
                       {"block_size", services.engine.options().block_size}}}};
  call.exchange->reply(json_reply({{"default_generation_settings", std::move(generation)},
                                   {"total_slots", services.options.n_parallel},
                                   {"model_alias", services.options.model_id},
                                   {"model_name", services.engine.model_info().name},
                                   {"architecture", services.engine.model_info().architecture}}));
  return {};
}

ApiStatus show_metrics(Services& services, Call& call) {
  call.exchange->reply({.content_type = "text/plain; version=0.0.4; charset=utf-8",
                        .body = services.metrics.prometheus()});
  return {};
}

}  // namespace longhaul
