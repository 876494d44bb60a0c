// Gate keys and queries against an independent computation, and on inputs small enough to see
// through.
#include "attention/gate/gates.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "io/random_gates.h"

namespace longhaul {
namespace {

namespace fs = std::filesystem;
using Floats = std::vector<float>;

// The rotation under test: a layout, how many dimensions of a head it turns, its magnitude.
struct Rotation {
  RopeLayout layout = RopeLayout::kHalf;
  size_t dim = 32;
  double magnitude = 1.0;
};

RopeAngles gate_rope(const Rotation& rotation, double theta) {
  RopeAngles rope{.magnitude = rotation.magnitude, .layout = rotation.layout, .theta = theta};
  for (size_t i = 0; i < rotation.dim; i += 2) {
    rope.frequencies.push_back(
        std::pow(theta, -static_cast<double>(i) / static_cast<double>(rotation.dim)));
  }
  return rope;
}

// Turns a head as the model would.
void rotate(const RopeAngles& rope, size_t pos, float* head, size_t head_dim) {
  Floats cos, sin;
  for (const double frequency : rope.frequencies) {
    const double angle = static_cast<double>(pos) * frequency;
    cos.push_back(static_cast<float>(std::cos(angle) * rope.magnitude));
    sin.push_back(static_cast<float>(std::sin(angle) * rope.magnitude));
  }
  apply_rope(head, 1, head_dim, 2 * cos.size(), cos.data(), sin.data(), rope.layout);
}

// One of tests/golden/gates, see tools/make_gate_golden.py.
struct Golden {
  nlohmann::json json;
  GateWeights weights;

  explicit Golden(const std::string& name)
      : json(nlohmann::json::parse(std::ifstream(fs::path(LONGHAUL_SOURCE_DIR) /
                                                 "tests/golden/gates" / (name + ".json")))) {
    weights.base.n_layers = 1;
    weights.base.n_kv_heads = size("n_kv_heads");
    weights.base.n_heads = size("n_kv_heads") * size("n_group");
    weights.base.head_dim = size("head_dim");
    weights.dim = size("dim");
    weights.block_size = size("block_size");
    weights.rope = json["rope"];
    weights.qk_norm = json["qk_norm"];
    weights.norm_eps = json["norm_eps"];
    LayerGate& layer = weights.layers.emplace_back();
    layer.wq = floats("wq");
    layer.wk = floats("wk");
    if (weights.qk_norm) {
      layer.q_norm = floats("q_norm");
      layer.k_norm = floats("k_norm");
    }
  }
  size_t size(const char* key) const { return json[key]; }
  Floats floats(const char* key) const { return json[key].get<Floats>(); }
};

// How far f32 may be from the truth, for vectors of a root mean square near 1: n products of inputs
// that were turned and turned back (24 roundings). For normal numbers the sum of the products'
// magnitudes is 0.64 sqrt(n) times the size of their sum.
double tolerance(size_t n) {
  const auto terms = static_cast<double>(n);
  return (terms + 24) * 0x1p-24 * 0.64 * std::sqrt(terms);
}

class GoldenGates : public testing::TestWithParam<std::tuple<const char*, Rotation>> {
 protected:
  GoldenGates()
      : golden_(std::get<0>(GetParam())),
        rope_(gate_rope(std::get<1>(GetParam()), golden_.json["rope_theta"])),
        gates_(golden_.weights, rope_) {}

  Floats key(size_t block, size_t kv_head) const {
    const Floats k = golden_.floats("k");
    const size_t d = golden_.weights.base.head_dim;
    Floats key(golden_.weights.dim);
    const auto read = [&](size_t t, float* to) {
      const size_t pos = block * golden_.weights.block_size + t;
      std::copy_n(&k[(pos * golden_.weights.base.n_kv_heads + kv_head) * d], d, to);
      rotate(rope_, pos, to, d);
    };
    gates_.encode_key(0, kv_head, block, read, key.data());
    return key;
  }

  Floats query(size_t index, size_t kv_head) const {
    const GateBase& base = golden_.weights.base;
    const size_t pos = golden_.json["positions"][index];
    const size_t n = base.n_group() * base.head_dim;
    const Floats all = golden_.floats("q");
    Floats q(&all[(index * base.n_kv_heads + kv_head) * n],
             &all[(index * base.n_kv_heads + kv_head) * n] + n);
    for (size_t head = 0; head < base.n_group(); ++head)
      rotate(rope_, pos, &q[head * base.head_dim], base.head_dim);
    Floats angles(gates_.n_angles()), query(golden_.weights.dim);
    gates_.query_angles(pos, angles.data());
    gates_.encode_query(0, kv_head, angles.data(), q.data(), query.data());
    return query;
  }

