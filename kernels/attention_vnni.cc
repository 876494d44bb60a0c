// Attention over one group of 64 tokens in 8-bit integers with AVX512-VNNI: one instruction adds 4
// products in each of 16 lanes.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/attention_int8.h"
#include "kernels/vnni.h"

#if defined(__x86_64__)
#if defined(__GNUC__) && !defined(__clang__)
// GCC warns of its own _mm512_undefined_* (its bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>

#define LH_VNNI __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")))
#define LH_VNNI_INLINE LH_VNNI inline __attribute__((always_inline))

namespace longhaul::attention {
namespace {

constexpr size_t kChunkQuads = kScaleDims / 4;

// Four bytes in every lane.
LH_VNNI_INLINE __m512i broadcast4(const void* from) {
  int32_t bits;
  std::memcpy(&bits, from, sizeof(bits));
  return _mm512_set1_epi32(bits);
}

LH_VNNI_INLINE __m512 load_halves(const std::byte* from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}

// sums[lane] += the four unsigned bytes of `u` times the four signed ones of `s`. In assembly,
// because GCC 12 surrounds the intrinsic with copies and keeps the sums in memory: half the speed.
LH_VNNI_INLINE void add_products(__m512i& sums, __m512i u, __m512i s) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(u), "v"(s));
}

#include "kernels/attention_vnni_fetch-inl.h"
#include "kernels/attention_vnni_softmax-inl.h"
#include "kernels/attention_vnni_sums-inl.h"

// One vector of each of kTiles tiles, at the same place.
template <size_t kTiles>
LH_VNNI_INLINE Sums<kTiles> load_tiles(const std::byte* const* tiles, size_t at) {
  Sums<kTiles> k;
  k.head = _mm512_loadu_si512(*tiles + at);
  if constexpr (kTiles > 1) k.tail = load_tiles<kTiles - 1>(tiles + 1, at);
  return k;
}

// Scores of kTiles tiles, whose columns of k_scales and scores start at the pointers.
template <size_t kQueries, size_t kTiles, class Fetch>
LH_VNNI_INLINE void score_tiles(const Queries& queries, size_t first, const std::byte* const* tiles,
                                Fetch& ahead, const float* k_scales, size_t key_dim,
                                float* scores) {
  const size_t n_chunks = key_dim / kScaleDims;
  const int8_t* q = queries.bytes.data() + first * key_dim;
  const float* q_scales = queries.scales.data() + first * n_chunks;
  const int32_t* offsets = queries.offsets.data() + first * n_chunks;
  size_t at = 0;
  for (size_t c = 0; c < n_chunks; ++c, q_scales += kQueries, offsets += kQueries) {
    Block<kQueries, kTiles> sums;
    sums.set(offsets);
    for (size_t quad = 0; quad < kChunkQuads; ++quad, q += 4 * kQueries, at += 64) {
      for (size_t j = 0; j < kTiles; j += 2) {
        ahead.template fetch<fetches_in_softmax(kQueries) ? 1 : 2>(tiles[j] + at);
      }
      sums.add_keys(load_tiles<kTiles>(tiles, at), q);
    }
    sums.add_to_scores(k_scales + c * kGroupTokens, q_scales, c == 0, scores);
  }
}

template <size_t kQueries, class Fetch>
LH_VNNI void scores_of(const Queries& queries, size_t first, const TileGroup& group, Fetch ahead,
                       const float* k_scales, size_t key_dim, float* scores) {
  constexpr size_t kTiles = kQueries <= 4 ? 4 : 2;  // 16 sums
  for (size_t j = 0; j < kGroupTiles; j += kTiles) {
    score_tiles<kQueries, kTiles>(queries, first, group.k + j, ahead, k_scales + j * kTileTokens,
                                  key_dim, scores + j * kTileTokens);
  }
}

LH_VNNI_INLINE Sums<2> load_values(const std::byte* from) {
  Sums<2> v;
  v.head = _mm512_loadu_si512(from);
  v.tail.head = _mm512_loadu_si512(from + 64);
  return v;
}

// sums += p times the values of tile j, 32 dimensions of it.
template <size_t kQueries, class Fetch>
LH_VNNI_INLINE void add_tile(const uint8_t* p, const std::byte* v, size_t j, size_t value_dim,
                             Fetch& ahead, Block<kQueries, 2>& sums) {
  LH_UNROLL for (size_t g = 0; g < kTileTokens / 4; ++g, v += value_dim * 4) {
    ahead.template fetch<2>(v);
    sums.add_values(load_values(v), p + 4 * (4 * g + j));
  }
}

