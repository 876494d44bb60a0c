// The registry: every row is usable and stays within the bytes of its type.
#include "quant/registry.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "quant/test_util.h"

namespace longhaul::quant {
namespace {

TEST(QuantRegistry, HasTheTypesTheEngineComputesWith) {
  const std::set<TensorType> expected = {TensorType::kF32,  TensorType::kF16,  TensorType::kBF16,
                                         TensorType::kQ8_0, TensorType::kQ4_0, TensorType::kQ4_1,
                                         TensorType::kQ5_0, TensorType::kQ5_1, TensorType::kQ4_K,
                                         TensorType::kQ5_K, TensorType::kQ6_K, TensorType::kIQ4_NL};
  std::set<TensorType> found;
  for (const QuantTraits& row : all_quants()) {
    EXPECT_TRUE(found.insert(row.type).second);
    EXPECT_EQ(find_quant(row.type), &row);
  }
  EXPECT_EQ(found, expected);
  EXPECT_EQ(find_quant(static_cast<TensorType>(10)), nullptr);  // Q2_K
  EXPECT_EQ(find_quant(static_cast<TensorType>(9999)), nullptr);
}

// Bytes before and after the encoded blocks stay untouched, at every alignment; so do floats around
// the decoded ones.
TEST(QuantRegistry, StaysWithinItsBlocks) {
  constexpr std::byte kMark{0xa5};
  constexpr float kFloatMark = 12345;
  for (const QuantTraits& row : all_quants()) {
    const TensorTypeInfo& info = tensor_type_info(row.type);
    SCOPED_TRACE(info.name);
    const auto values = test_values(3, info.block_len);
    const size_t n_bytes = 3 * info.block_bytes;
    for (size_t shift = 0; shift < 4; ++shift) {
      std::vector<std::byte> encoded(n_bytes + 8, kMark);
      row.quantize(values.data(), encoded.data() + shift, values.size());
      std::vector<float> decoded(values.size() + 2, kFloatMark);
      row.dequantize(encoded.data() + shift, decoded.data() + 1, values.size());
      for (size_t i = 0; i < shift; ++i) EXPECT_EQ(encoded[i], kMark);
      for (size_t i = shift + n_bytes; i < encoded.size(); ++i) EXPECT_EQ(encoded[i], kMark);
      EXPECT_EQ(decoded.front(), kFloatMark);
      EXPECT_EQ(decoded.back(), kFloatMark);
      EXPECT_EQ(std::vector<float>(decoded.begin() + 1, decoded.end() - 1),
                roundtrip(row.type, values));
    }
  }
}

TEST(QuantRegistry, ZerosStayZerosAndNothingIsAlsoFine) {
  for (const QuantTraits& row : all_quants()) {
    SCOPED_TRACE(tensor_type_info(row.type).name);
    const std::vector<float> zeros(2 * tensor_type_info(row.type).block_len);
    EXPECT_EQ(roundtrip(row.type, zeros), zeros);
    EXPECT_TRUE(roundtrip(row.type, {}).empty());
  }
}

// Values so small that f16 scales are subnormal or zero: the error is at most what the value itself
// was.
TEST(QuantRegistry, TinyValuesDoNotGrow) {
  for (const float size : {1e-5f, 1e-7f, 1e-9f, 1e-40f}) {
    for (const QuantTraits& row : all_quants()) {
      SCOPED_TRACE(tensor_type_info(row.type).name);
      auto values = test_values(14, tensor_type_info(row.type).block_len);
      for (float& value : values) value *= size / 64;
      const auto back = roundtrip(row.type, values);
      for (const float value : back) EXPECT_LE(std::abs(value), 2 * size);
    }
  }
}

TEST(QuantRegistry, FindsValuesThatCannotBeEncoded) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(find_unquantizable(std::vector<float>{1, -65504, 65504}), 3u);
  EXPECT_EQ(find_unquantizable(std::vector<float>{1, kNan}), 1u);
  EXPECT_EQ(find_unquantizable(std::vector<float>{-kInfinity, 1}), 0u);
  EXPECT_EQ(find_unquantizable(std::vector<float>{0, 0, 65505}), 2u);
}

// The largest values allowed stay finite and near.
TEST(QuantRegistry, LargestValuesStayFinite) {
  for (const QuantTraits& row : all_quants()) {
    SCOPED_TRACE(tensor_type_info(row.type).name);
    std::vector<float> values(tensor_type_info(row.type).block_len, 65504.0f);
    for (size_t i = 0; i < values.size(); i += 2) values[i] = -65504.0f;
    const auto back = roundtrip(row.type, values);
    for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(back[i], values[i], 65504.0 / 7);
  }
}

}  // namespace
}  // namespace longhaul::quant
