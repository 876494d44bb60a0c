#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/options.h"
#include "apps/output.h"
#include "apps/prompt.h"
#include "apps/table.h"
#include "base/result.h"
#include "io/gguf.h"
#include "tokenizer/tokenizer.h"

namespace longhaul {
namespace {

struct TokenizeArguments {
  std::string model_path;
  PromptArguments prompt;
  std::vector<int32_t> ids;
  bool decode = false;
  bool json = false;
};

// A piece of text on one line, a backslash doubled so that it is not taken for an escape.
std::string one_line(std::string_view text) {
  std::string doubled;
  for (const char c : text) doubled.append(c == '\\' ? 2 : 1, c);
  return printable(doubled);
}

Result<int> decode_ids(const TokenizeArguments& arguments, const Tokenizer& tokenizer) {
  for (const int32_t id : arguments.ids) {
    if (static_cast<size_t>(id) >= tokenizer.vocab_size()) {
      return bad_input("--ids: expected 0 to {}, found {}", tokenizer.vocab_size() - 1, id);
    }
  }
  const std::string text = tokenizer.decode(arguments.ids);
  if (arguments.json) {
    print_json({{"text", text}, {"tokens", arguments.ids}});
  } else {
    fmt::print("{}", text);
  }
  return 0;
}

void print_pieces(const TokenizeArguments& arguments, const Tokenizer& tokenizer,
                  const std::vector<int32_t>& ids) {
  std::vector<std::string> pieces;
  for (const int32_t id : ids) pieces.emplace_back(tokenizer.piece(id));
  if (arguments.json) {
    print_json({{"tokens", ids}, {"pieces", pieces}});
    return;
  }
  Table table({">id", "piece"});
  for (size_t i = 0; i < ids.size(); ++i) {
    table.add({fmt::format("{}", ids[i]), fmt::format("'{}'", one_line(pieces[i]))});
  }
  fmt::print("{}", table.plain());
  fmt::print(stderr, "{} tokens\n", ids.size());
}

// Needs the vocabulary only: files without tensors do, and so do architectures the engine cannot
// run.
Result<int> tokenize(const TokenizeArguments& arguments) {
  LH_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(arguments.model_path));
  LH_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::load(file));
  for (const auto& warning : tokenizer.warnings()) {
    fmt::print(stderr, "longhaul: warning: {}\n", printable(warning));
  }
  if (arguments.decode) return decode_ids(arguments, tokenizer);
  LH_ASSIGN_OR_RETURN(const std::string text, prompt_text(arguments.prompt));
  Tokenizer::EncodeOptions options;
  if (arguments.prompt.no_bos) options.add_bos = false;
  options.parse_special = arguments.prompt.special;
  LH_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, tokenizer.encode(text, options));
  print_pieces(arguments, tokenizer, ids);
  return 0;
}

}  // namespace

void add_tokenize(CLI::App& app, CommandBody& chosen) {
  CLI::App& command = *app.add_subcommand("tokenize", "text to token ids and pieces, or back");
  const auto arguments = std::make_shared<TokenizeArguments>();
  add_model_path(command, arguments->model_path);
  add_text_options(command, arguments->prompt);
  auto store = [arguments = arguments.get()](std::vector<int32_t> ids) {
    arguments->ids = std::move(ids);
    arguments->decode = true;
  };
  add_parsed(command, "--ids", parse_ids, store, "token ids to turn into text")
      ->type_name("IDS")
      ->excludes("--prompt")
      ->excludes("--file");
  command.add_flag("--json", arguments->json, "print one JSON document");
  command.callback([&chosen, arguments] { chosen = [arguments] { return tokenize(*arguments); }; });
}

}  // namespace longhaul
