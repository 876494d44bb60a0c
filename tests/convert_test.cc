// Checkpoints of the golden models (tools/make_checkpoints.py) become the golden files again: the same
// tensors bit for bit, the same keys, the same logits.
#include "convert/convert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "io/gguf.h"
#include "io/test_dir.h"
#include "model/model.h"
#include "model/state_slots.h"

namespace longhaul {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(LONGHAUL_SOURCE_DIR) / "tests" / "golden";

std::string folder_of(const std::string& name) { return (kGolden / "checkpoints" / name).string(); }

// A checkpoint in a folder of its own, to be changed.
std::string copy_of(const std::string& name, const TestDir& dir) {
  fs::copy(folder_of(name), dir.file(name));
  return dir.file(name);
}

std::vector<float> logits_of(const GgufFile& file) {
  ThreadPool pool(2);
  auto model = Model::load(file, pool, 128);
  EXPECT_TRUE(model) << model.error().message;
  auto states = StatePool::create(state_slots((*model)->plan(), {.n_tokens = 512}));
  EXPECT_TRUE(states) << states.error().message;
  SequenceState sequence = (*states)->new_sequence();
  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < 40; ++i) tokens.push_back(i * 37 % 256);
  Step step;
  step.state = &sequence;
  step.tokens = tokens;
  step.n_logits = tokens.size();
  std::vector<float> logits(tokens.size() * (*model)->plan().vocab_size);
  const Status status =
      (*model)->run(step, {logits.data(), tokens.size(), (*model)->plan().vocab_size});
  EXPECT_TRUE(status) << status.error().message;
  return logits;
}

class Converted : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const auto report =
        convert_checkpoint(folder_of(GetParam()), dir_.file("out.gguf"), {.n_threads = 2});
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_TRUE(report->notes.empty());
    converted_ = std::make_unique<GgufFile>(*GgufFile::open(dir_.file("out.gguf")));
    golden_ = std::make_unique<GgufFile>(
        *GgufFile::open((kGolden / (std::string(GetParam()) + ".gguf")).string()));
  }
  bool is_gemma() const { return std::string_view(GetParam()).starts_with("gemma"); }

  TestDir dir_;
  std::unique_ptr<GgufFile> converted_, golden_;
};

TEST_P(Converted, TensorsAreTheGoldenOnes) {
  ASSERT_EQ(converted_->tensors().size(), golden_->tensors().size());
  for (const GgufTensor& expected : golden_->tensors()) {
    const GgufTensor* found = converted_->find_tensor(expected.name);
    ASSERT_NE(found, nullptr) << expected.name;
    EXPECT_EQ(found->type_id, expected.type_id) << expected.name;
    EXPECT_EQ(found->shape, expected.shape) << expected.name;
    ASSERT_EQ(found->data.size(), expected.data.size()) << expected.name;
    const bool is_rounded =  // norms less 1 and back; divisors computed in another order
        (is_gemma() && expected.name.find("norm") != std::string::npos) ||
        expected.name == "rope_freqs.weight" || expected.name.ends_with("ssm_a");
    if (!is_rounded) {
      EXPECT_EQ(std::memcmp(found->data.data(), expected.data.data(), expected.data.size()), 0)
          << expected.name;
      continue;
    }
    for (size_t at = 0; at < expected.data.size(); at += sizeof(float)) {
      float a = 0, b = 0;
      std::memcpy(&a, found->data.data() + at, sizeof(a));
      std::memcpy(&b, expected.data.data() + at, sizeof(b));
      EXPECT_NEAR(a, b, std::abs(b) * 0x1p-22) << expected.name;
    }
  }
}

// The golden file may leave out what follows from its other keys, but what it says must be said.
TEST_P(Converted, KeysAreTheGoldenOnes) {
  size_t n_compared = 0;
  for (const auto& [key, expected] : golden_->metadata()) {
    if (key == "general.name" || key == "general.description") continue;
    const GgufValue* found = converted_->find(key);
    ASSERT_NE(found, nullptr) << key;
    EXPECT_EQ(describe(*found, 1000, 1000), describe(expected, 1000, 1000)) << key;
    ++n_compared;
  }
  EXPECT_GT(n_compared, 15u);
}

TEST_P(Converted, LogitsAreTheGoldenOnes) {
  const std::vector<float> found = logits_of(*converted_);
  const std::vector<float> expected = logits_of(*golden_);
  ASSERT_EQ(found.size(), expected.size());
  double error = 0, norm = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    error += (double{found[i]} - expected[i]) * (double{found[i]} - expected[i]);
    norm += double{expected[i]} * expected[i];
  }
  ASSERT_GT(norm, 0);
  // Gemma's norms and Llama 3's divisors may differ in their last bit.
  const bool is_rounded = is_gemma() || converted_->find_tensor("rope_freqs.weight") != nullptr ||
                          converted_->find_tensor("blk.0.ssm_a") != nullptr;
  EXPECT_LE(std::sqrt(error / norm), is_rounded ? 1e-4 : 0.0);
}

