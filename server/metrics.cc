#include "server/metrics.h"

#include <fmt/format.h>

#include <algorithm>

namespace longhaul {
namespace {

constexpr std::array<std::string_view, kMissReasons> kReasonNames = {
    "none",  "extended", "diverged", "sparse", "window", "unknown",
    "empty", "full",     "off",      "disk",   "damaged"};

template <class T>
std::string line(std::string_view name, std::string_view type, T value) {
  return fmt::format("# TYPE {} {}\n{} {}\n", name, type, name, value);
}

template <class T>
std::string counter(std::string_view name, T value) {
  return line(name, "counter", value);
}

template <class T>
std::string gauge(std::string_view name, T value) {
  return line(name, "gauge", value);
}

double rate(uint64_t n, double seconds) {
  return seconds > 0 ? static_cast<double>(n) / seconds : 0;
}

}  // namespace

std::string_view to_string(MissReason reason) { return kReasonNames[static_cast<size_t>(reason)]; }

void Histogram::add(double value) {
  const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), value);
  if (bound != bounds_.end()) ++counts_[static_cast<size_t>(bound - bounds_.begin())];
  ++n_;
  sum_ += value;
}

std::string Histogram::lines(std::string_view name) const {
  std::string text = fmt::format("# TYPE {} histogram\n", name);
  uint64_t n = 0;
  for (size_t i = 0; i < bounds_.size(); ++i) {
    n += counts_[i];
    text += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", name, bounds_[i], n);
  }
  return text + fmt::format("{}_bucket{{le=\"+Inf\"}} {}\n{}_sum {}\n{}_count {}\n", name, n_, name,
                            sum_, name, n_);
}

void Metrics::queued(size_t n_waiting) {
  const std::lock_guard lock(mutex_);
  n_waiting_ = n_waiting;
}

void Metrics::running(size_t n_running) {
  const std::lock_guard lock(mutex_);
  n_running_ = n_running;
}

void Metrics::prefix_asked(size_t n_tokens, size_t n_reused, MissReason reason) {
  const std::lock_guard lock(mutex_);
  n_asked_ += n_tokens;
  n_reused_ += n_reused;
  ++misses_[static_cast<size_t>(reason)];
}

void Metrics::prefix_kept(size_t n_entries, size_t n_tokens) {
  const std::lock_guard lock(mutex_);
  n_kept_texts_ = n_entries;
  n_kept_tokens_ = n_tokens;
}

void Metrics::token_bytes(size_t n_bytes) {
  const std::lock_guard lock(mutex_);
  token_bytes_ = n_bytes;
}

void Metrics::disk(const DiskCounts& counts) {
  const std::lock_guard lock(mutex_);
  disk_ = counts;
}

std::string Metrics::disk_lines() const {
  if (token_bytes_ == 0) return {};
  std::string text = fmt::format(
      "# TYPE longhaul:prefix_bytes gauge\nlonghaul:prefix_bytes{{tier=\"memory\"}} {}\n"
      "longhaul:prefix_bytes{{tier=\"disk\"}} {}\n",
      n_kept_tokens_ * token_bytes_, disk_.n_bytes);
  text += gauge("longhaul:prefix_pages", disk_.n_pages);
  text += gauge("longhaul:prefix_pages_waiting", disk_.n_waiting);
  text += counter("longhaul:prefix_pages_written_total", disk_.n_written);
  text += counter("longhaul:prefix_pages_dropped_total", disk_.n_dropped);
  text += counter("longhaul:prefix_pages_evicted_total", disk_.n_evicted);
  text += counter("longhaul:prefix_pages_damaged_total", disk_.n_damaged);
  return text + counter("longhaul:prefix_restored_tokens_total", n_restored_);
}

