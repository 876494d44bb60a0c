#include "tests/lookup_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <random>

#include "base/check.h"
#include "io/gguf_writer.h"
#include "model/tensors.h"
#include "quant/registry.h"

namespace longhaul {
namespace {

constexpr size_t kEndToken = 256;
constexpr size_t kDigits = 4;        // of a node's code
constexpr size_t kDigitValues = 16;  // one dimension each
constexpr size_t kCode = kDigits * kDigitValues;

// The residual stream: where each part lies.
constexpr size_t kKey = 0;               // the code of a key token
constexpr size_t kValue = kCode;         // the code of a value token
constexpr size_t kPrevious = 2 * kCode;  // written by layer 0: the code of the key before
constexpr size_t kResult = 3 * kCode;    // written by layer 1: the code of the value found
constexpr size_t kOne = 4 * kCode;       // 1 for every token
constexpr size_t kOther = kOne + 1;      // 2 for tokens without a code, so that all norms are equal
constexpr size_t kDModel = 288;

// A head: the first 16 pairs tell positions apart, the others turn too slowly to disturb a code.
constexpr size_t kHeadDim = 96;
constexpr size_t kPositionPairs = 16;
constexpr double kRopeBase = 1e22;
constexpr double kPositionGain = 10.0;
constexpr double kMatchGain = 8.0;
constexpr double kOutputGain = 5.0;
constexpr size_t kDFf = 32;  // the feed-forward part is zero

// 1 / RMS of a residual whose squares sum to `sum`.
double norm_scale(double sum) { return std::sqrt(static_cast<double>(kDModel) / sum); }
const double kTokenScale = norm_scale(kDigits + 1);     // of any embedding
const double kPairScale = norm_scale(2 * kDigits + 1);  // of a value token that has found its key

// Position of the one in digit `i` of a node's code. The odd factor spreads few nodes over all
// 65,536 codes.
size_t digit_slot(size_t node, size_t i) {
  const size_t code = (node * 40503) % 65536;
  return i * kDigitValues + (code >> (4 * i)) % kDigitValues;
}

void set_code(size_t node, float* out) {
  for (size_t i = 0; i < kDigits; ++i) out[digit_slot(node, i)] = 1.0F;
}

size_t first_key() { return kEndToken + 1; }
size_t vocab_size(const LookupSpec& spec) { return first_key() + 2 * spec.n_nodes; }

// Fills one row, given as zeros, of a matrix.
using RowFiller = std::function<void(size_t row, float* out)>;

class Builder {
 public:
  explicit Builder(const LookupSpec& spec) : spec_(spec) {}

  Status write(const std::string& path) {
    add_metadata();
    LH_ASSIGN_OR_RETURN(const ModelPlan plan, plan_of_keys(writer_));
    add_vocabulary();
    set_ends();
    set_previous_token_layer();
    set_match_layer();
    for (const TensorSpec& tensor : tensors(plan)) LH_RETURN_IF_ERROR(add(tensor));
    return writer_.write(path);
  }

 private:
  void add_metadata() {
    const auto set = [this](const char* key, size_t value) {
      writer_.set_u32(fmt::format("llama.{}", key), static_cast<uint32_t>(value));
    };
    writer_.set_string("general.architecture", "llama");
    writer_.set_string("general.name", fmt::format("look-up of {} nodes", spec_.n_nodes));
    set("block_count", 2);
    set("context_length", spec_.context_length);
    set("embedding_length", kDModel);
    set("feed_forward_length", kDFf);
    set("attention.head_count", spec_.n_heads);
    set("attention.head_count_kv", 1);
    set("attention.key_length", kHeadDim);
    set("attention.value_length", kHeadDim);
    set("rope.dimension_count", kHeadDim);
    set("vocab_size", vocab_size(spec_));
    writer_.set_f32("llama.rope.freq_base", static_cast<float>(kRopeBase));
    writer_.set_f32("llama.attention.layer_norm_rms_epsilon", 1e-6F);
  }