std::string test_name(const testing::TestParamInfo<const char*>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Golden, Converted,
                         testing::Values("llama-f32", "llama-f16-llama3", "llama-bf16-linear",
                                         "qwen2-f16-yarn", "qwen3-f16", "gemma3-f16-linear",
                                         "phi4flash-f16"),
                         test_name);

// Every type: the bytes do not depend on threads, and the file runs.
TEST(ConvertTypes, EveryTypeIsWrittenAlikeByAnyNumberOfThreads) {
  const TestDir dir;
  for (const WeightTypes& types : all_weight_types()) {
    for (const size_t n_threads : {1, 3}) {
      const auto report =
          convert_checkpoint(folder_of("qwen3-f16"), dir.file(std::to_string(n_threads)),
                             {.types = &types, .name = "x", .n_threads = n_threads});
      ASSERT_TRUE(report) << types.name << ": " << report.error().message;
    }
    EXPECT_EQ(read_text(dir.file("1")), read_text(dir.file("3"))) << types.name;
    const auto file = GgufFile::open(dir.file("1"));
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(*file->get_u64("general.file_type"), types.file_type);
    EXPECT_FALSE(logits_of(*file).empty());
  }
}

// Nothing is left behind, and the message names what was wrong.
void expect_refused(const std::string& folder, const TestDir& dir, const std::string& named) {
  const auto report = convert_checkpoint(folder, dir.file("out.gguf"), {});
  ASSERT_FALSE(report) << named;
  EXPECT_NE(report.error().message.find(named), std::string::npos) << report.error().message;
  EXPECT_EQ(dir.n_files(), 1u);
}

// Replaces `from`, which must be there, by `to` of the same length or in a JSON file.
void replace_in(const std::string& path, const std::string& from, const std::string& to) {
  std::string text = read_text(path);
  const size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << path;
  write_text(path, text.replace(at, from.size(), to));
}

TEST(ConvertErrors, TensorsAreNamed) {
  const struct {
    const char* from;
    const char* to;
    const char* named;
  } cases[] = {
      {"layers.0.mlp.up_proj", "layers.0.mlp.xx_proj",
       "\"model.layers.0.mlp.up_proj.weight\": expected [64, 64], found nothing"},
      {"\"dtype\":\"F32\"", "\"dtype\":\"I32\"", "expected F32, F16 or BF16, found I32"},
  };
  for (const auto& each : cases) {
    const TestDir dir;
    const std::string folder = copy_of("llama-f32", dir);
    replace_in(folder + "/model.safetensors", each.from, each.to);
    expect_refused(folder, dir, each.named);
  }
}

TEST(ConvertErrors, ShapesFollowTheConfig) {
  const TestDir dir;
  const std::string folder = copy_of("llama-f32", dir);
  replace_in(folder + "/config.json", "\"intermediate_size\": 64", "\"intermediate_size\": 65");
  expect_refused(folder, dir, "expected [65, 64], found [64, 64]");
}

TEST(ConvertErrors, TensorsThatNobodyReadsAreNamed) {
  const TestDir dir;
  const std::string folder = copy_of("qwen3-f16", dir);
  replace_in(folder + "/config.json", "\"num_hidden_layers\": 1", "\"num_hidden_layers\": 2");
  expect_refused(folder, dir, "model.layers.1.");
  replace_in(folder + "/config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1");
  replace_in(folder + "/config.json", "\"model_type\": \"qwen3\"", "\"model_type\": \"llama\"");
  expect_refused(folder, dir, "_norm.weight\": llama models have no such tensor");
}

TEST(ConvertErrors, WeightsThatDoNotFitAreNamed) {
  const TestDir dir;
  const std::string folder = copy_of("llama-f32", dir);
  std::string bytes = read_text(folder + "/model.safetensors");
  const float huge = 1e6F;
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof(header));
  std::memcpy(bytes.data() + 8 + header, &huge, sizeof(huge));  // the embedding stands first
  write_text(folder + "/model.safetensors", bytes);
  const auto as_f16 =
      convert_checkpoint(folder, dir.file("out.gguf"), {.types = *find_weight_types("f16")});
  ASSERT_FALSE(as_f16);
  EXPECT_NE(
      as_f16.error().message.find("row 0: expected finite numbers that F16 can store, found 1"),
      std::string::npos)
      << as_f16.error().message;
  EXPECT_EQ(dir.n_files(), 1u);
  EXPECT_TRUE(
      convert_checkpoint(folder, dir.file("out.gguf"), {.types = *find_weight_types("bf16")}));
}

}  // namespace
}  // namespace longhaul
