#include "io/gate_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <limits>

#include "io/random_gates.h"
#include "io/test_dir.h"
#include "quant/half.h"

namespace longhaul {
namespace {

GateBase tiny_base() {
  return {.architecture = "qwen3",
          .name = "tiny",
          .fingerprint = "0123456789abcdef",
          .n_layers = 2,
          .n_heads = 4,
          .n_kv_heads = 2,
          .head_dim = 8};
}

GateWeights tiny_gates() {
  GateWeights gates = random_gates(tiny_base(), 16, 32, 7);
  gates.source = "some/gates";
  return gates;
}

std::vector<std::byte> bytes_of(const GateWeights& gates, TensorType type = TensorType::kF32) {
  return gate_writer(gates, type).value().write_to_memory().value();
}

Result<GateWeights> read(const std::vector<std::byte>& bytes) {
  const auto file = GgufFile::parse(bytes, "g.gguf");
  if (!file) return tl::unexpected<Error>(file.error());
  return read_gates(*file);
}

TEST(GateFile, EverythingComesBack) {
  for (const bool qk_norm : {true, false}) {
    GateWeights gates = tiny_gates();
    gates.qk_norm = qk_norm;
    gates.rope = !qk_norm;
    gates.norm_eps = 1e-5F;
    if (!qk_norm) {
      for (LayerGate& layer : gates.layers) {
        layer.q_norm.clear();
        layer.k_norm.clear();
      }
    }
    const GateWeights found = read(bytes_of(gates)).value();
    EXPECT_TRUE(check_same_base("g.gguf", gates.base, found.base));
    EXPECT_EQ(found.base.name, "tiny");
    EXPECT_EQ(found.source, "some/gates");
    EXPECT_EQ(found.block_size, 16u);
    EXPECT_EQ(found.dim, 32u);
    EXPECT_EQ(found.rope, gates.rope);
    EXPECT_EQ(found.qk_norm, gates.qk_norm);
    EXPECT_EQ(found.norm_eps, 1e-5F);
    ASSERT_EQ(found.layers.size(), 2u);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(found.layers[i].wq, gates.layers[i].wq);
      EXPECT_EQ(found.layers[i].wk, gates.layers[i].wk);
      EXPECT_EQ(found.layers[i].q_norm, gates.layers[i].q_norm);
      EXPECT_EQ(found.layers[i].k_norm, gates.layers[i].k_norm);
    }
  }
}

TEST(GateFile, HalvesRoundTheMatricesAlone) {
  const GateWeights gates = tiny_gates();
  const GateWeights found = read(bytes_of(gates, TensorType::kF16)).value();
  for (size_t i = 0; i < gates.layers[1].wq.size(); ++i)
    EXPECT_EQ(found.layers[1].wq[i], f16_to_f32(f32_to_f16(gates.layers[1].wq[i])));
  EXPECT_EQ(found.layers[1].q_norm, gates.layers[1].q_norm);
}

TEST(GateFile, ExtentsAreThoseOfTheDocumentation) {
  const auto bytes = bytes_of(tiny_gates());
  const auto file = GgufFile::parse(bytes, "g.gguf").value();
  using Shape = std::vector<uint64_t>;
  EXPECT_EQ(file.find_tensor("blk.1.attn_gate_q.weight")->shape, (Shape{16, 32, 2}));
  EXPECT_EQ(file.find_tensor("blk.1.attn_gate_k.weight")->shape, (Shape{24, 32, 2}));
  EXPECT_EQ(file.find_tensor("blk.1.attn_gate_q_norm.weight")->shape, (Shape{32}));
}

// The file of tiny_gates() with one key changed, or without it.
class GateKeys : public testing::Test {
 protected:
  std::string error_with(std::string_view changed, const std::function<void(GgufWriter&)>& set) {
    const auto bytes = bytes_of(tiny_gates());
    const auto file = GgufFile::parse(bytes, "g.gguf").value();
    GgufWriter writer;
    for (const auto& [key, value] : file.metadata()) {
      if (key != changed) writer.set(key, value);
    }
    set(writer);
    for (const GgufTensor& tensor : file.tensors()) {
      EXPECT_TRUE(writer.add_tensor(tensor.name, tensor.type(), tensor.shape, tensor.data));
    }
    const auto found = read(writer.write_to_memory().value());
    return found ? "" : found.error().message;
  }
  std::string error_with_count(const std::string& key, uint32_t value) {
    return error_with(key, [&](GgufWriter& writer) { writer.set_u32(key, value); });
  }
};

TEST_F(GateKeys, EveryMissingKeyIsNamed) {
  for (const std::string key :
       {"general.architecture", "gate.base_model.name", "gate.base_model.fingerprint",
        "gate.block_size", "gate.key_length", "gate.block_count", "gate.head_count",
        "gate.head_count_kv", "gate.head_dim", "gate.rope", "gate.qk_norm", "gate.norm_eps"}) {
    const std::string message = error_with(key, [](GgufWriter&) {});
    EXPECT_NE(message.find("g.gguf: key \"" + key + "\" is missing"), std::string::npos) << message;
  }
  EXPECT_EQ(error_with("gate.source", [](GgufWriter&) {}), "");
  for (const std::string key : {"general.type", "adapter.type"}) {
    EXPECT_NE(error_with(key, [](GgufWriter&) {}).find("g.gguf: not a gate file"),
              std::string::npos);
  }
}

TEST_F(GateKeys, SinkBlocksAreNoneWhereTheFileHasNoSuchKey) {
  GateWeights gates = tiny_gates();
  EXPECT_EQ(read(bytes_of(gates))->sink_blocks, 0U);
  gates.sink_blocks = 1;
  EXPECT_EQ(read(bytes_of(gates))->sink_blocks, 1U);
  EXPECT_EQ(error_with_count("gate.sink_blocks", 2),
            "g.gguf: key \"gate.sink_blocks\": expected 0 or 1, found 2");
}

TEST_F(GateKeys, ImpossibleValuesAreNamed) {
  EXPECT_EQ(error_with_count("gate.block_size", 24),
            "g.gguf: key \"gate.block_size\": expected 4, 8, 16, 32, 64, 128 or 256, found 24");
  EXPECT_EQ(error_with_count("gate.key_length", 40),
            "g.gguf: key \"gate.key_length\": expected a multiple of 32 up to 256, found 40");
  EXPECT_EQ(error_with_count("gate.head_count", 5),
            "g.gguf: key \"gate.head_count\": expected a multiple of 2 KV heads, found 5");
  EXPECT_EQ(error_with_count("gate.head_count_kv", 0),
            "g.gguf: key \"gate.head_count_kv\": expected 1 to 4, found 0");
  EXPECT_EQ(error_with_count("gate.block_count", 4000000000U),
            "g.gguf: key \"gate.block_count\": expected 1 to 1024, found 4000000000");
  EXPECT_EQ(error_with("gate.norm_eps", [](GgufWriter& w) { w.set_f32("gate.norm_eps", -1); }),
            "g.gguf: key \"gate.norm_eps\": expected a number between 0 and 1, found -1");
  EXPECT_EQ(error_with_count("gate.head_dim", 10),
            "g.gguf: tensor \"blk.0.attn_gate_q.weight\": expected shape 20 x 32 x 2, found "
            "16 x 32 x 2");
}

TEST(GateFile, AllMissingAndUnexpectedTensorsAreNamed) {
  const auto bytes = bytes_of(tiny_gates());
  const auto file = GgufFile::parse(bytes, "g.gguf").value();
  GgufWriter writer;
  for (const auto& [key, value] : file.metadata()) writer.set(key, value);
  for (const GgufTensor& tensor : file.tensors()) {
    const bool is_k = tensor.name.ends_with("gate_k.weight");
    ASSERT_TRUE(writer.add_tensor(is_k ? "x" + tensor.name : tensor.name, tensor.type(),
                                  tensor.shape, tensor.data));
  }
  EXPECT_EQ(read(writer.write_to_memory().value()).error().message,
            "g.gguf: missing tensors: blk.0.attn_gate_k.weight, blk.1.attn_gate_k.weight; tensors "
            "not expected: \"xblk.0.attn_gate_k.weight\", \"xblk.1.attn_gate_k.weight\"");
}

TEST(GateFile, ValuesMustBeFinite) {
  std::vector<std::byte> bytes = bytes_of(tiny_gates());
  const auto file = GgufFile::parse(bytes, "g.gguf").value();
  const std::byte* data = file.find_tensor("blk.1.attn_gate_q_norm.weight")->data.data();
  const float bad = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(bytes.data() + (data - bytes.data()) + 3 * sizeof(float), &bad, sizeof(bad));
  EXPECT_EQ(read(bytes).error().message,
            "g.gguf: tensor \"blk.1.attn_gate_q_norm.weight\": expected finite values up to 65504, "
            "found nan at 3");
}

TEST(GateFile, WhatCannotBeReadIsNotWritten) {
  GateWeights gates = tiny_gates();
  gates.layers[1].wk.pop_back();
  EXPECT_EQ(gate_writer(gates).error().message,
            "tensor \"blk.1.attn_gate_k.weight\": expected 1536 values, found 1535");
  gates.layers.pop_back();
  EXPECT_EQ(gate_writer(gates).error().message, "gates: expected 2 layers, found 1");
  gates = tiny_gates();
  gates.layers[0].wq[5] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(gate_writer(gates).error().message,
            "tensor \"blk.0.attn_gate_q.weight\": expected finite values up to 65504, found inf at "
            "5");
}

TEST(GateFile, ADamagedFileIsAnErrorOrGates) {
  const std::vector<std::byte> whole = bytes_of(tiny_gates());
  const size_t n_head = 2048;  // keys and tensor descriptions end before
  for (size_t size = 0; size < whole.size(); size += size < n_head ? 1 : 509) {
    const auto found = read({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
    ASSERT_FALSE(found);
    EXPECT_FALSE(found.error().message.empty());
  }
  for (size_t at = 0; at < n_head; ++at) {
    std::vector<std::byte> damaged = whole;
    damaged[at] ^= std::byte{0x41};
    (void)read(damaged);
  }
}

TEST(GateFile, AFileOnDiskOpens) {
  const TestDir dir;
  ASSERT_TRUE(write_gate_file(tiny_gates(), dir.file("g.gguf"), TensorType::kF16));
  EXPECT_EQ(read_gate_file(dir.file("g.gguf")).value().block_size, 16u);
  write_text(dir.file("text"), "no gates");
  EXPECT_FALSE(read_gate_file(dir.file("text")));
  EXPECT_FALSE(read_gate_file(dir.file("nothing")));
}

// A model file of two norms and a matrix of the given type.
std::string fingerprint_of(float second_norm, TensorType matrix_type, bool reversed = false) {
  const std::vector<float> first = {1, 2, 3};
  const std::vector<float> second = {4, 5, second_norm};
  const std::vector<std::byte> matrix(tensor_type_info(matrix_type).block_bytes * 32);
  GgufWriter writer;
  const auto add = [&](const char* name, const std::vector<float>& norm) {
    EXPECT_TRUE(writer.add_tensor(name, TensorType::kF32, {3}, std::as_bytes(std::span(norm))));
  };
  const uint64_t n_in = tensor_type_info(matrix_type).block_len;
  EXPECT_TRUE(writer.add_tensor("blk.0.ffn_up.weight", matrix_type, {n_in, 32}, matrix));
  if (reversed) add("output_norm.weight", second);
  add("blk.0.attn_norm.weight", first);
  if (!reversed) add("output_norm.weight", second);
  const auto bytes = writer.write_to_memory().value();
  return model_fingerprint(GgufFile::parse(bytes, "m.gguf").value()).value();
}

TEST(ModelFingerprint, IsThatOfTheNorms) {
  const std::string expected = fingerprint_of(6, TensorType::kF32);
  EXPECT_EQ(expected.size(), 16u);
  EXPECT_EQ(fingerprint_of(6, TensorType::kQ8_0), expected);
  EXPECT_EQ(fingerprint_of(6, TensorType::kQ8_0, true), expected);
  EXPECT_NE(fingerprint_of(7, TensorType::kF32), expected);
  const auto bytes = GgufWriter().write_to_memory().value();
  EXPECT_EQ(model_fingerprint(GgufFile::parse(bytes, "m.gguf").value()).error().message,
            "m.gguf: no F32 norm weights to tell the model by");
}

TEST(GateBase, ADifferenceNamesBothSides) {
  GateBase other = tiny_base();
  other.name = "other";
  EXPECT_TRUE(check_same_base("g.gguf", tiny_base(), other));
  other.n_kv_heads = 4;
  EXPECT_EQ(check_same_base("g.gguf", tiny_base(), other).error().message,
            "g.gguf: gates of another model: trained for \"tiny\" with KV heads 2, but \"other\" "
            "has 4");
  other = tiny_base();
  other.fingerprint = "fedcba9876543210";
  EXPECT_EQ(check_same_base("g.gguf", tiny_base(), other).error().message,
            "g.gguf: gates of another model: trained for \"tiny\" with fingerprint "
            "0123456789abcdef, but \"tiny\" has fedcba9876543210");
}

// A new bundled model needs new gates.
TEST(BundledGates, BelongToTheBundledModel) {
  const std::string models = LONGHAUL_SOURCE_DIR "/models/longhaul-pathfinder-";
  const auto model = GgufFile::open(models + "q8_0.gguf");
  ASSERT_TRUE(model) << model.error().message;
  for (const size_t block_size : {16U, 32U, 64U}) {
    const auto gates = read_gate_file(models + "gates-" + std::to_string(block_size) + ".gguf");
    ASSERT_TRUE(gates) << gates.error().message;
    EXPECT_EQ(gates->block_size, block_size);
    EXPECT_EQ(gates->base.fingerprint, model_fingerprint(*model).value());
  }
}

}  // namespace
}  // namespace longhaul