void Metrics::text_over(const TextOutcome& outcome) {
  const auto& result = outcome.result;
  const TextTimes& times = outcome.times;
  const std::lock_guard lock(mutex_);
  queue_.add(times.queue_s);
  all_.add(times.all_s);
  if (!result) {
    ++n_failed_;
    return;
  }
  ++finished_[std::string(to_string(result->finish_reason))];
  n_prompt_tokens_ += result->prompt_tokens - outcome.n_reused;
  n_tokens_ += result->tokens.size();
  n_longest_ = std::max<uint64_t>(n_longest_, result->prompt_tokens + result->tokens.size());
  prefill_s_ += times.prefill_s;
  decode_s_ += times.decode_s;
  prefill_.add(times.prefill_s);
  decode_.add(times.decode_s);
  if (!result->tokens.empty()) first_token_.add(times.first_token_s);
  const size_t n_timed = result->timings.decoded_tokens;
  if (n_timed > 0) per_token_.add(times.decode_s / static_cast<double>(n_timed));
  const AttentionStats& stats = result->attention;
  n_dense_steps_ += stats.dense_steps;
  n_sparse_steps_ += stats.sparse_steps;
  n_rectifications_ += stats.rectifications;
  n_blocks_read_ += stats.blocks_read;
  n_blocks_skipped_ += stats.blocks_total - stats.blocks_read;
  n_drafted_ += stats.drafted;
  n_accepted_ += stats.accepted;
}

std::string Metrics::prometheus() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  text += counter("llamacpp:prompt_tokens_total", n_prompt_tokens_);
  text += counter("llamacpp:prompt_seconds_total", prefill_s_);
  text += gauge("llamacpp:prompt_tokens_seconds", rate(n_prompt_tokens_, prefill_s_));
  text += counter("llamacpp:tokens_predicted_total", n_tokens_);
  text += counter("llamacpp:tokens_predicted_seconds_total", decode_s_);
  text += gauge("llamacpp:predicted_tokens_seconds", rate(n_tokens_, decode_s_));
  text += gauge("llamacpp:requests_processing", n_running_);
  text += gauge("llamacpp:requests_deferred", n_waiting_);
  text += counter("llamacpp:n_tokens_max", n_longest_);
  text += counter("vllm:prompt_tokens_total", n_prompt_tokens_);
  text += counter("vllm:generation_tokens_total", n_tokens_);
  text += gauge("vllm:num_requests_running", n_running_);
  text += gauge("vllm:num_requests_waiting", n_waiting_);
  text += counter("vllm:prefix_cache_queries", n_asked_);
  text += counter("vllm:prefix_cache_hits", n_reused_);
  text += counter("vllm:spec_decode_num_draft_tokens", n_drafted_);
  text += counter("vllm:spec_decode_num_accepted_tokens", n_accepted_);
  text += "# TYPE vllm:request_success_total counter\n";
  for (const auto& [reason, n] : finished_)
    text += fmt::format("vllm:request_success_total{{finished_reason=\"{}\"}} {}\n", reason, n);
  text += first_token_.lines("vllm:time_to_first_token_seconds");
  text += per_token_.lines("vllm:request_time_per_output_token_seconds");
  text += all_.lines("vllm:e2e_request_latency_seconds");
  text += queue_.lines("vllm:request_queue_time_seconds");
  text += prefill_.lines("vllm:request_prefill_time_seconds");
  text += decode_.lines("vllm:request_decode_time_seconds");
  text += counter("longhaul:requests_refused_total", n_refused_);
  text += counter("longhaul:requests_failed_total", n_failed_);
  text += counter("longhaul:requests_resumed_total", n_resumed_);
  text += counter("longhaul:dense_steps_total", n_dense_steps_);
  text += counter("longhaul:sparse_steps_total", n_sparse_steps_);
  text += counter("longhaul:rectifications_total", n_rectifications_);
  text += counter("longhaul:blocks_read_total", n_blocks_read_);
  text += counter("longhaul:blocks_skipped_total", n_blocks_skipped_);
  text += gauge("longhaul:prefix_texts", n_kept_texts_);
  text += gauge("longhaul:prefix_tokens", n_kept_tokens_);
  text += disk_lines();
  text += "# TYPE longhaul:prefix_misses_total counter\n";
  for (size_t i = 1; i < kMissReasons; ++i)
    text += fmt::format("longhaul:prefix_misses_total{{reason=\"{}\"}} {}\n", kReasonNames[i],
                        misses_[i]);
  return text;
}

}  // namespace longhaul
