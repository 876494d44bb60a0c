// Texts: /completions and /chat/completions.
#include <nlohmann/json.hpp>
#include <random>

#include "server/answer.h"
#include "server/api_request.h"
#include "server/chat_prompt.h"
#include "server/endpoints.h"

namespace longhaul {
namespace {

// Seeds of requests that have none: by chance, or as it was the first time.
uint64_t seed_of(const Call& call) {
  return call.kept != nullptr ? call.kept->seed : seed_by_chance();
}

AnswerIdentity identity_of(const Call& call) {
  if (call.kept == nullptr) return new_identity();
  return {call.kept->id, call.kept->created};
}

Result<std::vector<int32_t>> encode(const Engine& engine, const Prompt& prompt) {
  if (prompt.tokens) return *prompt.tokens;
  return engine.tokenize(prompt.text, /*add_bos=*/true, /*parse_special=*/true);
}

// What could not go on as it began.
ApiStatus check_kept(const ApiRequest& request) {
  if (request.n_choices() > 1) {
    return refuse(
        {.message = fmt::format("n: expected one choice of a request with an id, found {}",
                                request.n_choices()),
         .param = "n"});
  }
  const AttentionOptions& attention = request.generate.attention;
  const bool is_exact =
      attention.auto_may == AttentionMode::kDense || attention.auto_may == AttentionMode::kExact;
  if (attention.mode != AttentionMode::kAuto || is_exact) return {};
  return refuse({.message = "longhaul.auto_may: expected dense in a request with an id, whose "
                            "answer may have to go on the same; found a looser mode",
                 .param = "longhaul"});
}

// What no text could be made of, before any work.
ApiStatus check(const Services& services, const Call& call, const ApiRequest& request) {
  if (request.n_choices() > services.options.max_choices) {
    return refuse({.message = fmt::format("n: expected at most {} choices in all, found {}",
                                          services.options.max_choices, request.n_choices()),
                   .param = "n"});
  }
  const AttentionOptions& attention = request.generate.attention;
  const Status status = validate(attention, services.engine.options().block_size);
  if (!status) return refuse(to_api_error(status.error(), "longhaul"));
  return call.kept == nullptr ? ApiStatus() : check_kept(request);
}

ApiStatus check_prompt(const Services& services, const std::vector<int32_t>& tokens) {
  const size_t n_ctx = services.engine.options().ctx_size;
  const size_t vocab_size = services.engine.model_info().vocab_size;
  if (tokens.empty())
    return refuse(
        {.message = "prompt: expected at least one token, found none", .param = "prompt"});
  if (tokens.size() >= n_ctx) return refuse(prompt_too_long(tokens.size(), n_ctx));
  for (const int32_t token : tokens) {
    if (static_cast<size_t>(token) < vocab_size) continue;
    return refuse(
        {.message = fmt::format("prompt: expected token ids below {}, found {}", vocab_size, token),
         .param = "prompt"});
  }
  return {};
}

// One job for each choice of a prompt: the first reads it, the others follow.
void add_jobs(const ApiRequest& request, const Call& call, Answer& answer,
              std::vector<int32_t> tokens, const std::string& echo, size_t first_index,
              std::vector<TextJob>& jobs) {
  TextJob job;
  job.request = request.generate;
  job.request.prompt = std::move(tokens);
  job.request.n_top_logprobs = request.n_logprobs.value_or(0);
  job.owner = call.owner;
  job.use_kept = request.use_kept;
  job.scores_prompt = request.echo && request.n_logprobs.has_value();
  job.wants_tokens = request.n_logprobs.has_value();
  job.wants_text = request.is_stream;
  job.gone = call.exchange->gone();
  if (call.kept != nullptr) {
    job.on_mark = call.kept->on_mark;
    // How likely tokens were is not kept: such an answer begins again.
    if (!job.wants_tokens) job.resumed = call.kept->resumed;
  }
  std::vector<TextJob> followers;
  for (size_t i = 1; i < request.n; ++i) {
    TextJob& follower = followers.emplace_back(job);
    follower.request.sampling.seed += i;
    follower.sink = answer.choice(first_index + i, echo, false);
  }
  job.sink = answer.choice(first_index, echo, true);
  job.followers = std::move(followers);
  jobs.push_back(std::move(job));
}

struct EncodedPrompt {
  std::vector<int32_t> tokens;
  std::string echo;
};

ApiStatus run(Services& services, Call& call, ApiRequest& request,
              std::vector<EncodedPrompt> prompts, OutputOptions output,
              std::unique_ptr<AnswerShape> shape) {
  if (!request.has_seed && !services.options.fixed_seed)
    request.generate.sampling.seed = seed_of(call);
  const AnswerOptions options{
      .is_stream = request.is_stream,
      .includes_usage = request.include_usage || services.options.always_usage,
      .has_logprobs = request.n_logprobs.has_value(),
      .output = std::move(output)};
  const auto answer =
      std::make_shared<Answer>(call.exchange, std::move(shape), options, request.n_choices());
  std::vector<TextJob> jobs;
  for (size_t i = 0; i < prompts.size(); ++i) {
    add_jobs(request, call, *answer, std::move(prompts[i].tokens), prompts[i].echo, i * request.n,
             jobs);
  }
  if (request.is_stream) call.exchange->begin_stream();
  if (services.runner.submit(jobs, call.kept != nullptr && call.kept->is_resumed)) return {};
  services.metrics.refused();
  if (services.runner.is_draining()) return refuse(shutting_down());
  return refuse(overloaded("the queue of this server is full: expected a later try",
                           services.runner.retry_after_s()));
}

}  // namespace

ApiStatus complete(Services& services, Call& call) {
  const auto body = json_body(call);
  if (!body) return refuse(body.error());
  auto request = parse_completion(*body, services.options.defaults, call.request.body);
  if (!request) return refuse(to_api_error(request.error()));
  if (ApiStatus status = check(services, call, *request); !status) return status;
  std::vector<EncodedPrompt> prompts;
  for (const Prompt& prompt : request->prompts) {
    auto tokens = encode(services.engine, prompt);
    if (!tokens) return refuse(to_api_error(tokens.error(), "prompt"));
    if (ApiStatus status = check_prompt(services, *tokens); !status) return status;
    std::string echo;
    if (request->echo) echo = prompt.tokens ? services.engine.detokenize(*tokens) : prompt.text;
    prompts.push_back({std::move(*tokens), std::move(echo)});
  }
  return run(services, call, *request, std::move(prompts), {},
             make_text_shape(services.options.model_id, identity_of(call)));
}

ApiStatus chat(Services& services, Call& call) {
  const auto body = json_body(call);
  if (!body) return refuse(body.error());
  auto request = parse_chat(*body, services.options.defaults, call.request.body);
  if (!request) return refuse(to_api_error(request.error()));
  if (ApiStatus status = check(services, call, *request); !status) return status;
  auto tokens = chat_prompt(services.engine, services.chat_format, request->chat);
  if (!tokens) return refuse(to_api_error(tokens.error()));
  if (ApiStatus status = check_prompt(services, *tokens); !status) return status;
  OutputOptions output =
      output_options(services.engine, services.chat_format, request->chat, *tokens);
  request->generate.shown_tokens = shown_tokens(output);
  std::vector<EncodedPrompt> prompts;
  prompts.push_back({std::move(*tokens), {}});
  return run(services, call, *request, std::move(prompts), std::move(output),
             make_chat_shape(services.options.model_id, identity_of(call)));
}

uint64_t seed_by_chance() {
  std::random_device random;
  return uint64_t{random()} << 32U | random();
}

ApiStatus not_built(Services&, Call& call) {
  return refuse(not_supported(call.request.path + ": this server does not have it"));
}

}  // namespace longhaul
