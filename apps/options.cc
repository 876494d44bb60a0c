#include "apps/options.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>

#include "base/result.h"
#include "server/generate_fields.h"

namespace longhaul {
namespace {

// A number from `least` to `most`, stored as float or double.
template <class T>
CLI::Option* add_real(CLI::App& app, const std::string& names, T& target, const std::string& help,
                      double least, double most) {
  auto parse = [=](std::string_view text) -> Result<double> {
    LH_ASSIGN_OR_RETURN(const double value, parse_real(text));
    if (value >= least && value <= most) return value;
    if (most == std::numeric_limits<double>::max()) {
      return bad_input("expected a number from {}, found {}", least, text);
    }
    return bad_input("expected a number from {} to {}, found {}", least, most, text);
  };
  return add_parsed(
             app, names, parse, [&target](double value) { target = static_cast<T>(value); }, help)
      ->type_name("X")
      ->default_str(fmt::format("{}", target));
}

constexpr double kNoLimit = std::numeric_limits<double>::max();

}  // namespace

Result<std::string> parse_selector(std::string_view text) {
  std::string known;
  for (const std::string_view name : selector_names()) {
    if (name == text) return std::string(text);
    known += (known.empty() ? "" : ", ") + std::string(name);
  }
  return unsupported("expected one of {}, found '{}'", known, text);
}

CLI::Option* add_count(CLI::App& app, const std::string& names, size_t& target,
                       const std::string& help, size_t least, size_t most) {
  auto parse = [=](std::string_view text) -> Result<size_t> {
    LH_ASSIGN_OR_RETURN(const size_t value, parse_size(text));
    if (value >= least && value <= most) return value;
    if (most == std::numeric_limits<size_t>::max()) {
      return bad_input("expected a whole number from {}, found {}", least, text);
    }
    return bad_input("expected a whole number from {} to {}, found {}", least, most, text);
  };
  return add_parsed(
             app, names, parse, [&target](size_t value) { target = value; }, help)
      ->type_name("N")
      ->default_str(fmt::format("{}", target));
}

CLI::Option* add_max_tokens(CLI::App& app, size_t& target, const std::string& help, size_t least) {
  auto parse = [least](std::string_view text) -> Result<size_t> {
    if (text == "-1") return kNoTokenLimit;
    const auto value = parse_size(text);
    if (value && *value >= least) return value;
    return bad_input("expected a whole number from {}, or -1 for no limit, found '{}'", least,
                     text);
  };
  return add_parsed(
             app, "-n,--max-tokens", parse, [&target](size_t value) { target = value; }, help)
      ->type_name("N")
      ->default_str(target == kNoTokenLimit ? "-1" : fmt::format("{}", target));
}

void put_first(CLI::App& app, const std::vector<std::string>& names) {
  constexpr const char* kTitle = "Needed first";
  app.get_help_ptr()->group(kTitle);  // the first of all options, so that its group comes first
  for (const std::string& name : names) app.get_option(name)->group(kTitle);
}

void add_model_path(CLI::App& app, std::string& path) {
  app.add_option("-m,--model", path, "the model, a GGUF file")
      ->required()
      ->check(CLI::ExistingFile)
      ->type_name("FILE");
}

void add_machine_options(CLI::App& app, EngineOptions& options) {
  const OptionGroup group(app, "Model and machine");
  add_model_path(app, options.model_path);
  app.add_option("--device", options.device, "what computes: cpu, or cuda where it was built in")
      ->type_name("NAME")
      ->capture_default_str();
  add_count(app, "-t,--threads", options.n_threads, "threads; 0: as many as cores", 0, 1024);
  add_count(app, "-c,--ctx-size", options.ctx_size,
            "tokens a text can hold; 0: the length the model was trained for, or what fits in "
            "three quarters of the memory that is free");
  add_count(app, "--prefill-chunk", options.prefill_chunk,
            "tokens per pass over a prompt; changes the speed, and no result but that of --rectify "
            "wide and adaptive",
            1, 1 << 16);
}

void add_engine_options(CLI::App& app, EngineOptions& options) {
  add_machine_options(app, options);
  const OptionGroup group(app, "Model and machine");
  // The order matters: CLI11 stores options in the order they are added, so that the later,
  // narrower ones win.
  add_parsed(
      app, "--kv-type", parse_kv_type,
      [&options](KvType type) { options.k_type = options.v_type = type; },
      "storage of keys and values: f16, q8_0")
      ->type_name("TYPE")
      ->default_str(std::string(to_string(options.k_type)));
  add_parsed(
      app, "--k-type", parse_kv_type, [&options](KvType type) { options.k_type = type; },
      "storage of keys alone")
      ->type_name("TYPE");
  add_parsed(
      app, "--v-type", parse_kv_type, [&options](KvType type) { options.v_type = type; },
      "storage of values alone")
      ->type_name("TYPE");
  add_count(app, "--block-size", options.block_size,
            "tokens per block that sparse attention selects: a power of two from 4 to 256", 1)
      ->default_str("16, or that of --gates");
}

void add_chat_template_option(CLI::App& app, EngineOptions& options) {
  app.add_option("--chat-template", options.chat_template_path,
                 "a chat template in Jinja, instead of the model's own")
      ->check(CLI::ExistingFile)
      ->type_name("FILE");
}

uint64_t random_seed() { return std::random_device()(); }

void add_sampling_options(CLI::App& app, SamplingOptions& options) {
  const OptionGroup group(app, "Sampling");
  add_real(app, "--temp", options.temperature, "temperature; 0: greedy", 0, kNoLimit);
  add_count(app, "--top-k", options.top_k, "sample among the k most likely tokens; 0: off");
  add_real(app, "--top-p", options.top_p, "sample among the likeliest that sum to p; 1: off", 0, 1);
  add_real(app, "--min-p", options.min_p, "drop tokens below p times the likeliest; 0: off", 0, 1);
  add_real(app, "--repeat-penalty", options.repetition_penalty, "1: off", 0, kNoLimit);
  add_real(app, "--presence-penalty", options.presence_penalty, "0: off", -kNoLimit, kNoLimit);
  add_real(app, "--frequency-penalty", options.frequency_penalty, "0: off", -kNoLimit, kNoLimit);
  add_count(app, "--penalty-last-n", options.penalty_last_n, "tokens the penalties look back");
  auto store = [&options](std::pair<int32_t, float> bias) { options.logit_bias.push_back(bias); };
  add_parsed(app, "--logit-bias", parse_bias, store, "added to a token's logit; may be repeated")
      ->type_name("ID=BIAS")
      ->trigger_on_parse();
  auto parse_seed = [](std::string_view text) -> Result<size_t> {
    return text == "-1" ? random_seed() : parse_size(text);
  };
  add_parsed(
      app, "--seed", parse_seed, [&options](size_t seed) { options.seed = seed; },
      "of the random numbers; -1: any")
      ->type_name("N")
      ->default_str("0");
}

void add_budget_details(CLI::App& app, AttentionOptions& options) {
  add_count(app, "--min-blocks", options.min_blocks, "with a ratio never fewer blocks than this");
  add_count(app, "--local-blocks", options.local_blocks, "newest blocks always selected");
  add_count(app, "--sink-blocks", options.sink_blocks, "first blocks always selected");
  add_real(app, "--rectify-ratio", options.rectify_ratio,
           "wide, adaptive: share of the blocks each token of the pass asks for", 0, 1);
  add_real(app, "--rectify-tolerance", options.rectify_tolerance,
           "adaptive: estimated share of attention a KV head may miss", 0, 1);
}

std::string default_selector(const EngineOptions& engine, const std::string& usual) {
  if (!engine.gates_path.empty()) return "gate";
  return engine.device == "cpu" ? usual : "minmax";
}

void add_selection_options(CLI::App& app, EngineOptions& engine, AttentionOptions& options) {
  const OptionGroup group(app, "Attention");
  app.add_option_function<std::string>(
         "--context-extension", [&engine](const std::string&) { engine.block_causal = true; },
         "beyond the trained length; bca: attend to the last one to two halves of it (LeX)")
      ->check(CLI::IsMember({"bca"}))
      ->type_name("NAME");
  app.add_option("--gates", engine.gates_path,
                 "learned gates for this model, a GGUF file; then the selector is gate")
      ->check(CLI::ExistingFile)
      ->type_name("FILE");
  std::string names;
  for (const auto name : selector_names()) names += (names.empty() ? "" : ", ") + std::string(name);
  const CLI::Option* selector =
      add_parsed(
          app, "--selector", parse_selector,
          [&options](std::string name) { options.selector = std::move(name); },
          "who chooses the blocks of a sparse step: " + names)
          ->type_name("NAME")
          ->default_str(options.selector + "; with --gates gate");
  app.parse_complete_callback([selector, &engine, &options, usual = options.selector] {
    if (selector->count() == 0) options.selector = default_selector(engine, usual);
    engine.selectors = {options.selector};
  });
  CLI::Option* ratio =
      add_real(app, "--sparse-ratio", options.sparse_ratio, "share of the blocks selected", 0, 1);
  CLI::Option* budget = add_count(app, "--token-budget", options.token_budget,
                                  "tokens selected, instead of a share; 0: use the share");
  add_real(app, "--gate-threshold", options.gate_threshold,
           "gate: every block whose share of the gate's softmax is above X, instead; 0: off", 0, 1)
      ->excludes(ratio)
      ->excludes(budget);
  add_budget_details(app, options);
  add_count(app, "--rectify-every", options.rectify_every,
            "resa: tokens between dense passes; exact: the longest draft", 1);
  app.add_flag("--always-draft", options.always_draft,
               "exact: draft by sparse steps though a dense step is predicted to be cheaper");
  add_parsed(
      app, "--auto-may", parse_auto_may,
      [&options](AttentionMode mode) { options.auto_may = mode; },
      "the loosest mode `auto` may take: dense (then dense and exact), resa or sparse")
      ->type_name("MODE")
      ->default_str(std::string(to_string(options.auto_may)));
  add_parsed(
      app, "--rectify", parse_rectify_kind,
      [&options](RectifyKind kind) { options.rectify = kind; },
      "what the pass of resa reads: dense (every block), wide or adaptive")
      ->type_name("KIND")
      ->default_str(std::string(to_string(options.rectify)));
}

void add_mode_option(CLI::App& app, AttentionMode& mode) {
  const OptionGroup group(app, "Attention");
  add_parsed(
      app, "--attention", parse_attention_mode, [&mode](AttentionMode value) { mode = value; },
      "dense, sparse, resa, exact or auto")
      ->type_name("MODE")
      ->default_str(std::string(to_string(mode)));
}

void add_modes_option(CLI::App& app, std::vector<AttentionMode>& modes) {
  std::string names;
  for (const auto mode : modes) names += (names.empty() ? "" : ",") + std::string(to_string(mode));
  add_list(app, "--attention", parse_attention_mode, modes, "modes to run, separated by commas")
      ->type_name("MODES")
      ->default_str(names);
}

Result<std::string> read_text_file(const std::string& path) {
  using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
  const bool is_stdin = path == "-";
  const File file(is_stdin ? stdin : std::fopen(path.c_str(), "rb"),
                  is_stdin ? [](std::FILE*) { return 0; } : std::fclose);
  if (!file) return bad_input("{}: expected a readable file: {}", path, std::strerror(errno));
  std::string text;
  char buffer[1 << 16];
  while (const size_t n_bytes = std::fread(buffer, 1, sizeof(buffer), file.get())) {
    text.append(buffer, n_bytes);
  }
  if (std::ferror(file.get()) != 0) {
    return make_error(ErrorCode::kIo, "{}: cannot read: {}", path, std::strerror(errno));
  }
  return text;
}

}  // namespace longhaul
