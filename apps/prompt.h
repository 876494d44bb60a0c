// Where a prompt comes from, and what of it is content.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "longhaul/engine.h"

namespace longhaul {

// At most one of -p, -f and --tokens; without them a pipe or a file on standard input.
struct PromptArguments {
  std::string text;
  std::string file;  // "-" is standard input
  std::vector<int32_t> tokens;
  bool has_text = false, has_file = false, has_tokens = false;
  bool keep_newline = false;  // that ends a file or a pipe
  bool escapes = false;       // \n in the text is a line break
  bool special = false;       // parse special tokens in the text
  bool no_bos = false;
};

// -p, -f, --keep-newline, -e, --special and --no-bos; the second adds --tokens.
void add_text_options(CLI::App& app, PromptArguments& prompt);
void add_prompt_options(CLI::App& app, PromptArguments& prompt);

// `text` without what carried it: a byte-order mark in front, CR before LF.
std::string without_transport(std::string_view text);

// With \n, \t, \r, \\, \", \' and \xHH replaced by what they stand for. Error: another escape.
Result<std::string> unescape(std::string_view text);

// The text of -p or -f, of which there may be one, or of a pipe. Error: none, or an empty pipe.
Result<std::string> prompt_text(const PromptArguments& prompt);

// The tokens of the prompt. `continues`: it follows text that is there already, so that no BOS is
// added and it may be absent; then a pipe is read for `-f -` alone.
Result<std::vector<int32_t>> read_prompt(const PromptArguments& prompt, const Engine& engine,
                                         bool continues);

}  // namespace longhaul
