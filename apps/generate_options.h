// What `longhaul generate` is asked for.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "apps/prompt.h"
#include "longhaul/engine.h"

namespace longhaul {

struct GenerateArguments {
  EngineOptions engine;
  PromptArguments prompt;
  GenerateRequest request;
  std::string save_state, load_state;
  std::string grammar_file, schema_file;
  size_t n_samples = 1;
  size_t n_logprobs = 0;
  bool has_seed = false, has_logprobs = false;
  bool calibrate = false;
  bool chat = false;  // the prompt is what a user says
  bool json = false;
  bool quiet = false;
};

void add_generate_options(CLI::App& command, GenerateArguments& arguments);

// Fills in what the command line left open and looks at all that can be refused before any work:
// files, grammars, options that do not go together.
Status settle(GenerateArguments& arguments);

}  // namespace longhaul
