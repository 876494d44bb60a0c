// The subcommands. Each function adds one to the program and, when the user chose it, sets `chosen`
// to its body.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "base/result.h"

namespace longhaul {

// What a subcommand does after the command line was read; its value is the exit status.
using CommandBody = std::function<Result<int>()>;

void add_generate(CLI::App& app, CommandBody& chosen);
void add_batch(CLI::App& app, CommandBody& chosen);
void add_serve(CLI::App& app, CommandBody& chosen);
void add_chat(CLI::App& app, CommandBody& chosen);
void add_inspect(CLI::App& app, CommandBody& chosen);
void add_tokenize(CLI::App& app, CommandBody& chosen);
void add_bench(CLI::App& app, CommandBody& chosen);
void add_demo(CLI::App& app, CommandBody& chosen);
void add_eval(CLI::App& app, CommandBody& chosen);
void add_convert(CLI::App& app, CommandBody& chosen);
void add_quantize(CLI::App& app, CommandBody& chosen);
void add_describe(CLI::App& app, CommandBody& chosen);

// Reads the command line, runs the subcommand, prints its error; gives the exit status. Used by
// main and by tests.
int run_program(int argc, const char* const* argv);

}  // namespace longhaul
