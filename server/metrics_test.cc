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

TEST(Histogram, ValuesBeyondTheLastBoundAreCounted) {
  Histogram histogram({1, 2});
  for (const double value : {0.5, 1.0, 1.5, 9.0}) histogram.add(value);
  EXPECT_EQ(histogram.lines("h"),
            "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"2\"} 3\n"
            "h_bucket{le=\"+Inf\"} 4\nh_sum 12\nh_count 4\n");
}

}  // namespace
}  // namespace longhaul
