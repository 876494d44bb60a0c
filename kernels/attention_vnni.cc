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

namespace longhaul::attention {
namespace {

constexpr size_t kChunkQuads = kScaleDims / 4;
constexpr float kLargestQuery = 32639.0F;  // 127 * 256 + 127: the high half stays within int8
constexpr float kLargestP = 32767.0F;

// Four bytes in every lane.
LH_VNNI inline __m512i broadcast4(const void* from) {
  int32_t bits;
  std::memcpy(&bits, from, sizeof(bits));
  return _mm512_set1_epi32(bits);
}

LH_VNNI inline __m512 load_halves(const std::byte* from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}

// hi * 256 + lo as floats; exact sums before the conversion.
LH_VNNI inline __m512 join(__m512i hi, __m512i lo) {
  return _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_slli_epi32(hi, 8), lo));
}

// Scores of two tiles, whose columns of k_scales and scores start at the pointers.
template <size_t kQueries>
LH_VNNI void score_tiles(const Queries& queries, size_t first, const std::byte* tile0,
                         const std::byte* tile1, const float* k_scales, size_t head_dim,
                         float* scores) {
  const size_t n_chunks = head_dim / kScaleDims;
  for (size_t c = 0; c < n_chunks; ++c) {
    __m512i hi[kQueries][2];
    __m512i lo[kQueries][2];
    LH_UNROLL for (size_t i = 0; i < kQueries; ++i) {
      hi[i][0] = hi[i][1] = _mm512_setzero_si512();
      lo[i][0] = lo[i][1] = _mm512_set1_epi32(queries.offsets[(first + i) * n_chunks + c]);
    }
    for (size_t quad = c * kChunkQuads; quad < (c + 1) * kChunkQuads; ++quad) {
      const __m512i k0 = _mm512_loadu_si512(tile0 + quad * 64);
      const __m512i k1 = _mm512_loadu_si512(tile1 + quad * 64);
      LH_UNROLL for (size_t i = 0; i < kQueries; ++i) {
        const size_t at = (first + i) * head_dim + quad * 4;
        const __m512i q_hi = broadcast4(queries.hi.data() + at);
        const __m512i q_lo = broadcast4(queries.lo.data() + at);
        hi[i][0] = _mm512_dpbusd_epi32(hi[i][0], k0, q_hi);
        hi[i][1] = _mm512_dpbusd_epi32(hi[i][1], k1, q_hi);
        lo[i][0] = _mm512_dpbusd_epi32(lo[i][0], k0, q_lo);
        lo[i][1] = _mm512_dpbusd_epi32(lo[i][1], k1, q_lo);
      }
    }
    LH_UNROLL for (size_t i = 0; i < kQueries; ++i) {
      const __m512 q_scale = _mm512_set1_ps(queries.scales[(first + i) * n_chunks + c]);
      LH_UNROLL for (size_t j = 0; j < 2; ++j) {
        const __m512 scale =
            _mm512_mul_ps(_mm512_loadu_ps(k_scales + c * kGroupTokens + j * 16), q_scale);
        float* at = scores + i * kGroupTokens + j * 16;
        const __m512 old = c == 0 ? _mm512_setzero_ps() : _mm512_loadu_ps(at);
        _mm512_storeu_ps(at, _mm512_fmadd_ps(join(hi[i][j], lo[i][j]), scale, old));
      }
    }
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
LH_VNNI inline void round_p(const float* p, const float* weight, uint8_t* hi, uint8_t* lo) {
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
  alignas(64) uint8_t p_hi[kQueries][kGroupTokens];
  alignas(64) uint8_t p_lo[kQueries][kGroupTokens];
  __m512i hi[kQueries][2];
  __m512i lo[kQueries][2];
  LH_UNROLL for (size_t i = 0; i < kQueries; ++i) {
    round_p(p + i * kGroupTokens, scales[i]->weights[c], p_hi[i], p_lo[i]);
    hi[i][0] = hi[i][1] = lo[i][0] = lo[i][1] = _mm512_setzero_si512();
  }
  for (size_t j = 0; j < kGroupTiles; ++j) {
    const std::byte* from = group.v[j] + c * kScaleDims * 4;
    for (size_t g = 0; g < kTileTokens / 4; ++g, from += head_dim * 4) {
      const __m512i v0 = _mm512_loadu_si512(from);
      const __m512i v1 = _mm512_loadu_si512(from + 64);
      const size_t at = 4 * (4 * g + j);
      LH_UNROLL for (size_t i = 0; i < kQueries; ++i) {
        const __m512i one_hi = broadcast4(p_hi[i] + at);
        const __m512i one_lo = broadcast4(p_lo[i] + at);
        hi[i][0] = _mm512_dpbusd_epi32(hi[i][0], one_hi, v0);
        hi[i][1] = _mm512_dpbusd_epi32(hi[i][1], one_hi, v1);
        lo[i][0] = _mm512_dpbusd_epi32(lo[i][0], one_lo, v0);
        lo[i][1] = _mm512_dpbusd_epi32(lo[i][1], one_lo, v1);
      }
    }
  }
  LH_UNROLL for (size_t i = 0; i < kQueries; ++i) {
    if (weights.add[i] == 0.0F) continue;  // such a group changes no bit
    const __m512 unit = _mm512_set1_ps(scales[i]->units[c] * weights.add[i]);
    LH_UNROLL for (size_t j = 0; j < 2; ++j) {
      float* at = o + i * head_dim + c * kScaleDims + j * 16;
      const __m512 old = _mm512_mul_ps(_mm512_loadu_ps(at), _mm512_set1_ps(weights.keep[i]));
      _mm512_storeu_ps(at, _mm512_fmadd_ps(join(hi[i][j], lo[i][j]), unit, old));
    }
  }
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
  static_assert(kMaxQueryBlock == 6);
  switch (n_queries) {
    case 1:
      return scores_of<1>(queries, first, group, k_scales, head_dim, scores);
    case 2:
      return scores_of<2>(queries, first, group, k_scales, head_dim, scores);
    case 3:
      return scores_of<3>(queries, first, group, k_scales, head_dim, scores);
    case 4:
      return scores_of<4>(queries, first, group, k_scales, head_dim, scores);
    case 5:
      return scores_of<5>(queries, first, group, k_scales, head_dim, scores);
    default:
      return scores_of<6>(queries, first, group, k_scales, head_dim, scores);
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
    case 4:
      return values_of<4>(p, group, scales, head_dim, weights, o);
    case 5:
      return values_of<5>(p, group, scales, head_dim, weights, o);
    default:
      return values_of<6>(p, group, scales, head_dim, weights, o);
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
