// Lines that a person types, with editing and history where standard input is a terminal, or lines
// of a pipe as they come.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "apps/interrupt.h"

namespace longhaul {

// $XDG_STATE_HOME/longhaul/chat_history, or the same under $HOME/.local/state; empty without either.
std::string history_path();

class LineReader {
 public:
  // Keeps what was typed in the file at `path`, read at the beginning; empty: nowhere.
  LineReader(Interrupt& interrupt, std::string path);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  struct Line {
    std::string text;  // without the line break at its end; a pasted one may have some inside
    bool is_cancelled = false;  // Ctrl-C: what was typed is dropped
  };
  // The next line, behind `prompt` on a terminal; nothing at the end of input. Transport is taken
  // off: a CR at the end, a byte-order mark in front of the first line.
  std::optional<Line> read(const char* prompt);
  // To be found again with the arrow keys.
  void remember(const std::string& message);

 private:
  struct Editor;
  std::optional<std::string> read_pipe();

  Interrupt& interrupt_;
  std::unique_ptr<Editor> editor_;  // null where nobody types
  bool is_first_ = true;
};

}  // namespace longhaul
