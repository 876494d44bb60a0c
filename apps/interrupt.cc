#include "apps/interrupt.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace longhaul {
namespace {

// A signal handler can reach nothing but a global.
volatile std::sig_atomic_t g_interrupted = 0;

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

HardStop::HardStop(const Interrupt& interrupt, std::function<std::string()> words)
    : watch_([&interrupt, words = std::move(words)](const std::stop_token& done) {
        constexpr auto kStep = std::chrono::milliseconds(50);
        constexpr int kMostSteps = 7;
        std::mutex mutex;
        std::condition_variable_any wake;
        std::unique_lock lock(mutex);
        for (int n_steps = 0; !done.stop_requested();) {
          wake.wait_for(lock, done, kStep, [] { return false; });
          if (!interrupt.requested() || ++n_steps < kMostSteps) continue;
          const std::string said = words();
          if (said.empty() || done.stop_requested()) continue;
          const std::string line =
              fmt::format("{}[{}]\n", isatty(STDERR_FILENO) == 1 ? "\r\033[K" : "", said);
          [[maybe_unused]] const ssize_t n = write(STDERR_FILENO, line.data(), line.size());
          _exit(kExitInterrupted);
        }
      }) {}

}  // namespace longhaul
