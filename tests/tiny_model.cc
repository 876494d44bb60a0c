#include "tests/tiny_model.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <deque>
#include <fstream>
#include <random>

#include "base/check.h"
#include "quant/registry.h"

namespace longhaul {
namespace {

class Builder {
 public:
  explicit Builder(const TinyModelSpec& spec) : spec_(spec), random_(spec.seed) {}

  std::vector<std::byte> build() {
    add_metadata();
    add_vocabulary();
    const size_t q_dim = spec_.n_heads * spec_.head_dim;
    const size_t kv_dim = spec_.n_kv_heads * spec_.head_dim;
    matrix("token_embd.weight", vocab_size(), spec_.d_model, 1.0F);
    for (size_t i = 0; i < spec_.n_layers; ++i) {
      const auto name = [i](const char* suffix) { return fmt::format("blk.{}.{}", i, suffix); };
      vector(name("attn_norm.weight"), spec_.d_model, 1.0F, 0.1F);
      matrix(name("attn_q.weight"), q_dim, spec_.d_model, spec_.attention_gain);
      matrix(name("attn_k.weight"), kv_dim, spec_.d_model, 1.0F);
      matrix(name("attn_v.weight"), kv_dim, spec_.d_model, 1.0F);
      matrix(name("attn_output.weight"), spec_.d_model, q_dim, 1.0F);
      if (spec_.architecture == "qwen2") {
        vector(name("attn_q.bias"), q_dim, 0.0F, 0.5F);
        vector(name("attn_k.bias"), kv_dim, 0.0F, 0.5F);
        vector(name("attn_v.bias"), kv_dim, 0.0F, 0.5F);
      }
      if (spec_.architecture == "qwen3") {
        vector(name("attn_q_norm.weight"), spec_.head_dim, spec_.attention_gain, 0.1F);
        vector(name("attn_k_norm.weight"), spec_.head_dim, 1.0F, 0.1F);
      }
      vector(name("ffn_norm.weight"), spec_.d_model, 1.0F, 0.1F);
      matrix(name("ffn_gate.weight"), spec_.d_ff, spec_.d_model, 1.0F);
      matrix(name("ffn_up.weight"), spec_.d_ff, spec_.d_model, 1.0F);
      matrix(name("ffn_down.weight"), spec_.d_model, spec_.d_ff, 1.0F);
    }
    vector("output_norm.weight", spec_.d_model, 1.0F, 0.1F);
    matrix("output.weight", vocab_size(), spec_.d_model, 3.0F);
    auto bytes = writer_.write_to_memory();
    LH_CHECK(bytes.has_value());
    return std::move(*bytes);
  }

 private:
  size_t vocab_size() const { return 257 + spec_.n_extra_tokens; }

  void add_metadata() {
    const std::string& arch = spec_.architecture;
    const auto set = [&](const char* suffix, size_t value) {
      writer_.set_u32(fmt::format("{}.{}", arch, suffix), static_cast<uint32_t>(value));
    };
    writer_.set_string("general.architecture", arch);
    writer_.set_string("general.name", fmt::format("tiny {} {}", arch, spec_.seed));
    set("block_count", spec_.n_layers);
    set("context_length", spec_.context_length);
    set("embedding_length", spec_.d_model);
    set("feed_forward_length", spec_.d_ff);
    set("attention.head_count", spec_.n_heads);
    set("attention.head_count_kv", spec_.n_kv_heads);
    set("attention.key_length", spec_.head_dim);
    set("attention.value_length", spec_.head_dim);
    set("rope.dimension_count", spec_.head_dim);
    writer_.set_f32(fmt::format("{}.attention.layer_norm_rms_epsilon", arch), 1e-6F);
    writer_.set_f32(fmt::format("{}.rope.freq_base", arch), 1e5F);
  }

  // Byte-level BPE: the 256 bytes as GPT-2 writes them, one control token, one merge.
  void add_vocabulary() {
    std::vector<std::string> tokens;
    uint32_t next = 256;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const bool printable =
          (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
      const uint32_t code = printable ? byte : next++;
      tokens.push_back(code < 128 ? std::string(1, static_cast<char>(code))
                                  : std::string{static_cast<char>(0xC0 | (code >> 6)),
                                                static_cast<char>(0x80 | (code & 0x3F))});
    }
    tokens.emplace_back("<|end|>");
    for (size_t i = 0; i < spec_.n_extra_tokens; ++i) tokens.push_back(fmt::format("{}", 1000 + i));
    std::vector<int32_t> types(tokens.size(), 1);
    types[256] = 3;
    writer_.set_string("tokenizer.ggml.model", "gpt2");
    writer_.set_string("tokenizer.ggml.pre", "gpt-2");
    writer_.set_string_array("tokenizer.ggml.tokens", tokens);
    writer_.set_i32_array("tokenizer.ggml.token_type", types);
    writer_.set_string_array("tokenizer.ggml.merges", std::vector<std::string>{});
    writer_.set_u32("tokenizer.ggml.eos_token_id", 256);
  }

  void vector(const std::string& name, size_t size, float mean, float deviation) {
    std::normal_distribution<float> draw(mean, deviation);
    std::vector<float> values(size);
    for (float& value : values) value = draw(random_);
    add(name, TensorType::kF32, {size}, values);
  }

  void matrix(const std::string& name, size_t n_out, size_t n_in, float gain) {
    std::normal_distribution<float> draw(0.0F, gain / std::sqrt(static_cast<float>(n_in)));
    std::vector<float> values(n_out * n_in);
    for (float& value : values) value = draw(random_);
    add(name, spec_.type, {n_in, n_out}, values);
  }

  void add(const std::string& name, TensorType type, std::vector<uint64_t> shape,
           const std::vector<float>& values) {
    const TensorTypeInfo& info = tensor_type_info(type);
    std::vector<std::byte>& bytes =
        storage_.emplace_back(values.size() / info.block_len * info.block_bytes);
    find_quant(type)->quantize(values.data(), bytes.data(), values.size());
    LH_CHECK(writer_.add_tensor(name, type, std::move(shape), bytes).has_value());
  }

  TinyModelSpec spec_;
  std::mt19937_64 random_;
  GgufWriter writer_;
  std::deque<std::vector<std::byte>> storage_;
};

}  // namespace

std::vector<std::byte> make_tiny_model(const TinyModelSpec& spec) { return Builder(spec).build(); }

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

std::vector<int32_t> random_tokens(size_t n, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<int32_t> tokens(n);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 256);
  return tokens;
}

}  // namespace longhaul
