#include "convert/model_config.h"

#include <gtest/gtest.h>

#include "convert/tensor_list.h"
#include "convert/test_bytes.h"
#include "convert/weight_types.h"

namespace longhaul {
namespace {

Json usual() {
  return Json::parse(R"({
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 288,
    "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "hidden_act": "silu",
    "rope_scaling": null, "torch_dtype": "bfloat16"})");
}

Json gemma() {
  return Json::parse(R"({
    "model_type": "gemma3_text", "hidden_size": 64, "intermediate_size": 96,
    "num_hidden_layers": 7, "head_dim": 32, "query_pre_attn_scalar": 32, "sliding_window": 512})");
}

TEST(CheckpointConfig, ReadsLlama) {
  const auto config = read_model_config(as_read(usual()), "config.json");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->architecture, "llama");
  EXPECT_EQ(config->head_dim, 16u);  // 64 / 4
  EXPECT_EQ(config->rope.theta, 10000);
  EXPECT_FALSE(config->is_tied);
  EXPECT_TRUE(config->is_interleaved);
}

TEST(CheckpointConfig, ReadsGemmaWithWhatItsFilesLeaveOut) {
  for (const bool has_vision : {false, true}) {
    const Json document =
        has_vision ? Json{{"model_type", "gemma3"}, {"text_config", gemma()}} : gemma();
    const auto config = read_model_config(as_read(document), "config.json");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->architecture, "gemma3");
    EXPECT_EQ(config->n_heads, 8u);
    EXPECT_EQ(config->vocab_size, 262208u);
    EXPECT_TRUE(config->is_tied);
    EXPECT_EQ(config->has_vision, has_vision);
    EXPECT_EQ(config->windowed, (std::vector<bool>{true, true, true, true, true, false, true}));
  }
}

TEST(CheckpointConfig, ReadsRopeOfOlderAndNewerFiles) {
  Json older = usual();
  older["rope_theta"] = 5e5;
  older["rope_scaling"] = {
      {"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 1024}};
  Json newer = usual();
  newer["rope_parameters"] = {{"rope_type", "yarn"},
                              {"rope_theta", 5e5},
                              {"factor", 4.0},
                              {"original_max_position_embeddings", 1024}};
  for (const Json& document : {older, newer}) {
    const auto config = read_model_config(as_read(document), "config.json");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->rope.type, "yarn");
    EXPECT_EQ(config->rope.theta, 5e5);
    EXPECT_EQ(config->rope.factor, 4);
    EXPECT_EQ(config->rope.original_context, 1024u);
    EXPECT_NEAR(config->rope.attn_factor, 1, 1e-12);
  }
  Json each = gemma();
  each["rope_parameters"] = {
      {"full_attention", {{"rope_type", "linear"}, {"factor", 8.0}, {"rope_theta", 1e6}}},
      {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 12345.0}}}};
  const auto config = read_model_config(as_read(each), "config.json");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->rope.factor, 8);
  EXPECT_EQ(config->window_theta, 12345);
}

// The published rule (docs/rope.md) at its ends and in the middle of its ramp.
TEST(CheckpointConfig, Llama3DivisorsFollowTheRule) {
  RopeSettings rope{.theta = 1e4, .type = "llama3", .factor = 8, .original_context = 128};
  const auto divisors = llama3_divisors(rope, 16);
  ASSERT_EQ(divisors.size(), 8u);
  EXPECT_EQ(divisors[0], 1);  // 20 turns over the context: more than 4
  EXPECT_EQ(divisors[7], 8);
  const double turns = 128 / (2 * 3.14159265358979) * std::pow(1e4, -2.0 / 8);  // of pair 2
  EXPECT_NEAR(divisors[2], 1 / ((1 - (turns - 1) / 3) / 8 + (turns - 1) / 3), 1e-5);
}

struct Change {
  const char* key;
  Json value;
  const char* found;
};

void expect_refused(const Json& base, const std::vector<Change>& changes) {
  for (const Change& change : changes) {
    Json document = base;
    document[change.key] = change.value;
    const auto config = read_model_config(as_read(document), "config.json");
    ASSERT_FALSE(config) << change.key << " " << change.value;
    const std::string& message = config.error().message;
    EXPECT_TRUE(message.starts_with("config.json: key '")) << message;
    EXPECT_NE(message.find(change.key), std::string::npos) << message;
    EXPECT_NE(message.find(change.found), std::string::npos) << message;
  }
}

