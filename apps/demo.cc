#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/bundled_model.h"
#include "apps/calibration_cache.h"
#include "apps/commands.h"
#include "apps/demo_job.h"
#include "apps/demo_text.h"
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
  JobOptions job{.attention = {},
                 .modes = {AttentionMode::kDense, AttentionMode::kSparse, AttentionMode::kResa,
                           AttentionMode::kExact},
                 .n_rounds = 3};
  size_t n_nodes = 600;
  size_t n_other = 0;
  size_t n_entries = 145;
  uint64_t seed = 1;
  std::vector<std::string> texts;  // files to continue, one behind the other, instead of the tasks
  size_t n_tokens = 256;           // of a continuation
  bool calibrate = false;
  bool json = false;
};

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

// The tasks with their answers; 1 if exact was not dense.
Result<int> demo_jobs(const DemoArguments& arguments, Engine& engine, const Interrupt& interrupt) {
  LH_ASSIGN_OR_RETURN(const auto jobs, run_jobs(arguments, engine, interrupt));
  if (arguments.json) {
    nlohmann::ordered_json json = {{"model", engine.model_info().name}};
    for (const DemoJob& job : jobs) json["jobs"].push_back(to_json(job));
    print_json(json);
  }
  const bool promise_kept = std::all_of(
      jobs.begin(), jobs.end(), [](const DemoJob& job) { return exact_is_dense(job.runs); });
  return promise_kept ? 0 : 1;
}

Result<int> demo_text(const DemoArguments& arguments, Engine& engine, const Interrupt& interrupt) {
  std::string name, text;
  for (const std::string& path : arguments.texts) {
    LH_ASSIGN_OR_RETURN(const std::string part, read_text_file(path));
    name += (name.empty() ? "" : " + ") + std::filesystem::path(path).filename().string();
    text += part;
  }
  LH_ASSIGN_OR_RETURN(const DemoText demo,
                      run_text(engine, name, text, arguments.n_tokens, arguments.job, interrupt));
  if (arguments.json) {
    nlohmann::ordered_json json = {{"model", engine.model_info().name}};
    json.update(to_json(demo));
    print_json(json);
  } else {
    fmt::print("{}", report(demo));
  }
  return exact_is_dense(demo.runs) ? 0 : 1;
}

void print_head(const DemoArguments& arguments, const Engine& engine) {
  const ModelInfo& model = engine.model_info();
  fmt::print("{}: {}, {:.1f} M parameters, {} layers, trained for {} tokens; {} threads\n",
             printable(model.name), printable(model.architecture),
             static_cast<double>(model.n_parameters) / 1e6, model.n_layers, model.context_length,
             engine.options().n_threads);
  fmt::print("Speeds are medians of {} rounds in turn; sparse steps read blocks of {} tokens.\n\n",
             arguments.job.n_rounds, engine.options().block_size);
}

// Without a model the bundled one, with blocks it can tell apart; the selector of any other is the
// usual one.
Status settle(DemoArguments& arguments, bool has_selector) {
  EngineOptions& options = arguments.engine;
  if (options.model_path.empty()) {
    LH_ASSIGN_OR_RETURN(options.model_path, find_bundled_model());
    if (options.block_size == 0 && options.gates_path.empty()) options.block_size = kBlockSize;
    arguments.job.attention.always_draft = true;  // no draft pays in a model this small
  } else if (!has_selector) {
    arguments.job.attention.selector = default_selector(options);
    options.selectors = {arguments.job.attention.selector};
  }
  LH_RETURN_IF_ERROR(settle_block_size(options));
  LH_RETURN_IF_ERROR(validate(arguments.job.attention, options.block_size));
  options.max_sessions = 2;  // the prompt and what goes on from it
  return {};
}

Result<int> demo(DemoArguments& arguments, bool has_selector) {
  LH_RETURN_IF_ERROR(settle(arguments, has_selector));
  LH_ASSIGN_OR_RETURN(const auto engine, Engine::load(arguments.engine));
  print_warnings(*engine);
  if (any_needs_calibration(arguments.job.modes, arguments.job.attention)) {
    LH_RETURN_IF_ERROR(prepare_calibration(*engine, arguments.calibrate, arguments.json));
  }
  if (!arguments.json) print_head(arguments, *engine);
  const Interrupt interrupt;
  return arguments.texts.empty() ? demo_jobs(arguments, *engine, interrupt)
                                 : demo_text(arguments, *engine, interrupt);
}

}  // namespace

void add_demo(CLI::App& app, CommandBody& chosen) {
  CLI::App& command = *app.add_subcommand(
      "demo",
      "one long job in every mode: checkable answers of the bundled model, or a text of yours");
  const auto arguments = std::make_shared<DemoArguments>();
  add_engine_options(command, arguments->engine);
  command.get_option("--model")->required(false)->description(
      "a GGUF file; default: the bundled one");
  command.get_option("--block-size")
      ->default_str(fmt::format("{}, with -m 16, or that of --gates", kBlockSize));
  add_modes_option(command, arguments->job.modes);
  // What the bundled model was trained for (docs/training.md): any key of a block may be the one
  // that is asked for, which two points do not hold.
  arguments->job.attention.selector = "minmax";
  add_selection_options(command, arguments->engine, arguments->job.attention);
  add_calibrate_flag(command, arguments->calibrate);
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
  command
      .add_option("--text", arguments->texts,
                  "instead of the tasks: files to continue, one behind the other; repeatable")
      ->check(CLI::ExistingFile)
      ->expected(1)
      ->take_all()
      ->type_name("FILE");
  add_count(command, "-n,--max-tokens", arguments->n_tokens, "of --text's continuation", 1);
  const CLI::Option* selector = command.get_option("--selector");
  command.callback([&chosen, arguments, selector] {
    const bool has_selector = selector->count() > 0;
    chosen = [arguments, has_selector] { return demo(*arguments, has_selector); };
  });
}

}  // namespace longhaul
