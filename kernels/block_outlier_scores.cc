// score_blocks of two-point descriptors for every SIMD target: lane = block. The sums over the 32
// dimensions of a step are exact integers.
#include <hwy/cache_control.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "kernels/block_outlier.h"
#include "kernels/block_outlier_layout.h"
#include "kernels/hadamard.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/block_outlier_scores.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/block_query-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longhaul {
namespace HWY_NAMESPACE {

constexpr size_t kMostQueries = 4;    // scored together: with two sums each they fit the registers
constexpr size_t kMostPrepared = 16;  // rounded at once, for one reading of the descriptors

constexpr int kLastMean = static_cast<int>(kLastMeanCode);
constexpr int kLastOutlier = static_cast<int>(kLastOutlierCode);

// A query, its length, and what its scores begin with.
struct OutlierQuery : Query {
  float length;  // times the scale of the scores
};

HWY_INLINE void Prepare(const OutlierQueries& queries, size_t index, size_t head_dim,
                        OutlierQuery& query) {
  HWY_ALIGN float rotated[kMaxHeadDim];
  std::copy_n(queries.q + index * head_dim, head_dim, rotated);
  rotate_dims(rotated, head_dim);
  RoundQuery(rotated, head_dim, kLargestOutlierQuery, query);
  double squares = 0.0;
  for (size_t chunk = 0; chunk < head_dim / kScaleDims; ++chunk) {
    int32_t sum = 0;
    for (size_t i = chunk * kScaleDims; i < (chunk + 1) * kScaleDims; ++i) {
      sum += int32_t{query.q[i]} * query.q[i];
    }
    query.scale[chunk] *= queries.scale;
    squares += sum * double{query.scale[chunk]} * query.scale[chunk];
  }
  query.length = static_cast<float>(std::sqrt(squares));
}

#if LH_HAVE_VECTORS

// For 32 dimensions of the blocks of a vector, from `rows` on: the sums of all queries.
template <size_t kN, bool kFetch>
HWY_INLINE void ChunkSums(const std::byte* HWY_RESTRICT rows, const std::byte* HWY_RESTRICT ahead,
                          const OutlierQuery* HWY_RESTRICT queries, size_t chunk, VI* means,
                          VI* outliers) {
  const DI di;
  const hn::Repartition<int16_t, DI> dw;
  const hn::Repartition<uint16_t, DI> duw;
  const hn::Repartition<uint8_t, DI> db;
  const auto mean_bits = hn::Set(db, uint8_t{kLastMean});
  const auto outlier_bits = hn::Set(db, uint8_t{kLastOutlier});
  hn::VFromD<decltype(dw)> m[kN];
  hn::VFromD<decltype(dw)> o[kN];
  LH_UNROLL for (size_t h = 0; h < kN; ++h) m[h] = o[h] = hn::Zero(dw);
  // Not unrolled: GCC would compute all products first and keep them in memory.
  LH_NO_UNROLL for (size_t i = 0; i < kChunkQuads; ++i) {
    if constexpr (kFetch) hwy::Prefetch(ahead + i * kBoundsRowBytes);
    const auto* row = reinterpret_cast<const int32_t*>(rows + i * kBoundsRowBytes);
    const auto codes = hn::BitCast(duw, hn::LoadU(di, row));
    const auto mean = hn::And(hn::BitCast(db, codes), mean_bits);
    const auto outlier = hn::And(hn::BitCast(db, hn::ShiftRight<kMeanBits>(codes)), outlier_bits);
    const size_t dim = chunk * kScaleDims + i * 4;
    LH_UNROLL for (size_t h = 0; h < kN; ++h) {
      const auto q = Quad(queries[h].q + dim);
      m[h] = hn::Add(m[h], multiply_bytes(dw, mean, q));
      o[h] = hn::Add(o[h], multiply_bytes(dw, outlier, q));
    }
  }
  const auto two = hn::Set(dw, int16_t{2});
  LH_UNROLL for (size_t h = 0; h < kN; ++h) {
    // Takes back what every code has too much.
    const int32_t sum = queries[h].sum[chunk];
    means[h] = hn::Sub(mul_pairs(di, m[h], two), hn::Set(di, kLastMean * sum));
    outliers[h] = hn::Sub(mul_pairs(di, o[h], two), hn::Set(di, kLastOutlier * sum));
  }
}

// scores[h * stride + 0 .. 15] of one group; `ahead` is one that will be wanted soon.
template <size_t kN, bool kFetch>
HWY_INLINE void ScoreGroup(const std::byte* HWY_RESTRICT group, const std::byte* ahead,
                           const OutlierQuery* queries, float log_n, size_t head_dim,
                           float* HWY_RESTRICT scores, size_t stride) {
  const DF df;
  const size_t chunk_bytes = kScaleDims * kBoundsGroupBlocks;
  const size_t codes = outlier_codes_offset(0, 0, head_dim);
  for (size_t i = 0; kFetch && i < codes; i += 64) hwy::Prefetch(ahead + i);
  float origins[kN];
  for (size_t h = 0; h < kN; ++h) origins[h] = OriginScore(group, queries[h], head_dim);
  for (size_t lane = 0; lane < kBoundsGroupBlocks; lane += hn::Lanes(df)) {
    const VF spread = LoadHalf(group + outlier_spread_offset(lane, head_dim));
    VF means[kN];
    VF outliers[kN];
    LH_UNROLL for (size_t h = 0; h < kN; ++h) {
      outliers[h] = hn::Set(df, origins[h]);
      means[h] =
          hn::MulAdd(hn::Set(df, queries[h].length), spread, hn::Set(df, origins[h] + log_n));
    }
    for (size_t chunk = 0; chunk < head_dim / kScaleDims; ++chunk) {
      VI m[kN];
      VI o[kN];
      const size_t rows = codes + chunk * chunk_bytes;
      ChunkSums<kN, kFetch>(group + rows + lane * 4, ahead + rows, queries, chunk, m, o);
      const VF mean_step = LoadHalf(group + bounds_centre_step_offset(lane, chunk));
      const VF outlier_step = LoadHalf(group + bounds_radius_step_offset(lane, chunk));
      LH_UNROLL for (size_t h = 0; h < kN; ++h) {
        const VF scale = hn::Set(df, queries[h].scale[chunk]);
        means[h] = hn::MulAdd(hn::ConvertTo(df, m[h]), hn::Mul(mean_step, scale), means[h]);
        outliers[h] =
            hn::MulAdd(hn::ConvertTo(df, o[h]), hn::Mul(outlier_step, scale), outliers[h]);
      }
    }
    LH_UNROLL for (size_t h = 0; h < kN; ++h) {
      hn::StoreU(hn::Max(means[h], outliers[h]), df, scores + h * stride + lane);
    }
  }
}

#else  // !LH_HAVE_VECTORS

template <size_t kN, bool kFetch>
HWY_INLINE void ScoreGroup(const std::byte* group, const std::byte* /*ahead*/,
                           const OutlierQuery* queries, float log_n, size_t head_dim, float* scores,
                           size_t stride) {
  for (size_t lane = 0; lane < kBoundsGroupBlocks; ++lane) {
    for (size_t h = 0; h < kN; ++h) {
      const OutlierQuery& query = queries[h];
      float outlier = 0.0F;
      float mean = query.length * read_f16(group + outlier_spread_offset(lane, head_dim)) + log_n;
      for (size_t chunk = 0; chunk < head_dim / kScaleDims; ++chunk) {
        int32_t sums[3] = {0, -kLastMean * query.sum[chunk], -kLastOutlier * query.sum[chunk]};
        for (size_t dim = chunk * kScaleDims; dim < (chunk + 1) * kScaleDims; ++dim) {
          const int32_t q = query.q[dim];
          const auto codes = std::to_integer<int32_t>(
              group[outlier_codes_offset(lane, dim / 4 * 4, head_dim) + dim % 4]);
          sums[0] += q * static_cast<int8_t>(group[bounds_origin_offset(dim, head_dim)]);
          sums[1] += 2 * q * (codes & kLastMean);
          sums[2] += 2 * q * (codes >> kMeanBits);
        }
        const float origin = OriginStep(group, chunk, head_dim) * static_cast<float>(sums[0]);
        const float steps[2] = {read_f16(group + bounds_centre_step_offset(lane, chunk)),
                                read_f16(group + bounds_radius_step_offset(lane, chunk))};
        mean += (origin + steps[0] * static_cast<float>(sums[1])) * query.scale[chunk];
        outlier += (origin + steps[1] * static_cast<float>(sums[2])) * query.scale[chunk];
      }
      scores[h * stride + lane] = HWY_MAX(mean, outlier);
    }
  }
}

#endif  // LH_HAVE_VECTORS

using ScoreFunction = void (*)(const std::byte*, const std::byte*, const OutlierQuery*, float,
                               size_t, float*, size_t);

// Of n queries together.
template <bool kFetch>
HWY_INLINE ScoreFunction ScoreOf(size_t n) {
  switch (n) {
    case 1:
      return ScoreGroup<1, kFetch>;
    case 2:
      return ScoreGroup<2, kFetch>;
    case 3:
      return ScoreGroup<3, kFetch>;
    default:
      return ScoreGroup<4, kFetch>;
  }
}

void ScoreOutliers(const BoundsView& blocks, const OutlierQueries& in, float* HWY_RESTRICT scores,
                   size_t stride) {
  const size_t head_dim = blocks.head_dim;
  const float log_n = std::log(static_cast<float>(HWY_MAX(in.block_size, size_t{2}) - 1));
  const size_t n_groups = (blocks.n_blocks + kBoundsGroupBlocks - 1) / kBoundsGroupBlocks;
  const size_t groups_ahead = kBytesAhead / outlier_group_bytes(head_dim);
  OutlierQuery queries[kMostPrepared];
  for (size_t begin = 0; begin < in.n; begin += kMostPrepared) {
    const size_t n = HWY_MIN(kMostPrepared, in.n - begin);
    for (size_t h = 0; h < n; ++h) Prepare(in, begin + h, head_dim, queries[h]);
    for (size_t g = 0; g < n_groups; ++g) {
      const std::byte* group = blocks.base + blocks.pages[g] * blocks.page_stride;
      const size_t later = HWY_MIN(g + groups_ahead, n_groups - 1);
      const std::byte* ahead = blocks.base + blocks.pages[later] * blocks.page_stride;
      const size_t first = g * kBoundsGroupBlocks;
      const size_t n_left = HWY_MIN(blocks.n_blocks - first, kBoundsGroupBlocks);
      for (size_t h = 0; h < n; h += kMostQueries) {
        const size_t n_now = HWY_MIN(kMostQueries, n - h);
        const ScoreFunction score = h == 0 ? ScoreOf<true>(n_now) : ScoreOf<false>(n_now);
        float* to = scores + (begin + h) * stride + first;
        if (n_left == kBoundsGroupBlocks) {
          score(group, ahead, queries + h, log_n, head_dim, to, stride);
          continue;
        }
        HWY_ALIGN float last[kMostQueries * kBoundsGroupBlocks];
        score(group, ahead, queries + h, log_n, head_dim, last, kBoundsGroupBlocks);
        for (size_t q = 0; q < n_now; ++q) {
          for (size_t i = 0; i < n_left; ++i) to[q * stride + i] = last[q * kBoundsGroupBlocks + i];
        }
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace longhaul
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longhaul {

HWY_EXPORT(ScoreOutliers);

void score_blocks(const BoundsView& blocks, const OutlierQueries& queries, float* scores,
                  size_t stride) {
  LH_DCHECK(stride >= blocks.n_blocks);
  HWY_DYNAMIC_DISPATCH(ScoreOutliers)(blocks, queries, scores, stride);
}

}  // namespace longhaul
#endif  // HWY_ONCE
