#include "kernels/attention_vnni.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "base/check.h"

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
constexpr float kLargestQuery = 32639.0F;  // 127 * 256 + 127: the high half stays within int8
constexpr float kLargestP = 32767.0F;

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

// hi * 256 + lo as floats; exact sums before the conversion.
LH_VNNI_INLINE __m512 join(__m512i hi, __m512i lo) {
  return _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_slli_epi32(hi, 8), lo));
}

// The integer sums of kQueries queries for two vectors, as the two halves of joined numbers.
// Recursive, because compilers keep structs of vectors in registers but not arrays of them.
template <size_t kQueries>
struct IntSums {
  __m512i hi0, hi1, lo0, lo1;
  IntSums<kQueries - 1> rest;

  // Starts from `start[0]`, `start[stride]`, ...
  LH_VNNI_INLINE void set(const int32_t* start, size_t stride) {
    hi0 = hi1 = _mm512_setzero_si512();
    lo0 = lo1 = _mm512_set1_epi32(*start);
    rest.set(start + stride, stride);
  }
  // Adds the unsigned keys times 4 bytes of each query.
  LH_VNNI_INLINE void add_keys(__m512i k0, __m512i k1, const int8_t* hi, const int8_t* lo,
                               size_t stride) {
    const __m512i q_hi = broadcast4(hi);
    const __m512i q_lo = broadcast4(lo);
    add_products(hi0, k0, q_hi);
    add_products(hi1, k1, q_hi);
    add_products(lo0, k0, q_lo);
    add_products(lo1, k1, q_lo);
    rest.add_keys(k0, k1, hi + stride, lo + stride, stride);
  }
  // Adds the signed values times the unsigned probabilities of 4 tokens; rows of p are 64 bytes.
  LH_VNNI_INLINE void add_values(__m512i v0, __m512i v1, const uint8_t* hi, const uint8_t* lo) {
    const __m512i p_hi = broadcast4(hi);
    const __m512i p_lo = broadcast4(lo);
    add_products(hi0, p_hi, v0);
    add_products(hi1, p_hi, v1);
    add_products(lo0, p_lo, v0);
    add_products(lo1, p_lo, v1);
    rest.add_values(v0, v1, hi + kGroupTokens, lo + kGroupTokens);
  }
  // scores += the sums times k_scale times the query's scale; `first` overwrites.
  LH_VNNI_INLINE void add_to_scores(__m512 k_scale0, __m512 k_scale1, const float* q_scale,
                                    size_t stride, bool first, float* scores) const {
    const __m512 scale = _mm512_set1_ps(*q_scale);
    const __m512 old0 = first ? _mm512_setzero_ps() : _mm512_loadu_ps(scores);
    const __m512 old1 = first ? _mm512_setzero_ps() : _mm512_loadu_ps(scores + 16);
    _mm512_storeu_ps(scores, _mm512_fmadd_ps(join(hi0, lo0), _mm512_mul_ps(k_scale0, scale), old0));
    _mm512_storeu_ps(scores + 16,
                     _mm512_fmadd_ps(join(hi1, lo1), _mm512_mul_ps(k_scale1, scale), old1));
    rest.add_to_scores(k_scale0, k_scale1, q_scale + stride, stride, first, scores + kGroupTokens);
  }
  // o = o * keep + the sums * unit * add, 32 dimensions. A group of weight 0 changes no bit.
  LH_VNNI_INLINE void add_to_output(const ValueScales* const* scales, size_t c, const float* keep,
                                    const float* add, size_t head_dim, float* o) const {
    if (*add != 0.0F) {
      const __m512 unit = _mm512_set1_ps((*scales)->units[c] * *add);
      const __m512 old_weight = _mm512_set1_ps(*keep);
      const __m512 old0 = _mm512_mul_ps(_mm512_loadu_ps(o), old_weight);
      const __m512 old1 = _mm512_mul_ps(_mm512_loadu_ps(o + 16), old_weight);
      _mm512_storeu_ps(o, _mm512_fmadd_ps(join(hi0, lo0), unit, old0));
      _mm512_storeu_ps(o + 16, _mm512_fmadd_ps(join(hi1, lo1), unit, old1));
    }
    rest.add_to_output(scales + 1, c, keep + 1, add + 1, head_dim, o + head_dim);
  }
};

