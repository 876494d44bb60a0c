#include "apps/interrupt.h"

#include <unistd.h>

namespace longhaul {
namespace {

// A signal handler can reach nothing but a global.
volatile std::sig_atomic_t g_interrupted = 0;

constexpr int kExitInterrupted = 130;  // 128 + SIGINT, what a shell expects

void on_interrupt(int) {
  if (g_interrupted != 0) _exit(kExitInterrupted);
  g_interrupted = 1;
}

}  // namespace

Interrupt::Interrupt() {
  g_interrupted = 0;
  struct sigaction action = {};
  action.sa_handler = on_interrupt;  // without SA_RESTART: a blocked read of the terminal returns
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &previous_);
}

Interrupt::~Interrupt() { sigaction(SIGINT, &previous_, nullptr); }

bool Interrupt::requested() const { return g_interrupted != 0; }

void Interrupt::reset() { g_interrupted = 0; }

}  // namespace longhaul
