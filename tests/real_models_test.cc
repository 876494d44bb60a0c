// The published models of tests/data/real_models.json, where they are on this machine: what they
// say is what another engine says but for near ties, `exact` is dense, together is alone. Folder:
// $LONGHAUL_MODELS, or ~/.cache/longhaul/models.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/requests.h"

namespace longhaul {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Tokens = std::vector<int32_t>;

// How far the rounding of activations to 8 bits, which both engines do in their own way, moves the
// gap between the reference's two highest logits: at 480 places of Gemma 3, the worst model, 0.24
// RMS, less than 0.48 at 95 of 100, and the order changed at gaps up to 0.47 (docs/status.md).
// Twice the first; the second and third rounded up.
constexpr double kGapRms = 0.48;
constexpr double kNearTie = 0.5;

struct Prompt {
  std::string name;
  Tokens prompt;
  Tokens expected;
  Tokens seconds;            // what the reference would have said in their place
  std::vector<double> gaps;  // between the logits of both
};

struct RealModel {
  std::string name;
  std::vector<Prompt> prompts;

  friend void PrintTo(const RealModel& model, std::ostream* out) { *out << model.name; }
};

std::vector<RealModel> real_models() {
  std::vector<RealModel> models;
  const fs::path path = fs::path(LONGHAUL_SOURCE_DIR) / "tests" / "data" / "real_models.json";
  const json document = json::parse(std::ifstream(path));
  for (const json& model : document.at("models")) {
    models.push_back({model.at("name"), {}});
    for (const json& p : model.at("prompts")) {
      models.back().prompts.push_back(
          {p.at("name"), p.at("prompt"), p.at("expected"), p.at("seconds"), p.at("gaps")});
    }
  }
  return models;
}

fs::path models_folder() {
  if (const char* folder = std::getenv("LONGHAUL_MODELS")) return folder;
  const char* home = std::getenv("HOME");
  return fs::path(home == nullptr ? "" : home) / ".cache" / "longhaul" / "models";
}

class RealModels : public testing::TestWithParam<RealModel> {
 protected:
  void SetUp() override {
    const fs::path path = models_folder() / (GetParam().name + ".gguf");
    if (!fs::exists(path)) GTEST_SKIP() << "skipped: there is no " << path.string();
    EngineOptions options;
    options.model_path = path;
    options.ctx_size = 640;
    options.max_sessions = 4;
    auto loaded = Engine::load(options);
    ASSERT_TRUE(loaded) << loaded.error().message;
    engine_ = std::move(*loaded);
  }

  // As many tokens as are expected; sparse steps read two blocks or a twentieth.
  GenerateResult generate(Session& session, const Prompt& prompt, AttentionMode mode, Tokens rest) {
    GenerateRequest request = request_of(mode, prompt.expected.size(), std::move(rest));
    request.attention.always_draft = true;
    request.attention.min_blocks = 2;
    request.attention.rectify_every = 8;
    const auto result = session.generate(request);
    EXPECT_TRUE(result) << (result ? "" : result.error().message);
    return result ? *result : GenerateResult();
  }

  // Runs the reference's tokens through the model; the RMS change of its gaps, and where another
  // token than its own came first.
  struct Doubt {
    double gap_rms = 0;
    std::vector<size_t> others;
  };
  Doubt doubt(Session session, const Prompt& prompt) {
    ScoreRequest request;
    request.tokens = prompt.expected;
    request.tokens.insert(request.tokens.begin(), prompt.prompt.back());
    Doubt found;
    request.on_token = [&](const ScoredToken& token) {
      if (token.index == 0) return true;
      const size_t i = token.index - 1;
      const float expected = token.logits[static_cast<size_t>(prompt.expected[i])];
      const float second = token.logits[static_cast<size_t>(prompt.seconds[i])];
      found.gap_rms += std::pow(expected - second - prompt.gaps[i], 2);
      if (*std::max_element(token.logits.begin(), token.logits.end()) > expected) {
        found.others.push_back(i);
      }
      return true;
    };
    const auto result = session.score(request);
    EXPECT_TRUE(result) << (result ? "" : result.error().message);
    found.gap_rms = std::sqrt(found.gap_rms / static_cast<double>(prompt.expected.size()));
    return found;
  }

  // A session that holds the prompt but for its last token.
  Session read(const Tokens& prompt) {
    Session session = engine_->new_session().value();
    GenerateRequest request = request_of(AttentionMode::kDense, 0, prompt);
    request.prompt.pop_back();
    const auto result = session.generate(request);
    EXPECT_TRUE(result) << (result ? "" : result.error().message);
    return session;
  }

  std::unique_ptr<Engine> engine_;
};

TEST_P(RealModels, SayWhatTheReferenceSaysInEveryWay) {
  const std::vector<Prompt>& prompts = GetParam().prompts;
  std::vector<Tokens> alone;
  for (const Prompt& prompt : prompts) {
    SCOPED_TRACE(prompt.name);
    Session session = read(prompt.prompt);
    const Doubt found = doubt(session.fork().value(), prompt);
    RecordProperty(prompt.name + "_gap_rms", std::to_string(found.gap_rms));
    EXPECT_LT(found.gap_rms, kGapRms);
    for (const size_t i : found.others) EXPECT_LT(prompt.gaps[i], kNearTie) << "token " << i;

    Session drafting = session.fork().value();
    const Tokens last = {prompt.prompt.back()};
    const GenerateResult dense = generate(session, prompt, AttentionMode::kDense, last);
    const auto [differs, expected] = std::mismatch(dense.tokens.begin(), dense.tokens.end(),
                                                   prompt.expected.begin(), prompt.expected.end());
    const auto n_same = static_cast<size_t>(differs - dense.tokens.begin());
    EXPECT_EQ(n_same, found.others.empty() ? prompt.expected.size() : found.others.front());

    const GenerateResult exact = generate(drafting, prompt, AttentionMode::kExact, last);
    EXPECT_EQ(exact.tokens, dense.tokens);
    EXPECT_GT(exact.attention.drafted, 0U);
    alone.push_back(dense.tokens);
  }
  std::vector<Tokens> together(prompts.size());
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < prompts.size(); ++i) {
    threads.emplace_back([&, i] {
      Session session = engine_->new_session().value();
      together[i] = generate(session, prompts[i], AttentionMode::kDense, prompts[i].prompt).tokens;
    });
  }
  threads.clear();
  EXPECT_EQ(together, alone);

  // What the bound is worth: a model that misses the first words of the prompt is beyond it.
  Prompt beheaded = prompts.back();
  beheaded.prompt.erase(beheaded.prompt.begin(), beheaded.prompt.begin() + 3);
  const double gap_rms = doubt(read(beheaded.prompt), beheaded).gap_rms;
  RecordProperty("beheaded_gap_rms", std::to_string(gap_rms));
  EXPECT_GT(gap_rms, kGapRms);
}

INSTANTIATE_TEST_SUITE_P(Published, RealModels, testing::ValuesIn(real_models()),
                         [](const auto& test) {
                           std::string name = test.param.name;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return !std::isalnum(c); },
                               '_');
                           return name;
                         });

}  // namespace
}  // namespace longhaul
