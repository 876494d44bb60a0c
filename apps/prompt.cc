#include "apps/prompt.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>

#include "apps/options.h"
#include "base/result.h"

namespace longhaul {
namespace {

// Something was put there for this program: a terminal waits for a person, and the null device is
// what programs get that nobody gave anything.
bool is_piped(int fd) {
  struct stat status = {};
  if (fstat(fd, &status) != 0) return false;
  return S_ISFIFO(status.st_mode) || S_ISREG(status.st_mode) || S_ISSOCK(status.st_mode);
}

// A prompt that brings its own beginning-of-text token behind the automatic one.
void warn_of_two_marks(const std::vector<int32_t>& ids, const std::vector<int32_t>& mark) {
  if (mark.empty() || ids.size() < 2 || ids[0] != mark[0] || ids[1] != mark[0]) return;
  fmt::print(
      stderr,
      "longhaul: warning: the prompt begins with two beginning-of-text tokens; --no-bos adds "
      "none\n");
}

// The text of a file or pipe: most programs end what they write with a line break nobody typed.
Result<std::string> read_content(const std::string& file, bool keep_newline) {
  LH_ASSIGN_OR_RETURN(const std::string bytes, read_text_file(file));
  std::string text = without_transport(bytes);
  if (!keep_newline && text.ends_with('\n')) text.pop_back();
  return text;
}

Result<std::string> raw_text(const PromptArguments& prompt) {
  if (prompt.has_text && prompt.has_file)
    return bad_input("prompt: expected one of -p and -f, found both");
  if (prompt.has_text) return without_transport(prompt.text);
  if (prompt.has_file) return read_content(prompt.file, prompt.keep_newline);
  if (!is_piped(STDIN_FILENO)) {
    return bad_input(
        "prompt: expected -p TEXT, -f FILE or a pipe on standard input, found none of them");
  }
  LH_ASSIGN_OR_RETURN(std::string text, read_content("-", prompt.keep_newline));
  if (text.empty()) {
    return bad_input(
        "prompt: expected -p TEXT, -f FILE or a text on standard input, found an empty one");
  }
  return text;
}

// What stands behind a backslash, and how many characters say so; 0: nothing known.
std::pair<char, size_t> escaped(std::string_view text) {
  constexpr std::string_view kLetters = "ntr\\\"'", kMeanings = "\n\t\r\\\"'";
  if (text.empty()) return {};
  const size_t known = kLetters.find(text[0]);
  if (known != std::string_view::npos) return {kMeanings[known], 1};
  uint8_t byte = 0;
  if (text[0] != 'x' || text.size() < 3) return {};
  const auto [end, error] = std::from_chars(text.data() + 1, text.data() + 3, byte, 16);
  if (error != std::errc() || end != text.data() + 3) return {};
  return {static_cast<char>(byte), 3};
}

}  // namespace

void add_text_options(CLI::App& app, PromptArguments& prompt) {
  const OptionGroup group(app, "Prompt");
  auto text = [](std::string_view value) -> Result<std::string> { return std::string(value); };
  add_parsed(
      app, "-p,--prompt", text,
      [&prompt](std::string value) {
        prompt.text = std::move(value);
        prompt.has_text = true;
      },
      "the prompt; without it and -f what is piped to standard input")
      ->type_name("TEXT");
  add_parsed(
      app, "-f,--file", text,
      [&prompt](std::string value) {
        prompt.file = std::move(value);
        prompt.has_file = true;
      },
      "a file with the prompt; - is standard input. A line break at its end is not part of it")
      ->type_name("FILE");
  app.add_flag("--keep-newline", prompt.keep_newline,
               "a line break at the end of a file or pipe is part of the prompt");
  app.add_flag("-e,--escape", prompt.escapes,
               "in the prompt \\n is a line break; \\t, \\r, \\\\, \\\", \\' and \\xHH likewise");
  app.add_flag("--special", prompt.special, "read special tokens such as <|im_start|> in the text");
  app.add_flag("--no-bos", prompt.no_bos, "add no beginning-of-text token");
}

void add_prompt_options(CLI::App& app, PromptArguments& prompt) {
  add_text_options(app, prompt);
  const OptionGroup group(app, "Prompt");
  add_parsed(
      app, "--tokens", parse_ids,
      [&prompt](std::vector<int32_t> ids) {
        prompt.tokens = std::move(ids);
        prompt.has_tokens = true;
      },
      "the prompt as token ids, separated by commas")
      ->type_name("IDS");
}

std::string without_transport(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  std::string content;
  content.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const bool ends_line = text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n';
    if (!ends_line) content += text[i];
  }
  return content;
}

Result<std::string> unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    const auto [meaning, n_characters] = escaped(text.substr(i + 1));
    if (n_characters == 0) {
      return bad_input("-e: expected \\n, \\t, \\r, \\\\, \\\", \\' or \\xHH, found '{}'",
                       text.substr(i, 2));
    }
    out += meaning;
    i += n_characters;
  }
  return out;
}

Result<std::string> prompt_text(const PromptArguments& prompt) {
  LH_ASSIGN_OR_RETURN(std::string text, raw_text(prompt));
  return prompt.escapes ? unescape(text) : Result<std::string>(std::move(text));
}

Result<std::vector<int32_t>> read_prompt(const PromptArguments& prompt, const Engine& engine,
                                         bool continues) {
  const int n_given = prompt.has_text + prompt.has_file + prompt.has_tokens;
  if (n_given > 1)
    return bad_input("prompt: expected one of -p, -f and --tokens, found {}", n_given);
  if (n_given == 0 && continues) return std::vector<int32_t>();
  if (prompt.has_tokens) return prompt.tokens;
  LH_ASSIGN_OR_RETURN(const std::string text, prompt_text(prompt));
  const bool adds_bos = !continues && !prompt.no_bos;
  LH_ASSIGN_OR_RETURN(auto ids, engine.tokenize(text, adds_bos, prompt.special));
  LH_ASSIGN_OR_RETURN(const auto mark, engine.tokenize("", adds_bos, false));
  warn_of_two_marks(ids, mark);
  return ids;
}

}  // namespace longhaul
