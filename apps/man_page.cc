#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "apps/interface.h"
#include "apps/version.h"

namespace longhaul {
namespace {

// A text as roff shows it: no character is a command, hyphens are those of option names.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out.starts_with('.') || out.starts_with('\'') ? "\\&" + out : out;
}

// The name and the explanation of an option, a list entry each.
std::string entry(const OptionFacts& option) {
  std::string names;
  for (const std::string& name : option.names)
    names += (names.empty() ? "\\fB" : ", \\fB") + escaped(name) + "\\fR";
  if (!option.value.empty())
    names += fmt::format("{}\\fI{}\\fR", names.empty() ? "" : " ", escaped(option.value));
  std::string help = escaped(option.help);
  if (!option.default_value.empty())
    help += fmt::format(" (default: {})", escaped(option.default_value));
  return fmt::format(".TP\n{}\n{}\n", names, help);
}

struct Sections {
  std::string commands, shared;
};

// An option that several commands have, explained alike, stands once, behind the commands, with
// their names.
Sections sections(const std::vector<CommandFacts>& commands) {
  std::map<std::string, std::vector<std::string>> commands_with;
  for (const CommandFacts& command : commands) {
    for (const OptionFacts& option : command.options)
      commands_with[entry(option)].push_back(command.name);
  }
  Sections text;
  std::vector<std::string> written;
  for (const CommandFacts& command : commands) {
    text.commands += fmt::format(".SS longhaul {}\n{}\n", command.name, escaped(command.help));
    for (const OptionFacts& option : command.options) {
      const std::string as_entry = entry(option);
      const auto& with = commands_with.at(as_entry);
      if (with.size() == 1) {
        text.commands += as_entry;
      } else if (std::find(written.begin(), written.end(), as_entry) == written.end()) {
        text.shared += fmt::format("{}[{}]\n", as_entry, fmt::join(with, ", "));
        written.push_back(as_entry);
      }
    }
  }
  return text;
}

}  // namespace

std::string man_page(const CLI::App& app) {
  const Sections text = sections(commands_of(app));
  std::string options;
  for (const OptionFacts& option : options_of(app)) options += entry(option);
  return fmt::format(R"(.TH LONGHAUL 1 "" "{}"
.SH NAME
longhaul \- long generation with language models
.SH SYNOPSIS
.B longhaul
.I COMMAND
.RI [ OPTION ]...
.SH DESCRIPTION
{}
Reads models in GGUF. What each mode of attention does is told in modes.md beside this program's other documents.
.SH OPTIONS
{}.SH COMMANDS
{}.SH "OPTIONS OF SEVERAL COMMANDS"
{}.SH "EXIT STATUS"
0; 2 for a command line or a file that says something impossible; 1 for what else went wrong; 130 after a second interrupt.
.SH ENVIRONMENT
.TP
.B LONGHAUL_API_KEY
a key that clients of \fBlonghaul serve\fR must have
.SH FILES
.TP
.I ../share/longhaul/
seen from the program: the model that comes with it
.TP
.I ../share/doc/longhaul/
its documents
)",
                     escaped(program_version()), escaped(app.get_description()), options,
                     text.commands, text.shared);
}

}  // namespace longhaul
