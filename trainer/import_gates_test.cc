// Published gates become a gate file: values, order of inputs, and what is refused.
#include "trainer/import_gates.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/jit/serialization/pickle.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "io/gate_file.h"

namespace longhaul::trainer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string kGolden = LONGHAUL_SOURCE_DIR "/tests/golden/";
constexpr size_t kHeads = 2, kGroup = 2, kHeadDim = 32, kDim = 32;

// Element i of the t-th tensor of a layer, as tools/make_gate_state_dict.py defines it.
float stored(size_t layer, size_t t, size_t i) {
  const auto value = static_cast<int>((7 * i + 31 * t + 17 * layer) % 101);
  return static_cast<float>(value - 50) / 64.0F;
}

class ImportGates : public testing::TestWithParam<bool> {};

TEST_P(ImportGates, PutsInputsIntoTheFilesOrder) {
  const bool interleaved = GetParam();
  const std::string path = testing::TempDir() + "imported.gguf";
  const auto status =
      import_gates({.folder = kGolden + "published_gates",
                    .model = kGolden + (interleaved ? "llama-q8_0.gguf" : "qwen3-q4_1.gguf"),
                    .path = path});
  ASSERT_TRUE(status) << status.error().message;
  const auto gates = read_gate_file(path);
  ASSERT_TRUE(gates) << gates.error().message;
  EXPECT_EQ(gates->base.name, interleaved ? "llama-q8_0" : "qwen3-q4_1");
  EXPECT_EQ(gates->source, "Example/Tiny");
  EXPECT_EQ(gates->block_size, 64U);
  EXPECT_EQ(gates->dim, kDim);
  ASSERT_EQ(gates->layers.size(), 2U);
  // Where dimension j of a head stands in the file.
  const auto place = [&](size_t j) {
    return interleaved ? j % (kHeadDim / 2) * 2 + j / (kHeadDim / 2) : j;
  };
  for (size_t layer = 0; layer < 2; ++layer) {
    const LayerGate& gate = gates->layers[layer];
    for (size_t out = 0; out < kDim; ++out) {
      EXPECT_EQ(gate.q_norm[out], stored(layer, 2, out));
      EXPECT_EQ(gate.k_norm[out], stored(layer, 3, out));
      for (size_t head = 0; head < kHeads; ++head) {
        const size_t row = head * kDim + out;
        for (size_t j = 0; j < kHeadDim; ++j) {
          for (size_t g = 0; g < kGroup; ++g) {
            EXPECT_EQ(gate.wq[(row * kGroup + g) * kHeadDim + place(j)],
                      stored(layer, 0, ((head * kGroup + g) * kHeadDim + j) * kDim + out));
          }
          for (size_t pool = 0; pool < 3; ++pool) {
            EXPECT_EQ(gate.wk[(row * 3 + pool) * kHeadDim + place(j)],
                      stored(layer, 1, ((head * 3 + pool) * kHeadDim + j) * kDim + out));
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, ImportGates, testing::Bool());

using StateDict = c10::Dict<std::string, at::Tensor>;

// A complete state dict for qwen3-q4_1.
StateDict whole_state() {
  StateDict state;
  for (int layer = 0; layer < 2; ++layer) {
    const auto add = [&](const char* name, std::initializer_list<int64_t> shape) {
      state.insert(
          fmt::format("model.layers.{}.self_attn.attn_gate.attngate_{}.weight", layer, name),
          at::ones(shape));
    };
    add("linear_q", {kHeads, kGroup, kHeadDim, kDim});
    add("linear_k", {kHeads, 3 * kHeadDim, kDim});
    add("qnorm", {kDim});
    add("knorm", {kDim});
  }
  return state;
}

json whole_config() { return json::parse(std::ifstream(kGolden + "published_gates/config.json")); }

// The message of an import of that state dict and config; "" if it succeeds.
std::string import_error(const StateDict& state, const json& config) {
  const std::string folder = testing::TempDir() + "published";
  fs::create_directories(folder);
  const std::vector<char> bytes = torch::jit::pickle_save(state);
  std::ofstream(folder + "/attn_gate_weights.pth", std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  std::ofstream(folder + "/config.json") << config;
  const auto status = import_gates({.folder = folder,
                                    .model = kGolden + "qwen3-q4_1.gguf",
                                    .path = testing::TempDir() + "refused.gguf"});
  return status ? "" : status.error().message;
}

void expect_parts(const std::string& message, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    EXPECT_NE(message.find(part), std::string::npos) << message << "\nlacks " << part;
  }
}

TEST(ImportGatesErrors, NameEveryTensorThatIsWrong) {
  EXPECT_EQ(import_error(whole_state(), whole_config()), "");
  StateDict state = whole_state();
  const std::string prefix = "model.layers.1.self_attn.attn_gate.attngate_";
  EXPECT_EQ(state.erase(prefix + "linear_k.weight") + state.erase(prefix + "qnorm.weight"), 2U);
  state.insert("model.layers.2.extra", at::ones({1}));
  state.insert("lm_head.weight", at::ones({1}));
  expect_parts(import_error(state, whole_config()),
               {"attn_gate_weights.pth",
                "missing: " + prefix + "linear_k.weight, " + prefix + "qnorm.weight",
                "not expected: lm_head.weight, model.layers.2.extra"});
  state = whole_state();
  state.insert_or_assign(prefix + "linear_q.weight", at::ones({2, 2, 32, 64}));
  expect_parts(import_error(state, whole_config()),
               {prefix + "linear_q.weight", "2 x 2 x 32 x 32", "2 x 2 x 32 x 64"});
}

TEST(ImportGatesErrors, NameTheFieldThatIsNotServed) {
  const auto with = [](const char* key, const json& value) {
    json config = whole_config();
    config[key] = value;
    return import_error(whole_state(), config);
  };
  expect_parts(with("seerattn_q_head_pooling_type", "Qavg"),
               {"config.json", "seerattn_q_head_pooling_type", "\"Qproj\"", "\"Qavg\""});
  expect_parts(with("seerattn_k_seq_pooling_type", "Kavg"),
               {"seerattn_k_seq_pooling_type", "\"Kmaxminavg\"", "\"Kavg\""});
  expect_parts(with("seerattn_start_layer", 2), {"seerattn_start_layer", "expected 0", "found 2"});
  expect_parts(with("seerattn_gate_block_size", "large"), {"seerattn_gate_block_size"});
  expect_parts(with("seerattn_gate_block_size", 48), {"gate.block_size", "48"});
  json config = whole_config();
  config.erase("seerattn_use_rope");
  expect_parts(import_error(whole_state(), config),
               {"config.json", "seerattn_use_rope is missing"});
}

TEST(ImportGatesErrors, NameAFileThatIsNoStateDict) {
  const std::string folder = testing::TempDir() + "broken";
  fs::create_directories(folder);
  std::ofstream(folder + "/config.json") << whole_config();
  const ImportGatesOptions options{.folder = folder,
                                   .model = kGolden + "qwen3-q4_1.gguf",
                                   .path = testing::TempDir() + "refused.gguf"};
  auto status = import_gates(options);
  ASSERT_FALSE(status);
  expect_parts(status.error().message, {"broken/attn_gate_weights.pth"});
  std::ofstream(folder + "/attn_gate_weights.pth") << "\x80\x02}q.";  // a pickle without a zip
  status = import_gates(options);
  ASSERT_FALSE(status);
  expect_parts(status.error().message, {"broken/attn_gate_weights.pth"});
}

}  // namespace
}  // namespace longhaul::trainer
