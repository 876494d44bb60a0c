#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "apps/calibration_cache.h"
#include "apps/commands.h"
#include "apps/context.h"
#include "apps/generate_options.h"
#include "apps/interrupt.h"
#include "apps/output.h"
#include "apps/samples.h"
#include "apps/stream.h"
#include "apps/summary.h"
#include "apps/token_log.h"
#include "base/result.h"

namespace longhaul {
namespace {

// With what makes a run repeatable.
nlohmann::ordered_json document(const GenerateResult& result, uint64_t seed,
                                const SummaryFacts& facts) {
  nlohmann::ordered_json json = to_json(result);
  json["seed"] = seed;
  json["context_full"] = filled_context(result, facts);
  return json;
}

Status print_summary(const GenerateArguments& arguments, const GenerateResult& result,
                     const SummaryFacts& facts) {
  LH_RETURN_IF_ERROR(flush_output());  // the text stands before it at a terminal
  if (!arguments.quiet) fmt::print(stderr, "[{}]\n", summary(result, facts));
  return {};
}

Status print_result(const GenerateArguments& arguments, const GenerateResult& result,
                    const SummaryFacts& facts, const TokenLog& log, const Engine& engine) {
  if (arguments.json) {
    auto json = document(result, arguments.request.sampling.seed, facts);
    if (arguments.has_logprobs) json["logprobs"] = log.to_json(engine);
    print_json(json);
    return {};
  }
  // A terminal's next prompt begins on a line of its own; what goes to a file or pipe is the text
  // alone.
  if (isatty(STDOUT_FILENO) == 1 && !result.text.ends_with('\n')) fmt::print("\n");
  return print_summary(arguments, result, facts);
}

Status print_samples(const GenerateArguments& arguments, const std::vector<GenerateResult>& results,
                     SummaryFacts facts) {
  const uint64_t first_seed = arguments.request.sampling.seed;
  nlohmann::ordered_json samples = nlohmann::ordered_json::array();
  for (size_t i = 0; i < results.size(); ++i) {
    if (arguments.json) {
      samples.push_back(document(results[i], first_seed + i, facts));
      continue;
    }
    if (facts.seed) facts.seed = first_seed + i;
    fmt::print("== sample {}\n{}\n", i + 1, results[i].text);
    LH_RETURN_IF_ERROR(print_summary(arguments, results[i], facts));
  }
  if (arguments.json) print_json({{"samples", std::move(samples)}});
  return {};
}

// All samples at once; printed in their order when all are there.
Result<int> generate_samples(GenerateArguments& arguments, Engine& engine, Session session,
                             const Interrupt& interrupt) {
  arguments.request.wait_for_room = true;
  arguments.request.on_progress = [&](size_t, size_t, size_t) { return !interrupt.requested(); };
  const SummaryFacts facts = facts_of(engine, session.tokens().size(), arguments.request);
  LH_ASSIGN_OR_RETURN(const auto prompt, SharedPrompt::read(std::move(session), arguments.request,
                                                            arguments.n_samples));
  std::vector<Result<GenerateResult>> taken(arguments.n_samples);
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < arguments.n_samples; ++i) {
    threads.emplace_back([&, i] { taken[i] = prompt->sample(i); });
  }
  threads.clear();
  std::vector<GenerateResult> results;
  for (Result<GenerateResult>& result : taken) {
    LH_RETURN_IF_ERROR(result);
    results.push_back(std::move(*result));
  }
  LH_RETURN_IF_ERROR(print_samples(arguments, results, facts));
  return interrupt.requested() ? exit_status(ErrorCode::kCancelled) : 0;
}

// The prompt's tokens: as it stands, or as a user's turn with --chat.
Result<std::vector<int32_t>> prompt_ids(const GenerateArguments& arguments, const Engine& engine,
                                        bool continues) {
  if (!arguments.chat) return read_prompt(arguments.prompt, engine, continues);
  if (continues) return bad_input("--chat: expected a text from its beginning, found --load-state");
  if (arguments.prompt.has_tokens) return bad_input("--chat: expected a text, found --tokens");
  LH_ASSIGN_OR_RETURN(std::string text, prompt_text(arguments.prompt));
  const ChatTurn turn{"user", std::move(text)};
  return engine.tokenize_chat({&turn, 1});
}

// After Ctrl-C while the prompt was read, what was read of it: saving reads nothing to its end.
Status save(const GenerateArguments& arguments, const GenerateResult& result, Session& session) {
  if (result.finish_reason == FinishReason::kCancelled && result.tokens.empty()) {
    const size_t n_asked = session.tokens().size();
    session.truncate(session.n_clean());
    const size_t n_read = session.tokens().size();
    fmt::print(stderr, "[{}: {} of {} tokens were read{}]\n", arguments.save_state, n_read, n_asked,
               n_read == 0 ? ", nothing is saved" : " and are saved");
    if (n_read == 0) return {};
  }
  return session.save(arguments.save_state);
}

Result<int> generate_one(GenerateArguments& arguments, Engine& engine, Session session,
                         const Interrupt& interrupt) {
  GenerateRequest& request = arguments.request;
  Stream stream(!arguments.json);
  stream.attach(request, interrupt);
  TokenLog log;
  if (arguments.has_logprobs) log.attach(request, arguments.n_logprobs);
  const size_t n_before = session.tokens().size();
  Result<GenerateResult> result;
  {
    // What is to be saved or printed as a whole is waited for.
    const HardStop hard_stop(interrupt, [&] {
      const bool waits = !arguments.save_state.empty() || (arguments.json && stream.is_decoding());
      return waits ? "" : "cancelled: " + stream.progress();
    });
    result = session.generate(request);
  }
  LH_RETURN_IF_ERROR(stream.finish());
  LH_RETURN_IF_ERROR(result);
  const Status printed =
      print_result(arguments, *result, facts_of(engine, n_before, request), log, engine);
  if (!arguments.save_state.empty()) LH_RETURN_IF_ERROR(save(arguments, *result, session));
  LH_RETURN_IF_ERROR(printed);
  const bool cancelled = result->finish_reason == FinishReason::kCancelled;
  return cancelled ? exit_status(ErrorCode::kCancelled) : 0;
}

Result<int> generate(GenerateArguments& arguments) {
  LH_RETURN_IF_ERROR(settle(arguments));
  GenerateRequest& request = arguments.request;
  const bool has_samples = arguments.n_samples > 1;
  LH_ASSIGN_OR_RETURN(const auto engine,
                      load_for_texts(arguments.engine, arguments.n_samples, has_samples ? 2 : 1));
  print_warnings(*engine);
  request.max_tokens = std::min(request.max_tokens, engine->options().ctx_size);
  if (needs_calibration(request.attention))
    LH_RETURN_IF_ERROR(
        prepare_calibration(*engine, arguments.calibrate, arguments.quiet || arguments.json));
  LH_ASSIGN_OR_RETURN(Session session, engine->new_session());
  const bool continues = !arguments.load_state.empty();
  if (continues) {
    LH_ASSIGN_OR_RETURN(const size_t n_tokens, session.restore(arguments.load_state));
    if (!arguments.quiet) {
      fmt::print(stderr, "[{}: {} tokens restored]\n", arguments.load_state, n_tokens);
    }
  }
  LH_ASSIGN_OR_RETURN(request.prompt, prompt_ids(arguments, *engine, continues));
  const Interrupt interrupt;
  return has_samples ? generate_samples(arguments, *engine, std::move(session), interrupt)
                     : generate_one(arguments, *engine, std::move(session), interrupt);
}

}  // namespace

void add_generate(CLI::App& app, CommandBody& chosen) {
  CLI::App& command = *app.add_subcommand("generate", "continue a text");
  const auto arguments = std::make_shared<GenerateArguments>();
  add_generate_options(command, *arguments);
  command.callback([&chosen, &command, arguments] {
    arguments->has_seed = command.count("--seed") > 0;
    arguments->has_logprobs = command.count("--logprobs") > 0;
    chosen = [arguments] { return generate(*arguments); };
  });
}

}  // namespace longhaul
