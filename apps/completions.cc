#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "apps/interface.h"
#include "apps/version.h"

namespace longhaul {
namespace {

constexpr const char* kMadeBy = "Made by `longhaul describe`: what this very program accepts.";

// Names of the options that `wanted` is true of.
template <class Wanted>
std::string names_where(const std::vector<OptionFacts>& options, Wanted wanted) {
  std::vector<std::string> names;
  for (const OptionFacts& option : options) {
    if (wanted(option)) names.insert(names.end(), option.names.begin(), option.names.end());
  }
  return fmt::format("{}", fmt::join(names, " "));
}

std::string names_of_kind(const std::vector<OptionFacts>& options, ValueKind kind) {
  return names_where(options, [kind](const OptionFacts& option) { return option.kind == kind; });
}

bool takes_files(const CommandFacts& command) {
  return std::any_of(command.options.begin(), command.options.end(), [](const OptionFacts& option) {
    return option.positional && option.kind == ValueKind::kFile;
  });
}

// In _arguments' notation, whose brackets and colons are its own.
std::string zsh_option(const OptionFacts& option, const std::string& name) {
  std::string help;
  for (const char c : option.help)
    help += c == '[' || c == ']' ? fmt::format("\\{}", c) : std::string(1, c);
  std::string value;
  if (option.kind != ValueKind::kNone) value = fmt::format(":{}:", option.value);
  if (option.kind == ValueKind::kFile) value += "_files";
  if (option.kind == ValueKind::kFolder) value += "_files -/";
  return "      " + shell_quoted(fmt::format("*{}[{}]{}", name, help, value)) + " \\\n";
}

// fish knows two escapes between single quotes.
std::string fish_quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\\' || c == '\'') quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

std::string fish_option(const OptionFacts& option) {
  std::string line;
  for (const std::string& name : option.names)
    line += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  if (option.kind == ValueKind::kFile) line += " -rF";
  if (option.kind == ValueKind::kText) line += " -x";
  if (option.kind == ValueKind::kFolder) line += " -xa '(__fish_complete_directories)'";
  return line + " -d " + fish_quoted(option.help) + "\n";
}

}  // namespace

// An empty answer is completed by the names of files, unless compopt takes that back.
std::string bash_completion(const CLI::App& app) {
  std::string cases, names;
  for (const CommandFacts& command : commands_of(app)) {
    names += command.name + " ";
    cases += fmt::format(
        "    {})\n      options={}\n      values={}\n      folders={}\n      files={} ;;\n",
        command.name,
        shell_quoted(names_where(command.options, [](const OptionFacts&) { return true; })),
        shell_quoted(names_of_kind(command.options, ValueKind::kText)),
        shell_quoted(names_of_kind(command.options, ValueKind::kFolder)),
        shell_quoted(takes_files(command) ? "*"
                                          : names_of_kind(command.options, ValueKind::kFile)));
  }
  const std::string at_first =
      names + names_where(options_of(app), [](const OptionFacts&) { return true; });
  return fmt::format(R"(# {}
_longhaul() {{
  local options values folders files
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 ]]; then
    compopt +o default
    COMPREPLY=($(compgen -W {} -- "$2"))
    return
  fi
  case ${{COMP_WORDS[1]}} in
{}  esac
  if [[ " $folders " == *" $3 "* ]]; then
    compopt +o default -o dirnames
  elif [[ " $values " == *" $3 "* ]]; then
    compopt +o default
  elif [[ $2 == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$2"))
  elif [[ $files != '*' && " $files " != *" $3 "* ]]; then
    compopt +o default
  fi
}}
complete -o default -F _longhaul longhaul
)",
                     kMadeBy, shell_quoted(at_first), cases);
}

std::string zsh_completion(const CLI::App& app) {
  std::string cases, commands, options;
  for (const OptionFacts& option : options_of(app)) {
    for (const std::string& name : option.names) options += zsh_option(option, name);
  }
  for (const CommandFacts& command : commands_of(app)) {
    commands += "    " + shell_quoted(command.name + ":" + command.help) + "\n";
    cases += fmt::format("  {})\n    _arguments \\\n", command.name);
    for (const OptionFacts& option : command.options) {
      for (const std::string& name : option.names) cases += zsh_option(option, name);
    }
    cases += takes_files(command) ? "      '*:FILE:_files' ;;\n" : "      ;;\n";
  }
  return fmt::format(R"(#compdef longhaul
# {}
_longhaul() {{
  local state
  local -a commands=(
{}  )
  _arguments -C \
{}      '1:command:->command' '*::option:->option'
  [[ $state == command ]] && _describe command commands
  [[ $state == option ]] || return
  case $words[1] in
{}  esac
}}
_longhaul "$@"
)",
                     kMadeBy, commands, options, cases);
}

std::string fish_completion(const CLI::App& app) {
  std::string text = fmt::format("# {}\ncomplete -c longhaul -f\n", kMadeBy);
  for (const OptionFacts& option : options_of(app))
    text += "complete -c longhaul -n __fish_use_subcommand" + fish_option(option);
  for (const CommandFacts& command : commands_of(app)) {
    text += fmt::format("complete -c longhaul -n __fish_use_subcommand -a {} -d {}\n", command.name,
                        fish_quoted(command.help));
    const std::string after =
        fmt::format("complete -c longhaul -n '__fish_seen_subcommand_from {}'", command.name);
    if (takes_files(command)) text += after + " -F\n";
    for (const OptionFacts& option : command.options) {
      if (!option.names.empty()) text += after + fish_option(option);
    }
  }
  return text;
}

}  // namespace longhaul
