#include "kernels/kv_tile.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "hwy/highway.h"
#include "kernels/kv_tile_f16.h"
#include "kernels/reference/kv_tile.h"

namespace longhaul {
namespace {

constexpr KvType kTypes[] = {KvType::kF16, KvType::kQ8_0};

TEST(F16, RoundsUp) {
  for (uint32_t h = 0; h < 0x7BFF; ++h) {  // all neighbours among the positive finite halves
    const float low = f16_to_f32(static_cast<uint16_t>(h));
    const float high = f16_to_f32(static_cast<uint16_t>(h + 1));
    EXPECT_EQ(f16_round_up(std::nextafter(low, high)), h + 1);
    EXPECT_EQ(f16_round_up(low), h);
    EXPECT_EQ(f16_to_f32(f16_round_up(-std::nextafter(low, high))), -low);
  }
  EXPECT_EQ(f16_round_up(-0.0F), 0);
  EXPECT_EQ(f16_round_up(65505.0F), 0x7C00);
}

TEST(KvTile, HasTheContractsBytes) {
  EXPECT_EQ(k_tile_bytes(KvType::kF16, 64), 2048u);
  EXPECT_EQ(v_tile_bytes(KvType::kF16, 128), 4096u);
  EXPECT_EQ(k_tile_bytes(KvType::kQ8_0, 64), 1024u + 64u);
  EXPECT_EQ(v_tile_bytes(KvType::kQ8_0, 128), 2048u + 128u);
  EXPECT_EQ(k_tile_bytes(KvType::kQ8_0, 96), 1536u + 128u);  // 96 bytes of scales
}

TEST(KvTile, ReadsBackEveryTokenWithinHalfAStep) {
  std::mt19937 rng(1);
  std::normal_distribution<float> normal;
  for (const KvType type : kTypes) {
    for (const size_t head_dim : {32, 64, 96, 128, 256}) {
      std::vector<std::byte> k_tile(k_tile_bytes(type, head_dim) + 64, std::byte{0xA5});
      std::vector<std::byte> v_tile(v_tile_bytes(type, head_dim) + 64, std::byte{0xA5});
      std::vector<float> x(kTileTokens * head_dim);
      for (size_t i = 0; i < x.size(); ++i) x[i] = normal(rng) * (1.0F + static_cast<float>(i % 7));
      for (size_t slot = kTileTokens; slot-- > 0;) {
        write_k(type, k_tile.data(), slot, &x[slot * head_dim], head_dim);
        write_v(type, v_tile.data(), slot, &x[slot * head_dim], head_dim);
      }
      std::vector<float> k(head_dim);
      std::vector<float> v(head_dim);
      for (size_t slot = 0; slot < kTileTokens; ++slot) {
        read_k(type, k_tile.data(), slot, k.data(), head_dim);
        read_v(type, v_tile.data(), slot, v.data(), head_dim);
        EXPECT_EQ(k, v);
        for (size_t chunk = 0; chunk < head_dim; chunk += kScaleDims) {
          const float* want = &x[slot * head_dim + chunk];
          float amax = 0;
          for (size_t i = 0; i < kScaleDims; ++i) amax = std::max(amax, std::fabs(want[i]));
          for (size_t i = 0; i < kScaleDims; ++i) {
            // The f16 scale may be low by 2^-11, which costs up to 127 * 2^-11 of a step at the
            // clamp.
            const float bound = type == KvType::kF16 ? std::fabs(want[i]) * 0x1p-11F
                                                     : amax / 127.0F * (0.5F + 0x1p-4F);
            EXPECT_NEAR(k[chunk + i], want[i], bound);
          }
        }
      }
      for (size_t i = 0; i < 64; ++i) {
        EXPECT_EQ(k_tile[k_tile.size() - 64 + i], std::byte{0xA5});
        EXPECT_EQ(v_tile[v_tile.size() - 64 + i], std::byte{0xA5});
      }
    }
  }
}

TEST(KvTile, WritingOneTokenLeavesTheOthers) {
  constexpr size_t kDim = 64;
  for (const KvType type : kTypes) {
    std::vector<std::byte> tile(k_tile_bytes(type, kDim));
    std::vector<float> ones(kDim, 1.0F);
    std::vector<float> twos(kDim, 2.0F);
    std::vector<float> read(kDim);
    for (size_t slot = 0; slot < kTileTokens; ++slot)
      write_k(type, tile.data(), slot, ones.data(), kDim);
    write_k(type, tile.data(), 5, twos.data(), kDim);
    for (size_t slot = 0; slot < kTileTokens; ++slot) {
      read_k(type, tile.data(), slot, read.data(), kDim);
      for (const float x : read) EXPECT_NEAR(x, slot == 5 ? 2.0F : 1.0F, 1e-3F);
    }
  }
}

TEST(KvTile, QuantisationIsStable) {  // what was read and is written again keeps its bits
  constexpr size_t kDim = 128;
  std::mt19937 rng(2);
  std::normal_distribution<float> normal;
  for (const KvType type : kTypes) {
    std::vector<std::byte> a(v_tile_bytes(type, kDim));
    std::vector<std::byte> b(v_tile_bytes(type, kDim));
    std::vector<float> x(kDim);
    for (size_t slot = 0; slot < kTileTokens; ++slot) {
      for (float& e : x) e = normal(rng);
      write_v(type, a.data(), slot, x.data(), kDim);
      read_v(type, a.data(), slot, x.data(), kDim);
      write_v(type, b.data(), slot, x.data(), kDim);
    }
    EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size()), 0);
  }
}