template <>
struct IntSums<0> {
  LH_VNNI_INLINE void set(const int32_t*, size_t) {}
  LH_VNNI_INLINE void add_keys(__m512i, __m512i, const int8_t*, const int8_t*, size_t) {}
  LH_VNNI_INLINE void add_values(__m512i, __m512i, const uint8_t*, const uint8_t*) {}
  LH_VNNI_INLINE void add_to_scores(__m512, __m512, const float*, size_t, bool, float*) const {}
  LH_VNNI_INLINE void add_to_output(const ValueScales* const*, size_t, const float*, const float*,
                                    size_t, float*) const {}
};

// Scores of two tiles, whose columns of k_scales and scores start at the pointers.
template <size_t kQueries>
LH_VNNI void score_tiles(const Queries& queries, size_t first, const std::byte* tile0,
                         const std::byte* tile1, const float* k_scales, size_t head_dim,
                         float* scores) {
  const size_t n_chunks = head_dim / kScaleDims;
  const int8_t* hi = queries.hi.data() + first * head_dim;
  const int8_t* lo = queries.lo.data() + first * head_dim;
  for (size_t c = 0; c < n_chunks; ++c) {
    const size_t at = first * n_chunks + c;
    IntSums<kQueries> sums;
    sums.set(queries.offsets.data() + at, n_chunks);
    for (size_t quad = 0; quad < kChunkQuads; ++quad, hi += 4, lo += 4, tile0 += 64, tile1 += 64) {
      sums.add_keys(_mm512_loadu_si512(tile0), _mm512_loadu_si512(tile1), hi, lo, head_dim);
    }
    const float* k_scale = k_scales + c * kGroupTokens;
    sums.add_to_scores(_mm512_loadu_ps(k_scale), _mm512_loadu_ps(k_scale + 16),
                       queries.scales.data() + at, n_chunks, c == 0, scores);
  }
}

template <size_t kQueries>
LH_VNNI void scores_of(const Queries& queries, size_t first, const TileGroup& group,
                       const float* k_scales, size_t head_dim, float* scores) {
  for (size_t j = 0; j < kGroupTiles; j += 2) {
    score_tiles<kQueries>(queries, first, group.k[j], group.k[j + 1], k_scales + j * kTileTokens,
                          head_dim, scores + j * kTileTokens);
  }
}

// The integers of p * weight in two halves of bytes. Packing works within 128-bit lanes: it leaves
// the four bytes of tile j, tokens 4 g .. 4 g + 3, at 4 * (4 g + j).
LH_VNNI_INLINE void round_p(const float* p, const float* weight, uint8_t* hi, uint8_t* lo) {
  __m512i x[kGroupTiles];
  LH_UNROLL for (size_t j = 0; j < kGroupTiles; ++j) {
    x[j] = _mm512_cvtps_epi32(
        _mm512_mul_ps(_mm512_loadu_ps(p + j * 16), _mm512_loadu_ps(weight + j * 16)));
  }
  const __m512i x01 = _mm512_packus_epi32(x[0], x[1]);
  const __m512i x23 = _mm512_packus_epi32(x[2], x[3]);
  const __m512i low_byte = _mm512_set1_epi16(0xFF);
  _mm512_storeu_si512(hi,
                      _mm512_packus_epi16(_mm512_srli_epi16(x01, 8), _mm512_srli_epi16(x23, 8)));
  _mm512_storeu_si512(
      lo, _mm512_packus_epi16(_mm512_and_si512(x01, low_byte), _mm512_and_si512(x23, low_byte)));
}

