#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>

#include "apps/calibration_cache.h"
#include "apps/commands.h"
#include "apps/conversation.h"
#include "apps/interrupt.h"
#include "apps/options.h"
#include "apps/output.h"
#include "apps/stream.h"
#include "base/result.h"

namespace longhaul {
namespace {

struct ChatArguments {
  EngineOptions engine;
  GenerateRequest request;
  std::string system;
  bool calibrate = false;
};

constexpr const char* kHelp =
    "  /reset        forget the conversation\n"
    "  /save FILE    save it (the cache in FILE, the turns in FILE.json)\n"
    "  /load FILE    go on from a saved one\n"
    "  /stats        speed and attention of the last answer\n"
    "  /quit         leave; so does the end of input\n"
    "  A line that ends in \\ goes on in the next. Ctrl-C stops an answer.\n";

// Reads lines from standard input, with a prompt where a person types.
class LineReader {
 public:
  explicit LineReader(Interrupt& interrupt) : interrupt_(interrupt) {}

  // A line, joined with the next where it ends in a backslash; nothing at the end of input. Ctrl-C
  // drops what was typed and begins again.
  std::optional<std::string> read() {
    std::string text;
    for (std::string line;;) {
      if (isatty(STDIN_FILENO) == 1) fmt::print(stderr, "{} ", text.empty() ? ">" : ".");
      std::fflush(stderr);
      if (!std::getline(std::cin, line)) {
        if (!interrupt_.requested()) return std::nullopt;
        interrupt_.reset();
        std::cin.clear();
        std::clearerr(stdin);
        fmt::print(stderr, "\n(/quit to leave)\n");
        text.clear();
        continue;
      }
      text += line;
      if (!text.ends_with('\\')) return text;
      text.back() = '\n';
    }
  }

 private:
  Interrupt& interrupt_;
};

class ChatLoop {
 public:
  ChatLoop(Conversation conversation, const GenerateRequest& request)
      : conversation_(std::move(conversation)), request_(request), lines_(interrupt_) {}

  void run() {
    while (const auto line = lines_.read()) {
      if (*line == "/quit" || *line == "/exit") return;
      if (line->empty()) continue;
      if (line->starts_with('/')) {
        command(*line);
      } else {
        answer(*line);
      }
    }
  }

 private:
  void answer(const std::string& text) {
    interrupt_.reset();
    GenerateRequest request = request_;
    Stream stream(true);
    stream.attach(request, interrupt_);
    const auto result = conversation_.answer(text, std::move(request));
    stream.finish();
    fmt::print("\n");
    std::fflush(stdout);
    if (!result) {
      complain(result.error());
      return;
    }
    if (result->finish_reason == FinishReason::kCancelled) fmt::print(stderr, "(stopped)\n");
    if (result->finish_reason == FinishReason::kLength) fmt::print(stderr, "(length limit)\n");
    last_ = summary(*result);
    interrupt_.reset();
  }

  void command(const std::string& line) {
    const size_t blank = line.find(' ');
    const std::string name = line.substr(0, blank);
    const std::string argument = blank == std::string::npos ? "" : line.substr(blank + 1);
    if (name == "/help") {
      fmt::print(stderr, "{}", kHelp);
    } else if (name == "/reset") {
      conversation_.reset();
    } else if (name == "/stats") {
      fmt::print(stderr, "{} turns, {} tokens\n{}\n", conversation_.turns().size(),
                 conversation_.n_tokens(), last_);
    } else if ((name == "/save" || name == "/load") && argument.empty()) {
      fmt::print(stderr, "{}: expected a file name\n", name);
    } else if (name == "/save") {
      if (const Status saved = conversation_.save(argument); !saved) complain(saved.error());
    } else if (name == "/load") {
      load(argument);
    } else {
      fmt::print(stderr, "{}: no such command\n{}", name, kHelp);
    }
  }

  void load(const std::string& path) {
    const auto n_tokens = conversation_.load(path);
    if (!n_tokens) {
      complain(n_tokens.error());
      return;
    }
    fmt::print(stderr, "{} turns, {} tokens restored\n", conversation_.turns().size(), *n_tokens);
  }

  static void complain(const Error& error) { fmt::print(stderr, "longhaul: {}\n", error.message); }

  Interrupt interrupt_;
  Conversation conversation_;
  const GenerateRequest& request_;
  LineReader lines_;
  std::string last_ = "no answer yet";
};

Result<int> chat(ChatArguments& arguments) {
  LH_RETURN_IF_ERROR(settle_block_size(arguments.engine));
  LH_RETURN_IF_ERROR(validate(arguments.request.attention, arguments.engine.block_size));
  LH_ASSIGN_OR_RETURN(const auto engine, Engine::load(arguments.engine));
  print_warnings(*engine);
  if (needs_calibration(arguments.request.attention))
    LH_RETURN_IF_ERROR(prepare_calibration(*engine, arguments.calibrate, false));
  LH_ASSIGN_OR_RETURN(Conversation conversation, Conversation::start(*engine, arguments.system));
  fmt::print(stderr, "{}, context {} tokens. /help lists the commands.\n",
             engine->model_info().name, engine->options().ctx_size);
  ChatLoop(std::move(conversation), arguments.request).run();
  return 0;
}

}  // namespace

void add_chat(CLI::App& app, CommandBody& chosen) {
  CLI::App& command = *app.add_subcommand("chat", "talk with a model");
  const auto arguments = std::make_shared<ChatArguments>();
  arguments->request.max_tokens = 1
                                  << 20;  // an answer ends by itself, by Ctrl-C or with the context
  add_engine_options(command, arguments->engine);
  add_chat_template_option(command, arguments->engine);
  command.add_option("--system", arguments->system, "the system message")->type_name("TEXT");
  add_count(command, "-n,--max-tokens", arguments->request.max_tokens, "longest answer", 1);
  add_mode_option(command, arguments->request.attention.mode);
  add_selection_options(command, arguments->engine, arguments->request.attention);
  add_calibrate_flag(command, arguments->calibrate);
  add_sampling_options(command, arguments->request.sampling);
  command.callback([&chosen, arguments] { chosen = [arguments] { return chat(*arguments); }; });
}

}  // namespace longhaul
