#include "cuda/widen.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "quant/registry.h"

namespace longhaul::cuda {
namespace {

constexpr size_t kElements = 512;

std::vector<float> decoded(TensorType type, const std::vector<std::byte>& bytes) {
  std::vector<float> numbers(kElements);
  find_quant(type)->dequantize(bytes.data(), numbers.data(), kElements);
  return numbers;
}

TEST(Widen, KeepsTheNumbers) {
  std::mt19937_64 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(kElements);
  for (float& x : numbers) x = normal(random);
  for (const QuantTraits& traits : all_quants()) {
    const TensorTypeInfo& info = tensor_type_info(traits.type);
    std::vector<std::byte> bytes(kElements / info.block_len * info.block_bytes);
    traits.quantize(numbers.data(), bytes.data(), kElements);
    const std::vector<float> wanted = decoded(traits.type, bytes);
    const WideRows wide = widen(traits.type, bytes.data(), kElements);
    const std::vector<float> found = decoded(wide.type, wide.bytes);
    const bool exact = traits.type == TensorType::kQ5_0 || traits.type == TensorType::kIQ4_NL;
    EXPECT_EQ(wide.type, exact ? TensorType::kQ8_0 : TensorType::kF16) << info.name;
    for (size_t i = 0; i < kElements; ++i) {
      // Below 2^-14 a half has fewer bits.
      const float bound = exact ? 0 : std::max(std::abs(wanted[i]) * 0x1p-11F, 0x1p-25F);
      EXPECT_LE(std::abs(found[i] - wanted[i]), bound) << info.name << " element " << i;
    }
  }
}

}  // namespace
}  // namespace longhaul::cuda