// One chunk of 32 dimensions of values_vnni. Few queries get two sums each, or every product would
// wait for the one before.
template <size_t kQueries, class Fetch>
LH_VNNI_INLINE void values_chunk(const uint8_t* p, const TileGroup& group, Fetch& ahead,
                                 const ValueScales* const* scales, size_t c, size_t value_dim,
                                 const GroupWeights& weights, float* o) {
  const size_t at = c * kScaleDims * 4;
  Block<kQueries, 2> sums;
  sums.set_zero();
  if constexpr (kQueries <= 4) {
    Block<kQueries, 2> odd;
    odd.set_zero();
    for (size_t j = 0; j < kGroupTiles; j += 2) {
      add_tile(p, group.v[j] + at, j, value_dim, ahead, sums);
      add_tile(p, group.v[j + 1] + at, j + 1, value_dim, ahead, odd);
    }
    sums.add(odd);
  } else {
    for (size_t j = 0; j < kGroupTiles; ++j) {
      add_tile(p, group.v[j] + at, j, value_dim, ahead, sums);
    }
  }
  sums.add_to_output(scales, c, weights.keep, weights.add, value_dim, o + c * kScaleDims);
}

template <size_t kQueries, class Fetch>
LH_VNNI void values_of(const uint8_t* p, const TileGroup& group, Fetch ahead,
                       const ValueScales* const* scales, size_t value_dim,
                       const GroupWeights& weights, float* o) {
  for (size_t c = 0; c < value_dim / kScaleDims; ++c, p += kQueries * kGroupTokens) {
    values_chunk<kQueries>(p, group, ahead, scales, c, value_dim, weights, o);
  }
}

template <size_t kQueries>
LH_VNNI void scores_of(const Queries& queries, size_t first, const TileGroup& group,
                       const TileGroup* next, const float* k_scales, size_t key_dim,
                       float* scores) {
  if (next == nullptr) {
    return scores_of<kQueries>(queries, first, group, NoFetcher(), k_scales, key_dim, scores);
  }
  const Fetcher ahead(next->k, kTileTokens * key_dim);
  scores_of<kQueries>(queries, first, group, ahead, k_scales, key_dim, scores);
}

template <size_t kQueries>
LH_VNNI void values_of(const uint8_t* p, const TileGroup& group, const TileGroup* next,
                       const ValueScales* const* scales, size_t value_dim,
                       const GroupWeights& weights, float* o) {
  if (next == nullptr) {
    return values_of<kQueries>(p, group, NoFetcher(), scales, value_dim, weights, o);
  }
  const Fetcher ahead(next->v, kTileTokens * value_dim);
  values_of<kQueries>(p, group, ahead, scales, value_dim, weights, o);
}

void scores_vnni(size_t n_queries, const Queries& queries, size_t first, const TileGroup& group,
                 const TileGroup* next, const float* k_scales, size_t key_dim, float* scores) {
  static_assert(kMaxQueryBlock == 8);
  switch (n_queries) {
    case 1:
      return scores_of<1>(queries, first, group, next, k_scales, key_dim, scores);
    case 2:
      return scores_of<2>(queries, first, group, next, k_scales, key_dim, scores);
    case 3:
      return scores_of<3>(queries, first, group, next, k_scales, key_dim, scores);
    case 4:
      return scores_of<4>(queries, first, group, next, k_scales, key_dim, scores);
    case 5:
      return scores_of<5>(queries, first, group, next, k_scales, key_dim, scores);
    case 6:
      return scores_of<6>(queries, first, group, next, k_scales, key_dim, scores);
    case 7:
      return scores_of<7>(queries, first, group, next, k_scales, key_dim, scores);
    default:
      return scores_of<8>(queries, first, group, next, k_scales, key_dim, scores);
  }
}

void values_vnni(size_t n_queries, const uint8_t* p, const TileGroup& group, const TileGroup* next,
                 const ValueScales* const* scales, size_t value_dim, const GroupWeights& weights,
                 float* o) {
  switch (n_queries) {
    case 1:
      return values_of<1>(p, group, next, scales, value_dim, weights, o);
    case 2:
      return values_of<2>(p, group, next, scales, value_dim, weights, o);
    case 3:
      return values_of<3>(p, group, next, scales, value_dim, weights, o);
    case 4:
      return values_of<4>(p, group, next, scales, value_dim, weights, o);
    case 5:
      return values_of<5>(p, group, next, scales, value_dim, weights, o);
    case 6:
      return values_of<6>(p, group, next, scales, value_dim, weights, o);
    case 7:
      return values_of<7>(p, group, next, scales, value_dim, weights, o);
    default:
      return values_of<8>(p, group, next, scales, value_dim, weights, o);
  }
}

}  // namespace

const Int8Kernels* avx512_vnni_int8_kernels() {
  static constexpr Int8Kernels kTable = {"avx512vnni", round_queries_vnni,  prepare_keys_vnni,
                                         scores_vnni,  prepare_values_vnni, softmax_vnni,
                                         values_vnni};
  return has_avx512_vnni() ? &kTable : nullptr;
}

}  // namespace longhaul::attention

#else

namespace longhaul::attention {

const Int8Kernels* avx512_vnni_int8_kernels() { return nullptr; }

}  // namespace longhaul::attention

#endif
