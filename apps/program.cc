#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <new>
#include <sstream>
#include <system_error>

#include "apps/commands.h"
#include "apps/output.h"
#include "apps/spelling.h"
#include "apps/version.h"
#include "base/result.h"

namespace longhaul {
namespace {

constexpr int kBadUsage = 2;

int fail(const Error& error) {
  print_error(error.message);
  return exit_status(error.code);
}

// Runs what prints, and sees to it that all of it was written: what goes through here ends with a
// status and a reason, whatever the disk or the pipe behind standard output says.
int run_checked(const CommandBody& body) {
  try {
    const Result<int> status = body();
    if (!status) return fail(status.error());
    if (const Status written = flush_output(); !written) return fail(written.error());
    return *status;
  } catch (const std::bad_alloc&) {
    return fail({ErrorCode::kOutOfMemory, "out of memory"});
  } catch (const std::system_error& error) {  // {fmt} could not write
    const char* stream = std::ferror(stderr) != 0 ? "standard error" : "standard output";
    return fail(
        {ErrorCode::kIo, fmt::format("{}: cannot write: {}", stream, error.code().message())});
  }
}

// --help and --version.
int print_answer(const CLI::App& app, const CLI::ParseError& asked) {
  return run_checked([&]() -> Result<int> {
    std::ostringstream out;
    app.exit(asked, out, out);
    fmt::print("{}", out.str());
    return 0;
  });
}

// Where the help of the chosen subcommand stands.
std::string see_help(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return fmt::format("(see longhaul {}--help)",
                     chosen.empty() ? "" : chosen.front()->get_name() + " ");
}

// CLI11 only says that a subcommand is missing; this says which one was not understood.
Status check_command(const CLI::App& app, int argc, const char* const* argv) {
  if (argc < 2 || argv[1][0] == '-') return {};
  std::string names;
  for (const CLI::App* command : app.get_subcommands({})) {
    if (command->check_name(argv[1])) return {};
    if (!command->get_group().empty()) names += (names.empty() ? "" : ", ") + command->get_name();
  }
  return bad_input("expected a command ({}), found '{}'", names, argv[1]);
}

}  // namespace

int run_program(int argc, const char* const* argv) {
  CLI::App app("Long generation with language models on the CPU.", "longhaul");
  app.require_subcommand(1);
  app.set_version_flag("--version", version_text);
  app.get_formatter()->column_width(28);
  app.option_defaults()->always_capture_default(false);
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  CommandBody chosen;
  add_generate(app, chosen);
  add_batch(app, chosen);
  add_serve(app, chosen);
  add_chat(app, chosen);
  add_inspect(app, chosen);
  add_tokenize(app, chosen);
  add_bench(app, chosen);
  add_demo(app, chosen);
  add_eval(app, chosen);
  add_convert(app, chosen);
  add_quantize(app, chosen);
  add_describe(app, chosen);
  if (const Status known = check_command(app, argc, argv); !known) {
    print_error(known.error().message);
    return kBadUsage;
  }
  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  if (const Status known = settle_spelling(app, arguments); !known) {
    print_error(known.error().message);
    return kBadUsage;
  }
  std::reverse(arguments.begin(), arguments.end());  // CLI11 reads a vector from its end
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return print_answer(app, error);
    print_error(fmt::format("{} {}", error.what(), see_help(app)));
    return kBadUsage;
  }
  return run_checked(chosen);
}

}  // namespace longhaul