  void add_vocabulary() {
    std::vector<std::string> tokens;
    uint32_t next = 256;  // bytes as byte-level BPE writes them
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const bool visible =
          (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
      const uint32_t code = visible ? byte : next++;
      tokens.push_back(code < 128 ? std::string(1, static_cast<char>(code))
                                  : std::string{static_cast<char>(0xC0 | (code >> 6)),
                                                static_cast<char>(0x80 | (code & 0x3F))});
    }
    tokens.emplace_back("<|end|>");
    for (size_t i = 0; i < spec_.n_nodes; ++i) tokens.push_back(fmt::format("k{}", i));
    for (size_t i = 0; i < spec_.n_nodes; ++i) tokens.push_back(fmt::format("v{}", i));
    std::vector<int32_t> types(tokens.size(), 1);
    types[kEndToken] = 3;
    writer_.set_string("tokenizer.ggml.model", "gpt2");
    writer_.set_string("tokenizer.ggml.pre", "gpt-2");
    writer_.set_string_array("tokenizer.ggml.tokens", tokens);
    writer_.set_i32_array("tokenizer.ggml.token_type", types);
    writer_.set_string_array("tokenizer.ggml.merges", std::vector<std::string>{});
    writer_.set_u32("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(kEndToken));
    writer_.set_bool("tokenizer.ggml.add_bos_token", false);
  }

  void fill_embedding(size_t token, float* out) const {
    out[kOne] = 1.0F;
    if (token < first_key()) {
      out[kOther] = static_cast<float>(std::sqrt(kDigits));
    } else if (token < first_key() + spec_.n_nodes) {
      set_code(token - first_key(), out + kKey);
    } else {
      set_code(token - first_key() - spec_.n_nodes, out + kValue);
    }
  }

  // The embedding, the norm behind the layers and the output matrix.
  void set_ends() {
    fillers_["token_embd.weight"] = [this](size_t row, float* out) { fill_embedding(row, out); };
    fillers_["output_norm.weight"] = [](size_t, float* out) {
      for (size_t i = 0; i < kDModel; ++i) {
        const bool result = i >= kResult && i < kResult + kCode;
        out[i] = static_cast<float>(result ? kOutputGain : 1.0);
      }
    };
    const size_t first_value = first_key() + spec_.n_nodes;
    fillers_["output.weight"] = [first_value](size_t row, float* out) {
      if (row >= first_value) set_code(row - first_value, out + kResult);
    };
  }

  // Layer 0: every token attends to the one before it and copies its key code.
  void set_previous_token_layer() {
    fillers_["blk.0.attn_q.weight"] = [](size_t row, float* out) {
      const size_t i = row % kHeadDim;
      const double frequency = std::pow(kRopeBase, -2.0 * static_cast<double>(i / 2) / kHeadDim);
      if (i >= 2 * kPositionPairs) return;
      // Turned back by one position.
      const double x = i % 2 == 0 ? std::cos(frequency) : -std::sin(frequency);
      out[kOne] = static_cast<float>(kPositionGain * x);
    };
    fillers_["blk.0.attn_k.weight"] = [](size_t row, float* out) {
      if (row < 2 * kPositionPairs && row % 2 == 0) out[kOne] = 1.0F;
    };
    fillers_["blk.0.attn_v.weight"] = [](size_t row, float* out) {
      if (row < kCode) out[kKey + row] = 1.0F;
    };
    set_output(0, kPrevious, kTokenScale);
  }

  // Layer 1: the query is the token's own code, the keys are the codes of keys before; copies the
  // value found.
  void set_match_layer() {
    constexpr size_t kFirst = 2 * kPositionPairs;
    fillers_["blk.1.attn_q.weight"] = [](size_t row, float* out) {
      const size_t i = row % kHeadDim;
      if (i < kFirst) return;
      out[kKey + i - kFirst] = static_cast<float>(kMatchGain);
      out[kValue + i - kFirst] = static_cast<float>(kMatchGain);
    };
    fillers_["blk.1.attn_k.weight"] = [](size_t row, float* out) {
      if (row >= kFirst) out[kPrevious + row - kFirst] = 1.0F;
    };
    fillers_["blk.1.attn_v.weight"] = [](size_t row, float* out) {
      if (row < kCode) out[kValue + row] = 1.0F;
    };
    set_output(1, kResult, kPairScale);
  }

  // The head's code goes to the residual at `target`, freed of the norm's scale.
  void set_output(size_t layer, size_t target, double scale) {
    const size_t n_heads = spec_.n_heads;
    const auto weight = static_cast<float>(1.0 / (scale * static_cast<double>(n_heads)));
    fillers_[fmt::format("blk.{}.attn_output.weight", layer)] = [=](size_t row, float* out) {
      if (row < target || row >= target + kCode) return;
      for (size_t h = 0; h < n_heads; ++h) out[h * kHeadDim + row - target] = weight;
    };
  }

  // What no filler is named for: ones for norms, and zeros, so that the feed-forward adds nothing.
  RowFiller filler_of(const TensorSpec& tensor) const {
    if (const auto found = fillers_.find(tensor.name); found != fillers_.end())
      return found->second;
    if (tensor.kind != TensorKind::kVector) return [](size_t, float*) {};
    return [n = tensor.n_out](size_t, float* out) { std::fill_n(out, n, 1.0F); };
  }

  Status add(const TensorSpec& tensor) {
    const bool vector = tensor.kind == TensorKind::kVector;
    const TensorType type = vector ? TensorType::kF32 : spec_.type;
    const size_t n_rows = vector ? 1 : tensor.n_out;
    const size_t n_cols = vector ? tensor.n_out : tensor.n_in;
    return writer_.add_tensor(
        tensor.name, type, tensor.shape(),
        [=, fill = filler_of(tensor)](GgufWriter::Sink sink) -> Status {
          const TensorTypeInfo& info = tensor_type_info(type);
          std::vector<float> row(n_cols);
          std::vector<std::byte> bytes(n_cols / info.block_len * info.block_bytes);
          for (size_t r = 0; r < n_rows; ++r) {
            std::fill(row.begin(), row.end(), 0.0F);
            fill(r, row.data());
            find_quant(type)->quantize(row.data(), bytes.data(), n_cols);
            LH_RETURN_IF_ERROR(sink(bytes));
          }
          return {};
        });
  }

  LookupSpec spec_;
  GgufWriter writer_;
  std::map<std::string, RowFiller> fillers_;  // by tensor
};

}  // namespace

int32_t lookup_key(const LookupSpec& spec, size_t node) {
  LH_CHECK(node < spec.n_nodes);
  return static_cast<int32_t>(first_key() + node);
}

int32_t lookup_value(const LookupSpec& spec, size_t node) {
  LH_CHECK(node < spec.n_nodes);
  return static_cast<int32_t>(first_key() + spec.n_nodes + node);
}

Status write_lookup_model(const LookupSpec& spec, const std::string& path) {
  LH_CHECK(spec.n_nodes >= 2 && spec.n_nodes <= 65536 && spec.n_heads >= 1);
  return Builder(spec).write(path);
}

LookupWalk make_lookup_walk(const LookupSpec& spec, size_t n_pairs, size_t n_steps, uint64_t seed) {
  LH_CHECK(n_pairs >= 1 && n_pairs <= spec.n_nodes);
  std::mt19937_64 random(seed);
  const auto shuffle = [&random](std::vector<size_t>& items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random() % i]);
  };
  std::vector<size_t> nodes(spec.n_nodes);
  std::iota(nodes.begin(), nodes.end(), size_t{0});
  shuffle(nodes);
  nodes.resize(n_pairs);  // in the order of the cycle

  std::vector<size_t> order(n_pairs);
  std::iota(order.begin(), order.end(), size_t{0});
  shuffle(order);
  LookupWalk walk;
  walk.prompt.push_back(static_cast<int32_t>(kEndToken));
  for (const size_t i : order) {
    walk.prompt.push_back(lookup_key(spec, nodes[i]));
    walk.prompt.push_back(lookup_value(spec, nodes[(i + 1) % n_pairs]));
  }
  walk.prompt.push_back(lookup_key(spec, nodes[0]));
  for (size_t i = 1; i <= n_steps; ++i) {
    walk.answer.push_back(lookup_value(spec, nodes[i % n_pairs]));
  }
  return walk;
}

}  // namespace longhaul
