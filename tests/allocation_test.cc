// Decoding allocates nothing per token: malloc is counted while steps run. Not built with
// sanitizers, which own malloc.
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>

#include "longhaul/engine.h"
#include "model/model.h"
#include "tests/tiny_model.h"

namespace {
std::atomic<size_t> n_allocations{0};
}

extern "C" {
void* __libc_malloc(size_t);
void* __libc_memalign(size_t, size_t);
void* malloc(size_t size) {
  n_allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  n_allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_memalign(alignment, size);
}
}

namespace longhaul {
namespace {

TEST(Allocation, DecodeStepsAllocateNothing) {
  const auto bytes = make_tiny_model({});
  auto file = GgufFile::parse(bytes, "tiny");
  ASSERT_TRUE(file.has_value());
  ThreadPool pool(2);
  auto model = Model::load(*file, pool, 512);
  ASSERT_TRUE(model.has_value());
  const TinyStates states = make_tiny_states(**model, *file, {.n_tokens = 4096});
  SequenceState sequence = states.pool->new_sequence();
  const auto tokens = random_tokens(2048, 1);
  const std::span<const int32_t> all(tokens);
  std::vector<float> logits((*model)->plan().vocab_size);
  const MatrixView<float> out(logits.data(), 1, logits.size());
  const auto step = [&](size_t pos, const Selector* selector, const AttentionOptions& options) {
    Step one{.state = &sequence,
             .tokens = all.subspan(pos, 1),
             .first_pos = pos,
             .n_logits = 1,
             .selector = selector,
             .attention = &options};
    return (*model)->run(one, out).has_value();
  };
  const AttentionOptions options;
  for (size_t pos = 0; pos < 1024; pos += 512) {
    Step prompt{&sequence, all.subspan(pos, 512), pos, 0, nullptr, nullptr};
    ASSERT_TRUE((*model)->run(prompt, {}).has_value());
  }
  const Selector* selectors[] = {nullptr, find_selector("minmax"), find_selector("outlier"),
                                 find_selector("gate")};
  ASSERT_TRUE(step(1024, nullptr, options));
  ASSERT_TRUE(step(1025, find_selector("gate"), options));
  ASSERT_TRUE(step(1026, find_selector("outlier"), options));
  const size_t before = n_allocations.load();
  for (size_t pos = 1027; pos < 1427; ++pos) {
    if (!step(pos, selectors[pos % 4], options)) FAIL();
  }
  EXPECT_EQ(n_allocations.load() - before, 0U);
  EXPECT_GT(before, 0U);  // the counter works
}

// The same through the public API; what is left are the answer's text and its copy, which double.
TEST(Allocation, GenerateAllocatesNothingPerToken) {
  EngineOptions options;
  options.model_path = write_tiny_model({});
  options.n_threads = 2;
  const auto engine = Engine::load(options).value();
  for (const AttentionMode mode : {AttentionMode::kDense, AttentionMode::kSparse,
                                   AttentionMode::kResa, AttentionMode::kExact}) {
    Session session = engine->new_session().value();
    GenerateRequest request;
    request.prompt = random_tokens(500, 1);
    request.max_tokens = 300;
    request.ignore_eos = true;
    request.attention.mode = mode;
    request.attention.always_draft = true;
    request.attention.sparse_ratio = 0.05;
    request.attention.min_blocks = 4;
    size_t at_64 = 0, at_256 = 0;
    request.on_progress = [&](size_t, size_t, size_t generated) {
      if (generated == 64) at_64 = n_allocations.load();
      if (generated == 256) at_256 = n_allocations.load();
      return true;
    };
    ASSERT_TRUE(session.generate(request));
    EXPECT_LE(at_256 - at_64, 16U) << to_string(mode);
  }
}

}  // namespace
}  // namespace longhaul
