// What selecting blocks costs per token: all layers and KV heads of a model's shape on 2 threads,
// in the memory of a real cache. Scoring alone, and all of select().
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "attention/minmax/summary.h"
#include "attention/outlier/summary.h"
#include "attention/selector.h"
#include "parallel/thread_pool.h"
#include "state/kv_cache.h"

namespace longhaul {
namespace {

struct Shape {
  size_t n_layers, n_kv_heads, head_dim, n_group;
};
constexpr Shape kShapes[] = {{24, 2, 64, 7}, {28, 8, 128, 2}};  // Qwen2.5-0.5B, Qwen3-0.6B

// A q8_0 cache whose descriptors hold arbitrary numbers. Keys and values are never touched.
class FilledCache {
 public:
  FilledCache(const Shape& shape, size_t n_tokens, const Summary& summary)
      : cache_(KvCache::create({.n_layers = shape.n_layers,
                                .n_kv_heads = shape.n_kv_heads,
                                .key_dim = shape.head_dim,
                                .value_dim = shape.head_dim,
                                .k_type = KvType::kQ8_0,
                                .v_type = KvType::kQ8_0,
                                .max_tokens = n_tokens,
                                .summaries = {summary.spec()}})
                   .value()),
        sequence_(cache_->new_sequence()) {
    if (!sequence_.prepare_write(0, n_tokens)) std::abort();
    std::mt19937 rng(1);
    std::vector<std::byte> pattern(1 << 20);
    for (std::byte& byte : pattern) byte = static_cast<std::byte>(rng() % 0x3C);  // small halves
    const size_t group_bytes = summary.spec().group_bytes;
    for (size_t layer = 0; layer < shape.n_layers; ++layer) {
      for (size_t head = 0; head < shape.n_kv_heads; ++head) {
        const SummaryView view = sequence_.summary(layer, head, 0);
        for (size_t g = 0; g * kGroupBlocks * 16 < n_tokens; ++g) {
          auto* group = const_cast<std::byte*>(view.base) + view.pages[g] * view.page_stride;
          std::memcpy(group, &pattern[rng() % (pattern.size() - group_bytes)], group_bytes);
        }
      }
    }
  }
  const KvSequence& sequence() const { return sequence_; }

 private:
  std::unique_ptr<KvCache> cache_;
  KvSequence sequence_;
};

// Arguments: the shape, the tokens in the cache in units of 1024, whether to score alone, and by
// outliers (1) or bounds (0).
void select_all(benchmark::State& state) {
  const Shape& shape = kShapes[state.range(0)];
  const auto n_tokens = static_cast<size_t>(state.range(1)) * 1024;
  const bool by_outliers = state.range(3) != 0;
  const BoundsSummary bounds(shape.head_dim);
  const OutlierSummary outliers(shape.head_dim);
  const FilledCache filled(shape, n_tokens,
                           by_outliers ? static_cast<const Summary&>(outliers) : bounds);
  const bool scores_only = state.range(2) != 0;
  const AttentionOptions options;
  const Selector& selector = *find_selector(by_outliers ? "outlier" : "minmax");
  std::vector<float> q(shape.n_group * shape.head_dim);
  std::mt19937 rng(2);
  std::normal_distribution<float> normal;
  for (float& x : q) x = normal(rng);
  ThreadPool pool(2);
  std::vector<SelectionBuffer> buffers(shape.n_kv_heads);
  std::vector<std::vector<float>> scores(shape.n_kv_heads,
                                         std::vector<float>(shape.n_group * n_tokens / 16));
  std::vector<AttentionWorkspace> workspaces(2);
  for (SelectionBuffer& buffer : buffers) buffer.reserve(n_tokens / 16, 16, shape.head_dim);
  for (auto _ : state) {
    for (size_t layer = 0; layer < shape.n_layers; ++layer) {
      pool.run(shape.n_kv_heads, [&](size_t head, size_t worker) {
        AttentionJob job;
        job.kv = filled.sequence().view(layer, head);
        job.q = q.data();
        job.n_rows = 1;
        job.n_group = shape.n_group;
        job.first_pos = static_cast<uint32_t>(n_tokens - 1);
        job.scale = 0.1F;
        SelectionInput input;
        input.query = &job;
        const SummaryView summary = filled.sequence().summary(layer, head, 0);
        input.summaries = {&summary, 1};
        input.block_size = 16;
        input.n_blocks = n_tokens / 16;
        if (scores_only && by_outliers) {
          score_blocks(outlier_blocks(summary, n_tokens / 16), {q.data(), shape.n_group, 0.1F, 16},
                       scores[head].data(), n_tokens / 16);
        } else if (scores_only) {
          score_blocks(block_bounds(summary, n_tokens / 16), q.data(), scores[head].data());
        } else {
          buffers[head].select(selector, options, input, n_tokens, workspaces[worker]);
        }
      });
    }
  }
}
BENCHMARK(select_all)
    ->ArgNames({"shape", "Ktokens", "scores", "outliers"})
    ->ArgsProduct({{0, 1}, {16, 128}, {0, 1}, {0, 1}})
    ->Args({0, 1024, 0, 0})
    ->Args({0, 1024, 0, 1})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace longhaul