// One chunk of 32 dimensions of values_vnni.
template <size_t kQueries>
LH_VNNI void values_chunk(const float* p, const TileGroup& group, const ValueScales* const* scales,
                          size_t c, size_t head_dim, const GroupWeights& weights, float* o) {
  static constexpr int32_t kZero = 0;
  alignas(64) uint8_t p_hi[kQueries * kGroupTokens];
  alignas(64) uint8_t p_lo[kQueries * kGroupTokens];
  for (size_t i = 0; i < kQueries; ++i) {
    const size_t at = i * kGroupTokens;
    round_p(p + at, scales[i]->weights[c], p_hi + at, p_lo + at);
  }
  IntSums<kQueries> sums;
  sums.set(&kZero, 0);
  for (size_t j = 0; j < kGroupTiles; ++j) {
    const std::byte* from = group.v[j] + c * kScaleDims * 4;
    for (size_t g = 0; g < kTileTokens / 4; ++g, from += head_dim * 4) {
      const size_t at = 4 * (4 * g + j);
      sums.add_values(_mm512_loadu_si512(from), _mm512_loadu_si512(from + 64), p_hi + at,
                      p_lo + at);
    }
  }
  sums.add_to_output(scales, c, weights.keep, weights.add, head_dim, o + c * kScaleDims);
}

template <size_t kQueries>
LH_VNNI void values_of(const float* p, const TileGroup& group, const ValueScales* const* scales,
                       size_t head_dim, const GroupWeights& weights, float* o) {
  for (size_t c = 0; c < head_dim / kScaleDims; ++c) {
    values_chunk<kQueries>(p, group, scales, c, head_dim, weights, o);
  }
}

}  // namespace

bool has_vnni() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}

LH_VNNI void round_queries_vnni(size_t n_queries, size_t head_dim, Queries& queries) {
  const size_t n = n_queries * head_dim;
  queries.hi.ensure(n);
  queries.lo.ensure(n);
  queries.scales.ensure(n / kScaleDims);
  queries.offsets.ensure(n / kScaleDims);
  for (size_t i = 0; i < n; i += kScaleDims) {
    const __m512 x0 = _mm512_loadu_ps(queries.f32.data() + i);
    const __m512 x1 = _mm512_loadu_ps(queries.f32.data() + i + 16);
    // Magnitudes order like their bits, NaN last: infinity and NaN end up in the scale.
    const __m512i bits = _mm512_max_epu32(_mm512_castps_si512(_mm512_abs_ps(x0)),
                                          _mm512_castps_si512(_mm512_abs_ps(x1)));
    const uint32_t amax_bits = _mm512_reduce_max_epu32(bits);
    float amax;
    std::memcpy(&amax, &amax_bits, sizeof(amax));
    const bool usable = amax >= kLargestQuery * std::numeric_limits<float>::min();
    const __m512 inverse = _mm512_set1_ps(usable ? kLargestQuery / amax : 0.0F);
    const __m512i q0 = _mm512_cvtps_epi32(_mm512_mul_ps(x0, inverse));
    const __m512i q1 = _mm512_cvtps_epi32(_mm512_mul_ps(x1, inverse));
    const __m512i half = _mm512_set1_epi32(128);  // so that the low half is a signed byte
    const __m512i hi0 = _mm512_srai_epi32(_mm512_add_epi32(q0, half), 8);
    const __m512i hi1 = _mm512_srai_epi32(_mm512_add_epi32(q1, half), 8);
    auto* hi = reinterpret_cast<__m128i*>(queries.hi.data() + i);
    auto* lo = reinterpret_cast<__m128i*>(queries.lo.data() + i);
    _mm_storeu_si128(hi, _mm512_cvtepi32_epi8(hi0));
    _mm_storeu_si128(hi + 1, _mm512_cvtepi32_epi8(hi1));
    _mm_storeu_si128(lo, _mm512_cvtepi32_epi8(q0));
    _mm_storeu_si128(lo + 1, _mm512_cvtepi32_epi8(q1));
    queries.scales[i / kScaleDims] = amax / kLargestQuery;
    queries.offsets[i / kScaleDims] = -128 * _mm512_reduce_add_epi32(_mm512_add_epi32(q0, q1));
  }
}

