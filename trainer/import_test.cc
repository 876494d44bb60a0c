// A model goes out to GGUF and comes back: the same weights, and clear errors for others.
#include "trainer/import.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "trainer/export.h"
#include "trainer/train.h"

namespace longhaul::trainer {
namespace {

namespace fs = std::filesystem;

const Vocabulary& small_vocabulary() {
  static const Vocabulary vocabulary = make_vocabulary("the cat sat on the mat", 4);
  return vocabulary;
}

// A run of one step, so that a checkpoint exists; returns its folder.
std::string small_run(const std::string& name, bool qk_norm) {
  const std::string folder = testing::TempDir() + name;
  TrainOptions options;
  options.model = {.d_model = 64,
                   .n_heads = 2,
                   .n_kv_heads = 1,
                   .head_dim = 32,
                   .d_ff = 64,
                   .qk_norm = qk_norm,
                   .planted = false};
  options.out = folder;
  options.n_tokens = 1;
  options.batch_tokens = 96;
  const auto status = train(options, small_vocabulary(), small_vocabulary().encode("the cat sat"));
  EXPECT_TRUE(status) << status.error().message;
  return folder + "/checkpoint";
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

class GgufImport : public testing::TestWithParam<bool> {};

TEST_P(GgufImport, BringsBackTheCheckpoint) {
  const std::string folder = small_run("import", GetParam());
  const std::string path = testing::TempDir() + "import.gguf";
  const auto checkpoint = load_model(folder);
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  for (const char* type : {"F32", "Q8_0"}) {
    const auto written =
        export_gguf({.checkpoint = folder, .path = path, .type = type}, small_vocabulary());
    ASSERT_TRUE(written) << written.error().message;
    const auto back = load_model(path);
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->config.qk_norm, GetParam());
    EXPECT_EQ(back->config.n_kv_heads, 1);
    EXPECT_EQ(back->config.rope_theta, checkpoint->config.rope_theta);
    EXPECT_EQ(back->state.step, 0);
    const auto want = checkpoint->weights.named(), got = back->weights.named();
    ASSERT_EQ(want.size(), got.size());
    for (size_t i = 0; i < want.size(); ++i) {
      // Q8_0 rounds values to half a step of a 127th of the block's largest, and that step to f16,
      // whose steps are 2^-24 near zero.
      const double bound = type == std::string("F32")
                               ? 0
                               : want[i].second.abs().max().item<double>() * 0.0045 + 128 * 0x1p-25;
      EXPECT_LE(largest_difference(want[i].second, got[i].second), bound) << want[i].first;
      EXPECT_TRUE(got[i].second.requires_grad()) << got[i].first;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(WithAndWithoutQkNorm, GgufImport, testing::Bool());

// The models of tests/golden: every RoPE scaling and matrix type of plain transformers, and the
// line's architectures, against logits computed elsewhere in float64; the others are refused in words.
TEST(GgufImport, ComputesTheGoldenLogits) {
  const at::NoGradGuard no_grad;
  int n_computed = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(LONGHAUL_SOURCE_DIR) / "tests/golden")) {
    if (entry.path().extension() != ".json") continue;
    const auto golden = nlohmann::json::parse(std::ifstream(entry.path()));
    const std::string model = golden.at("model");
    const auto read = import_gguf(entry.path().parent_path() / model);
    const bool is_known = model.rfind("gemma3", 0) != 0 && model.rfind("olmoe", 0) != 0 &&
                          model.rfind("qwen3moe", 0) != 0;
    ASSERT_EQ(read.has_value(), is_known) << model << ' ' << (read ? "" : read.error().message);
    if (!is_known) {
      EXPECT_NE(read.error().message.find("plain transformers"), std::string::npos)
          << read.error().message;
      continue;
    }
    ++n_computed;
    const auto prompt = golden.at("prompt").get<std::vector<int64_t>>();
    const Attention attention = [](int64_t, const at::Tensor& q, const at::Tensor& k,
                                   const at::Tensor& v) { return dense_attention(q, k, v); };
    const at::Tensor ids = at::tensor(at::ArrayRef<int64_t>(prompt)).unsqueeze(0);
    const at::Tensor hidden = forward(read->config, read->weights, ids, attention)[0];
    const auto positions = golden.at("positions").get<std::vector<int64_t>>();
    const at::Tensor logits =
        at::linear(hidden.index_select(0, at::tensor(at::ArrayRef<int64_t>(positions))),
                   read->weights.output_matrix());
    at::Tensor expected = at::empty(logits.sizes());
    std::ifstream file(entry.path().parent_path() / golden.at("logits").get<std::string>(),
                       std::ios::binary);
    file.read(reinterpret_cast<char*>(expected.mutable_data_ptr<float>()),
              static_cast<std::streamsize>(expected.nbytes()));
    ASSERT_TRUE(file.good()) << model;
    // float32 against float64 over a few layers; a mistake is worth more than 1e-2.
    const double scale = golden.at("logits_rms").get<double>();
    EXPECT_LT(largest_difference(logits, expected), 2e-5 * scale) << model;
  }
  EXPECT_GT(n_computed, 20);
}

TEST(GgufImport, TrainingGoesOnFromAFile) {
  const std::string path = testing::TempDir() + "start.gguf";
  ASSERT_TRUE(export_gguf({.checkpoint = small_run("start", true), .path = path, .type = "F32"},
                          small_vocabulary()));
  TrainOptions options;
  options.from_gguf = path;
  options.out = testing::TempDir() + "continued";
  options.n_tokens = 1;
  options.batch_tokens = 96;
  const auto status = train(options, small_vocabulary(), small_vocabulary().encode("the cat sat"));
  ASSERT_TRUE(status) << status.error().message;
  const auto before = import_gguf(path), after = load_model(options.out + "/checkpoint");
  ASSERT_TRUE(before && after);
  EXPECT_EQ(after->state.step, 1);
  // The warm-up's first step is small: the weights are those of the file, moved a little.
  EXPECT_LT(largest_difference(before->weights.embedding, after->weights.embedding), 1e-3);
  EXPECT_GT(largest_difference(before->weights.embedding, after->weights.embedding), 0);
}

TEST(GgufImport, SaysWhatIsWrong) {
  const auto none = import_gguf(testing::TempDir() + "absent.gguf");
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("absent.gguf"), std::string::npos);

  const std::string path = testing::TempDir() + "cut.gguf";
  ASSERT_TRUE(export_gguf({.checkpoint = small_run("cut", true), .path = path, .type = "F16"},
                          small_vocabulary()));
  fs::resize_file(path, fs::file_size(path) - 1000);
  EXPECT_FALSE(import_gguf(path));
}

}  // namespace
}  // namespace longhaul::trainer
