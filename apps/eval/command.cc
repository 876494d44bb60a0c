#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "apps/bundled_model.h"
#include "apps/commands.h"
#include "apps/context.h"
#include "apps/eval/report.h"
#include "apps/eval/run.h"
#include "apps/eval/tables.h"
#include "apps/eval/verdict.h"
#include "apps/eval/wrong.h"
#include "apps/interrupt.h"
#include "apps/options.h"
#include "apps/output.h"
#include "apps/version.h"
#include "base/result.h"

namespace longhaul {
namespace {

using namespace eval;

// What a run needs of the model before any work, from an engine that is then let go.
struct Prepared {
  ModelInfo model;
  std::vector<Item> items;
};

Result<Prepared> prepare(Plan& plan) {
  LH_RETURN_IF_ERROR(settle_context(plan.engine));
  EngineOptions options = plan.engine;
  options.block_size = plan.block_sizes.front();
  options.gates_path = plan.gates_for(options.block_size);
  LH_ASSIGN_OR_RETURN(const auto engine, Engine::load(options));
  print_warnings(*engine);
  plan.engine.n_threads = engine->options().n_threads;
  plan.engine.ctx_size = engine->options().ctx_size;
  if (plan.n_jobs == 0) plan.n_jobs = default_jobs(engine->model_info(), plan.engine.n_threads);
  LH_ASSIGN_OR_RETURN(auto items, make_items(plan, *engine));
  return Prepared{engine->model_info(), std::move(items)};
}

nlohmann::ordered_json document(const Plan& plan, const ModelInfo& model, const Summary& summary) {
  nlohmann::ordered_json json = {{"model", model.name},       {"program", program_version()},
                                 {"command", command_line()}, {"threads", plan.engine.n_threads},
                                 {"jobs", plan.n_jobs},       {"plan", to_json(plan)}};
  json.update(to_json(summary));
  return json;
}

// The tokens that the prompts of each file begin with, from its worked examples.
std::map<std::string, size_t> shared_tokens(const std::vector<Item>& items) {
  std::map<std::string, size_t> shared;
  for (const Item& item : items) {
    if (item.n_shared > 0) shared[item.task] = item.n_shared;
  }
  return shared;
}

void print_shared(const Plan& plan, const std::vector<Item>& items, const RunCounts& counts) {
  const auto shared = shared_tokens(items);
  for (const auto& [task, n_tokens] : shared) {
    fmt::print("{}: its last {} as worked examples, the first {} tokens of every prompt.\n", task,
               plan.n_shots == 1 ? "line" : fmt::format("{} lines", plan.n_shots), n_tokens);
  }
  if (!shared.empty()) {
    fmt::print("Of what prompts share {} tokens were read in this run.\n", counts.n_prefix_tokens);
  }
}

Status report(const Plan& plan, const Prepared& prepared, const std::vector<Setting>& settings,
              const Store& store) {
  const auto recalls = make_recall_settings(plan);
  const Summary summary = summarize(store.records(), prepared.items, settings, recalls);
  const auto wrong = wrong_items(store.records(), prepared.items, settings);
  auto json = document(plan, prepared.model, summary);
  if (plan.n_shots > 0) json["shared_tokens"] = shared_tokens(prepared.items);
  if (plan.n_wrong > 0) json["wrong"] = to_json(wrong, plan.n_wrong);
  LH_RETURN_IF_ERROR(store.write_file("report.json", json.dump(2) + "\n"));
  const auto asked = to_json(plan);
  LH_RETURN_IF_ERROR(store.write_file(
      "report.html", html_report({asked,
                                  prepared.model,
                                  summary,
                                  settings,
                                  recalls,
                                  wrong,
                                  {date_now(), program_version(), command_line()}})));
  if (plan.json) {
    print_json(json);
    return {};
  }
  fmt::print("{}\n", plain_text(tables(summary)));
  if (const std::string words = verdict(summary, settings); !words.empty()) {
    fmt::print("{}\n\n", words);
  }
  if (plan.n_wrong > 0) fmt::print("{}\n", plain_text(wrong, plan.n_wrong));
  fmt::print("{} items at once on {} threads; the speeds are those of one among them.\n",
             plan.n_jobs, plan.engine.n_threads);
  if (!plan.out.empty()) fmt::print("{0}/report.html and {0}/report.json hold it all.\n", plan.out);
  return {};
}

Result<int> run_eval(Plan& plan) {
  LH_RETURN_IF_ERROR(settle_gates(plan));
  LH_ASSIGN_OR_RETURN(const auto settings, make_settings(plan));
  if (plan.tasks.empty() && plan.questions.empty()) plan.tasks = {"path", "sum", "recall"};
  if (plan.engine.model_path.empty()) {
    LH_ASSIGN_OR_RETURN(plan.engine.model_path, find_bundled_model());
  }
  LH_ASSIGN_OR_RETURN(const Prepared prepared, prepare(plan));
  LH_ASSIGN_OR_RETURN(const auto store, Store::open(plan));
  const Interrupt interrupt;
  const auto counts = run(
      plan, prepared.items, settings, [&] { return !interrupt.requested(); }, *store);
  if (!counts && counts.error().code == ErrorCode::kCancelled && !plan.out.empty()) {
    return make_error(ErrorCode::kCancelled, "stopped; the same command goes on from {}", plan.out);
  }
  LH_RETURN_IF_ERROR(counts);
  LH_RETURN_IF_ERROR(report(plan, prepared, settings, *store));
  if (!plan.json) print_shared(plan, prepared.items, *counts);
  return 0;
}

Result<std::string> parse_task(std::string_view text) {
  const auto known = task_names_known();
  if (std::find(known.begin(), known.end(), text) != known.end()) return std::string(text);
  return bad_input("expected {}, found '{}'", fmt::join(known, ", "), text);
}

Result<double> parse_share(std::string_view text) {
  LH_ASSIGN_OR_RETURN(const double value, parse_real(text));
  if (value >= 0 && value <= 1) return value;
  return bad_input("expected a number from 0 to 1, found {}", text);
}

void add_item_options(CLI::App& command, Plan& plan) {
  add_list(command, "--tasks", parse_task, plan.tasks,
           fmt::format("{}", fmt::join(task_names_known(), ", ")))
      ->type_name("NAMES")
      ->default_str("path,sum,recall; with --questions none");
  command
      .add_option("--questions", plan.questions,
                  "JSONL files with prompt (or question), answer, perhaps choices")
      ->type_name("FILE");
  add_count(command, "--shots", plan.n_shots,
            "last lines of each file that stand before every question, with their answers");
  command.add_option("--check", plan.check, "of their answers: exact, boxed or choice")
      ->check(CLI::IsMember({"exact", "boxed", "choice"}))
      ->type_name("KIND");
  command.add_option("--text", plan.text_file, "the file of the tasks text and perplexity")
      ->type_name("FILE");
  add_list(command, "--lengths", parse_size, plan.lengths, "tokens of prompt and right answer")
      ->type_name("N,N,..")
      ->default_str("1K");
  add_list(command, "--depths", parse_share, plan.depths, "where needles lie, from 0 to 1")
      ->type_name("X,X,..")
      ->default_str("0,0.25,0.5,0.75,1");
  add_count(command, "--items", plan.n_items, "items per task and length", 1);
  add_count(command, "--queries", plan.n_queries, "recall: keys asked for", 1);
  add_count(command, "--stride", plan.stride, "perplexity: tokens per window; 0: half of it");
  add_count(command, "--windows", plan.n_windows, "perplexity: windows; 0: all of the file");
  add_count(command, "--score-tokens", plan.n_score, "forced, recall: tokens of an answer", 2);
  add_count(command, "--max-tokens", plan.max_tokens,
            "of an answer; 0: as many as the right one has, and a few");
  add_count(command, "--seed", plan.seed, "of the first item; the trainer's are above 2^32");
  command.add_flag("--chat", plan.chat, "ask in the model's chat format");
  add_chat_template_option(command, plan.engine);
}

void add_setting_options(CLI::App& command, Plan& plan) {
  add_modes_option(command, plan.modes);
  add_list(command, "--selector", parse_selector, plan.selectors, "who chooses the blocks")
      ->type_name("NAMES")
      ->default_str(AttentionOptions().selector + "; with --gates gate");
  add_list(
      command, "--gates",
      [](std::string_view path) -> Result<std::string> { return std::string(path); },
      plan.gate_paths, "learned gates, one file for each block size")
      ->type_name("FILE,FILE,..");
  add_list(command, "--gate-threshold", parse_share, plan.gate_thresholds,
           "gate: every block whose share of the gate's softmax is above X")
      ->type_name("X,X,..");
  add_list(command, "--sparse-ratio", parse_real, plan.ratios, "shares of the blocks selected")
      ->type_name("X,X,..")
      ->default_str(fmt::format("{}", AttentionOptions{}.sparse_ratio));
  add_list(command, "--token-budget", parse_size, plan.token_budgets, "tokens selected")
      ->type_name("N,N,..");
  add_list(command, "--block-size", parse_size, plan.block_sizes, "tokens per block")
      ->type_name("N,N,..")
      ->default_str("16, or those of --gates");
  add_list(command, "--rectify-every", parse_size, plan.periods,
           "resa: tokens between dense passes; exact: the longest draft")
      ->type_name("N,N,..")
      ->default_str("32");
  add_list(command, "--rectify", parse_rectify_kind, plan.rectify,
           "what the pass of resa reads: dense, wide, adaptive")
      ->type_name("KINDS")
      ->default_str("dense");
  add_list(command, "--kv-type", parse_kv_type, plan.kv_types,
           "storage of keys and values; the first is what others are compared with")
      ->type_name("TYPES")
      ->default_str("f16");
  add_budget_details(command, plan.attention);
}

}  // namespace

void add_eval(CLI::App& app, CommandBody& chosen) {
  CLI::App& command =
      *app.add_subcommand("eval", "what each mode costs in quality: tasks, divergence, recall");
  const auto plan = std::make_shared<Plan>();
  add_machine_options(command, plan->engine);
  command.get_option("--model")->required(false)->description(
      "a GGUF file; default: the bundled one");
  add_item_options(command, *plan);
  add_list(command, "--measure", parse_measure, plan->measures, "answers, forced, recall")
      ->type_name("NAMES")
      ->default_str("answers");
  add_setting_options(command, *plan);
  add_count(command, "--jobs", plan->n_jobs, "items at once; 0: by the size of the model", 0, 1024);
  command
      .add_option("--out", plan->out,
                  "a directory for results as they come and the report; the same command goes on")
      ->type_name("DIR");
  add_count(command, "--wrong", plan->n_wrong,
            "list so many items with wrong answers, first those that dense has right");
  command.add_flag("--json", plan->json, "print one JSON document");
  command.callback([&chosen, plan] { chosen = [plan] { return run_eval(*plan); }; });
}

}  // namespace longhaul
