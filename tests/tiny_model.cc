#include "tests/tiny_model.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <random>

#include "attention/gate/load.h"
#include "attention/gate/summary.h"
#include "base/check.h"
#include "io/random_gates.h"
#include "model/plan.h"

namespace longhaul {

TinyModelSpec tiny_spec(const std::string& architecture) {
  TinyModelSpec spec;
  spec.architecture = architecture;
  if (architecture == "gemma3") {
    spec.n_layers = 4;
    spec.window = 24;
    spec.window_period = 2;
    spec.tied = true;
  }
  if (architecture == "qwen3moe" || architecture == "olmoe") {
    spec.n_experts = 8;
    spec.n_active_experts = 3;
    spec.d_ff = 64;
  }
  if (architecture == "retnet") spec.value_dim = 64;
  if (architecture == "lex") spec.context_length = 96;  // blocks of 48
  if (architecture == "yoco") {
    spec.n_layers = 4;
    spec.n_shared = 2;
    spec.d_model = 128;  // lower layers have d_model / n_heads dimensions a head
  }
  if (architecture == "phi4flash") {
    spec.n_layers = 8;  // every kind of layer
    spec.d_model = 128;
    spec.n_heads = 8;
    spec.n_kv_heads = 4;
    spec.head_dim = 16;
    spec.window = 40;
  }
  return spec;
}

std::vector<std::byte> make_tiny_model(const TinyModelSpec& spec) {
  auto bytes = make_random_model(spec);
  if (!bytes) ADD_FAILURE() << bytes.error().message;
  LH_CHECK(bytes.has_value());
  return std::move(*bytes);
}

std::string write_tiny_model(const TinyModelSpec& spec) {
  static int n_written = 0;
  const std::string path =
      fmt::format("{}tiny-{}-{}.gguf", testing::TempDir(), getpid(), n_written++);
  const std::vector<std::byte> bytes = make_tiny_model(spec);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  return path;
}

std::string write_tiny_gates(const std::string& model_path, size_t block_size) {
  const GgufFile file = GgufFile::open(model_path).value();
  const GateBase base =
      gate_base(selector_setup(read_plan(file).value(), block_size, &file)).value();
  const std::string path = fmt::format("{}.gates-{}", model_path, block_size);
  EXPECT_TRUE(write_gate_file(random_gates(base, block_size, 32, 1), path, TensorType::kF16));
  return path;
}

TinyStates make_tiny_states(const Model& model, const GgufFile& file, StateOptions options) {
  TinyStates states;
  SelectorSetup setup = selector_setup(model.plan(), options.block_size, &file);
  setup.kept = {"minmax", "outlier"};
  states.summaries = make_summaries(setup, model.rope_angles()).value();
  states.summaries.push_back(std::make_unique<GateSummary>(
      random_gates(gate_base(setup).value(), options.block_size, 32, 1), model.rope_angles()));
  options.summaries = specs_of(states.summaries);
  states.pool = StatePool::create(state_slots(model.plan(), options)).value();
  return states;
}

std::vector<int32_t> random_tokens(size_t n, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<int32_t> tokens(n);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 256);
  return tokens;
}

}  // namespace longhaul
