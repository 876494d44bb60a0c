#include "server/metrics.h"

#include <gtest/gtest.h>

namespace longhaul {
namespace {

TEST(Metrics, CountsTexts) {
  Metrics metrics;
  metrics.prefix_asked(100, 60, MissReason::kDiverged);
  GenerateResult result;
  result.prompt_tokens = 100;
  result.tokens = {1, 2, 3};
  result.finish_reason = FinishReason::kStop;
  result.attention.sparse_steps = 2;
  metrics.text_over({.result = result, .n_reused = 60, .times = {.queue_s = 0.02, .all_s = 2}});
  metrics.text_over({.result = tl::unexpected<Error>(Error{})});
  const std::string text = metrics.prometheus();
  for (const char* line :
       {"\nllamacpp:prompt_tokens_total 40\n", "\nvllm:generation_tokens_total 3\n",
        "\nvllm:prefix_cache_queries 100\n", "\nvllm:prefix_cache_hits 60\n",
        "\nlonghaul:prefix_misses_total{reason=\"diverged\"} 1\n",
        "\nvllm:request_success_total{finished_reason=\"stop\"} 1\n",
        "\nlonghaul:sparse_steps_total 2\n", "\nlonghaul:requests_failed_total 1\n",
        "\nvllm:e2e_request_latency_seconds_bucket{le=\"1\"} 1\n",  // the one that failed at once
        "\nvllm:e2e_request_latency_seconds_bucket{le=\"3\"} 2\n",
        "\nvllm:e2e_request_latency_seconds_count 2\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

TEST(Metrics, TheDiskIsThereOnlyIfItIs) {
  Metrics metrics;
  metrics.prefix_kept(2, 512);
  EXPECT_EQ(metrics.prometheus().find("tier="), std::string::npos);
  metrics.token_bytes(100);
  metrics.disk({.n_bytes = 70'000,
                .n_pages = 3,
                .n_waiting = 4,
                .n_written = 5,
                .n_dropped = 6,
                .n_evicted = 7,
                .n_damaged = 8});
  metrics.restored(64);
  metrics.prefix_asked(100, 64, MissReason::kDamaged);
  const std::string text = metrics.prometheus();
  for (const char* line :
       {"\nlonghaul:prefix_bytes{tier=\"memory\"} 51200\n",
        "\nlonghaul:prefix_bytes{tier=\"disk\"} 70000\n", "\nlonghaul:prefix_pages 3\n",
        "\nlonghaul:prefix_pages_waiting 4\n", "\nlonghaul:prefix_pages_written_total 5\n",
        "\nlonghaul:prefix_pages_dropped_total 6\n", "\nlonghaul:prefix_pages_evicted_total 7\n",
        "\nlonghaul:prefix_pages_damaged_total 8\n", "\nlonghaul:prefix_restored_tokens_total 64\n",
        "\nlonghaul:prefix_misses_total{reason=\"damaged\"} 1\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

TEST(Histogram, ValuesBeyondTheLastBoundAreCounted) {
  Histogram histogram({1, 2});
  for (const double value : {0.5, 1.0, 1.5, 9.0}) histogram.add(value);
  EXPECT_EQ(histogram.lines("h"),
            "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"2\"} 3\n"
            "h_bucket{le=\"+Inf\"} 4\nh_sum 12\nh_count 4\n");
}

}  // namespace
}  // namespace longhaul
