#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/batch_run.h"
#include "apps/calibration_cache.h"
#include "apps/commands.h"
#include "apps/options.h"
#include "apps/output.h"
#include "base/result.h"

namespace longhaul {
namespace {

// Texts at once, if the cache of so many fits in memory.
constexpr size_t kMostTexts = 8;

struct BatchArguments {
  EngineOptions engine;
  std::string input, output;
  GenerateRequest defaults;
  size_t n_parallel = 0;
  bool calibrate = false;
};

// What the input asks for; its lines that cannot be read become errors in the output.
struct BatchInput {
  std::vector<BatchRequest> requests;
  bool is_bad = false;
};

Status check_new(const BatchRequest& request, std::map<std::string, size_t>& lines) {
  const auto [known, is_new] = lines.emplace(request.id, request.line);
  if (is_new) return {};
  return bad_input("id: expected one that no other line has, found {} as in line {}", request.id,
                   known->second);
}

Result<BatchInput> read_input(const std::string& path, const GenerateRequest& defaults,
                              BatchOutput& output) {
  LH_ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  BatchInput input;
  std::map<std::string, size_t> lines;
  size_t first = 0;
  for (size_t number = 1; first < text.size(); ++number) {
    const size_t end = std::min(text.find('\n', first), text.size());
    const std::string_view line = std::string_view(text).substr(first, end - first);
    first = end + 1;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    auto request = parse_batch_request(line, number, defaults);
    Status status;
    if (!request) status = tl::unexpected<Error>(request.error());
    if (status) status = check_new(*request, lines);
    if (status) {
      input.requests.push_back(std::move(*request));
    } else {
      input.is_bad = true;
      LH_RETURN_IF_ERROR(output.add(batch_error(id_of_line(line, number), number, status.error())));
    }
  }
  return input;
}

Result<int> batch(BatchArguments& arguments) {
  LH_RETURN_IF_ERROR(settle_block_size(arguments.engine));
  LH_RETURN_IF_ERROR(validate(arguments.defaults.attention, arguments.engine.block_size));
  LH_ASSIGN_OR_RETURN(const auto output, BatchOutput::open(arguments.output));
  LH_ASSIGN_OR_RETURN(BatchInput input, read_input(arguments.input, arguments.defaults, *output));
  constexpr int kBadLine = 2;
  if (input.requests.empty()) return input.is_bad ? kBadLine : 0;

  const bool has_samples = std::any_of(input.requests.begin(), input.requests.end(),
                                       [](const BatchRequest& request) { return request.n > 1; });
  // Room for as many prompts, held while their samples are taken, as texts that run.
  const size_t n_each = has_samples ? 2 : 1;
  const size_t n_wanted = arguments.n_parallel > 0 ? arguments.n_parallel : kMostTexts;
  LH_ASSIGN_OR_RETURN(const auto engine, load_for_texts(arguments.engine, n_wanted, n_each));
  print_warnings(*engine);
  const bool calibrates = std::any_of(
      input.requests.begin(), input.requests.end(),
      [](const BatchRequest& request) { return needs_calibration(request.request.attention); });
  if (calibrates) LH_RETURN_IF_ERROR(prepare_calibration(*engine, arguments.calibrate, false));
  const size_t n_parallel = engine->options().max_sessions / n_each;
  if (n_parallel < arguments.n_parallel) {
    fmt::print(stderr, "longhaul: warning: memory has room for {} texts at once, not {}\n",
               n_parallel, arguments.n_parallel);
  }
  BatchRun run(*engine, *output);
  LH_ASSIGN_OR_RETURN(const int status, run.run(input.requests, n_parallel));
  return input.is_bad ? kBadLine : status;
}

}  // namespace

void add_batch(CLI::App& app, CommandBody& chosen) {
  CLI::App& command = *app.add_subcommand(
      "batch", "requests from a JSONL file, several texts at once; results as JSONL");
  const auto arguments = std::make_shared<BatchArguments>();
  command
      .add_option(
          "input", arguments->input,
          "requests, a JSON object a line: prompt, messages or tokens, and what differs from "
          "the options; - is standard input")
      ->required()
      ->type_name("FILE");
  command
      .add_option("-o,--output", arguments->output,
                  "append results to this file; those it has are not run again")
      ->type_name("FILE");
  add_count(command, "--parallel", arguments->n_parallel,
            "texts at once; 0: up to 8, as many as the cache fits in memory for", 0, 1024);
  add_engine_options(command, arguments->engine);
  add_chat_template_option(command, arguments->engine);
  GenerateRequest& defaults = arguments->defaults;
  add_count(command, "-n,--max-tokens", defaults.max_tokens, "tokens to generate");
  command.add_option("--stop", defaults.stop, "text that ends an answer; repeatable")
      ->type_name("TEXT")
      ->expected(1)
      ->take_all();
  command.add_flag("--ignore-eos", defaults.ignore_eos, "go on after the end of the text");
  add_mode_option(command, defaults.attention.mode);
  add_selection_options(command, arguments->engine, defaults.attention);
  add_calibrate_flag(command, arguments->calibrate);
  add_sampling_options(command, defaults.sampling);
  command.callback([&chosen, arguments] { chosen = [arguments] { return batch(*arguments); }; });
}

}  // namespace longhaul
