// Ctrl-C as a question a loop can ask. While an object lives, the first Ctrl-C sets its flag
// instead of ending the program; a second one before reset() ends it. One at a time.
#pragma once

#include <csignal>

namespace longhaul {

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

}  // namespace longhaul
