// What the tests of the matrix kernels share: matrices, and what a product must give, to the bit.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "cuda/linear_file.h"
#include "quant/half.h"
#include "quant/registry.h"

namespace longhaul::cuda {

inline std::vector<float> random_floats(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(n);
  // Blocks of different sizes, so that a scale taken from the wrong block shows.
  for (size_t i = 0; i < n; ++i) out[i] = normal(random) * (1.0F + static_cast<float>(i / 32 % 7));
  return out;
}

// A random matrix in the file's layout, and what it stands for. Of many rows some are random and the
// others repeat them, since encoding takes long; their number is prime to the sizes of the kernels.
struct Weights {
  static constexpr size_t kDistinctRows = 61;
  TensorType type;
  size_t n_out, n_in;
  std::vector<std::byte> rows;
  std::vector<float> values;  // [n_out, n_in]

  Weights(TensorType type_in, size_t n_out_in, size_t n_in_in, uint32_t seed)
      : type(type_in), n_out(n_out_in), n_in(n_in_in) {
    const size_t n_distinct = std::min(n_out, kDistinctRows);
    const std::vector<float> random = random_floats(n_distinct * n_in, seed);
    rows.resize(n_out * row_bytes());
    find_quant(type)->quantize(random.data(), rows.data(), random.size());
    for (size_t r = n_distinct; r < n_out; ++r) {
      std::memcpy(rows.data() + r * row_bytes(), rows.data() + (r - n_distinct) * row_bytes(),
                  row_bytes());
    }
    values.resize(n_out * n_in);
    find_quant(type)->dequantize(rows.data(), values.data(), values.size());
  }
  size_t row_bytes() const {
    const TensorTypeInfo& info = tensor_type_info(type);
    return n_in / info.block_len * info.block_bytes;
  }
  const float* row(size_t r) const { return values.data() + r * n_in; }
};

// A row of activations as the kernels round it: to 8 bits in blocks of 32, or to f16.
struct RoundedRow {
  std::vector<int8_t> codes;
  std::vector<float> scales;  // of blocks
  std::vector<float> values;  // what they stand for
};

inline RoundedRow round_to_q8(const float* x, size_t n) {
  RoundedRow out;
  for (size_t first = 0; first < n; first += 32) {
    float amax = 0;
    bool finite = true;
    for (size_t i = first; i < first + 32; ++i) {
      finite = finite && std::isfinite(x[i]);
      amax = std::max(amax, std::abs(x[i]));
    }
    const float inverse = finite && amax >= 1e-35F ? 127.0F / amax : 0.0F;
    out.scales.push_back(finite ? amax / 127.0F : std::numeric_limits<float>::quiet_NaN());
    for (size_t i = first; i < first + 32; ++i) {
      out.codes.push_back(finite ? static_cast<int8_t>(std::nearbyint(x[i] * inverse)) : int8_t{0});
      out.values.push_back(out.scales.back() * static_cast<float>(out.codes.back()));
    }
  }
  return out;
}

inline RoundedRow round_to_f16(const float* x, size_t n) {
  float amax = 0;
  for (size_t i = 0; i < n; ++i) amax = std::max(amax, std::abs(x[i]));
  int exponent = 0;
  (void)std::frexp(amax, &exponent);  // amax in [2^(exponent - 1), 2^exponent)
  RoundedRow out;
  for (size_t i = 0; i < n; ++i) {
    const float half = f16_to_f32(f32_to_f16(std::ldexp(x[i], 15 - exponent)));
    out.values.push_back(std::ldexp(half, exponent - 15));
  }
  return out;
}

// Adds what a run of inputs from `first` on gives.
template <TensorType type>
float add_run(const FileRow<type>& w, const RoundedRow& x, size_t first, size_t length, float acc) {
  constexpr int kZero = type == TensorType::kQ4_0 ? 8 : type == TensorType::kQ6_K ? 32 : 0;
  int32_t sum = 0;
  int32_t sum_of_codes = 0;
  for (size_t i = first; i < first + length; ++i) {
    const uint32_t code = w.code(i);
    const int q =
        type == TensorType::kQ8_0 ? static_cast<int8_t>(code) : static_cast<int>(code) - kZero;
    sum += q * x.codes[i];
    sum_of_codes += x.codes[i];
  }
  const size_t run = first / length;
  const float x_scale = x.scales[first / 32];
  float scale = 0;
  if constexpr (type == TensorType::kQ4_K || type == TensorType::kQ6_K) {
    const uint32_t number = w.scale(run);
    scale = f16_to_f32(w.blocks[first / 256].scale) *
            static_cast<float>(type == TensorType::kQ6_K ? static_cast<int8_t>(number)
                                                         : static_cast<int>(number));
  } else {
    scale = f16_to_f32(static_cast<uint16_t>(w.scale(run)));
  }
  acc = std::fma(static_cast<float>(sum), scale * x_scale, acc);
  if constexpr (type == TensorType::kQ4_K) {
    const float offset =
        f16_to_f32(w.blocks[first / 256].offset_scale) * static_cast<float>(w.offset(run));
    acc = std::fma(-offset, x_scale * static_cast<float>(sum_of_codes), acc);
  }
  return acc;
}

// The product of quantised weights with a row of activations, in the order that linear_layout.h and
// linear_lane.h fix: what every kernel must give to the bit.
template <TensorType type>
float exact_product(const Weights& w, size_t out, const RoundedRow& x) {
  using Row = FileRow<type>;
  const Row row = {
      reinterpret_cast<const typename Row::Block*>(w.rows.data() + out * w.row_bytes())};
  constexpr size_t kRun = type == TensorType::kQ6_K ? 16 : 32;
  const size_t n_units = divide_up(w.n_in, Layout<type>::kInputs);
  const size_t slice = units_per_slice(static_cast<uint32_t>(n_units)) * Layout<type>::kInputs;
  float total = 0;
  for (size_t begin = 0; begin < w.n_in; begin += slice) {
    float acc = 0;
    for (size_t i = begin; i < std::min(begin + slice, w.n_in); i += kRun)
      acc = add_run<type>(row, x, i, kRun, acc);
    total = begin == 0 ? acc : total + acc;
  }
  return total;
}

inline float exact_product(const Weights& w, size_t out, const RoundedRow& x) {
  float product = std::numeric_limits<float>::quiet_NaN();
  with_fragment_type(w.type, [&]<TensorType kType>() {
    if constexpr (kType != TensorType::kF16) product = exact_product<kType>(w, out, x);
  });
  return product;
}

inline double dot(const float* w, const float* x, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += static_cast<double>(w[i]) * x[i];
  return sum;
}
inline double dot_of_magnitudes(const float* w, const float* x, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += std::abs(static_cast<double>(w[i]) * x[i]);
  return sum;
}

inline bool same_bits(float a, float b) { return std::memcmp(&a, &b, sizeof(a)) == 0; }

}  // namespace longhaul::cuda
