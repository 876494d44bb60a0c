// What the trainer's gate says of q and k, the engine's says too: on the stored golden gates, and
// through a gate file for both orders of RoPE's dimensions.
#include "trainer/gate_export.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "attention/gate/gates.h"
#include "model/rope.h"
#include "trainer/rope.h"

namespace longhaul::trainer {
namespace {

using torch::Tensor;

const std::string kGolden = LONGHAUL_SOURCE_DIR "/tests/golden/";

Tensor array(const nlohmann::json& json, const char* key, std::initializer_list<int64_t> shape) {
  const auto values = json.at(key).get<std::vector<double>>();
  return at::tensor(at::ArrayRef<double>(values)).view(shape);
}

double difference(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

TEST(Gate, IsTheGoldenOne) {
  for (const char* name : {"published", "plain", "rope", "norm"}) {
    const auto json = nlohmann::json::parse(std::ifstream(kGolden + "gates/" + name + ".json"));
    const int64_t h = json.at("n_kv_heads"), g = json.at("n_group"), d = json.at("head_dim");
    const GateConfig config{.n_layers = 1,
                            .n_heads = h * g,
                            .n_kv_heads = h,
                            .head_dim = d,
                            .block_size = json.at("block_size"),
                            .key_length = json.at("dim"),
                            .rope_theta = json.at("rope_theta"),
                            .rope = json.at("rope"),
                            .qk_norm = json.at("qk_norm")};
    const int64_t dg = config.key_length;
    GateLayer gate{array(json, "wq", {h, dg, g * d}), array(json, "wk", {h, dg, 3 * d}), {}, {}};
    if (config.qk_norm) {
      gate.q_norm = array(json, "q_norm", {dg});
      gate.k_norm = array(json, "k_norm", {dg});
    }
    const auto positions = json.at("positions").get<std::vector<int64_t>>();
    const Tensor k = array(json, "k", {-1, h, d}).transpose(0, 1);
    const Tensor q = array(json, "q", {-1, h * g, d}).transpose(0, 1);
    const Tensor keys = gate_keys(config, gate, k);
    const Tensor queries =
        gate_queries(config, gate, q, at::tensor(at::ArrayRef<int64_t>(positions)));
    // float64 here and there; the file holds float32.
    EXPECT_LT(difference(keys, array(json, "gate_keys", {-1, h, dg}).transpose(0, 1)), 1e-6);
    EXPECT_LT(difference(queries, array(json, "gate_queries", {-1, h, dg}).transpose(0, 1)), 1e-6);
    const Tensor logits = gate_logits(queries, keys);
    for (size_t i = 0; i < positions.size(); ++i) {
      for (int64_t head = 0; head < h; ++head) {
        const auto scores = json.at("scores")[i][size_t(head)].get<std::vector<double>>();
        const auto n = static_cast<int64_t>(scores.size());
        const Tensor share = logits[head][int64_t(i)].narrow(0, 0, n).softmax(0);
        EXPECT_LT(difference(share, at::tensor(at::ArrayRef<double>(scores))), 1e-6) << name;
      }
    }
  }
}

const RopeConfig& rope_of(const GateModel& model) {
  return model.plan.ropes[*main_attention(model.plan)->rope];
}

class ExportedGate : public testing::TestWithParam<const char*> {
 protected:
  static constexpr int64_t kTokens = 70;

  // One head's row, put into the file's order and turned as the model turns it at `position`.
  std::vector<float> as_engine_sees(const Tensor& row, int64_t position) const {
    const RopeConfig& rope = rope_of(*model_);
    std::vector<float> head(row.const_data_ptr<float>(), row.const_data_ptr<float>() + row.numel());
    if (rope.layout == RopeLayout::kInterleaved) {
      const Tensor place = interleaved_place(row.numel(), static_cast<int64_t>(rope.dim));
      for (int64_t j = 0; j < row.numel(); ++j) {
        head[size_t(place[j].item<int64_t>())] = row[j].item<float>();
      }
    }
    const RopeTable table(rope, {});
    std::vector<float> cos(rope.dim / 2), sin(rope.dim / 2);
    table.angles(static_cast<size_t>(position), cos.data(), sin.data());
    apply_rope(head.data(), 1, head.size(), rope.dim, cos.data(), sin.data(), rope.layout);
    return head;
  }

  const Result<GateModel> model_ = GateModel::open(kGolden + GetParam());
};

TEST_P(ExportedGate, ScoresAlikeInTheEngine) {
  ASSERT_TRUE(model_) << model_.error().message;
  GateConfig config = gate_config(model_->plan);
  config.block_size = 16;
  config.key_length = 32;
  at::manual_seed(1);
  Gates gates = init_gates(config);
  for (GateLayer& gate : gates) {  // numbers that f16 holds: the engine stores them so
    gate.wq = gate.wq.detach().to(at::kHalf).to(at::kFloat);
    gate.wk = gate.wk.detach().to(at::kHalf).to(at::kFloat);
    gate.q_norm = at::rand({32}) + 0.5;
    gate.k_norm = at::rand({32}) + 0.5;
  }
  const std::string path = testing::TempDir() + "exported-gates.gguf";
  ASSERT_TRUE(write_gate_file(to_gate_weights(config, gates, *model_, ""), path, TensorType::kF16));
  const auto read = read_gate_file(path);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_TRUE(check_same_base(path, read->base, model_->base));

  const RopeConfig& rope = rope_of(*model_);
  const RopeTable table(rope, {});
  const longhaul::Gates engine(
      *read, {.frequencies = {table.frequencies().begin(), table.frequencies().end()},
              .magnitude = table.magnitude(),
              .layout = rope.layout,
              .theta = rope.theta});
  const Tensor q = at::randn({config.n_heads, 1, config.head_dim});
  const Tensor k = at::randn({config.n_kv_heads, kTokens, config.head_dim});
  for (int64_t layer = 0; layer < config.n_layers; ++layer) {
    const GateLayer& gate = gates[size_t(layer)];
    const Tensor logits = gate_logits(gate_queries(config, gate, q, at::tensor({kTokens - 1})),
                                      gate_keys(config, gate, k));
    for (int64_t head = 0; head < config.n_kv_heads; ++head) {
      std::vector<float> group, query(32), angles(engine.n_angles());
      for (int64_t i = 0; i < config.n_group(); ++i) {
        const auto row = as_engine_sees(q[head * config.n_group() + i][0], kTokens - 1);
        group.insert(group.end(), row.begin(), row.end());
      }
      engine.query_angles(kTokens - 1, angles.data());
      engine.encode_query(size_t(layer), size_t(head), angles.data(), group.data(), query.data());
      for (int64_t block = 0; block < kTokens / 16; ++block) {
        std::vector<float> key(32);
        const auto read_key = [&](size_t t, float* to) {
          const int64_t position = block * 16 + static_cast<int64_t>(t);
          const auto row = as_engine_sees(k[head][position], position);
          std::copy(row.begin(), row.end(), to);
        };
        engine.encode_key(size_t(layer), size_t(head), size_t(block), read_key, key.data());
        double dot = 0;
        for (size_t j = 0; j < key.size(); ++j) dot += double(query[j]) * double(key[j]);
        // Both sides round in float32; a wrong order of dimensions is off by about one.
        EXPECT_NEAR(dot / std::sqrt(32.0), logits[head][0][block].item<double>(), 2e-5);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, ExportedGate,
                         testing::Values("llama-q8_0.gguf", "qwen3-q4_1.gguf",
                                         "llama-f16-yarn.gguf"));

}  // namespace
}  // namespace longhaul::trainer