TEST(CheckpointConfig, WhatCannotBeSaidIsRefused) {
  expect_refused(usual(), {{"model_type", "mamba", "found \"mamba\""},
                           {"hidden_size", nullptr, "found nothing"},
                           {"hidden_size", -64, "found -64"},
                           {"num_hidden_layers", 1e9, "1024"},
                           {"num_key_value_heads", 3, "divisor of 4"},
                           {"hidden_act", "gelu", "silu"},
                           {"attention_bias", true, "false"},
                           {"mlp_bias", true, "false"},
                           {"partial_rotary_factor", 0.5, "0.5"},
                           {"quantization_config", {{"bits", 4}}, "bits"},
                           {"final_logit_softcapping", 30.0, "30"},
                           {"rope_scaling", {{"type", "dynamic"}, {"factor", 2.0}}, "dynamic"},
                           {"rope_scaling", {{"rope_type", "linear"}}, "factor"}});
  expect_refused(gemma(), {{"query_pre_attn_scalar", 168, "found 168"},
                           {"layer_types", {"full_attention"}, "7 texts"},
                           {"attn_logit_softcapping", 50.0, "50"}});
  Json mistral = usual();
  mistral["model_type"] = "mistral";
  expect_refused(mistral, {{"sliding_window", 1024, "4096"}});
}

TEST(CheckpointConfig, WindowsThatNobodyLeavesAreNone) {
  Json mistral = usual();
  mistral["model_type"] = "mistral";
  mistral["sliding_window"] = 4096;
  EXPECT_TRUE(read_model_config(as_read(mistral), "config.json"));
  Json qwen = usual();
  qwen["model_type"] = "qwen2";
  qwen["sliding_window"] = 16;
  EXPECT_TRUE(read_model_config(as_read(qwen), "config.json"));  // unless it is switched on
  qwen["use_sliding_window"] = true;
  qwen["max_window_layers"] = 0;
  EXPECT_FALSE(read_model_config(as_read(qwen), "config.json"));
}

// Row 2i of a head comes from its first half, row 2i + 1 from its second.
TEST(TensorList, RowsMoveToPairs) {
  const TensorOrder order{.source = "", .target = "", .n_out = 16, .n_in = 1, .n_heads = 2};
  std::vector<size_t> rows;
  for (size_t row = 0; row < 16; ++row) rows.push_back(source_row(order, row));
  EXPECT_EQ(rows, (std::vector<size_t>{0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15}));
}

TEST(WeightTypes, MixesGiveMoreBitsWhereItPays) {
  const auto types = find_weight_types("q4_k_m");
  ASSERT_TRUE(types);
  const auto type = [&](const char* name, size_t n_in, bool makes_logits = false) {
    return type_of_matrix(**types, name, 32, makes_logits, n_in);
  };
  EXPECT_EQ(type("blk.9.attn_q.weight", 256), TensorType::kQ4_K);
  EXPECT_EQ(type("blk.0.attn_v.weight", 256), TensorType::kQ6_K);     // the first eighth
  EXPECT_EQ(type("blk.31.ffn_down.weight", 256), TensorType::kQ6_K);  // the last
  EXPECT_EQ(type("blk.6.attn_v.weight", 256), TensorType::kQ6_K);     // every third: 6 - 4 = 2
  EXPECT_EQ(type("blk.7.attn_v.weight", 256), TensorType::kQ4_K);
  EXPECT_EQ(type("blk.6.attn_k.weight", 256), TensorType::kQ4_K);
  EXPECT_EQ(type("output.weight", 256, true), TensorType::kQ6_K);
  EXPECT_EQ(type("token_embd.weight", 256), TensorType::kQ4_K);
  EXPECT_EQ(type("blk.9.attn_q.weight", 576), TensorType::kQ5_0);  // no multiple of 256
  EXPECT_EQ(type("output.weight", 576, true), TensorType::kQ8_0);
  EXPECT_EQ(type("blk.9.attn_q.weight", 48), TensorType::kF16);
  EXPECT_FALSE(find_weight_types("q9"));
}

}  // namespace
}  // namespace longhaul
