#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/bench_run.h"
#include "apps/calibration_cache.h"
#include "apps/commands.h"
#include "apps/options.h"
#include "apps/output.h"
#include "apps/output_target.h"
#include "base/result.h"
#include "model/random_model.h"

namespace longhaul {
namespace {

struct BenchArguments {
  EngineOptions engine;
  BenchPlan plan;
  std::string write_path;  // write the shape to this file and measure nothing
  std::string save_path;   // the JSON document goes here, whatever is printed
  bool json = false;
  bool csv = false;
};

Status check(BenchArguments& arguments) {
  EngineOptions& engine = arguments.engine;
  if (engine.model_path.empty() == engine.shape.empty()) {
    return bad_input("bench: expected one of --model and --shape, found {}",
                     engine.shape.empty() ? "none" : "both");
  }
  if (!arguments.write_path.empty() && engine.shape.empty())
    return bad_input("--write: expected a --shape to write, found a --model");
  if (!arguments.plan.text_path.empty() && arguments.plan.fill == "random")
    return bad_input("--text: expected --fill read, found random");
  const AttentionOptions& attention = arguments.plan.attention;
  engine.random_gates =
      !engine.shape.empty() && engine.gates_path.empty() && attention.selector == "gate";
  LH_RETURN_IF_ERROR(settle_block_size(engine));
  return validate(attention, engine.block_size);
}

// The longest text of any test.
size_t tokens_needed(const BenchPlan& plan) {
  size_t n_most = plan.n_generate + plan.attention.rectify_every + 2;
  for (const size_t n : plan.prompts) n_most = std::max(n_most, n + 1);
  return plan.depths.back() + n_most;
}

// The tokens of --text, as many as the tests read at most; none without it.
Result<std::vector<int32_t>> read_text(const BenchPlan& plan, const Engine& engine) {
  if (plan.text_path.empty()) return std::vector<int32_t>();
  LH_ASSIGN_OR_RETURN(const std::string bytes, read_text_file(plan.text_path));
  LH_ASSIGN_OR_RETURN(std::vector<int32_t> tokens, engine.tokenize(bytes, true, false));
  size_t n_needed = plan.depths.back() + 1;
  for (const size_t n : plan.prompts) n_needed = std::max(n_needed, plan.depths.back() + n);
  if (tokens.size() >= n_needed) {
    tokens.resize(n_needed);
    return tokens;
  }
  return bad_input("--text: {}: expected at least {} tokens, found {}", plan.text_path, n_needed,
                   tokens.size());
}

// Follows links to where a file is to be written, before any work.
Status check_target(const char* option, std::string& path) {
  if (path.empty()) return {};
  LH_ASSIGN_OR_RETURN(path, output_target(option, path));
  return {};
}

Status save(const nlohmann::ordered_json& document, const std::string& path) {
  std::ofstream out(path);
  out << document.dump(2) << "\n";
  out.close();
  if (out) return {};
  return make_error(ErrorCode::kIo, "--save: {}: expected a file that can be written", path);
}

// The plan of the model that was loaded, and the bytes of its matrices.
Status read_weights(const EngineOptions& options, BenchReport& report) {
  if (options.shape.empty()) {
    LH_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(options.model_path));
    LH_ASSIGN_OR_RETURN(report.plan, read_plan(file));
    report.weights = weight_bytes(report.plan, file);
    return {};
  }
  LH_ASSIGN_OR_RETURN(const RandomModelSpec spec, find_shape(options.shape, options.shape_type));
  LH_ASSIGN_OR_RETURN(RandomModelPlan random, plan_random_model(spec));
  report.plan = std::move(random.plan);
  report.weights = random.weights;
  return {};
}

Result<int> bench(BenchArguments& arguments) {
  LH_RETURN_IF_ERROR(check(arguments));
  LH_RETURN_IF_ERROR(check_target("--save", arguments.save_path));
  LH_RETURN_IF_ERROR(check_target("--write", arguments.write_path));
  EngineOptions& options = arguments.engine;
  BenchPlan& plan = arguments.plan;
  if (!arguments.write_path.empty()) {
    LH_RETURN_IF_ERROR(write_shape(options.shape, options.shape_type, arguments.write_path));
    return 0;
  }
  std::sort(plan.depths.begin(), plan.depths.end());
  const size_t n_needed = tokens_needed(plan);
  if (options.ctx_size == 0) options.ctx_size = n_needed;
  if (options.ctx_size < n_needed) {
    return bad_input("--ctx-size: depth {} needs {} tokens, found {}", plan.depths.back(), n_needed,
                     options.ctx_size);
  }
  options.max_sessions = *std::max_element(plan.batches.begin(), plan.batches.end());
  LH_ASSIGN_OR_RETURN(const auto engine, Engine::load(options));
  print_warnings(*engine);
  std::vector<Session> sessions;
  for (size_t i = 0; i < options.max_sessions; ++i) {
    LH_ASSIGN_OR_RETURN(Session session, engine->new_session());
    sessions.push_back(std::move(session));
  }
  BenchReport report;
  if (any_needs_calibration(plan.modes, plan.attention)) {
    LH_ASSIGN_OR_RETURN(const CalibrationSource source,
                        use_calibration(*engine, calibration_path()));
    report.calibration_was_stored = source.stored;
    LH_ASSIGN_OR_RETURN(report.calibration, engine->calibration());
  }
  report.model = engine->model_info();
  LH_RETURN_IF_ERROR(read_weights(options, report));
  report.options = engine->options();
  report.attention = plan.attention;
  report.fill = plan.text_path.empty() ? plan.fill : "text";
  report.machine = measure_machine(report.options.n_threads);
  if (const std::optional<DeviceInfo> device = engine->measure_device()) {
    report.machine.cpu = device->name;
    report.machine.read_bytes_per_s = device->copy_bytes_per_s;
    report.machine.dot_instruction = "device";
    report.machine.dot_ops_per_s = 0;  // not measured
  }
  LH_ASSIGN_OR_RETURN(std::vector<int32_t> text, read_text(plan, *engine));
  BenchRun run(plan, *engine, std::move(text), std::move(sessions));
  LH_ASSIGN_OR_RETURN(report.rows, run.run());
  report.peak_memory_bytes = peak_memory_bytes();
  if (!arguments.save_path.empty()) LH_RETURN_IF_ERROR(save(to_json(report), arguments.save_path));
  if (arguments.json) {
    print_json(to_json(report));
  } else {
    fmt::print("{}", arguments.csv ? csv(report) : markdown(report));
  }
  return 0;
}

Result<std::vector<size_t>> parse_sizes(std::string_view text) {
  LH_ASSIGN_OR_RETURN(const auto parts, split_list(text));
  std::vector<size_t> sizes;
  for (const std::string_view part : parts) {
    LH_ASSIGN_OR_RETURN(const size_t size, parse_size(part));
    sizes.push_back(size);
  }
  return sizes;
}

Result<std::vector<size_t>> parse_batches(std::string_view text) {
  LH_ASSIGN_OR_RETURN(std::vector<size_t> batches, parse_sizes(text));
  for (const size_t n : batches) {
    if (n == 0 || n > 1024) return bad_input("expected numbers from 1 to 1024, found {}", n);
  }
  return batches;
}

void add_plan_options(CLI::App& command, EngineOptions& engine, BenchPlan& plan) {
  add_modes_option(command, plan.modes);
  add_selection_options(command, engine, plan.attention);
  auto store_depths = [&plan](std::vector<size_t> depths) { plan.depths = std::move(depths); };
  add_parsed(command, "-d,--depths", parse_sizes, store_depths, "tokens in the cache before a test")
      ->type_name("N,N,..")
      ->default_str("0,4K");
  auto store_prompts = [&plan](std::vector<size_t> prompts) {
    std::erase(prompts, size_t{0});
    plan.prompts = std::move(prompts);
  };
  add_parsed(command, "-p,--n-prompt", parse_sizes, store_prompts,
             "tokens of the prefill tests; 0: none")
      ->type_name("N,N,..")
      ->default_str("512");
  command
      .add_option("--fill", plan.fill,
                  "reach a depth by a prefill, or at once with random keys and values (speed only)")
      ->check(CLI::IsMember({"read", "random"}))
      ->type_name("read|random")
      ->capture_default_str();
  command
      .add_option("--text", plan.text_path,
                  "read and continue this text in place of random tokens: `exact` drafts what the "
                  "model would say")
      ->check(CLI::ExistingFile)
      ->type_name("FILE");
  auto store_batches = [&plan](std::vector<size_t> batches) { plan.batches = std::move(batches); };
  add_parsed(command, "--batch", parse_batches, store_batches,
             "texts of a decode test that run at once; the speed is that of all together")
      ->type_name("N,N,..")
      ->default_str("1");
  add_count(command, "-n,--n-gen", plan.n_generate, "tokens of a decode test; 0: none");
  add_count(command, "-r,--repetitions", plan.repetitions, "timed runs of each test", 1, 1000);
  command.add_flag_callback(
      "--no-warmup", [&plan] { plan.warmup = false; },
      "no untimed run before; the first timed one is profiled");
}

}  // namespace

