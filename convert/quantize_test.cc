#include "convert/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "io/gguf.h"
#include "io/gguf_writer.h"
#include "io/test_dir.h"
#include "quant/registry.h"

namespace longhaul {
namespace {

constexpr size_t kWide = 256;   // a row of whole blocks of every type
constexpr size_t kNarrow = 96;  // of those of 32 alone

std::vector<float> normal_values(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

// A file of a few tensors of a model of eight layers, in f32.
class Quantize : public testing::Test {
 protected:
  Quantize() {
    add("token_embd.weight", {kWide, 6});
    add("blk.0.attn_q.weight", {kWide, 5});
    add("blk.0.attn_k.weight", {kNarrow, 7});
    add("blk.0.attn_v.weight", {kWide, 4});
    add("blk.0.attn_norm.weight", {kWide});
    add("blk.0.ffn_gate_inp.weight", {kWide, 4});
    add("blk.0.ffn_up_exps.weight", {kWide, 3, 2});
    writer_.set_string("general.architecture", "llama");
    writer_.set_u32("llama.block_count", 8);
    writer_.set_string_array("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b"});
    EXPECT_TRUE(writer_.write(dir_.file("in.gguf")));
  }
  void add(const std::string& name, std::vector<uint64_t> shape) {
    size_t n = 1;
    for (const uint64_t extent : shape) n *= extent;
    values_.push_back(normal_values(n, static_cast<uint32_t>(values_.size())));
    EXPECT_TRUE(writer_.add_tensor(name, TensorType::kF32, std::move(shape),
                                   std::as_bytes(std::span(values_.back()))));
  }
  std::vector<TensorChange> quantize(const char* type, const char* in = "in.gguf",
                                     const char* out = "out.gguf", size_t n_threads = 2) {
    auto changes =
        quantize_file(dir_.file(in), dir_.file(out), **find_weight_types(type), n_threads);
    EXPECT_TRUE(changes) << changes.error().message;
    return changes ? std::move(*changes) : std::vector<TensorChange>();
  }
  GgufFile open(const char* name) { return *GgufFile::open(dir_.file(name)); }

  TestDir dir_;
  GgufWriter writer_;
  std::vector<std::vector<float>> values_;  // in the order of the tensors
};

TEST_F(Quantize, MatricesGetTheirTypesAndAllElseStays) {
  const auto changes = quantize("q4_k_m");
  const GgufFile in = open("in.gguf");
  const GgufFile out = open("out.gguf");
  const std::pair<const char*, TensorType> expected[] = {
      {"token_embd.weight", TensorType::kQ6_K},  // makes the logits
      {"blk.0.attn_q.weight", TensorType::kQ4_K},
      {"blk.0.attn_k.weight", TensorType::kQ5_0},  // 96 is no multiple of 256
      {"blk.0.attn_v.weight", TensorType::kQ6_K},
      {"blk.0.attn_norm.weight", TensorType::kF32},
      {"blk.0.ffn_gate_inp.weight", TensorType::kF32},
      {"blk.0.ffn_up_exps.weight", TensorType::kQ4_K},
  };
  ASSERT_EQ(changes.size(), std::size(expected));
  for (size_t i = 0; i < changes.size(); ++i) {
    const auto& [name, type] = expected[i];
    EXPECT_EQ(changes[i].name, name);
    EXPECT_EQ(changes[i].to, type) << name;
    ASSERT_NE(out.find_tensor(name), nullptr);
    EXPECT_EQ(out.find_tensor(name)->type(), type) << name;
    EXPECT_EQ(out.find_tensor(name)->shape, in.find_tensor(name)->shape) << name;
    EXPECT_EQ(changes[i].bytes_after, out.find_tensor(name)->data.size()) << name;
    EXPECT_EQ(changes[i].bytes_before, in.find_tensor(name)->data.size()) << name;
  }
  EXPECT_EQ(*out.get_u64("general.file_type"), 15u);
  EXPECT_EQ(out.get_string_array("tokenizer.ggml.tokens")->at(1), "b");
}

TEST_F(Quantize, TheErrorIsThatOfTheFile) {
  for (const WeightTypes& types : all_weight_types()) {
    const auto changes = quantize(std::string(types.name).c_str());
    const GgufFile out = open("out.gguf");
    for (size_t i = 0; i < changes.size(); ++i) {
      const GgufTensor& tensor = *out.find_tensor(changes[i].name);
      std::vector<float> decoded(values_[i].size());
      find_quant(tensor.type())->dequantize(tensor.data.data(), decoded.data(), decoded.size());
      double error = 0, norm = 0;
      for (size_t k = 0; k < decoded.size(); ++k) {
        error += (double{decoded[k]} - values_[i][k]) * (double{decoded[k]} - values_[i][k]);
        norm += double{values_[i][k]} * values_[i][k];
      }
      EXPECT_NEAR(changes[i].relative_error, std::sqrt(error / norm), 1e-12)
          << types.name << " " << tensor.name;
      EXPECT_LT(changes[i].relative_error, 0.1) << types.name << " " << tensor.name;
      EXPECT_EQ(changes[i].relative_error == 0, changes[i].to == TensorType::kF32);
    }
  }
}

TEST_F(Quantize, BytesDoNotDependOnThreadsAndAreKeptWhereTheTypeIs) {
  quantize("q5_k_m", "in.gguf", "one.gguf", 1);
  quantize("q5_k_m", "in.gguf", "three.gguf", 3);
  EXPECT_EQ(read_text(dir_.file("one.gguf")), read_text(dir_.file("three.gguf")));
  const auto again = quantize("q5_k_m", "one.gguf", "again.gguf");
  EXPECT_EQ(read_text(dir_.file("one.gguf")), read_text(dir_.file("again.gguf")));
  for (const TensorChange& change : again) EXPECT_EQ(change.from, change.to) << change.name;
}

TEST_F(Quantize, WhatCannotBeStoredIsNamedAndNothingIsLeft) {
  values_[1][kWide + 3] = 1e5F;  // attn_q, row 1; the writer reads it again
  ASSERT_TRUE(writer_.write(dir_.file("in.gguf")));
  const auto changes =
      quantize_file(dir_.file("in.gguf"), dir_.file("out.gguf"), **find_weight_types("q8_0"), 2);
  ASSERT_FALSE(changes);
  EXPECT_NE(changes.error().message.find("blk.0.attn_q.weight"), std::string::npos)
      << changes.error().message;
  EXPECT_NE(changes.error().message.find("row 1"), std::string::npos) << changes.error().message;
  EXPECT_EQ(dir_.n_files(), 1u);
}

TEST_F(Quantize, TypesWithoutCodecAreNamed) {
  const std::vector<std::byte> blocks(6 * 84);
  GgufWriter writer;
  writer.set_string("general.architecture", "llama");
  writer.set_u32("llama.block_count", 1);
  const auto q2_k = static_cast<TensorType>(10);
  ASSERT_TRUE(writer.add_tensor("token_embd.weight", q2_k, {kWide, 6}, blocks));
  ASSERT_TRUE(writer.write(dir_.file("q2.gguf")));
  const auto changes =
      quantize_file(dir_.file("q2.gguf"), dir_.file("out.gguf"), **find_weight_types("q8_0"), 1);
  ASSERT_FALSE(changes);
  EXPECT_NE(changes.error().message.find("Q2_K"), std::string::npos) << changes.error().message;
}

}  // namespace
}  // namespace longhaul
