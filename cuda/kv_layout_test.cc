// The tile layouts against the fragments of mma.m16n8k16 as PTX defines them, lane by lane on the
// host.
#include "cuda/kv_layout.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <set>
#include <vector>

#include "kernels/block_bounds_layout.h"

namespace longhaul::cuda {
namespace {

// Small integers, so that sums are exact whatever their order.
std::vector<float> integers(size_t n, unsigned seed) {
  std::mt19937 rng(seed);
  std::vector<float> x(n);
  for (float& e : x) e = static_cast<float>(static_cast<int>(rng() % 9) - 4);
  return x;
}

// One warp's fragments: pairs of numbers where the card has words of two halves.
using Pair = std::array<float, 2>;
using A = std::array<std::array<Pair, 4>, 32>;
using B = std::array<std::array<Pair, 2>, 32>;
using C = std::array<std::array<float, 4>, 32>;

// c += a b by the tables of PTX.
void mma(C& c, const A& a, const B& b) {
  float rows[16][16];
  float columns[16][8];
  for (size_t lane = 0; lane < 32; ++lane) {
    const size_t g = lane / 4;
    const size_t t = lane % 4;
    for (size_t i = 0; i < 4; ++i) {
      for (size_t j = 0; j < 2; ++j) rows[g + i % 2 * 8][t * 2 + j + i / 2 * 8] = a[lane][i][j];
    }
    for (size_t i = 0; i < 2; ++i) {
      for (size_t j = 0; j < 2; ++j) columns[t * 2 + j + i * 8][g] = b[lane][i][j];
    }
  }
  for (size_t lane = 0; lane < 32; ++lane) {
    for (size_t i = 0; i < 4; ++i) {
      const size_t row = lane / 4 + i / 2 * 8;
      const size_t column = lane % 4 * 2 + i % 2;
      for (size_t k = 0; k < 16; ++k) c[lane][i] += rows[row][k] * columns[k][column];
    }
  }
}

// Word `word` of a lane's chunk of 8 halves.
Pair word_of(const std::vector<float>& tile, uint32_t chunk, uint32_t word) {
  return {tile[chunk * kChunkHalves + word * 2], tile[chunk * kChunkHalves + word * 2 + 1]};
}

class KvLayout : public testing::TestWithParam<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Dims, KvLayout, testing::Values(32U, 64U, 96U, 128U, 256U));

TEST_P(KvLayout, EveryElementHasItsOwnPlace) {
  const uint32_t dim = GetParam();
  std::set<uint32_t> k;
  std::set<uint32_t> v;
  for (uint32_t token = 0; token < kTile; ++token) {
    for (uint32_t i = 0; i < dim; ++i) {
      k.insert(k_offset(token, i, dim));
      v.insert(v_offset(token, i));
    }
  }
  EXPECT_EQ(k.size(), kTile * dim);
  EXPECT_EQ(v.size(), kTile * dim);
  EXPECT_EQ(*k.rbegin(), kTile * dim - 1);
  EXPECT_EQ(*v.rbegin(), kTile * dim - 1);
}

TEST_P(KvLayout, ScoresAreProductsOfQueriesAndKeys) {
  const uint32_t dim = GetParam();
  const auto q = integers(16 * dim, 1);
  const auto k = integers(kTile * dim, 2);
  std::vector<float> tile(kTile * dim);
  for (uint32_t token = 0; token < kTile; ++token) {
    for (uint32_t i = 0; i < dim; ++i) tile[k_offset(token, i, dim)] = k[token * dim + i];
  }
  for (uint32_t keys = 0; keys < 2; ++keys) {
    C s = {};
    for (uint32_t step = 0; step < dim / 16; ++step) {
      const uint32_t dims = step / 2;
      A a;
      B b;
      for (uint32_t lane = 0; lane < 32; ++lane) {
        // As load_query and score_group do it.
        for (uint32_t half = 0; half < 2; ++half) {
          const float* row = &q[(lane / 4 + half * 8) * dim + dims * kKeyDims + lane_dim(lane)];
          for (uint32_t word = 0; word < 4; ++word) {
            if (word / 2 != step % 2) continue;
            a[lane][word % 2 * 2 + half] = {row[word * 2], row[word * 2 + 1]};
          }
        }
        const uint32_t chunk = k_chunk(keys, dims, dim) + lane;
        for (uint32_t i = 0; i < 2; ++i) b[lane][i] = word_of(tile, chunk, step % 2 * 2 + i);
      }
      mma(s, a, b);
    }
    for (uint32_t lane = 0; lane < 32; ++lane) {
      for (uint32_t i = 0; i < 4; ++i) {
        const uint32_t row = accumulator_row(lane, i / 2);
        const uint32_t token = keys * 8 + accumulator_column(lane, i % 2);
        float expected = 0.0F;
        for (uint32_t j = 0; j < dim; ++j) expected += q[row * dim + j] * k[token * dim + j];
        ASSERT_EQ(s[lane][i], expected) << "lane " << lane << " element " << i;
      }
    }
  }
}

TEST_P(KvLayout, ScoresOfATileAreTheOtherOperandOfItsValues) {
  const uint32_t dim = GetParam();
  const auto p = integers(16 * kTile, 3);  // [query][token]
  const auto v = integers(kTile * dim, 4);
  std::vector<float> tile(kTile * dim);
  for (uint32_t token = 0; token < kTile; ++token) {
    for (uint32_t i = 0; i < dim; ++i) tile[v_offset(token, i)] = v[token * dim + i];
  }
  A a;
  for (uint32_t lane = 0; lane < 32; ++lane) {
    // The accumulators of the scores of keys 0 .. 7 and 8 .. 15, as add_values packs them.
    const auto score = [&](uint32_t keys, uint32_t i) {
      return p[accumulator_row(lane, i / 2) * kTile + keys * 8 + accumulator_column(lane, i % 2)];
    };
    for (uint32_t i = 0; i < 4; ++i)
      a[lane][i] = {score(i / 2, i % 2 * 2), score(i / 2, i % 2 * 2 + 1)};
  }
  for (uint32_t dims = 0; dims < dim / 8; ++dims) {
    C o = {};
    B b;
    for (uint32_t lane = 0; lane < 32; ++lane) {
      for (uint32_t i = 0; i < 2; ++i)
        b[lane][i] = word_of(tile, v_chunk(dims / 2) + lane, dims % 2 * 2 + i);
    }
    mma(o, a, b);
    for (uint32_t lane = 0; lane < 32; ++lane) {
      for (uint32_t i = 0; i < 4; ++i) {
        const uint32_t row = accumulator_row(lane, i / 2);
        const uint32_t column = dims * 8 + accumulator_column(lane, i % 2);
        float expected = 0.0F;
        for (uint32_t j = 0; j < kTile; ++j) expected += p[row * kTile + j] * v[j * dim + column];
        ASSERT_EQ(o[lane][i], expected) << "lane " << lane << " element " << i;
      }
    }
  }
}

TEST_P(KvLayout, AHalfOfAChunkOfValuesKnowsItsToken) {
  const uint32_t dim = GetParam();
  for (uint32_t token = 0; token < kTile; ++token) {
    for (uint32_t i = 0; i < dim; ++i) {
      const uint32_t offset = v_offset(token, i);
      EXPECT_EQ(v_token(offset / kChunkHalves % kWarp, offset % kChunkHalves), token);
    }
  }
}

TEST_P(KvLayout, BoundsLieAsOnTheHost) {
  const uint32_t dim = GetParam();
  EXPECT_EQ(bounds_bytes(dim), bounds_group_bytes(dim));
  for (uint32_t lane = 0; lane < kGroupLanes; ++lane) {
    for (uint32_t chunk = 0; chunk < dim / kKeyDims; ++chunk) {
      EXPECT_EQ(centre_step_at(lane, chunk), bounds_centre_step_offset(lane, chunk));
      EXPECT_EQ(radius_step_at(lane, chunk), bounds_radius_step_offset(lane, chunk));
      EXPECT_EQ(origin_step_at(chunk, dim), bounds_origin_step_offset(chunk, dim));
    }
    for (uint32_t i = 0; i < dim; ++i) {
      EXPECT_EQ(origin_at(i, dim), bounds_origin_offset(i, dim));
      EXPECT_EQ(codes_at(lane, i, dim), bounds_codes_offset(lane, i, dim));
    }
  }
  EXPECT_EQ(kBoundsLargestCode, kLargestCode);
  EXPECT_EQ(kBoundsRadiusFloor, kRadiusFloor);
  EXPECT_EQ(kBoundsLargestOrigin, kLargestOriginCode);
  EXPECT_EQ(kBoundsLargestKey, kLargestKey);
}

}  // namespace
}  // namespace longhaul::cuda