void add_bench(CLI::App& app, CommandBody& chosen) {
  CLI::App& command =
      *app.add_subcommand("bench", "speed of prefill and decoding, by depth and mode");
  const auto arguments = std::make_shared<BenchArguments>();
  add_engine_options(command, arguments->engine);
  command.get_option("--model")->required(false);
  command
      .add_option("--shape", arguments->engine.shape,
                  fmt::format("random weights in the shape of {}, instead of a model (speed only)",
                              fmt::join(shape_names(), ", ")))
      ->type_name("NAME");
  command
      .add_option("--weight-type", arguments->engine.shape_type,
                  "storage of the matrices of a --shape: Q8_0, Q4_K, ...")
      ->type_name("TYPE")
      ->capture_default_str();
  command
      .add_option("--write", arguments->write_path,
                  "write the --shape to a GGUF file, for other engines, and measure nothing")
      ->type_name("FILE");
  add_plan_options(command, arguments->engine, arguments->plan);
  CLI::Option* json = command.add_flag("--json", arguments->json, "print one JSON document");
  command.add_flag("--csv", arguments->csv, "print comma-separated values")->excludes(json);
  command.add_option("--save", arguments->save_path, "write the JSON document to a file as well")
      ->type_name("FILE");
  command.callback([&chosen, arguments] { chosen = [arguments] { return bench(*arguments); }; });
}

}  // namespace longhaul
