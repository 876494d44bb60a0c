// Long walks of exact look-ups through the public API: every mode must find what the prompt says,
// and selection that cannot find it must fail.
#include "tests/lookup_model.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "longhaul/engine.h"

namespace longhaul {
namespace {

// The model in a file of its own, removed with the object.
class LookupFile {
 public:
  explicit LookupFile(const LookupSpec& spec)
      : path_(fmt::format("{}lookup-{}-{}.gguf", testing::TempDir(), getpid(), spec.n_nodes)) {
    const Status status = write_lookup_model(spec, path_);
    EXPECT_TRUE(status.has_value()) << (status ? "" : status.error().message);
  }
  ~LookupFile() { std::filesystem::remove(path_); }
  LookupFile(const LookupFile&) = delete;
  LookupFile& operator=(const LookupFile&) = delete;

  std::unique_ptr<Engine> load(KvType kv_type, size_t ctx_size) const {
    EngineOptions options;
    options.model_path = path_;
    options.n_threads = 2;
    options.ctx_size = ctx_size;
    options.selectors = {"minmax"};
    options.k_type = options.v_type = kv_type;
    auto engine = Engine::load(options);
    EXPECT_TRUE(engine.has_value()) << (engine ? "" : engine.error().message);
    return engine ? std::move(*engine) : nullptr;
  }

 private:
  std::string path_;
};

GenerateRequest request_of(AttentionMode mode, const LookupWalk& walk) {
  GenerateRequest request;
  request.prompt = walk.prompt;
  request.max_tokens = walk.answer.size();
  request.attention.mode = mode;
  request.attention.always_draft = true;
  request.attention.selector =
      "minmax";  // any key of a block may be the one: a box keeps it, two points do not
  return request;
}

GenerateResult generate(Engine& engine, const GenerateRequest& request) {
  auto session = engine.new_session();
  EXPECT_TRUE(session.has_value()) << (session ? "" : session.error().message);
  auto result = session->generate(request);
  EXPECT_TRUE(result.has_value()) << (result ? "" : result.error().message);
  return result ? std::move(*result) : GenerateResult{};
}

size_t n_right(const GenerateResult& result, const LookupWalk& walk) {
  size_t n = 0;
  for (size_t i = 0; i < std::min(result.tokens.size(), walk.answer.size()); ++i) {
    n += result.tokens[i] == walk.answer[i] ? 1 : 0;
  }
  return n;
}

struct Case {
  TensorType type;
  size_t n_heads;
  KvType kv_type;
};

class LookupModel : public testing::TestWithParam<Case> {};

TEST_P(LookupModel, EveryModeWalksTheWholePath) {
  LookupSpec spec;
  spec.type = GetParam().type;
  spec.n_heads = GetParam().n_heads;
  const LookupFile file(spec);
  const auto engine = file.load(GetParam().kv_type, 8192);
  ASSERT_NE(engine, nullptr);
  const LookupWalk walk = make_lookup_walk(spec, 2000, 500, 1);
  for (const AttentionMode mode : {AttentionMode::kDense, AttentionMode::kSparse,
                                   AttentionMode::kResa, AttentionMode::kExact}) {
    const GenerateResult result = generate(*engine, request_of(mode, walk));
    EXPECT_EQ(result.tokens, walk.answer) << to_string(mode);
    if (mode != AttentionMode::kDense) {
      EXPECT_LT(result.attention.blocks_read, result.attention.blocks_total / 5) << to_string(mode);
      EXPECT_GT(result.attention.sparse_steps, 400U) << to_string(mode);
    }
    // Sparse drafts are right, so the dense pass rejects none.
    if (mode == AttentionMode::kExact) {
      EXPECT_EQ(result.attention.accepted, result.attention.drafted);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, LookupModel,
                         testing::Values(Case{TensorType::kQ8_0, 1, KvType::kF16},
                                         Case{TensorType::kF16, 2, KvType::kQ8_0}),
                         [](const auto& test) {
                           return fmt::format("{}_heads{}", tensor_type_info(test.param.type).name,
                                              test.param.n_heads);
                         });

// The tests above can fail: a window sees a tenth of the pairs, and so does a selection of random
// order.
TEST(LookupSelection, AWindowLosesTheWay) {
  const LookupSpec spec;
  const LookupFile file(spec);
  const auto engine = file.load(KvType::kF16, 8192);
  ASSERT_NE(engine, nullptr);
  const LookupWalk walk = make_lookup_walk(spec, 2000, 100, 2);
  auto request = request_of(AttentionMode::kSparse, walk);
  request.attention.selector = "window";
  EXPECT_LT(n_right(generate(*engine, request), walk), 20U);
  request.attention.selector = "oracle";
  EXPECT_EQ(n_right(generate(*engine, request), walk), 100U);
  // `exact` is right all the same: the dense pass replaces every wrong draft.
  request.attention.mode = AttentionMode::kExact;
  request.attention.selector = "window";
  const GenerateResult exact = generate(*engine, request);
  EXPECT_EQ(exact.tokens, walk.answer);
  EXPECT_LT(exact.attention.accepted, exact.attention.drafted);
}

TEST(LookupSelection, SamplingFindsTheWayToo) {
  const LookupSpec spec;
  const LookupFile file(spec);
  const auto engine = file.load(KvType::kF16, 8192);
  ASSERT_NE(engine, nullptr);
  const LookupWalk walk = make_lookup_walk(spec, 1000, 100, 3);
  for (const AttentionMode mode : {AttentionMode::kDense, AttentionMode::kExact}) {
    auto request = request_of(mode, walk);
    request.sampling.temperature = 1.0F;
    request.sampling.seed = 7;
    EXPECT_EQ(generate(*engine, request).tokens, walk.answer) << to_string(mode);
  }
}

}  // namespace
}  // namespace longhaul