  const Golden golden_;
  const RopeAngles rope_;
  const Gates gates_;
};

TEST_P(GoldenGates, KeysQueriesAndScoresAreThoseOfTheReference) {
  const GateWeights& weights = golden_.weights;
  const size_t h = weights.base.n_kv_heads;
  const Floats keys = golden_.floats("gate_keys");
  const Floats queries = golden_.floats("gate_queries");
  const double key_error = tolerance(3 * weights.base.head_dim);
  const double query_error = tolerance(weights.base.n_group() * weights.base.head_dim);
  for (size_t i = 0; i < keys.size() / weights.dim; ++i) {
    const Floats found = key(i / h, i % h);
    for (size_t j = 0; j < weights.dim; ++j)
      ASSERT_NEAR(found[j], keys[i * weights.dim + j], key_error) << i << " " << j;
  }
  for (size_t i = 0; i < queries.size() / weights.dim; ++i) {
    const Floats found = query(i / h, i % h);
    for (size_t j = 0; j < weights.dim; ++j)
      ASSERT_NEAR(found[j], queries[i * weights.dim + j], query_error) << i << " " << j;
    Floats scores;
    const Floats expected = golden_.json["scores"][i / h][i % h].get<Floats>();
    for (size_t block = 0; block < expected.size(); ++block) {
      const Floats row = key(block, i % h);
      float dot = 0;
      for (size_t j = 0; j < weights.dim; ++j) dot += found[j] * row[j];
      scores.push_back(dot / std::sqrt(static_cast<float>(weights.dim)));
    }
    softmax_in_place(scores.data(), scores.size());
    // A dot product of vectors of size sqrt(dim), over sqrt(dim), appears in both parts of the
    // softmax.
    const double log_error =
        2 * (key_error + query_error) * std::sqrt(static_cast<double>(weights.dim));
    for (size_t block = 0; block < expected.size(); ++block)
      ASSERT_NEAR(scores[block], expected[block], log_error * static_cast<double>(expected[block]));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, GoldenGates,
    testing::Combine(testing::Values("published", "plain", "rope", "norm"),
                     testing::Values(Rotation{}, Rotation{RopeLayout::kInterleaved, 32, 1.0},
                                     Rotation{RopeLayout::kHalf, 16, 1.2},
                                     Rotation{RopeLayout::kInterleaved, 24, 0.9})));

// Gates of one head whose gate query is q and whose gate key is the mean of the keys.
GateWeights mean_gates(size_t block_size) {
  GateWeights weights;
  weights.base = {.n_layers = 1, .n_heads = 1, .n_kv_heads = 1, .head_dim = 32};
  weights.block_size = block_size;
  weights.dim = 32;
  weights.rope = weights.qk_norm = false;
  LayerGate& layer = weights.layers.emplace_back();
  layer.wq.assign(32 * 32, 0.0F);
  layer.wk.assign(32 * 96, 0.0F);
  for (size_t j = 0; j < 32; ++j) layer.wq[j * 32 + j] = layer.wk[j * 96 + 64 + j] = 1.0F;
  return weights;
}

TEST(Gates, HandMadeKeysRankAsTheirMeans) {
  const RopeAngles rope = gate_rope({}, 10000);
  const Gates gates(mean_gates(8), rope);
  // Block i has the mean i in dimension 0, whatever turns there; its tokens lie around it.
  Floats query(32), angles(gates.n_angles()), q(32, 0.0F);
  q[0] = 2.0F;
  rotate(rope, 999, q.data(), 32);
  gates.query_angles(999, angles.data());
  gates.encode_query(0, 0, angles.data(), q.data(), query.data());
  for (size_t block = 0; block < 100; ++block) {
    const auto read = [&](size_t t, float* key) {
      std::fill_n(key, 32, 0.0F);
      key[0] = static_cast<float>(block) + (t % 2 == 0 ? 50.0F : -50.0F);
      rotate(rope, block * 8 + t, key, 32);
    };
    Floats key(32);
    gates.encode_key(0, 0, block, read, key.data());
    float dot = 0;
    for (size_t j = 0; j < 32; ++j) dot += query[j] * key[j];
    EXPECT_NEAR(dot, 2.0F * static_cast<float>(block), 0.001F) << block;
  }
}

TEST(Gates, WhateverComesInFiniteNumbersComeOut) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const bool qk_norm : {false, true}) {
    GateWeights weights = random_gates(mean_gates(8).base, 8, 32, 1);
    weights.qk_norm = qk_norm;
    const Gates gates(weights, gate_rope({}, 10000));
    for (const float bad : {inf, -inf, nan, 3e38F}) {
      Floats out(32), angles(gates.n_angles()), q(32, 1.0F);
      q[3] = bad;
      gates.query_angles(5, angles.data());
      gates.encode_query(0, 0, angles.data(), q.data(), out.data());
      for (const float x : out) EXPECT_LE(std::abs(x), 1e30F);
      gates.encode_key(
          0, 0, 2, [&](size_t, float* key) { std::copy_n(q.data(), 32, key); }, out.data());
      for (const float x : out) EXPECT_LE(std::abs(x), 65504.0F);
    }
  }
}

}  // namespace
}  // namespace longhaul
