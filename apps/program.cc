#include <fmt/format.h>

#include <cstdio>
#include <new>

#include "apps/commands.h"
#include "apps/output.h"
#include "apps/version.h"
#include "base/result.h"

namespace longhaul {
namespace {

constexpr int kBadUsage = 2;

void print_error(std::string_view message) { fmt::print(stderr, "longhaul: {}\n", message); }

int run_body(const CommandBody& body) {
  try {
    const Result<int> status = body();
    if (status) return *status;
    print_error(status.error().message);
    return exit_status(status.error().code);
  } catch (const std::bad_alloc&) {
    print_error("out of memory");
    return exit_status(ErrorCode::kOutOfMemory);
  }
}

// CLI11 only says that a subcommand is missing; this says which one was not understood.
Status check_command(const CLI::App& app, int argc, const char* const* argv) {
  if (argc < 2 || argv[1][0] == '-') return {};
  std::string names;
  for (const CLI::App* command : app.get_subcommands({})) {
    if (command->check_name(argv[1])) return {};
    names += (names.empty() ? "" : ", ") + command->get_name();
  }
  return bad_input("expected a command ({}), found '{}'", names, argv[1]);
}

}  // namespace

int run_program(int argc, const char* const* argv) {
  CLI::App app("Long generation with language models on the CPU.", "longhaul");
  app.require_subcommand(1);
  app.set_version_flag("--version", program_version());
  app.get_formatter()->column_width(28);
  app.option_defaults()->always_capture_default(false);
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
  if (const Status known = check_command(app, argc, argv); !known) {
    print_error(known.error().message);
    return kBadUsage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    print_error(fmt::format("{} (see longhaul --help)", error.what()));
    return kBadUsage;
  }
  return run_body(chosen);
}

}  // namespace longhaul
