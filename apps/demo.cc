#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/bundled_model.h"
#include "apps/commands.h"
#include "apps/demo_job.h"
#include "apps/options.h"
#include "apps/output.h"
#include "base/result.h"
#include "tasks/path.h"
#include "tasks/sum.h"

namespace longhaul {
namespace {

// Smaller than the published 16: the bundled model has two small layers and cannot attend as
// sharply as models that people use. --block-size 16 shows what that costs it.
constexpr size_t kBlockSize = 4;

struct DemoArguments {
  EngineOptions engine;
  JobOptions job{.attention = {.always_draft = true},
                 .modes = {AttentionMode::kDense, AttentionMode::kSparse, AttentionMode::kResa,
                           AttentionMode::kExact},
                 .n_rounds = 3};
  size_t n_nodes = 600;
  size_t n_other = 0;
  size_t n_entries = 145;
  uint64_t seed = 1;
  bool json = false;
};

constexpr const char* kTextPrompt = "The king";
constexpr size_t kTextTokens = 48;

Result<std::string> text_sample(Engine& engine, const Interrupt& interrupt) {
  LH_ASSIGN_OR_RETURN(Session session, engine.new_session());
  GenerateRequest request;
  LH_ASSIGN_OR_RETURN(request.prompt, engine.tokenize(kTextPrompt, true, false));
  request.max_tokens = kTextTokens;
  request.on_progress = [&](size_t, size_t, size_t) { return !interrupt.requested(); };
  LH_ASSIGN_OR_RETURN(const GenerateResult result, session.generate(request));
  return kTextPrompt + result.text;
}

Result<std::vector<DemoJob>> run_jobs(const DemoArguments& arguments, Engine& engine,
                                      const Interrupt& interrupt) {
  const PathTaskOptions path{.n_nodes = static_cast<int>(arguments.n_nodes),
                             .n_other = static_cast<int>(arguments.n_other)};
  LH_ASSIGN_OR_RETURN(Task path_task, make_path_task(path, arguments.seed));
  const SumTaskOptions sum{.n_entries = static_cast<int>(arguments.n_entries)};
  LH_ASSIGN_OR_RETURN(Task sum_task, make_sum_task(sum, arguments.seed));

  std::vector<DemoJob> jobs;
  auto run = [&](std::string title, Task task) -> Status {
    LH_ASSIGN_OR_RETURN(
        DemoJob job, run_job(engine, std::move(title), std::move(task), arguments.job, interrupt));
    if (!arguments.json) {
      fmt::print("{}\n", report(job));
      std::fflush(stdout);
    }
    jobs.push_back(std::move(job));
    return {};
  };
  LH_RETURN_IF_ERROR(run(fmt::format("path of {} nodes", arguments.n_nodes), std::move(path_task)));
  LH_RETURN_IF_ERROR(
      run(fmt::format("sum of {} numbers", arguments.n_entries), std::move(sum_task)));
  return jobs;
}

Result<int> demo(DemoArguments& arguments) {
  EngineOptions& options = arguments.engine;
  if (options.block_size == 0 && options.gates_path.empty()) options.block_size = kBlockSize;
  LH_RETURN_IF_ERROR(settle_block_size(options));
  LH_RETURN_IF_ERROR(validate(arguments.job.attention, arguments.engine.block_size));
  if (arguments.engine.model_path.empty()) {
    LH_ASSIGN_OR_RETURN(arguments.engine.model_path, find_bundled_model());
  }
  LH_ASSIGN_OR_RETURN(const auto engine, Engine::load(arguments.engine));
  print_warnings(*engine);
  const ModelInfo& model = engine->model_info();
  if (!arguments.json) {
    fmt::print("{}: {}, {:.1f} M parameters, {} layers, trained for {} tokens; {} threads\n",
               model.name, model.architecture, static_cast<double>(model.n_parameters) / 1e6,
               model.n_layers, model.context_length, engine->options().n_threads);
    fmt::print(
        "Speeds are medians of {} rounds in turn; sparse steps read blocks of {} tokens.\n\n",
        arguments.job.n_rounds, engine->options().block_size);
  }
  const Interrupt interrupt;
  LH_ASSIGN_OR_RETURN(const auto jobs, run_jobs(arguments, *engine, interrupt));
  LH_ASSIGN_OR_RETURN(const std::string sample, text_sample(*engine, interrupt));
  const bool promise_kept = std::all_of(jobs.begin(), jobs.end(),
                                        [](const DemoJob& job) { return job.exact_is_dense(); });
  if (arguments.json) {
    nlohmann::ordered_json json = {{"model", model.name}, {"text_sample", sample}};
    for (const DemoJob& job : jobs) json["jobs"].push_back(to_json(job));
    print_json(json);
  } else {
    fmt::print("And as a language model it says:\n  {}\n", sample);
  }
  return promise_kept ? 0 : 1;
}

}  // namespace

void add_demo(CLI::App& app, CommandBody& chosen) {
  CLI::App& command = *app.add_subcommand(
      "demo", "one long job with checkable answers, in every mode, on the bundled model");
  const auto arguments = std::make_shared<DemoArguments>();
  add_engine_options(command, arguments->engine);
  command.get_option("--model")->required(false)->description(
      "a GGUF file; default: the bundled one");
  command.get_option("--block-size")
      ->default_str(fmt::format("{}, or that of --gates", kBlockSize));
  add_modes_option(command, arguments->job.modes);
  // What the bundled model was trained for (docs/training.md): any key of a block may be the one
  // that is asked for, which two points do not hold.
  arguments->job.attention.selector = "minmax";
  add_selection_options(command, arguments->engine, arguments->job.attention);
  add_count(command, "--nodes", arguments->n_nodes, "nodes on the path that is asked for", 1, 1024);
  add_count(command, "--others", arguments->n_other, "nodes on other paths in the prompt", 0, 1023);
  add_count(command, "--entries", arguments->n_entries, "numbers to add up", 1, 1024);
  add_count(command, "--rounds", arguments->job.n_rounds, "runs of each mode, taking turns", 1,
            100);
  add_parsed(
      command, "--seed", parse_size,
      [arguments = arguments.get()](size_t seed) { arguments->seed = seed; },
      "of the tasks; the trainer's are above 2^32")
      ->type_name("N")
      ->default_str("1");
  command.add_flag("--json", arguments->json, "print one JSON document");
  command.callback([&chosen, arguments] { chosen = [arguments] { return demo(*arguments); }; });
}

}  // namespace longhaul
