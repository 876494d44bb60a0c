// A short distillation: it learns, resumes where it was, and writes a file the engine reads.
#include "trainer/distill.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "io/gate_file.h"

namespace longhaul::trainer {
namespace {

namespace fs = std::filesystem;

const std::string kModel = LONGHAUL_SOURCE_DIR "/tests/golden/qwen3-q4_1.gguf";

DistillOptions short_run(const std::string& name) {
  DistillOptions options;
  options.model = kModel;
  options.out = testing::TempDir() + name;
  options.type = "F32";
  options.block_size = 16;
  options.n_steps = 6;
  options.n_held_out = 1;
  options.data = {.tasks = {"path", "recall"}, .text = std::string(8000, 'a'), .length = 256};
  for (size_t i = 0; i < options.data.text.size(); ++i) {
    options.data.text[i] = static_cast<char>('a' + i * i % 26);
  }
  fs::remove_all(options.out);
  return options;
}

GateWeights result_of(const DistillOptions& options) {
  const auto gates = read_gate_file(options.out + "/gates.gguf");
  EXPECT_TRUE(gates) << gates.error().message;
  return gates ? *gates : GateWeights{};
}

float largest_difference(const GateWeights& a, const GateWeights& b) {
  float largest = 0;
  for (size_t i = 0; i < a.layers.size(); ++i) {
    const auto compare = [&](const std::vector<float>& x, const std::vector<float>& y) {
      for (size_t j = 0; j < x.size(); ++j) largest = std::max(largest, std::abs(x[j] - y[j]));
    };
    compare(a.layers[i].wq, b.layers[i].wq);
    compare(a.layers[i].wk, b.layers[i].wk);
    compare(a.layers[i].q_norm, b.layers[i].q_norm);
    compare(a.layers[i].k_norm, b.layers[i].k_norm);
  }
  return largest;
}

TEST(Distill, GoesOnFromACheckpointAsIfNeverStopped) {
  const DistillOptions whole = short_run("whole");
  Status status = distill(whole);
  ASSERT_TRUE(status) << status.error().message;
  DistillOptions halves = short_run("halves");
  halves.stop_after = 3;
  ASSERT_TRUE(distill(halves));
  EXPECT_GT(largest_difference(result_of(whole), result_of(halves)), 1e-4F);
  halves.stop_after = 0;
  halves.resume = halves.out + "/checkpoint";
  status = distill(halves);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(result_of(whole).dim, 32U);
  EXPECT_EQ(result_of(whole).base.name, "qwen3-q4_1");
  // The same sums on the same machine; the steps themselves are above 1e-4.
  EXPECT_LT(largest_difference(result_of(whole), result_of(halves)), 1e-6F);

  halves.block_size = 32;
  halves.data.length = 512;
  halves.data.text += halves.data.text;
  status = distill(halves);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("block-size: the checkpoint has 16, this run 32"),
            std::string::npos)
      << status.error().message;
}

// The mean loss and the gate's recall in a line of the log: the number behind `label`.
double logged(const std::string& line, const std::string& label) {
  const size_t at = line.find(label);
  EXPECT_NE(at, std::string::npos) << line;
  return std::stod(line.substr(at + label.size()));
}

TEST(Distill, LossFallsAndRecallRises) {
  DistillOptions options = short_run("learns");
  options.n_steps = 60;
  options.learning_rate = 1e-2;
  options.recall_budget = 96;  // more than the blocks that are always read
  ASSERT_TRUE(distill(options));
  std::ifstream log(options.out + "/log.txt");
  std::vector<double> losses, recalls;
  for (std::string line; std::getline(log, line);) {
    if (line.find("KL") != std::string::npos) losses.push_back(logged(line, "KL "));
    if (line.find("gate") != std::string::npos) recalls.push_back(logged(line, "gate "));
  }
  ASSERT_EQ(losses.size(), 3U);
  EXPECT_LT(losses.back(), losses.front());
  ASSERT_EQ(recalls.size(), 2U);
  EXPECT_GT(recalls.back(), recalls.front());
}

TEST(Distill, RefusesBeforeAnyWork) {
  const auto refusal = [](const std::function<void(DistillOptions&)>& change) {
    DistillOptions options = short_run("refused");
    change(options);
    const Status status = distill(options);
    EXPECT_FALSE(status);
    EXPECT_FALSE(fs::exists(options.out));
    return status ? "" : status.error().message;
  };
  const auto expect = [](const std::string& message, const char* part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect(refusal([](auto& o) { o.block_size = 24; }),
         "--block-size 24: expected 16, 32, 64 or 128");
  expect(refusal([](auto& o) { o.key_length = 33; }), "--key-length 33");
  expect(refusal([](auto& o) { o.data.length = 100; }), "--length 100");
  expect(refusal([](auto& o) { o.data.tasks = {"riddle"}; }), "--tasks riddle");
  expect(refusal([](auto& o) { o.data.text.resize(100); }), "--text");
  expect(refusal([](auto& o) { o.device = "tpu"; }), "--device tpu");
  expect(refusal([](auto& o) { o.model = "absent.gguf"; }), "absent.gguf");
}

}  // namespace
}  // namespace longhaul::trainer
