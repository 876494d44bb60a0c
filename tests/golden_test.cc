// Logits and greedy tokens of the tiny models in tests/golden against an independent float64
// reference (see the README there): every architecture, weight type and RoPE scaling.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "kernels/ops.h"
#include "model/model.h"
#include "model/state_slots.h"

namespace longhaul {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const fs::path kFolder = fs::path(LONGHAUL_SOURCE_DIR) / "tests" / "golden";

struct Golden {
  std::string model_path;
  std::string architecture;
  size_t vocab_size = 0;
  std::vector<int32_t> prompt;
  std::vector<int32_t> greedy;
  std::vector<size_t> positions;
  std::vector<float> logits;   // [positions, vocab_size]
  double rounding = 0.0;       // relative RMS error that rounding alone explains
  double least_mistake = 0.0;  // the same of the smallest of the deliberate mistakes
};

Golden read_golden(const std::string& name) {
  Golden golden;
  const json document = json::parse(std::ifstream(kFolder / (name + ".json")));
  golden.model_path = kFolder / document.at("model").get<std::string>();
  golden.architecture = document.at("architecture").get<std::string>();
  golden.vocab_size = document.at("vocab_size");
  golden.prompt = document.at("prompt").get<std::vector<int32_t>>();
  golden.greedy = document.at("greedy").get<std::vector<int32_t>>();
  golden.positions = document.at("positions").get<std::vector<size_t>>();
  golden.rounding = document.at("rounding").at("relative_rms");
  golden.least_mistake = 1e9;
  for (const auto& [mistake, error] : document.at("relative_rms_of_mistakes").items()) {
    golden.least_mistake = std::min(golden.least_mistake, error.get<double>());
  }
  golden.logits.resize(golden.positions.size() * golden.vocab_size);
  std::ifstream file(kFolder / document.at("logits").get<std::string>(), std::ios::binary);
  file.read(reinterpret_cast<char*>(golden.logits.data()),
            static_cast<std::streamsize>(golden.logits.size() * sizeof(float)));
  EXPECT_TRUE(file.good()) << name;
  return golden;
}

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kFolder)) {
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// One model and one sequence with an f16 cache.
struct Rig {
  explicit Rig(const std::string& path) : pool(2) {
    auto opened = GgufFile::open(path);
    EXPECT_TRUE(opened.has_value()) << (opened ? "" : opened.error().message);
    file = std::make_unique<GgufFile>(std::move(*opened));
    auto loaded = Model::load(*file, pool, 128);
    EXPECT_TRUE(loaded.has_value()) << (loaded ? "" : loaded.error().message);
    model = std::move(*loaded);
    auto created = StatePool::create(state_slots(model->plan(), {.n_tokens = 512}));
    EXPECT_TRUE(created.has_value()) << (created ? "" : created.error().message);
    states = std::move(*created);
  }

  // Logits [tokens, vocab_size] of tokens appended to the sequence.
  std::vector<float> forward(SequenceState& sequence, std::span<const int32_t> tokens) {
    Step step;
    step.state = &sequence;
    step.tokens = tokens;
    step.first_pos = sequence.n_tokens();
    step.n_logits = tokens.size();
    const size_t n_cols = model->plan().vocab_size;
    std::vector<float> logits(tokens.size() * n_cols);
    const Status status = model->run(step, {logits.data(), tokens.size(), n_cols});
    EXPECT_TRUE(status.has_value()) << (status ? "" : status.error().message);
    return logits;
  }

  ThreadPool pool;
  std::unique_ptr<GgufFile> file;
  std::unique_ptr<Model> model;
  std::unique_ptr<StatePool> states;
};

// Skips the models of architectures that model/ does not have; those that it gains are run.
class GoldenModel : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    golden_ = read_golden(GetParam());
    if (find_architecture(golden_.architecture) == nullptr)
      GTEST_SKIP() << "skipped: the engine has no architecture " << golden_.architecture << " yet";
  }

  Golden golden_;
};

TEST_P(GoldenModel, LogitsAreTheReference) {
  const Golden& golden = golden_;
  Rig rig(golden.model_path);
  ASSERT_EQ(rig.model->plan().vocab_size, golden.vocab_size);
  SequenceState sequence = rig.states->new_sequence();
  const std::vector<float> logits = rig.forward(sequence, golden.prompt);
  double error = 0.0;
  double norm = 0.0;
  for (size_t i = 0; i < golden.logits.size(); ++i) {
    const size_t row = golden.positions[i / golden.vocab_size];
    const double expected = golden.logits[i];
    const double found = logits[row * golden.vocab_size + i % golden.vocab_size];
    error += (found - expected) * (found - expected);
    norm += expected * expected;
  }
  const double relative = std::sqrt(error / norm);
  RecordProperty("relative_rms", std::to_string(relative));
  // Rounding differs from run to run of its luck, not by a factor; mistakes are far beyond the
  // bound.
  const double bound = 2.0 * golden.rounding;
  ASSERT_LT(5.0 * bound, golden.least_mistake);
  EXPECT_LT(relative, bound) << "rounding alone gives " << golden.rounding;
}

TEST_P(GoldenModel, GreedyTokensAreTheReference) {
  const Golden& golden = golden_;
  Rig rig(golden.model_path);
  SequenceState sequence = rig.states->new_sequence();
  const size_t n_cols = golden.vocab_size;
  std::vector<float> logits = rig.forward(sequence, golden.prompt);
  std::vector<int32_t> found;
  while (found.size() < golden.greedy.size()) {
    const float* last_row = logits.data() + logits.size() - n_cols;
    found.push_back(static_cast<int32_t>(argmax(last_row, n_cols)));
    logits = rig.forward(sequence, {&found.back(), 1});
  }
  EXPECT_EQ(found, golden.greedy);
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenModel, testing::ValuesIn(golden_names()),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(GoldenFiles, AreAllThere) { EXPECT_EQ(golden_names().size(), 30U); }

}  // namespace
}  // namespace longhaul
