#include "apps/generate_options.h"

#include "apps/calibration_cache.h"
#include "apps/options.h"
#include "apps/output_target.h"
#include "base/result.h"

namespace longhaul {
namespace {

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

// Options that only work beside others, or without them.
Status check_together(const GenerateArguments& arguments) {
  if (arguments.has_logprobs && !arguments.json)
    return bad_input("--logprobs: expected --json, which they are a part of, found none");
  if (arguments.n_samples == 1) return {};
  if (!arguments.save_state.empty())
    return bad_input("--save-state: expected one sample, found {}", arguments.n_samples);
  if (arguments.has_logprobs)
    return bad_input("--logprobs: expected one sample, found {}", arguments.n_samples);
  return {};
}

void add_answer_options(CLI::App& command, GenerateArguments& arguments) {
  const OptionGroup group(command, "Answer");
  GenerateRequest& request = arguments.request;
  add_max_tokens(command, request.max_tokens,
                 "tokens to generate; -1: until the text ends or the context is full");
  add_count(command, "--n", arguments.n_samples,
            "samples of one prompt, seeds from --seed on, all at once", 1, 1024);
  command.add_option("--stop", request.stop, "text that ends the answer; repeatable")
      ->type_name("TEXT")
      ->expected(1)
      ->take_all();
  command.add_flag("--ignore-eos", request.ignore_eos, "go on after the end of the text");
  command
      .add_option("--grammar-file", arguments.grammar_file,
                  "the answer is a text of this grammar, in GBNF")
      ->type_name("FILE");
  command
      .add_option("--json-schema", arguments.schema_file,
                  "the answer is JSON as this schema allows it")
      ->type_name("FILE");
}

void add_output_options(CLI::App& command, GenerateArguments& arguments) {
  const OptionGroup group(command, "States and output");
  command.add_option("--load-state", arguments.load_state, "start from a saved text and cache")
      ->check(CLI::ExistingFile)
      ->type_name("FILE");
  command
      .add_option("--save-state", arguments.save_state,
                  "save the text and its cache, also after Ctrl-C")
      ->type_name("FILE");
  command.add_flag("--json", arguments.json, "print one JSON document");
  add_count(command, "--logprobs", arguments.n_logprobs,
            "in the JSON: the log probability of each token, and of the N likeliest in its place");
  command.add_flag("-q,--quiet", arguments.quiet, "no line about speed on standard error");
}

constexpr const char* kExamples =
    "Examples:\n"
    "  longhaul generate -m model.gguf -p \"Once upon a time\" -n 200\n"
    "  longhaul generate -m model.gguf --chat -p \"Why is the sky blue?\" --temp 0.8\n"
    "  git diff | longhaul generate -m model.gguf --attention exact > review.txt\n";

}  // namespace

void add_generate_options(CLI::App& command, GenerateArguments& arguments) {
  arguments.request.max_tokens = kNoTokenLimit;
  add_engine_options(command, arguments.engine);
  add_prompt_options(command, arguments.prompt);
  {
    const OptionGroup group(command, "Prompt");
    command.add_flag("--chat", arguments.chat, "the prompt is what a user says in a chat");
    add_chat_template_option(command, arguments.engine);
  }
  add_answer_options(command, arguments);
  add_mode_option(command, arguments.request.attention.mode);
  add_selection_options(command, arguments.engine, arguments.request.attention);
  add_calibrate_flag(command, arguments.calibrate);
  add_sampling_options(command, arguments.request.sampling);
  command.get_option("--seed")->default_str("-1");
  add_output_options(command, arguments);
  put_first(command, {"--model", "--prompt", "--file", "--chat", "--max-tokens", "--ctx-size",
                      "--attention", "--temp", "--seed", "--json"});
  command.footer(kExamples);
}

Status settle(GenerateArguments& arguments) {
  GenerateRequest& request = arguments.request;
  LH_RETURN_IF_ERROR(check_together(arguments));
  LH_ASSIGN_OR_RETURN(request.grammar, read_grammar(arguments));
  if (!arguments.save_state.empty()) {
    LH_ASSIGN_OR_RETURN(arguments.save_state, output_target("--save-state", arguments.save_state));
  }
  if (!arguments.has_seed) request.sampling.seed = random_seed();
  for (std::string& stop : request.stop) {
    if (!arguments.prompt.escapes) break;
    LH_ASSIGN_OR_RETURN(stop, unescape(stop));
  }
  LH_RETURN_IF_ERROR(settle_block_size(arguments.engine));
  return validate(request.attention, arguments.engine.block_size);
}

}  // namespace longhaul
