#include "trainer/plant.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tasks/sum.h"

namespace longhaul::trainer {
namespace {

using torch::Tensor;

// Places in the residual stream.
constexpr int64_t kConstant = 0;   // every token's, the same value
constexpr int64_t kStart = 1;      // of the start of the text
constexpr int64_t kFirstCode = 2;  // of the token's code; content follows it
// Places in a code.
constexpr int64_t kCode = 32;
constexpr int64_t kNumber = 6;  // a number's flag, after its waves
constexpr int64_t kMark = 7;    // a separator's flag
constexpr int64_t kFirstSparse = 8;
constexpr int64_t kSparseCode = kCode - kFirstSparse;
constexpr int64_t kActive = 4;   // dimensions of a sparse code that are not zero
constexpr int64_t kOffsets = 3;  // how far back the first layer looks

// Periods in 100 of a number's waves: of all threes these keep any two numbers furthest apart.
constexpr double kWaves[] = {3, 7, 22};

constexpr double kConstantValue = 4;  // content has variance 1
constexpr double kStartValue = 8;
constexpr double kWaveValue = 2;
constexpr double kActiveValue = 2.4;  // of flags too
constexpr double kCopyStrength = 4;   // of a found token against the present one, in the output

// Of the second layer's keys and queries, against codes: keys of separators are drowned, so that
// their codes do not widen the bounds of a block; every query looks for the start a little.
constexpr double kKeyConstant = 0.8, kKeyMark = 10, kKeyStart = 2, kQueryStart = 0.35;

// The share of the squared norm that each of the fastest RoPE pairs gets in a positional pattern:
// fast ones tell neighbours apart, slow ones tell blocks apart.
constexpr double kPairShare[] = {20, 14, 10, 6, 4, 3, 3, 2, 1, 1};

// A vector of head_dim that, as a query against the same pattern with offset 0 as a key, peaks at
// the key `offset` tokens back.
Tensor position_pattern(const ModelConfig& config, int64_t offset) {
  Tensor pattern = at::zeros({config.head_dim});
  for (int64_t i = 0; i < static_cast<int64_t>(std::size(kPairShare)); ++i) {
    const double frequency = std::pow(
        config.rope_theta, -2.0 * static_cast<double>(i) / static_cast<double>(config.head_dim));
    const double angle = -frequency * static_cast<double>(offset);
    const double amplitude = std::sqrt(kPairShare[i] / 64);
    pattern[i] = amplitude * std::cos(angle);
    pattern[i + config.head_dim / 2] = amplitude * std::sin(angle);
  }
  return pattern;
}

// Rows of a head whose RoPE frequency is among the kSparseCode / 2 slowest; two free slow rows.
Tensor slow_rows(const ModelConfig& config) {
  const int64_t half = config.head_dim / 2;
  const int64_t pairs = kSparseCode / 2;
  return at::cat({at::arange(half - pairs, half), at::arange(2 * half - pairs, 2 * half)});
}
int64_t unasked_row(const ModelConfig& config) { return (config.head_dim - kSparseCode) / 2 - 1; }
int64_t start_row(const ModelConfig& config) { return unasked_row(config) - 1; }

// Where the first layer writes the code of the token `offset` back.
int64_t code_back(const ModelConfig& config, int64_t offset) {
  return config.d_model - (kOffsets + 1 - offset) * kCode;
}

void plant_embedding(const ModelConfig& config, const Vocabulary& vocabulary, Tensor& embedding) {
  embedding.narrow(1, 0, kFirstCode).zero_();
  embedding.select(1, kConstant).fill_(kConstantValue);
  embedding.narrow(1, code_back(config, 1), kOffsets * kCode).zero_();
  const Tensor codes = embedding.narrow(1, kFirstCode, kCode).zero_();

  const Tensor active =
      at::rand({config.vocab_size, kSparseCode}).argsort(int64_t{1}, false).narrow(1, 0, kActive);
  const Tensor values = at::randn({config.vocab_size, kActive}).sign() * kActiveValue;
  codes.narrow(1, kFirstSparse, kSparseCode).scatter_(1, active, values);
  for (int n = 0; n < kSumModulus; ++n) {
    Tensor code = codes[vocabulary.encode(" " + std::to_string(n)).front()].zero_();
    code[kNumber] = kActiveValue;
    for (int64_t i = 0; i < static_cast<int64_t>(std::size(kWaves)); ++i) {
      const double angle = 2 * std::numbers::pi * kWaves[i] * n / kSumModulus;
      code[2 * i] = kWaveValue * std::cos(angle);
      code[2 * i + 1] = kWaveValue * std::sin(angle);
    }
  }
  for (const char* mark : {" ;", " :"}) {
    codes[vocabulary.encode(mark).front()].zero_()[kMark] = kActiveValue;
  }
  codes[vocabulary.bos()].zero_();
  embedding[vocabulary.bos()][kStart] = kStartValue;
}

// Heads look 1, 2, 3 and 3 tokens back; the first three write.
void plant_previous(const ModelConfig& config, LayerWeights& layer) {
  const int64_t head = config.head_dim;
  const Tensor eye = at::eye(kCode);
  layer.wq.narrow(0, 0, 4 * head).zero_();
  layer.wk.narrow(0, 0, 2 * head).zero_();
  for (int64_t group = 0; group < 2; ++group) {
    layer.wk.narrow(0, group * head, head).select(1, kConstant).copy_(position_pattern(config, 0));
    layer.wv.narrow(0, group * head, kCode).zero_().narrow(1, kFirstCode, kCode).copy_(eye);
  }
  for (int64_t h = 0; h < 4; ++h) {
    const int64_t offset = std::min(h + 1, kOffsets);
    layer.wq.narrow(0, h * head, head).select(1, kConstant).copy_(position_pattern(config, offset));
    if (h + 1 > kOffsets) continue;
    layer.wo.narrow(0, code_back(config, offset), kCode).narrow(1, h * head, kCode).copy_(eye);
  }
}

// A head's matrix [head_dim, d_model] that reads the sparse code at `first` into the slow rows.
Tensor code_reader(const ModelConfig& config, int64_t first) {
  Tensor matrix = at::zeros({config.head_dim, config.d_model});
  matrix.narrow(1, first + kFirstSparse, kSparseCode)
      .index_copy_(0, slow_rows(config), at::eye(kSparseCode));
  return matrix;
}

// The token after this one's earlier copy; the token three after an earlier copy of the one three
// back. What is copied: the code, and as many dimensions of the content as fit.
void plant_find(const ModelConfig& config, LayerWeights& layer) {
  const int64_t head = config.head_dim;
  const int64_t queries[] = {kFirstCode, code_back(config, 3)};
  const int64_t keys[] = {code_back(config, 1), code_back(config, 3)};
  const int64_t n_content = code_back(config, 1) - kFirstCode - kCode;
  const int64_t n_copied = std::min(n_content, head - kCode);
  const Tensor content = std::get<0>(at::linalg_qr(at::randn({n_content, n_copied})));
  Tensor copied = at::zeros({config.d_model, kCode + n_copied});
  copied.narrow(0, kFirstCode, kCode).narrow(1, 0, kCode).copy_(at::eye(kCode));
  copied.narrow(0, kFirstCode + kCode, n_content).narrow(1, kCode, n_copied).copy_(content);
  for (int64_t group = 0; group < 2; ++group) {
    Tensor query = code_reader(config, queries[group]);
    query[start_row(config)][kConstant] = kQueryStart;
    for (int64_t h = 2 * group; h < 2 * group + 2; ++h) {
      layer.wq.narrow(0, h * head, head).copy_(query);
    }
    Tensor key = code_reader(config, keys[group]);
    key[unasked_row(config)][kConstant] = kKeyConstant;
    key[unasked_row(config)][kFirstCode + kMark] = kKeyMark;
    key[start_row(config)][kStart] = kKeyStart;
    layer.wk.narrow(0, group * head, head).copy_(key);
    layer.wv.narrow(0, group * head, kCode + n_copied).copy_(copied.t());
    layer.wo.narrow(1, 2 * group * head, kCode + n_copied).copy_(copied * kCopyStrength);
  }
}

// Hidden units that are open at separators only and pass the predecessor's sparse code.
void plant_repeat(const ModelConfig& config, LayerWeights& layer) {
  const auto units = [](const Tensor& matrix) { return matrix.narrow(0, 0, kSparseCode).zero_(); };
  const Tensor eye = at::eye(kSparseCode);
  units(layer.w_gate).select(1, kFirstCode + kMark).fill_(1);
  units(layer.w_up).narrow(1, code_back(config, 1) + kFirstSparse, kSparseCode).copy_(eye);
  layer.w_down.narrow(0, kFirstCode + kFirstSparse, kSparseCode)
      .narrow(1, 0, kSparseCode)
      .copy_(eye);
}

}  // namespace

Status plant_lookup(const ModelConfig& config, const Vocabulary& vocabulary,
                    ModelWeights& weights) {
  if (!config.qk_norm || config.n_layers < 2 || config.head_dim != 64 || config.n_heads != 4 ||
      config.n_kv_heads != 2 || config.d_model < 192 || config.d_ff < kSparseCode) {
    return bad_input(
        "--planted needs QK-norm, 2 layers, 4 heads of 64, 2 KV heads and d-model 192; found {} "
        "layers, {} heads of {}, {} KV heads, d-model {}",
        config.n_layers, config.n_heads, config.head_dim, config.n_kv_heads, config.d_model);
  }
  const at::NoGradGuard no_grad;
  plant_embedding(config, vocabulary, weights.embedding);
  plant_previous(config, weights.layers[0]);
  plant_find(config, weights.layers[1]);
  plant_repeat(config, weights.layers[1]);
  return {};
}

}  // namespace longhaul::trainer
