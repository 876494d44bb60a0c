// The lines of a chat that begin with a slash.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "apps/chat_loop.h"
#include "apps/options.h"
#include "apps/output.h"
#include "apps/output_target.h"
#include "apps/spelling.h"
#include "base/result.h"

namespace longhaul {

std::span<const ChatLoop::Command> ChatLoop::commands() {
  static constexpr Command kCommands[] = {
      {"/help", "", "this list", &ChatLoop::help},
      {"/save", "FILE", "save the chat (the cache in FILE, the turns in FILE.json)",
       &ChatLoop::save},
      {"/load", "FILE", "go on from a saved one", &ChatLoop::load_file},
      {"/reset", "", "forget all that was said", &ChatLoop::reset},
      {"/regenerate", "", "answer the last message anew", &ChatLoop::answer_again},
      {"/undo", "", "take the last message and its answer back", &ChatLoop::undo},
      {"/system", "[TEXT]", "another system message; without TEXT the one there is",
       &ChatLoop::system},
      {"/set", "[NAME VALUE]", "temp, top-k, top-p, min-p, seed, max-tokens and so on, as after --",
       &ChatLoop::set},
      {"/stats", "", "speed and attention of the last answer", &ChatLoop::stats},
      {"/quit", "", "leave; so does the end of input", &ChatLoop::quit},
      {"/exit", "", "the same", &ChatLoop::quit},
  };
  return kCommands;
}

void ChatLoop::command(const std::string& line) {
  const size_t blank = std::min(line.find_first_of(" \t"), line.size());
  const std::string name = line.substr(0, blank);
  const size_t first = line.find_first_not_of(" \t", blank);
  std::string argument = first == std::string::npos ? "" : line.substr(first);
  while (argument.ends_with(' ') || argument.ends_with('\t')) argument.pop_back();
  std::vector<std::string> names;
  for (const Command& known : commands()) {
    names.emplace_back(known.name);
    if (known.name != name) continue;
    if (known.argument == "FILE" && argument.empty())
      return print_error(fmt::format("{}: expected a file name, found none", name));
    if (known.argument.empty() && !argument.empty())
      return print_error(fmt::format("{}: expected nothing behind it, found '{}'", name, argument));
    return (this->*known.act)(argument);
  }
  const std::string near = nearest(name, names);
  print_error(fmt::format("{}: no such command{}; /help lists them, // begins a message with /",
                          name, near.empty() ? "" : fmt::format(" (did you mean {}?)", near)));
}

void ChatLoop::help(const std::string&) {
  for (const Command& known : commands()) {
    fmt::print(stderr, "  {:<22}{}\n", fmt::format("{} {}", known.name, known.argument),
               known.help);
  }
  fmt::print(stderr,
             "  A line that ends in \\ goes on in the next; between lines of \"\"\" a message has "
             "as many as you like.\n"
             "  // begins a message with /. Ctrl-C stops an answer.\n");
}

void ChatLoop::reset(const std::string&) {
  conversation_.reset();
  is_announced_ = false;
}

void ChatLoop::undo(const std::string&) {
  if (!conversation_.undo()) return print_error("/undo: nothing was said");
  fmt::print(stderr, "{} turns left\n", conversation_.turns().size());
}

void ChatLoop::save(const std::string& path) {
  const auto target = output_target("/save", path);
  if (!target) return print_error(target.error().message);
  const auto turns = output_target("/save", path + ".json");
  if (!turns) return print_error(turns.error().message);
  if (const Status saved = conversation_.save(*target); !saved)
    return print_error(saved.error().message);
  fmt::print(stderr, "{} turns, {} tokens saved\n", conversation_.turns().size(),
             conversation_.n_tokens());
}

void ChatLoop::system(const std::string& text) {
  const auto& turns = conversation_.turns();
  if (!text.empty()) {
    if (const Status set = conversation_.set_system(text); !set) print_error(set.error().message);
  } else if (turns.empty() || turns.front().role != "system") {
    fmt::print(stderr, "no system message but what the model's template may write\n");
  } else {
    fmt::print(stderr, "{}\n", turns.front().content);
  }
}

// Reads NAME VALUE as the command line reads --NAME VALUE.
void ChatLoop::set(const std::string& text) {
  GenerateRequest& request = settings_.request;
  if (!text.empty()) {
    GenerateRequest changed = request;
    CLI::App app;
    app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    add_sampling_options(app, changed.sampling);
    add_max_tokens(app, changed.max_tokens, "", 1);
    const size_t blank = std::min(text.find_first_of(" \t="), text.size());
    const size_t first = std::min(text.find_first_not_of(" \t=", blank), text.size());
    const std::string name = (blank == 1 ? "-" : "--") + text.substr(0, blank);
    std::vector<std::string> arguments = {text.substr(first), name};  // CLI11 begins at the end
    if (arguments[0].empty())
      return print_error(fmt::format("/set {}: expected a value behind it, found none", text));
    try {
      app.parse(std::move(arguments));
    } catch (const CLI::ParseError& error) {
      return print_error(fmt::format("/set: {}", error.what()));
    }
    request = std::move(changed);
  }
  fmt::print(stderr, "{}, {}\n", describe(request.sampling),
             request.max_tokens == kNoTokenLimit
                 ? "answers of any length"
                 : fmt::format("answers of up to {} tokens", request.max_tokens));
}

void ChatLoop::stats(const std::string&) {
  fmt::print(stderr, "{} turns, {} of {} tokens\n{}\n", conversation_.turns().size(),
             conversation_.n_tokens(), engine_.options().ctx_size, last_);
}

}  // namespace longhaul
