#include "apps/chat_loop.h"

#include <fmt/format.h>

#include <cstdio>

#include "apps/options.h"
#include "apps/output.h"
#include "apps/stream.h"
#include "base/result.h"

namespace longhaul {
namespace {

constexpr std::string_view kQuotes = "\"\"\"";

// Tokens that an answer shall have room for, or else the oldest turns are dropped.
size_t wanted_room(size_t max_tokens, size_t ctx_size) {
  return std::min(max_tokens, ctx_size / 4);
}

}  // namespace

std::string describe(const SamplingOptions& sampling) {
  if (sampling.temperature <= 0) return "greedy";
  std::string words = fmt::format("temperature {}", sampling.temperature);
  if (sampling.top_k > 0) words += fmt::format(", top-k {}", sampling.top_k);
  if (sampling.top_p < 1) words += fmt::format(", top-p {}", sampling.top_p);
  if (sampling.min_p > 0) words += fmt::format(", min-p {}", sampling.min_p);
  return words + fmt::format(", seed {}", sampling.seed);
}

ChatLoop::ChatLoop(Engine& engine, Conversation conversation, ChatSettings settings)
    : engine_(engine),
      conversation_(std::move(conversation)),
      settings_(std::move(settings)),
      lines_(interrupt_, history_path()) {}

void ChatLoop::run() {
  while (!is_over_) {
    const auto message = read_message();
    if (!message) return;
    lines_.remember(*message);
    if (message->starts_with("//")) {
      answer(message->substr(1));
    } else if (message->starts_with('/')) {
      command(*message);
    } else if (!message->empty()) {
      answer(*message);
    }
  }
}

std::optional<std::string> ChatLoop::read_message() {
  std::string text;
  bool is_quoted = false;
  for (;;) {
    const auto line = lines_.read(text.empty() && !is_quoted ? "> " : ". ");
    if (!line) return std::nullopt;
    if (line->is_cancelled) {
      if (text.empty()) fmt::print(stderr, "\n(/quit to leave)\n");
      text.clear();
      is_quoted = false;
      continue;
    }
    std::string_view part = line->text;
    if (text.empty() && !is_quoted && part.starts_with(kQuotes)) {
      is_quoted = true;
      part.remove_prefix(kQuotes.size());
      if (part.empty()) continue;
    }
    if (is_quoted && part.ends_with(kQuotes)) {
      part.remove_suffix(kQuotes.size());
      text += part;
      if (part.empty() && text.ends_with('\n')) text.pop_back();
      return text;
    }
    text += part;
    if (!is_quoted && !text.ends_with('\\')) return text;
    if (!is_quoted) text.pop_back();
    text += '\n';
  }
}

void ChatLoop::answer(const std::string& text) {
  if (!make_room(text)) return;
  show_answer(
      [&](GenerateRequest request) { return conversation_.answer(text, std::move(request)); });
}

// With other random numbers, or it would be the same answer.
void ChatLoop::answer_again(const std::string&) {
  settings_.request.sampling.seed = random_seed();
  show_answer(
      [&](GenerateRequest request) { return conversation_.answer_again(std::move(request)); });
}

template <class Ask>
void ChatLoop::show_answer(Ask ask) {
  interrupt_.reset();
  GenerateRequest request = settings_.request;
  Stream stream(true);
  stream.attach(request, interrupt_);
  const auto result = ask(std::move(request));
  const Status written = stream.finish();
  interrupt_.reset();
  if (!result) return print_error(result.error().message);
  if (!written) {
    is_over_ = true;
    return print_error(written.error().message);
  }
  fmt::print("\n");
  std::fflush(stdout);
  const size_t n_new = result->prompt_tokens + result->tokens.size();
  const SummaryFacts facts = facts_of(engine_, conversation_.n_tokens() - n_new, settings_.request);
  if (result->finish_reason == FinishReason::kCancelled) fmt::print(stderr, "(stopped)\n");
  if (result->finish_reason == FinishReason::kLength)
    fmt::print(stderr, "({})\n", finish_words(*result, facts));
  last_ = summary(*result, facts);
  announce_limit();
}

bool ChatLoop::make_room(const std::string& question) {
  const size_t ctx_size = engine_.options().ctx_size;
  const size_t room = wanted_room(settings_.request.max_tokens, ctx_size);
  size_t n_dropped = 0;
  for (;;) {
    const auto n_tokens = conversation_.n_tokens_with(question);
    if (!n_tokens) {
      print_error(n_tokens.error().message);
      return false;
    }
    const bool fits = *n_tokens + (settings_.drops_oldest ? room : 1) <= ctx_size;
    if (fits || !settings_.drops_oldest || !conversation_.drop_oldest()) {
      if (n_dropped > 0) {
        fmt::print(stderr, "(the context is full: the oldest {} of the conversation dropped)\n",
                   n_dropped == 1 ? "turn was" : fmt::format("{} turns were", n_dropped));
      }
      if (*n_tokens < ctx_size) return true;
      print_error(fmt::format(
          "the conversation with this message has {} tokens, and the context has room for {}: {}",
          *n_tokens, ctx_size,
          settings_.drops_oldest ? "expected a shorter message"
                                 : "/undo and /reset make room, --on-full drop always does"));
      return false;
    }
    ++n_dropped;
  }
}

void ChatLoop::announce_limit() {
  const size_t ctx_size = engine_.options().ctx_size;
  const size_t n_tokens = conversation_.n_tokens();
  const bool is_near = n_tokens >= ctx_size / 4 * 3;
  if (is_near && !is_announced_) {
    fmt::print(stderr, "({} of {} tokens of the context are taken; when it is full, {})\n",
               n_tokens, ctx_size,
               settings_.drops_oldest ? "the oldest turns are dropped"
                                      : "the chat stops; --on-full drop goes on without the oldest "
                                        "turns");
  }
  is_announced_ = is_near;
}

bool ChatLoop::load(const std::string& path) {
  const auto n_tokens = conversation_.load(path);
  if (!n_tokens) {
    print_error(n_tokens.error().message);
    return false;
  }
  fmt::print(stderr, "{} turns, {} tokens restored\n", conversation_.turns().size(), *n_tokens);
  return true;
}

}  // namespace longhaul
