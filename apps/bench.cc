#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>

#include "apps/bandwidth.h"
#include "apps/bench_report.h"
#include "apps/commands.h"
#include "apps/interrupt.h"
#include "apps/options.h"
#include "apps/output.h"
#include "base/progress.h"
#include "model/random_model.h"

namespace longhaul {
namespace {

constexpr uint64_t kSeed = 1;

struct BenchArguments {
  EngineOptions engine;
  AttentionOptions attention;
  std::vector<AttentionMode> modes = {AttentionMode::kDense, AttentionMode::kSparse,
                                      AttentionMode::kResa, AttentionMode::kExact};
  std::vector<size_t> depths = {0, 4096};
  size_t n_prompt = 512;
  size_t n_generate = 32;
  size_t repetitions = 3;
  std::string fill = "read";  // how a depth is reached: by reading random tokens, or `random` keys
  bool json = false;
};

// Runs every test on one session. At each depth the text is read once; then the repetitions of all
// tests take turns, so that a slow moment of the machine meets all of them.
class Bench {
 public:
  Bench(const BenchArguments& arguments, Engine& engine, Session session)
      : arguments_(arguments), engine_(engine), session_(std::move(session)), random_(kSeed) {}

  Result<std::vector<BenchRow>> run() {
    std::vector<BenchRow> rows;
    for (const size_t depth : arguments_.depths) {
      LH_RETURN_IF_ERROR(fill(depth));
      LH_ASSIGN_OR_RETURN(auto at_depth, run_at(depth));
      rows.insert(rows.end(), std::make_move_iterator(at_depth.begin()),
                  std::make_move_iterator(at_depth.end()));
    }
    return rows;
  }

 private:
  std::vector<int32_t> random_tokens(size_t n) {
    std::vector<int32_t> tokens(n);
    for (int32_t& token : tokens) {
      token = static_cast<int32_t>(random_() % engine_.model_info().vocab_size);
    }
    return tokens;
  }

  Result<GenerateResult> generate(std::vector<int32_t> prompt, size_t n_tokens, AttentionMode mode,
                                  const std::string& label) {
    const size_t total = prompt.size() + n_tokens;
    ProgressBar bar(label, total);
    GenerateRequest request;
    request.prompt = std::move(prompt);
    request.max_tokens = n_tokens;
    request.attention = arguments_.attention;
    request.attention.mode = mode;
    request.ignore_eos = true;
    request.on_progress = [&](size_t prompt_done, size_t, size_t generated) {
      bar.update(prompt_done + generated);
      return !interrupt_.requested();
    };
    LH_ASSIGN_OR_RETURN(GenerateResult result, session_.generate(request));
    if (result.finish_reason == FinishReason::kCancelled) {
      return make_error(ErrorCode::kCancelled, "stopped");
    }
    return result;
  }

  // Makes the session hold `depth` tokens; the cache then lacks none of them but perhaps the last.
  Status fill(size_t depth) {
    session_.truncate(std::min(depth, session_.tokens().size()));
    const size_t n_missing = depth - session_.tokens().size();
    if (n_missing == 0) return {};
    if (arguments_.fill == "random") return session_.fill_random(depth, kSeed);
    LH_RETURN_IF_ERROR(generate(random_tokens(n_missing), 1, AttentionMode::kDense,
                                fmt::format("reading {} tokens", depth)));
    session_.truncate(depth);
    return {};
  }

  Result<std::vector<BenchRow>> run_at(size_t depth) {
    std::vector<BenchRow> rows;
    if (arguments_.n_prompt > 0)
      rows.push_back({.label = bench_label("pp", arguments_.n_prompt, depth)});
    const size_t n_prefill_rows = rows.size();
    if (arguments_.n_generate > 0) {
      for (const AttentionMode mode : arguments_.modes) {
        rows.push_back({.label = bench_label("tg", arguments_.n_generate, depth), .mode = mode});
      }
    }
    for (size_t repetition = 0; repetition < arguments_.repetitions; ++repetition) {
      if (n_prefill_rows > 0) LH_RETURN_IF_ERROR(time_prefill(depth, rows.front()));
      for (size_t i = n_prefill_rows; i < rows.size(); ++i)
        LH_RETURN_IF_ERROR(time_decode(depth, rows[i]));
    }
    return rows;
  }

