// What the server counts, as Prometheus reads it: under llama.cpp's and vLLM's names where they mean
// the same, and under our own.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "server/text_sink.h"

namespace longhaul {

// Why a prompt, or its rest, had to be read.
enum class MissReason : uint8_t {
  kNone,      // all of it was kept
  kExtended,  // all that was kept of a text was used; the rest is new
  kDiverged,  // the prompt goes on with another token than the nearest text
  kSparse,    // the nearest text goes on alike, but sparse steps left it
  kWindow,    // a window has forgotten what the prompt would see
  kUnknown,   // no text begins like it, or by too few tokens
  kEmpty,     // nothing is kept
  kFull,      // no pages for a copy
  kOff,       // the request wants none of it
  kDisk,      // the rest of what the disk gave is not there
  kDamaged,   // the disk had more, in files that are damaged
};
constexpr size_t kMissReasons = 11;
std::string_view to_string(MissReason reason);

// Counts of how often a value was at most each bound.
class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds)
      : bounds_(std::move(bounds)), counts_(bounds_.size()) {}
  void add(double value);
  std::string lines(std::string_view name) const;

 private:
  std::vector<double> bounds_;
  std::vector<uint64_t> counts_;  // as bounds_: values in (previous bound, bound]
  uint64_t n_ = 0;
  double sum_ = 0;
};

// Kept prompts on disk.
struct DiskCounts {
  uint64_t n_bytes = 0, n_pages = 0, n_waiting = 0;  // n_waiting: pages to be written
  uint64_t n_written = 0, n_dropped = 0, n_evicted = 0, n_damaged = 0;  // so far
};

// May be used by several threads at once.
class Metrics {
 public:
  void queued(size_t n_waiting);
  void running(size_t n_running);
  void refused() { add(n_refused_, 1); }
  // An answer of a process before this one goes on.
  void resumed() { add(n_resumed_, 1); }
  void prefix_asked(size_t n_tokens, size_t n_reused, MissReason reason);
  void prefix_kept(size_t n_entries, size_t n_tokens);
  // There is a disk tier, and a kept token has so many bytes.
  void token_bytes(size_t n_bytes);
  void disk(const DiskCounts& counts);
  void restored(size_t n_tokens) { add(n_restored_, n_tokens); }
  void text_over(const TextOutcome& outcome);

  // The exposition format, version 0.0.4.
  std::string prometheus() const;

 private:
  std::string disk_lines() const;
  void add(uint64_t& counter, uint64_t n) {
    const std::lock_guard lock(mutex_);
    counter += n;
  }

  mutable std::mutex mutex_;  // guards what follows
  uint64_t n_waiting_ = 0, n_running_ = 0, n_refused_ = 0, n_failed_ = 0, n_resumed_ = 0;
  uint64_t n_prompt_tokens_ = 0, n_tokens_ = 0, n_longest_ = 0;
  double prefill_s_ = 0, decode_s_ = 0;
  uint64_t n_asked_ = 0, n_reused_ = 0, n_kept_texts_ = 0, n_kept_tokens_ = 0;
  std::array<uint64_t, kMissReasons> misses_ = {};
  uint64_t token_bytes_ = 0, n_restored_ = 0;
  DiskCounts disk_;
  std::map<std::string, uint64_t> finished_;  // by reason
  uint64_t n_dense_steps_ = 0, n_sparse_steps_ = 0, n_rectifications_ = 0;
  uint64_t n_blocks_read_ = 0, n_blocks_skipped_ = 0, n_drafted_ = 0, n_accepted_ = 0;
  static std::vector<double> seconds() {
    return {0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000};
  }
  static std::vector<double> short_seconds() {
    return {0.001, 0.003, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1};
  }
  Histogram first_token_{seconds()}, per_token_{short_seconds()}, all_{seconds()},
      queue_{seconds()}, prefill_{seconds()}, decode_{seconds()};
};

}  // namespace longhaul