LH_VNNI void prepare_keys_vnni(const TileGroup& group, size_t head_dim, float* k_scales) {
  for (size_t j = 0; j < kGroupTiles; ++j) {
    const std::byte* from = group.k[j] + kTileTokens * head_dim;
    for (size_t c = 0; c < head_dim / kScaleDims; ++c) {
      _mm512_storeu_ps(k_scales + c * kGroupTokens + j * kTileTokens,
                       load_halves(from + c * kTileTokens * 2));
    }
  }
}

LH_VNNI void prepare_values_vnni(const TileGroup& group, const uint16_t masks[kGroupTiles],
                                 size_t head_dim, ValueScales& scales) {
  for (size_t c = 0; c < head_dim / kScaleDims; ++c) {
    __m512 x[kGroupTiles];
    __m512 highest = _mm512_setzero_ps();
    __mmask16 nan = 0;
    LH_UNROLL for (size_t j = 0; j < kGroupTiles; ++j) {
      const std::byte* from = group.v[j] + kTileTokens * head_dim + c * kTileTokens * 2;
      x[j] = _mm512_maskz_mov_ps(masks[j], load_halves(from));
      highest = _mm512_max_ps(highest, x[j]);
      nan |= _mm512_cmp_ps_mask(x[j], x[j], _CMP_UNORD_Q);
    }
    const float max = _mm512_reduce_max_ps(highest);
    const __m512 factor = _mm512_set1_ps(max > 0.0F ? kLargestP / max : 0.0F);
    LH_UNROLL for (size_t j = 0; j < kGroupTiles; ++j) {
      _mm512_storeu_ps(scales.weights[c] + j * kTileTokens, _mm512_mul_ps(x[j], factor));
    }
    scales.units[c] = nan != 0 ? std::numeric_limits<float>::quiet_NaN() : max / kLargestP;
  }
}

void scores_vnni(size_t n_queries, const Queries& queries, size_t first, const TileGroup& group,
                 const float* k_scales, size_t head_dim, float* scores) {
  static_assert(kMaxQueryBlock == 4);
  switch (n_queries) {
    case 1:
      return scores_of<1>(queries, first, group, k_scales, head_dim, scores);
    case 2:
      return scores_of<2>(queries, first, group, k_scales, head_dim, scores);
    case 3:
      return scores_of<3>(queries, first, group, k_scales, head_dim, scores);
    default:
      return scores_of<4>(queries, first, group, k_scales, head_dim, scores);
  }
}

void values_vnni(size_t n_queries, const float* p, const TileGroup& group,
                 const ValueScales* const* scales, size_t head_dim, const GroupWeights& weights,
                 float* o) {
  switch (n_queries) {
    case 1:
      return values_of<1>(p, group, scales, head_dim, weights, o);
    case 2:
      return values_of<2>(p, group, scales, head_dim, weights, o);
    case 3:
      return values_of<3>(p, group, scales, head_dim, weights, o);
    default:
      return values_of<4>(p, group, scales, head_dim, weights, o);
  }
}

}  // namespace longhaul::attention

#else  // other processors have no such kernels; has_vnni() says so and nobody calls them

namespace longhaul::attention {

bool has_vnni() { return false; }
void round_queries_vnni(size_t, size_t, Queries&) { LH_CHECK(false); }
void prepare_keys_vnni(const TileGroup&, size_t, float*) { LH_CHECK(false); }
void scores_vnni(size_t, const Queries&, size_t, const TileGroup&, const float*, size_t, float*) {
  LH_CHECK(false);
}
void prepare_values_vnni(const TileGroup&, const uint16_t*, size_t, ValueScales&) {
  LH_CHECK(false);
}
void values_vnni(size_t, const float*, const TileGroup&, const ValueScales* const*, size_t,
                 const GroupWeights&, float*) {
  LH_CHECK(false);
}

}  // namespace longhaul::attention

#endif