TEST(KvTile, OddInputs) {
  constexpr size_t kDim = 32;
  std::vector<std::byte> tile(k_tile_bytes(KvType::kQ8_0, kDim));
  std::vector<float> x(kDim, 0.0F);
  std::vector<float> read(kDim);
  write_k(KvType::kQ8_0, tile.data(), 3, x.data(), kDim);
  read_k(KvType::kQ8_0, tile.data(), 3, read.data(), kDim);
  for (const float e : read) EXPECT_EQ(e, 0.0F);
  x[7] = 1e-9F;  // below what an f16 scale can say
  write_k(KvType::kQ8_0, tile.data(), 3, x.data(), kDim);
  read_k(KvType::kQ8_0, tile.data(), 3, read.data(), kDim);
  for (const float e : read) EXPECT_NEAR(e, 0.0F, 1e-8F);
  x[7] = std::numeric_limits<float>::quiet_NaN();
  write_k(KvType::kQ8_0, tile.data(), 3, x.data(), kDim);
  read_k(KvType::kQ8_0, tile.data(), 3, read.data(), kDim);
  EXPECT_TRUE(std::isnan(read[7]));
}

// Each test runs with every SIMD target of this CPU.
class TileCodec : public testing::TestWithParam<int64_t> {
 protected:
  void SetUp() override { choose(GetParam()); }
  void TearDown() override { choose(0); }
  static void choose(int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};
INSTANTIATE_TEST_SUITE_P(Targets, TileCodec, testing::ValuesIn(hwy::SupportedAndGeneratedTargets()),
                         [](const auto& target) {
                           return std::string(hwy::TargetName(target.param));
                         });

// Normal numbers, halfway cases, tiny and huge ones; sometimes what no model should give.
std::vector<float> random_row(size_t head_dim, std::mt19937& rng) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::array odd = {0.0F,
                          -0.0F,
                          1e-9F,
                          -1e-40F,
                          65504.0F,
                          65519.0F,
                          65520.0F,
                          1e30F,
                          kInfinity,
                          -kInfinity,
                          std::numeric_limits<float>::quiet_NaN()};
  std::normal_distribution<float> normal;
  const bool has_odd = rng() % 3 == 0;
  const float scale = std::exp2(static_cast<float>(rng() % 40) - 30.0F);
  std::vector<float> row(head_dim);
  for (float& x : row) {
    x = rng() % 4 == 0 ? static_cast<float>(rng() % 255) * 0.5F : normal(rng);  // many halves
    x *= scale;
    if (has_odd && rng() % 16 == 0) x = odd[rng() % odd.size()];
  }
  if (rng() % 4 == 0) row[rng() % head_dim] = 127.0F * scale;  // the halves are then exact
  return row;
}

TEST_P(TileCodec, EqualsTheReferenceInEveryBit) {
  std::mt19937 rng(6);
  for (const KvType type : kTypes) {
    for (const size_t head_dim : {32, 64, 96, 128, 256}) {
      const size_t n_bytes = k_tile_bytes(type, head_dim) + 64;  // the rest must stay as it is
      std::vector<std::byte> k(n_bytes, std::byte{0x3A});
      auto k_want = k;
      auto v = k;
      auto v_want = k;
      for (int i = 0; i < 400; ++i) {
        const size_t slot = rng() % kTileTokens;
        const std::vector<float> row = random_row(head_dim, rng);
        write_k(type, k.data(), slot, row.data(), head_dim);
        reference::write_k(type, k_want.data(), slot, row.data(), head_dim);
        write_v(type, v.data(), slot, row.data(), head_dim);
        reference::write_v(type, v_want.data(), slot, row.data(), head_dim);
        ASSERT_EQ(std::memcmp(k.data(), k_want.data(), n_bytes), 0);
        ASSERT_EQ(std::memcmp(v.data(), v_want.data(), n_bytes), 0);
        std::vector<float> read(head_dim + 1, 7.0F);
        std::vector<float> read_want(head_dim + 1, 7.0F);
        read_k(type, k.data(), slot, read.data(), head_dim);
        reference::read_k(type, k.data(), slot, read_want.data(), head_dim);
        ASSERT_EQ(std::memcmp(read.data(), read_want.data(), read.size() * sizeof(float)), 0);
      }
    }
  }
}

}  // namespace
}  // namespace longhaul
