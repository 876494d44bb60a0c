#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "apps/calibration_cache.h"
#include "apps/commands.h"
#include "apps/interrupt.h"
#include "apps/options.h"
#include "apps/output.h"
#include "apps/samples.h"
#include "apps/stream.h"
#include "base/result.h"

namespace longhaul {
namespace {

struct GenerateArguments {
  EngineOptions engine;
  PromptArguments prompt;
  GenerateRequest request;
  std::string save_state, load_state;
  std::string grammar_file, schema_file;
  size_t n_samples = 1;
  bool calibrate = false;
  bool chat = false;  // the prompt is what a user says
  bool json = false;
  bool quiet = false;
};

void print_result(const GenerateArguments& arguments, const GenerateResult& result) {
  if (arguments.json) {
    print_json(to_json(result));
    return;
  }
  // A terminal's next prompt begins on a line of its own; what goes to a file or pipe is the text
  // alone.
  if (isatty(STDOUT_FILENO) == 1 && !result.text.ends_with('\n')) fmt::print("\n");
  std::fflush(stdout);
  if (!arguments.quiet) fmt::print(stderr, "[{}]\n", summary(result));
}

void print_samples(const GenerateArguments& arguments, const std::vector<GenerateResult>& results) {
  if (arguments.json) {
    nlohmann::ordered_json samples = nlohmann::ordered_json::array();
    for (const GenerateResult& result : results) samples.push_back(to_json(result));
    print_json({{"samples", std::move(samples)}});
    return;
  }
  for (size_t i = 0; i < results.size(); ++i) {
    fmt::print("== sample {}\n{}\n", i + 1, results[i].text);
    std::fflush(stdout);
    if (!arguments.quiet) fmt::print(stderr, "[{}]\n", summary(results[i]));
  }
}

// All samples at once; printed in their order when all are there.
Result<int> generate_samples(GenerateArguments& arguments, Session session,
                             const Interrupt& interrupt) {
  arguments.request.wait_for_room = true;
  arguments.request.on_progress = [&](size_t, size_t, size_t) { return !interrupt.requested(); };
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
  print_samples(arguments, results);
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

// What --grammar-file or --json-schema says; null without them.
Result<std::shared_ptr<const Grammar>> read_grammar(const GenerateArguments& arguments) {
  const bool is_schema = !arguments.schema_file.empty();
  const std::string& path = is_schema ? arguments.schema_file : arguments.grammar_file;
  if (path.empty()) return nullptr;
  if (is_schema && !arguments.grammar_file.empty())
    return bad_input("--json-schema: expected it without --grammar-file");
  LH_ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  auto grammar = is_schema ? grammar_of_schema(text) : parse_gbnf(text);
  if (!grammar) return make_error(grammar.error().code, "{}: {}", path, grammar.error().message);
  return grammar;
}

Result<int> generate(GenerateArguments& arguments) {
  LH_ASSIGN_OR_RETURN(arguments.request.grammar, read_grammar(arguments));
  LH_RETURN_IF_ERROR(settle_block_size(arguments.engine));
  LH_RETURN_IF_ERROR(validate(arguments.request.attention, arguments.engine.block_size));
  const bool has_samples = arguments.n_samples > 1;
  if (has_samples && !arguments.save_state.empty())
    return bad_input("--save-state: expected one sample, found {}", arguments.n_samples);
  LH_ASSIGN_OR_RETURN(const auto engine,
                      load_for_texts(arguments.engine, arguments.n_samples, has_samples ? 2 : 1));
  print_warnings(*engine);
  if (needs_calibration(arguments.request.attention))
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
  LH_ASSIGN_OR_RETURN(arguments.request.prompt, prompt_ids(arguments, *engine, continues));

  const Interrupt interrupt;
  if (has_samples) return generate_samples(arguments, std::move(session), interrupt);
  Stream stream(!arguments.json);
  stream.attach(arguments.request, interrupt);
  LH_ASSIGN_OR_RETURN(const GenerateResult result, session.generate(arguments.request));
  stream.finish();
  print_result(arguments, result);
  if (!arguments.save_state.empty()) LH_RETURN_IF_ERROR(session.save(arguments.save_state));
  return result.finish_reason == FinishReason::kCancelled ? exit_status(ErrorCode::kCancelled) : 0;
}

}  // namespace

void add_generate(CLI::App& app, CommandBody& chosen) {
  CLI::App& command = *app.add_subcommand("generate", "continue a text");
  const auto arguments = std::make_shared<GenerateArguments>();
  add_engine_options(command, arguments->engine);
  add_prompt_options(command, arguments->prompt);
  command.add_flag("--chat", arguments->chat, "the prompt is what a user says in a chat");
  add_chat_template_option(command, arguments->engine);
  add_count(command, "--n", arguments->n_samples,
            "samples of one prompt, seeds from --seed on, all at once", 1, 1024);
  add_count(command, "-n,--max-tokens", arguments->request.max_tokens, "tokens to generate");
  command.add_option("--stop", arguments->request.stop, "text that ends the answer; repeatable")
      ->type_name("TEXT")
      ->expected(1)
      ->take_all();
  command.add_flag("--ignore-eos", arguments->request.ignore_eos,
                   "go on after the end of the text");
  command
      .add_option("--grammar-file", arguments->grammar_file,
                  "the answer is a text of this grammar, in GBNF")
      ->type_name("FILE");
  command
      .add_option("--json-schema", arguments->schema_file,
                  "the answer is JSON as this schema allows it")
      ->type_name("FILE");
  add_mode_option(command, arguments->request.attention.mode);
  add_selection_options(command, arguments->engine, arguments->request.attention);
  add_calibrate_flag(command, arguments->calibrate);
  add_sampling_options(command, arguments->request.sampling);
  command.add_option("--load-state", arguments->load_state, "start from a saved text and cache")
      ->check(CLI::ExistingFile)
      ->type_name("FILE");
  command.add_option("--save-state", arguments->save_state, "save the text and its cache")
      ->type_name("FILE");
  command.add_flag("--json", arguments->json, "print one JSON document");
  command.add_flag("-q,--quiet", arguments->quiet, "no line about speed on standard error");
  command.callback([&chosen, arguments] { chosen = [arguments] { return generate(*arguments); }; });
}

}  // namespace longhaul
