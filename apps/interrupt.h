// Ctrl-C as a question a loop can ask. While an object lives, the first Ctrl-C sets its flag
// instead of ending the program; a second one before reset() ends it. One at a time.
#pragma once

#include <csignal>
#include <functional>
#include <string>
#include <thread>

namespace longhaul {

// 128 + SIGINT, what a shell expects of a program that Ctrl-C ended.
inline constexpr int kExitInterrupted = 130;

class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  bool requested() const;
  void reset();

 private:
  struct sigaction previous_;
};

// A pass over a piece of the prompt, or a token of a large model, may take many seconds, and nothing
// stops it half way. While an object lives, Ctrl-C ends the program with kExitInterrupted if the
// loop that asks requested() has not left by half a second: `words`, called by another thread, says
// for standard error what was done by then. If it says nothing, the loop is waited for.
class HardStop {
 public:
  HardStop(const Interrupt& interrupt, std::function<std::string()> words);

 private:
  std::jthread watch_;
};

}  // namespace longhaul
