#include "apps/spelling.h"

#include <algorithm>
#include <numeric>

namespace longhaul {
namespace {

struct Pair {
  std::string_view typed;
  std::string_view text;
};

// The names llama.cpp has for the same thing.
constexpr Pair kSameThing[] = {
    {"--n-predict", "--max-tokens"},
    {"--predict", "--max-tokens"},
    {"--context-size", "--ctx-size"},
    {"--temperature", "--temp"},
    {"-s", "--seed"},
    {"--repeat-last-n", "--penalty-last-n"},
    {"-ctk", "--k-type"},
    {"--cache-type-k", "--k-type"},
    {"-ctv", "--v-type"},
    {"--cache-type-v", "--v-type"},
    {"-ub", "--prefill-chunk"},
    {"--ubatch-size", "--prefill-chunk"},
    {"-sys", "--system"},
    {"--system-prompt", "--system"},
    {"--chat-template-file", "--chat-template"},
};

// What they ask for is so without them.
constexpr std::string_view kAlreadySo[] = {"--no-display-prompt", "--no-escape", "-no-cnv",
                                           "--no-conversation",   "--simple-io", "--log-disable"};

// What has no equal here.
constexpr Pair kInWords[] = {
    {"-ngl",
     "layers are not divided between processor and GPU; --device cuda computes all of them "
     "on the GPU, where it was built in, and without it the processor does"},
    {"-fa", "attention never keeps the whole matrix of scores; leave it out"},
    {"-cnv", "`longhaul chat` talks with a model, `longhaul generate --chat` asks it one question"},
    {"--prompt-cache",
     "--save-state FILE keeps a text with its cache, --load-state FILE goes on "
     "from one"},
    {"-hf", "no models are downloaded; expected a file in -m"},
};
constexpr Pair kOtherNames[] = {
    {"--gpu-layers", "-ngl"},   {"--n-gpu-layers", "-ngl"}, {"--flash-attn", "-fa"},
    {"--conversation", "-cnv"}, {"--interactive", "-cnv"},  {"-i", "-cnv"},
    {"--hf-repo", "-hf"},
};

template <size_t N>
const Pair* find(const Pair (&pairs)[N], std::string_view typed) {
  const auto found = std::find_if(std::begin(pairs), std::end(pairs),
                                  [&](const Pair& pair) { return pair.typed == typed; });
  return found == std::end(pairs) ? nullptr : found;
}

const CLI::Option* find_option(const CLI::App& command, std::string_view name) {
  return command.get_option_no_throw(std::string(name));
}

std::string with_dashes(std::string_view name) {
  std::string text(name);
  std::replace(text.begin(), text.end(), '_', '-');
  return text;
}

std::vector<std::string> long_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

tl::unexpected<Error> unknown(const CLI::App& command, const std::string& name) {
  const std::string near = nearest(with_dashes(name), long_names(command));
  return bad_input("{}: no such option{} (see longhaul {} --help)", name,
                   near.empty() ? "" : fmt::format("; did you mean {}?", near), command.get_name());
}

// One argument, "--name" or "--name=value" or "-n", in its new spelling; empty: it is dropped.
Result<std::string> settle(const CLI::App& command, const std::string& argument) {
  const bool is_long = argument.starts_with("--");
  const size_t end = is_long ? std::min(argument.find('='), argument.size()) : argument.size();
  const std::string name = argument.substr(0, end), rest = argument.substr(end);
  if (find_option(command, name) != nullptr) return argument;
  if (std::find(std::begin(kAlreadySo), std::end(kAlreadySo), name) != std::end(kAlreadySo))
    return std::string();
  if (const Pair* same = find(kSameThing, name); same && find_option(command, same->text))
    return std::string(same->text) + rest;
  if (is_long && find_option(command, with_dashes(name))) return with_dashes(name) + rest;
  const Pair* other = find(kOtherNames, name);
  if (const Pair* words = find(kInWords, other ? other->text : std::string_view(name)))
    return bad_input("{}: {}", name, words->text);
  if (is_long) return unknown(command, name);
  // One letter with its value behind it, or several flags: CLI11 takes them apart.
  return argument;
}

// Steps from one text to the other: a letter more, less or other, or two that changed places.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> steps(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) steps[i][0] = i;
  std::iota(steps[0].begin(), steps[0].end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t other = steps[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      steps[i][j] = std::min({steps[i - 1][j] + 1, steps[i][j - 1] + 1, other});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        steps[i][j] = std::min(steps[i][j], steps[i - 2][j - 2] + 1);
    }
  }
  return steps[a.size()][b.size()];
}

}  // namespace

std::string nearest(const std::string& text, const std::vector<std::string>& known) {
  // A name cut short or drawn out is nearer than its length says.
  constexpr size_t kLeastPrefix = 5;
  std::string best;
  size_t fewest = 1 + text.size() / 4;  // more steps than that, and it is another word
  for (const std::string& name : known) {
    const bool begins =
        text.size() >= kLeastPrefix && (name.starts_with(text) || text.starts_with(name));
    const size_t n = begins ? 1 : distance(text, name);
    if (n > fewest || (n == fewest && !best.empty())) continue;
    best = name;
    fewest = n;
  }
  return best;
}

Status settle_spelling(const CLI::App& app, std::vector<std::string>& arguments) {
  if (arguments.empty()) return {};
  const auto chosen = app.get_subcommands(
      [&](const CLI::App* known) { return known->check_name(arguments.front()); });
  if (chosen.empty()) return {};
  const CLI::App& command = *chosen.front();
  std::vector<std::string> settled = {arguments.front()};
  for (size_t i = 1; i < arguments.size(); ++i) {
    if (arguments[i] == "--") {
      settled.insert(settled.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i),
                     arguments.end());
      break;
    }
    if (arguments[i].size() < 2 || arguments[i][0] != '-') {
      settled.push_back(arguments[i]);
      continue;
    }
    LH_ASSIGN_OR_RETURN(std::string argument, settle(command, arguments[i]));
    if (argument.empty()) continue;
    const CLI::Option* option = find_option(command, argument);
    settled.push_back(std::move(argument));
    // What follows an option that takes a value is that value, whatever it looks like.
    const bool has_value = option != nullptr && option->get_items_expected_max() > 0;
    if (has_value && i + 1 < arguments.size()) settled.push_back(arguments[++i]);
  }
  arguments = std::move(settled);
  return {};
}

}  // namespace longhaul
