#include "server/generation.h"

#include <random>

#include "server/answer.h"
#include "server/chat_prompt.h"
#include "server/forced_call.h"

namespace longhaul {
namespace {

// Seeds of requests that have none: by chance, or as it was the first time.
uint64_t seed_of(const Call& call) {
  return call.kept != nullptr ? call.kept->seed : seed_by_chance();
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

}  // namespace

ApiStatus check(const Services& services, const Call& call, const ApiRequest& request) {
  if (request.n_choices() > services.options.max_choices) {
    return refuse({.message = fmt::format("n: expected at most {} choices in all, found {}",
                                          services.options.max_choices, request.n_choices()),
                   .param = "n"});
  }
  const size_t n_slots = services.slots.size();
  if (request.slot != kAnySlot && request.slot >= n_slots) {
    return refuse({.message = fmt::format("id_slot: expected a slot below {}, or -1, found {}",
                                          n_slots, request.slot),
                   .param = "id_slot"});
  }
  const AttentionOptions& attention = request.generate.attention;
  const Status status = validate(attention, services.engine.options().block_size);
  if (!status) return refuse(to_api_error(status.error(), "longhaul"));
  return call.kept == nullptr ? ApiStatus() : check_kept(request);
}

ApiStatus check_prompt(const Services& services, const std::vector<int32_t>& tokens,
                       const std::string& field) {
  const size_t n_ctx = services.engine.options().ctx_size;
  const size_t vocab_size = services.engine.model_info().vocab_size;
  if (tokens.empty())
    return refuse({.message = field + ": expected at least one token, found none", .param = field});
  if (tokens.size() >= n_ctx) return refuse(prompt_too_long(tokens.size(), n_ctx));
  for (const int32_t token : tokens) {
    if (static_cast<size_t>(token) < vocab_size) continue;
    return refuse({.message = fmt::format("{}: expected token ids below {}, found {}", field,
                                          vocab_size, token),
                   .param = field});
  }
  return {};
}

ApiStatus submit(Services& services, const Call& call, std::vector<TextJob>& jobs) {
  if (services.runner.submit(jobs, call.kept != nullptr && call.kept->is_resumed)) return {};
  services.metrics.refused();
  if (services.runner.is_draining()) return refuse(shutting_down());
  return refuse(overloaded("the queue of this server is full: expected a later try",
                           services.runner.retry_after_s()));
}

namespace {

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
  if (request.slot != kAnySlot) job.slot = request.slot;
  if (call.kept != nullptr) {
    job.request_id = call.kept->id;
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

}  // namespace

ApiStatus generate(Services& services, Call& call, ApiRequest& request,
                   std::vector<EncodedPrompt> prompts, OutputOptions output,
                   std::unique_ptr<AnswerShape> shape) {
  if (!request.has_seed && !services.options.fixed_seed)
    request.generate.sampling.seed = seed_of(call);
  const AnswerOptions options{
      .is_stream = request.is_stream,
      .includes_usage = request.include_usage || services.options.always_usage,
      .has_logprobs = request.n_logprobs.has_value(),
      .output = std::move(output),
      .n_prompt = prompts.front().tokens.size(),
      .token_text = [&engine = services.engine](int32_t token) {
        return engine.token_text(token);
      }};
  const auto answer =
      std::make_shared<Answer>(call.exchange, std::move(shape), options, request.n_choices());
  std::vector<TextJob> jobs;
  for (size_t i = 0; i < prompts.size(); ++i) {
    add_jobs(request, call, *answer, std::move(prompts[i].tokens), prompts[i].echo, i * request.n,
             jobs);
  }
  if (request.is_stream) call.exchange->begin_stream();
  ApiStatus status = submit(services, call, jobs);
  if (status && request.is_stream && call.kept != nullptr) answer->begin();
  return status;
}

AnswerIdentity identity_of(const Call& call) {
  if (call.kept == nullptr) return new_identity();
  return {call.kept->id, call.kept->created};
}

namespace {

// Makes the answer a call: the prompt goes on with its mark, and a grammar says what may follow.
ApiStatus force_call(Services& services, ApiRequest& request, std::vector<int32_t>& prompt,
                     OutputOptions& output) {
  if (output.calls == nullptr) {
    return refuse({.message = "tool_choice: expected tools to choose from, found none",
                   .param = "tool_choice"});
  }
  if (request.generate.grammar != nullptr || request.generate.ignore_eos) {
    return refuse({.message = "tool_choice: expected auto or none beside ignore_eos or a format of "
                              "the text, found a call that is to be made",
                   .param = "tool_choice"});
  }
  auto calls = forced_calls(*output.calls, request.chat);
  if (!calls) return refuse(to_api_error(calls.error()));
  output.begins_with = forced_opening(*output.calls, output.begins_in_reasoning);
  const auto tokens = services.engine.tokenize(output.begins_with, /*add_bos=*/false,
                                               /*parse_special=*/true);
  if (!tokens) return refuse(to_api_error(tokens.error(), "tool_choice"));
  prompt.insert(prompt.end(), tokens->begin(), tokens->end());
  request.generate.grammar = std::move(*calls);
  return check_prompt(services, prompt);
}

}  // namespace

ApiStatus generate_chat(Services& services, Call& call, ApiRequest& request,
                        std::unique_ptr<AnswerShape> shape) {
  if (ApiStatus status = check(services, call, request); !status) return status;
  auto tokens = chat_prompt(services.engine, services.chat_format, request.chat);
  if (!tokens) return refuse(to_api_error(tokens.error()));
  if (ApiStatus status = check_prompt(services, *tokens); !status) return status;
  OutputOptions output =
      output_options(services.engine, services.chat_format, request.chat, *tokens);
  if (request.chat.must_call) {
    if (ApiStatus status = force_call(services, request, *tokens, output); !status) return status;
  }
  request.generate.shown_tokens = shown_tokens(output);
  std::vector<EncodedPrompt> prompts;
  prompts.push_back({std::move(*tokens), {}});
  return generate(services, call, request, std::move(prompts), std::move(output), std::move(shape));
}

uint64_t seed_by_chance() {
  std::random_device random;
  return uint64_t{random()} << 32U | random();
}

}  // namespace longhaul