  Status time_prefill(size_t depth, BenchRow& row) {
    session_.truncate(depth);
    LH_ASSIGN_OR_RETURN(const GenerateResult result,
                        generate(random_tokens(arguments_.n_prompt), 1, row.mode, row.label));
    row.tokens_per_s.push_back(static_cast<double>(arguments_.n_prompt) / result.timings.prefill_s);
    return {};
  }

  Status time_decode(size_t depth, BenchRow& row) {
    session_.truncate(depth);
    // The first token belongs to the prompt's pass, so one more is asked for than counted.
    LH_ASSIGN_OR_RETURN(const GenerateResult result,
                        generate(random_tokens(1), arguments_.n_generate + 1, row.mode,
                                 fmt::format("{} {}", row.label, to_string(row.mode))));
    row.tokens_per_s.push_back(result.timings.decode_tokens_per_s());
    row.attention = result.attention;
    row.bytes_per_token = bytes_per_token(engine_.model_info(), engine_.options(), depth,
                                          result.attention, result.timings.decoded_tokens);
    return {};
  }

  const BenchArguments& arguments_;
  Engine& engine_;
  Session session_;
  std::mt19937_64 random_;
  Interrupt interrupt_;
};

Result<int> bench(BenchArguments& arguments) {
  if (arguments.engine.model_path.empty() == arguments.engine.shape.empty()) {
    return bad_input("bench: expected one of --model and --shape, found {}",
                     arguments.engine.shape.empty() ? "none" : "both");
  }
  LH_RETURN_IF_ERROR(validate(arguments.attention, arguments.engine.block_size));
  std::sort(arguments.depths.begin(), arguments.depths.end());
  const size_t n_needed =
      arguments.depths.back() + std::max(arguments.n_prompt + 1, arguments.n_generate + 2);
  if (arguments.engine.ctx_size == 0) arguments.engine.ctx_size = n_needed;
  if (arguments.engine.ctx_size < n_needed) {
    return bad_input("--ctx-size: depth {} needs {} tokens, found {}", arguments.depths.back(),
                     n_needed, arguments.engine.ctx_size);
  }
  LH_ASSIGN_OR_RETURN(const auto engine, Engine::load(arguments.engine));
  print_warnings(*engine);
  LH_ASSIGN_OR_RETURN(Session session, engine->new_session());
  BenchReport report;
  report.model = engine->model_info();
  report.options = engine->options();
  report.read_bytes_per_s = measure_read_bandwidth(report.options.n_threads);
  Bench tests(arguments, *engine, std::move(session));
  LH_ASSIGN_OR_RETURN(report.rows, tests.run());
  if (arguments.json) {
    print_json(to_json(report));
  } else {
    fmt::print("{}", markdown(report));
  }
  return 0;
}

Result<std::vector<size_t>> parse_depths(std::string_view text) {
  LH_ASSIGN_OR_RETURN(const auto parts, split_list(text));
  std::vector<size_t> depths;
  for (const std::string_view part : parts) {
    LH_ASSIGN_OR_RETURN(const size_t depth, parse_size(part));
    depths.push_back(depth);
  }
  return depths;
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
                  fmt::format("random weights in the shape of {}, instead of a model",
                              fmt::join(shape_names(), ", ")))
      ->type_name("NAME");
  add_modes_option(command, arguments->modes);
  add_selection_options(command, arguments->attention);
  auto store = [arguments = arguments.get()](std::vector<size_t> depths) {
    arguments->depths = std::move(depths);
  };
  add_parsed(command, "-d,--depths", parse_depths, store, "tokens in the cache before a test")
      ->type_name("N,N,..")
      ->default_str("0,4K");
  command
      .add_option("--fill", arguments->fill,
                  "reach a depth by a prefill, or at once with random keys and values (speed only)")
      ->check(CLI::IsMember({"read", "random"}))
      ->type_name("read|random")
      ->capture_default_str();
  add_count(command, "-p,--n-prompt", arguments->n_prompt, "tokens of a prefill test; 0: none");
  add_count(command, "-n,--n-gen", arguments->n_generate, "tokens of a decode test; 0: none");
  add_count(command, "-r,--repetitions", arguments->repetitions, "runs of each test", 1, 1000);
  command.add_flag("--json", arguments->json, "print one JSON document");
  command.callback([&chosen, arguments] { chosen = [arguments] { return bench(*arguments); }; });
}

}  // namespace longhaul
