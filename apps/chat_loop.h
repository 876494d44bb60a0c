// A chat at a terminal or in a pipe: reads messages and commands, prints answers.
#pragma once

#include <span>
#include <string>

#include "apps/conversation.h"
#include "apps/interrupt.h"
#include "apps/line_reader.h"
#include "apps/summary.h"

namespace longhaul {

struct ChatSettings {
  GenerateRequest request;    // of every answer, but for its prompt
  bool drops_oldest = false;  // where the context is full; else the chat says so and stops
};

// "temperature 0.8, top-p 0.95, min-p 0.05, seed 7": what an answer is drawn by.
std::string describe(const SamplingOptions& sampling);

class ChatLoop {
 public:
  // The engine must outlive the loop.
  ChatLoop(Engine& engine, Conversation conversation, ChatSettings settings);

  // Until the end of input or /quit.
  void run();
  // What /load does; false if it could not.
  bool load(const std::string& path);

 private:
  struct Command {
    std::string_view name;
    std::string_view argument;  // for the help; empty: it takes none
    std::string_view help;
    void (ChatLoop::*act)(const std::string& argument);
  };
  static std::span<const Command> commands();

  // A message of one line, of lines joined by backslashes, or between lines of """; nothing at the
  // end of input.
  std::optional<std::string> read_message();
  void command(const std::string& line);
  void answer(const std::string& text);
  void answer_again(const std::string&);
  template <class Ask>
  void show_answer(Ask ask);

  // Sees to it that the question and an answer fit; false if they do not, which was said.
  bool make_room(const std::string& question);
  void announce_limit();

  void help(const std::string&);
  void reset(const std::string&);
  void undo(const std::string&);
  void save(const std::string& path);
  void load_file(const std::string& path) { load(path); }
  void system(const std::string& text);
  void set(const std::string& text);
  void stats(const std::string&);
  void quit(const std::string&) { is_over_ = true; }

  Engine& engine_;
  Interrupt interrupt_;
  Conversation conversation_;
  ChatSettings settings_;
  LineReader lines_;
  std::string last_ = "no answer yet";
  bool is_over_ = false;
  bool is_announced_ = false;  // that the context will soon be full
};

}  // namespace longhaul
