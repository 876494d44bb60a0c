// What the command line accepts, as data. The man page and the completions of shells are made from
// it, so that they cannot tell of another program than this one.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace longhaul {

enum class ValueKind { kNone, kText, kFile, kFolder };  // kNone: a flag

struct OptionFacts {
  std::vector<std::string> names;  // "-m", "--model"
  std::string value;               // "FILE"
  ValueKind kind = ValueKind::kNone;
  bool positional = false;  // may stand without a name
  std::string help;
  std::string default_value;
};

struct CommandFacts {
  std::string name, help;
  std::vector<OptionFacts> options;
};

// What --help lists of an app: its options, or its commands without the hidden ones.
std::vector<OptionFacts> options_of(const CLI::App& app);
std::vector<CommandFacts> commands_of(const CLI::App& app);

// The text of longhaul(1), in roff.
std::string man_page(const CLI::App& app);
// What a shell reads to complete commands, options and files.
std::string bash_completion(const CLI::App& app);
std::string zsh_completion(const CLI::App& app);
std::string fish_completion(const CLI::App& app);

}  // namespace longhaul
