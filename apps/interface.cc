#include "apps/interface.h"

namespace longhaul {
namespace {

ValueKind kind_of(const std::string& value) {
  if (value.empty()) return ValueKind::kNone;
  if (value.starts_with("FILE")) return ValueKind::kFile;
  return value == "FOLDER" || value == "DIR" ? ValueKind::kFolder : ValueKind::kText;
}

OptionFacts facts_of(const CLI::Option& option) {
  OptionFacts facts;
  for (const std::string& name : option.get_snames()) facts.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) facts.names.push_back("--" + name);
  // CLI11 adds the names of checks behind a colon, and writes nothing for a flag.
  if (option.get_expected_max() > 0)
    facts.value = option.get_type_name().substr(0, option.get_type_name().find(':'));
  facts.kind = kind_of(facts.value);
  facts.positional = option.get_positional();
  facts.help = option.get_description();
  facts.default_value = option.get_default_str();
  return facts;
}

}  // namespace

std::vector<OptionFacts> options_of(const CLI::App& app) {
  std::vector<OptionFacts> options;
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_group().empty()) options.push_back(facts_of(*option));
  }
  return options;
}

std::vector<CommandFacts> commands_of(const CLI::App& app) {
  std::vector<CommandFacts> commands;
  for (const CLI::App* command : app.get_subcommands({})) {
    if (command->get_group().empty()) continue;
    commands.push_back({command->get_name(), command->get_description(), options_of(*command)});
  }
  return commands;
}

}  // namespace longhaul
