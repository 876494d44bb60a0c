// What the codec tests share: seeded values of several kinds, and the check of a round trip against
// a bound.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <span>
#include <vector>

#include "base/function_ref.h"
#include "quant/registry.h"

namespace longhaul::quant {

// `n_blocks` blocks of values as weights come and as they should not: normal, with outliers,
// uniform, one-sided, sparse, constant, zero, each at several sizes.
inline std::vector<float> test_values(size_t n_blocks, size_t block_len) {
  std::mt19937 random(20240607);
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values;
  for (size_t b = 0; b < n_blocks; ++b) {
    const float size = std::ldexp(1.0f, static_cast<int>(b % 5) * 2 - 4);  // 1/16 to 16
    for (size_t i = 0; i < block_len; ++i) {
      float x = 0;
      switch (b % 7) {
        case 0:
          x = normal(random);
          break;
        case 1:
          x = normal(random) * (i % 13 == 0 ? 8.0f : 1.0f);
          break;
        case 2:
          x = uniform(random);
          break;
        case 3:
          x = uniform(random) + 1.5f;
          break;
        case 4:
          x = uniform(random) - 1.5f;
          break;
        case 5:
          x = i % 5 == 0 ? uniform(random) : 0.0f;
          break;
        default:
          x = b % 2 == 0 ? 0.75f : 0.0f;
      }
      values.push_back(x * size);
    }
  }
  return values;
}

inline std::vector<float> roundtrip(TensorType type, std::span<const float> values) {
  const QuantTraits* traits = find_quant(type);
  const TensorTypeInfo& info = tensor_type_info(type);
  std::vector<std::byte> encoded(values.size() / info.block_len * info.block_bytes);
  std::vector<float> out(values.size());
  traits->quantize(values.data(), encoded.data(), values.size());
  traits->dequantize(encoded.data(), out.data(), values.size());
  return out;
}

// Root mean square; 0 for no values.
inline double rms_error(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
  return std::sqrt(sum / std::max(1.0, static_cast<double>(a.size())));
}

inline float largest_size(std::span<const float> x) {
  float largest = 0;
  for (const float value : x) largest = std::max(largest, std::abs(value));
  return largest;
}

// The relative error of rounding a normal number to f16.
inline constexpr double kF16Error = 1.0 / 2048;

// Encodes and decodes test_values(): the root mean square error of each block is at most
// bound(block).
inline void expect_roundtrip_within(TensorType type,
                                    FunctionRef<double(std::span<const float>)> bound) {
  const size_t block_len = tensor_type_info(type).block_len;
  const auto values = test_values(210, block_len);
  const auto back = roundtrip(type, values);
  for (size_t at = 0; at < values.size(); at += block_len) {
    const auto block = std::span(values).subspan(at, block_len);
    EXPECT_LE(rms_error(block, std::span(back).subspan(at, block_len)), bound(block))
        << "block " << at / block_len;
  }
}

// The decoded values of one block given as a struct.
template <class Block>
std::vector<float> decode_one(TensorType type, const Block& block) {
  std::vector<float> out(tensor_type_info(type).block_len);
  find_quant(type)->dequantize(reinterpret_cast<const std::byte*>(&block), out.data(), out.size());
  return out;
}

}  // namespace longhaul::quant
