#include <fmt/format.h>

#include <memory>

#include "apps/commands.h"
#include "apps/interface.h"
#include "apps/options.h"

namespace longhaul {
namespace {

using Description = std::string (*)(const CLI::App&);

Result<Description> parse_description(std::string_view name) {
  if (name == "man") return man_page;
  if (name == "bash") return bash_completion;
  if (name == "zsh") return zsh_completion;
  if (name == "fish") return fish_completion;
  return bad_input("expected man, bash, zsh or fish, found '{}'", name);
}

}  // namespace

void add_describe(CLI::App& app, CommandBody& chosen) {
  CLI::App& command = *app.add_subcommand("describe", "what packages hold about the command line");
  command.group("");  // for them alone
  const auto describe = std::make_shared<Description>();
  add_parsed(
      command, "what", parse_description, [describe](Description named) { *describe = named; },
      "man, bash, zsh or fish")
      ->required();
  command.callback([&app, &chosen, describe] {
    chosen = [&app, describe]() -> Result<int> {
      fmt::print("{}", (*describe)(app));
      return 0;
    };
  });
}

}  // namespace longhaul
