// The options that several subcommands share, each group added to a subcommand by one call.
// Defaults are those of the structures they fill.
#pragma once

#include <CLI/CLI.hpp>
#include <limits>
#include <string>
#include <vector>

#include "apps/parse.h"
#include "base/result.h"
#include "longhaul/engine.h"

namespace longhaul {

// Adds an option whose text is read by `parse` (string_view to Result<T>) and given to `store`.
// What parse refuses becomes a usage error that begins with the option's name.
template <class Parse, class Store>
CLI::Option* add_parsed(CLI::App& app, const std::string& names, Parse parse, Store store,
                        const std::string& help) {
  const std::string name = names.substr(names.rfind(',') + 1);
  auto read = [=](const std::string& text) {
    auto value = parse(std::string_view(text));
    if (!value) throw CLI::ValidationError(name, value.error().message);
    store(std::move(*value));
  };
  return app.add_option_function<std::string>(names, read, help);
}

// A count with size suffixes, from `least` to `most`.
CLI::Option* add_count(CLI::App& app, const std::string& names, size_t& target,
                       const std::string& help, size_t least = 0,
                       size_t most = std::numeric_limits<size_t>::max());

// Adds an option that takes values separated by commas, each read by `parse`.
template <class T, class Parse>
CLI::Option* add_list(CLI::App& app, const std::string& names, Parse parse, std::vector<T>& target,
                      const std::string& help) {
  auto parse_all = [=](std::string_view text) -> Result<std::vector<T>> {
    LH_ASSIGN_OR_RETURN(const auto parts, split_list(text));
    std::vector<T> values;
    for (const std::string_view part : parts) {
      LH_ASSIGN_OR_RETURN(T value, parse(part));
      values.push_back(std::move(value));
    }
    return values;
  };
  return add_parsed(
      app, names, parse_all, [&target](std::vector<T> values) { target = std::move(values); },
      help);
}

// The selector of a sparse step where none is named: `usual`, but with gates `gate`, and on a GPU
// `minmax`, which is all it knows.
std::string default_selector(const EngineOptions& engine,
                             const std::string& usual = AttentionOptions().selector);

// The name of a selector this build has.
Result<std::string> parse_selector(std::string_view text);

// -m.
void add_model_path(CLI::App& app, std::string& path);

// -m, -t, -c, --prefill-chunk.
void add_machine_options(CLI::App& app, EngineOptions& options);

// Those, and --kv-type, --k-type, --v-type, --block-size.
void add_engine_options(CLI::App& app, EngineOptions& options);

// --chat-template.
void add_chat_template_option(CLI::App& app, EngineOptions& options);

// --temp, --top-k, --top-p, --min-p, the penalties, --logit-bias, --seed (-1: drawn here and now).
void add_sampling_options(CLI::App& app, SamplingOptions& options);
// A seed nobody chose, short enough to be typed again.
uint64_t random_seed();

// -n; -1 is as many as there is room for.
CLI::Option* add_max_tokens(CLI::App& app, size_t& target, const std::string& help,
                            size_t least = 0);
inline constexpr size_t kNoTokenLimit = std::numeric_limits<size_t>::max();

// While it lives, options that are added to `app` stand under this title in its help.
class OptionGroup {
 public:
  OptionGroup(CLI::App& app, const std::string& title)
      : defaults_(*app.option_defaults()), before_(defaults_.get_group()) {
    defaults_.group(title);
  }
  ~OptionGroup() { defaults_.group(before_); }
  OptionGroup(const OptionGroup&) = delete;
  OptionGroup& operator=(const OptionGroup&) = delete;

 private:
  CLI::OptionDefaults& defaults_;
  std::string before_;
};

// Moves the options a person needs first to the beginning of the help.
void put_first(CLI::App& app, const std::vector<std::string>& names);

// --min-blocks, --local-blocks, --sink-blocks, --rectify-ratio, --rectify-tolerance.
void add_budget_details(CLI::App& app, AttentionOptions& options);

// Those, and --gates, --selector, --sparse-ratio, --token-budget, --gate-threshold,
// --rectify-every, --rectify. Once parsed, the engine keeps what the selector scores from; without
// --selector that is the default_selector(), of which attention's own is the usual one.
void add_selection_options(CLI::App& app, EngineOptions& engine, AttentionOptions& attention);

// --attention with one mode, or with a list of modes. --auto-may is among the selection options.
void add_mode_option(CLI::App& app, AttentionMode& mode);
void add_modes_option(CLI::App& app, std::vector<AttentionMode>& modes);

// All of a file; "-" is standard input.
Result<std::string> read_text_file(const std::string& path);

}  // namespace longhaul
