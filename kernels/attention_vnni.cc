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

// Walks over the lines of a group's tiles and asks for them in the L2 cache, in ascending order.
// Each request waits until a line of the present group is there: requests sent ahead of stalled
// loads come in bursts, and what is too many at once is dropped.
class Fetcher {
 public:
  LH_VNNI_INLINE Fetcher(const std::byte* const* tiles, size_t tile_bytes)
      : tiles_(tiles), bytes_(tile_bytes), at_(tiles[0]), end_(at_ + tile_bytes) {}
  // kLines divides the lines of a tile.
  template <size_t kLines>
  LH_VNNI_INLINE void fetch(const std::byte* after) {
    if (at_ == end_) {
      at_ = *++tiles_;
      end_ = at_ + bytes_;
    }
    const std::byte* at = at_ + zero_from(after);
    LH_UNROLL for (size_t i = 0; i < kLines; ++i) {
      _mm_prefetch(reinterpret_cast<const char*>(at + i * 64), _MM_HINT_T1);
    }
    at_ += kLines * 64;
  }

 private:
  // Zero, known only once the byte has been read.
  LH_VNNI_INLINE static size_t zero_from(const std::byte* byte) {
    size_t zero;
    asm volatile("movzbl %1, %k0\n\tandl $0, %k0" : "=r"(zero) : "m"(*byte));
    return zero;
  }

  const std::byte* const* tiles_;
  size_t bytes_;
  const std::byte* at_;
  const std::byte* end_;
};

// Many queries take long over their softmax: it asks for K of the last two tiles of the next group,
// the scores only for the first two.
constexpr bool fetches_in_softmax(size_t n_queries) { return n_queries > 4; }

class SoftmaxFetcher {
 public:
  LH_VNNI_INLINE SoftmaxFetcher(const TileGroup* next, size_t n_queries, size_t head_dim) {
    if (next == nullptr || !fetches_in_softmax(n_queries)) return;
    tiles_ = next->k + kGroupTiles / 2;
    end_ = kTileTokens * head_dim;
    n_lines_ = (end_ / 64 + 2 * n_queries - 1) / (2 * n_queries);
  }
  // A share of the lines; to be called twice a query.
  LH_VNNI_INLINE void fetch() {
    for (size_t i = 0; i < n_lines_ && at_ < end_; ++i, at_ += 64) {
      for (size_t j = 0; j < kGroupTiles / 2; ++j) {
        _mm_prefetch(reinterpret_cast<const char*>(tiles_[j] + at_), _MM_HINT_T1);
      }
    }
  }

 private:
  const std::byte* const* tiles_ = nullptr;
  size_t at_ = 0;
  size_t end_ = 0;
  size_t n_lines_ = 0;  // of a tile, in one share
};

struct NoFetcher {
  template <size_t kLines>
  LH_VNNI_INLINE void fetch(const std::byte*) {}
};

// The integer sums of one query for kVectors vectors. Recursive, because compilers keep structs of
// vectors in registers but not arrays of them.
template <size_t kVectors>
struct Sums {
  __m512i head;
  Sums<kVectors - 1> tail;

  LH_VNNI_INLINE void set(__m512i start) {
    head = start;
    tail.set(start);
  }
  // += unsigned vectors times the signed bytes of every lane of `q`
  LH_VNNI_INLINE void add_keys(const Sums& k, __m512i q) {
    add_products(head, k.head, q);
    tail.add_keys(k.tail, q);
  }
  // += the unsigned bytes of every lane of `p` times signed vectors
  LH_VNNI_INLINE void add_values(const Sums& v, __m512i p) {
    add_products(head, p, v.head);
    tail.add_values(v.tail, p);
  }
  LH_VNNI_INLINE void add(const Sums& other) {
    head = _mm512_add_epi32(head, other.head);
    tail.add(other.tail);
  }
  // scores += the sums times k_scale times scale; `first` overwrites.
  LH_VNNI_INLINE void add_to_scores(const float* k_scale, __m512 scale, bool first,
                                    float* scores) const {
    const __m512 unit = _mm512_mul_ps(_mm512_loadu_ps(k_scale), scale);
    const __m512 x = _mm512_cvtepi32_ps(head);
    _mm512_storeu_ps(
        scores, first ? _mm512_mul_ps(x, unit) : _mm512_fmadd_ps(x, unit, _mm512_loadu_ps(scores)));
    tail.add_to_scores(k_scale + 16, scale, first, scores + 16);
  }
  // o = o * keep + the sums * unit
  LH_VNNI_INLINE void add_to_output(__m512 keep, __m512 unit, float* o) const {
    const __m512 old = _mm512_mul_ps(_mm512_loadu_ps(o), keep);
    _mm512_storeu_ps(o, _mm512_fmadd_ps(_mm512_cvtepi32_ps(head), unit, old));
    tail.add_to_output(keep, unit, o + 16);
  }
};
template <>
struct Sums<0> {
  LH_VNNI_INLINE void set(__m512i) {}
  LH_VNNI_INLINE void add_keys(const Sums&, __m512i) {}
  LH_VNNI_INLINE void add_values(const Sums&, __m512i) {}
  LH_VNNI_INLINE void add(const Sums&) {}
  LH_VNNI_INLINE void add_to_scores(const float*, __m512, bool, float*) const {}
  LH_VNNI_INLINE void add_to_output(__m512, __m512, float*) const {}
};

// The sums of kQueries queries.
template <size_t kQueries, size_t kVectors>
struct Block {
  Sums<kVectors> head;
  Block<kQueries - 1, kVectors> tail;

  LH_VNNI_INLINE void set(const int32_t* start) {
    head.set(_mm512_set1_epi32(*start));
    tail.set(start + 1);
  }
  LH_VNNI_INLINE void set_zero() {
    head.set(_mm512_setzero_si512());
    tail.set_zero();
  }
  // Queries lie 4 bytes apart.
  LH_VNNI_INLINE void add_keys(const Sums<kVectors>& k, const int8_t* q) {
    head.add_keys(k, broadcast4(q));
    tail.add_keys(k, q + 4);
  }
  // Probabilities lie 64 bytes apart.
  LH_VNNI_INLINE void add_values(const Sums<kVectors>& v, const uint8_t* p) {
    head.add_values(v, broadcast4(p));
    tail.add_values(v, p + kGroupTokens);
  }
  LH_VNNI_INLINE void add(const Block& other) {
    head.add(other.head);
    tail.add(other.tail);
  }
  LH_VNNI_INLINE void add_to_scores(const float* k_scale, const float* q_scale, bool first,
                                    float* scores) const {
    head.add_to_scores(k_scale, _mm512_set1_ps(*q_scale), first, scores);
    tail.add_to_scores(k_scale, q_scale + 1, first, scores + kGroupTokens);
  }
  // A group of weight 0 changes no bit.
  LH_VNNI_INLINE void add_to_output(const ValueScales* const* scales, size_t c, const float* keep,
                                    const float* add, size_t head_dim, float* o) const {
    if (*add != 0.0F) {
      head.add_to_output(_mm512_set1_ps(*keep), _mm512_set1_ps((*scales)->units[c] * *add), o);
    }
    tail.add_to_output(scales + 1, c, keep + 1, add + 1, head_dim, o + head_dim);
  }
};
template <size_t kVectors>
struct Block<0, kVectors> {
  LH_VNNI_INLINE void set(const int32_t*) {}
  LH_VNNI_INLINE void set_zero() {}
  LH_VNNI_INLINE void add_keys(const Sums<kVectors>&, const int8_t*) {}
  LH_VNNI_INLINE void add_values(const Sums<kVectors>&, const uint8_t*) {}
  LH_VNNI_INLINE void add(const Block&) {}
  LH_VNNI_INLINE void add_to_scores(const float*, const float*, bool, float*) const {}
  LH_VNNI_INLINE void add_to_output(const ValueScales* const*, size_t, const float*, const float*,
                                    size_t, float*) const {}
};

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
                                Fetch& ahead, const float* k_scales, size_t head_dim,
                                float* scores) {
  const size_t n_chunks = head_dim / kScaleDims;
  const int8_t* q = queries.bytes.data() + first * head_dim;
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
                       const float* k_scales, size_t head_dim, float* scores) {
  constexpr size_t kTiles = kQueries <= 4 ? 4 : 2;  // 16 sums
  for (size_t j = 0; j < kGroupTiles; j += kTiles) {
    score_tiles<kQueries, kTiles>(queries, first, group.k + j, ahead, k_scales + j * kTileTokens,
                                  head_dim, scores + j * kTileTokens);
  }
}

// The integers of w * weight. Packing works within 128-bit lanes: it leaves the four bytes of tile
// j, tokens 4 g .. 4 g + 3, at 4 * (4 g + j).
LH_VNNI_INLINE void round_p(const __m512 w[kGroupTiles], const float* weight, uint8_t* p) {
  __m512i x[kGroupTiles];
  LH_UNROLL for (size_t j = 0; j < kGroupTiles; ++j) {
    x[j] = _mm512_cvtps_epi32(_mm512_mul_ps(w[j], _mm512_loadu_ps(weight + j * 16)));
  }
  _mm512_storeu_si512(
      p, _mm512_packus_epi16(_mm512_packus_epi32(x[0], x[1]), _mm512_packus_epi32(x[2], x[3])));
}

LH_VNNI_INLINE Sums<2> load_values(const std::byte* from) {
  Sums<2> v;
  v.head = _mm512_loadu_si512(from);
  v.tail.head = _mm512_loadu_si512(from + 64);
  return v;
}

// sums += p times the values of tile j, 32 dimensions of it.
template <size_t kQueries, class Fetch>
LH_VNNI_INLINE void add_tile(const uint8_t* p, const std::byte* v, size_t j, size_t head_dim,
                             Fetch& ahead, Block<kQueries, 2>& sums) {
  LH_UNROLL for (size_t g = 0; g < kTileTokens / 4; ++g, v += head_dim * 4) {
    ahead.template fetch<2>(v);
    sums.add_values(load_values(v), p + 4 * (4 * g + j));
  }
}

// One chunk of 32 dimensions of values_vnni. Few queries get two sums each, or every product would
// wait for the one before.
template <size_t kQueries, class Fetch>
LH_VNNI_INLINE void values_chunk(const uint8_t* p, const TileGroup& group, Fetch& ahead,
                                 const ValueScales* const* scales, size_t c, size_t head_dim,
                                 const GroupWeights& weights, float* o) {
  const size_t at = c * kScaleDims * 4;
  Block<kQueries, 2> sums;
  sums.set_zero();
  if constexpr (kQueries <= 4) {
    Block<kQueries, 2> odd;
    odd.set_zero();
    for (size_t j = 0; j < kGroupTiles; j += 2) {
      add_tile(p, group.v[j] + at, j, head_dim, ahead, sums);
      add_tile(p, group.v[j + 1] + at, j + 1, head_dim, ahead, odd);
    }
    sums.add(odd);
  } else {
    for (size_t j = 0; j < kGroupTiles; ++j) {
      add_tile(p, group.v[j] + at, j, head_dim, ahead, sums);
    }
  }
  sums.add_to_output(scales, c, weights.keep, weights.add, head_dim, o + c * kScaleDims);
}

template <size_t kQueries, class Fetch>
LH_VNNI void values_of(const uint8_t* p, const TileGroup& group, Fetch ahead,
                       const ValueScales* const* scales, size_t head_dim,
                       const GroupWeights& weights, float* o) {
  for (size_t c = 0; c < head_dim / kScaleDims; ++c, p += kQueries * kGroupTokens) {
    values_chunk<kQueries>(p, group, ahead, scales, c, head_dim, weights, o);
  }
}

// The integers of 32 numbers, and their scale and sum.
struct RoundedChunk {
  __m128i low, high;
  float scale;
  int32_t sum;
};

LH_VNNI_INLINE RoundedChunk round_chunk(const float* from) {
  const __m512 x0 = _mm512_loadu_ps(from);
  const __m512 x1 = _mm512_loadu_ps(from + 16);
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
  return {_mm512_cvtepi32_epi8(q0), _mm512_cvtepi32_epi8(q1), amax / kLargestQuery,
          _mm512_reduce_add_epi32(_mm512_add_epi32(q0, q1))};
}

LH_VNNI_INLINE __m512 load_value_scales(const std::byte* tile, size_t c, size_t head_dim,
                                        uint16_t mask) {
  const std::byte* from = tile + kTileTokens * head_dim + c * kTileTokens * 2;
  return _mm512_maskz_mov_ps(mask, load_halves(from));
}

// Splits x in [2^-20, 1] up to the next number of 4 mantissa bits: shift = log2 of it, inverse = 1
// / it.
LH_VNNI_INLINE void split_share(__m512 x, float* shift, float* inverse) {
  static constexpr float kLog2[16] = {// log2(1 + (i + 1) / 16)
                                      0.0874628413F, 0.169925001F, 0.247927513F, 0.321928095F,
                                      0.392317423F,  0.459431619F, 0.523561956F, 0.584962501F,
                                      0.64385619F,   0.700439718F, 0.754887502F, 0.807354922F,
                                      0.857980995F,  0.906890596F, 0.95419631F,  1.0F};
  static constexpr float kInverse[16] = {// 1 / (1 + (i + 1) / 16)
                                         16.0F / 17, 16.0F / 18, 16.0F / 19, 16.0F / 20,
                                         16.0F / 21, 16.0F / 22, 16.0F / 23, 16.0F / 24,
                                         16.0F / 25, 16.0F / 26, 16.0F / 27, 16.0F / 28,
                                         16.0F / 29, 16.0F / 30, 16.0F / 31, 16.0F / 32};
  const __m512i i = _mm512_srli_epi32(_mm512_castps_si512(x), 19);  // lookups use the low 4 bits
  const __m512 exponent = _mm512_getexp_ps(x);
  _mm512_storeu_ps(shift,
                   _mm512_add_ps(exponent, _mm512_permutexvar_ps(i, _mm512_loadu_ps(kLog2))));
  _mm512_storeu_ps(inverse, _mm512_scalef_ps(_mm512_permutexvar_ps(i, _mm512_loadu_ps(kInverse)),
                                             _mm512_sub_ps(_mm512_setzero_ps(), exponent)));
}

// 2^x for x <= 0, within 3e-6 of it, a thousandth of a step of 8 bits; exactly 1 at 0, 0 below
// -100, NaN for NaN. The polynomial is the minimax fit of (2^f - 1) / f on [0, 1] relative to 2^f.
LH_VNNI_INLINE __m512 exp2_of(__m512 x) {
  const __mmask16 not_tiny = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-100.0F), _CMP_NLT_UQ);
  const __m512 f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF);  // x - floor(x)
  __m512 p = _mm512_set1_ps(0x1.b7f730p-7F);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0x1.abf868p-5F));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0x1.ee2450p-3F));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0x1.62d6c6p-1F));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0F));
  return _mm512_maskz_scalef_ps(not_tiny, p, x);
}

struct Max {
  LH_VNNI_INLINE __m512 operator()(__m512 a, __m512 b) const { return _mm512_max_ps(a, b); }
};
struct Add {
  LH_VNNI_INLINE __m512 operator()(__m512 a, __m512 b) const { return _mm512_add_ps(a, b); }
};

// Every lane: all lanes of x combined by `op`.
template <class Op>
LH_VNNI_INLINE __m512 reduce(__m512 x, Op op) {
  x = op(x, _mm512_shuffle_f32x4(x, x, 0x4E));
  x = op(x, _mm512_shuffle_f32x4(x, x, 0xB1));
  x = op(x, _mm512_permute_ps(x, 0x4E));
  return op(x, _mm512_permute_ps(x, 0xB1));
}

LH_VNNI_INLINE void shifted_scores(const float* scores, const float* shift, __m512 s[kGroupTiles]) {
  LH_UNROLL for (size_t j = 0; j < kGroupTiles; ++j) {
    s[j] = _mm512_add_ps(_mm512_loadu_ps(scores + j * 16), _mm512_loadu_ps(shift + j * 16));
  }
}

// Updates m and l of some queries with the maxima and sums of a group, a lane each. The higher of
// the two maxima stays: only the other side needs a power.
LH_VNNI_INLINE void merge_group(size_t n_queries, __m512 max, __m512 sum, float* m, float* l,
                                GroupWeights& weights) {
  static_assert(kMaxQueryBlock <= 16);
  const auto block = static_cast<__mmask16>((1U << n_queries) - 1U);
  const __m512 old_m = _mm512_maskz_loadu_ps(block, m);
  const __m512 old_l = _mm512_maskz_loadu_ps(block, l);
  const __m512 minus_inf = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  const __mmask16 seen = _mm512_mask_cmp_ps_mask(block, max, minus_inf, _CMP_NEQ_UQ);
  const __m512 rise = _mm512_sub_ps(max, old_m);
  const __mmask16 rises = _mm512_mask_cmp_ps_mask(seen, rise, _mm512_setzero_ps(), _CMP_GT_OQ);
  const __m512 fall = _mm512_mask_sub_ps(rise, rises, _mm512_setzero_ps(), rise);
  const __m512 power = exp2_of(fall);
  const __m512 one = _mm512_set1_ps(1.0F);
  const __m512 keep = _mm512_mask_mov_ps(one, rises, power);
  const __m512 add = _mm512_maskz_mov_ps(seen, _mm512_mask_mov_ps(power, rises, one));
  _mm512_mask_storeu_ps(weights.keep, block, keep);
  _mm512_mask_storeu_ps(weights.add, block, add);
  _mm512_mask_storeu_ps(m, rises, max);
  _mm512_mask_storeu_ps(l, seen, _mm512_fmadd_ps(old_l, keep, _mm512_mul_ps(sum, add)));
}

LH_VNNI void round_queries_vnni(size_t n_queries, size_t head_dim, Queries& queries) {
  const size_t n_chunks = head_dim / kScaleDims;
  queries.bytes.ensure(n_queries * head_dim);
  queries.scales.ensure(n_queries * n_chunks);
  queries.offsets.ensure(n_queries * n_chunks);
  const size_t block_size = query_block_size(n_queries);
  for (size_t query = 0; query < n_queries; ++query) {
    const size_t first = query / block_size * block_size;
    const size_t n = std::min(block_size, n_queries - first);
    for (size_t c = 0; c < n_chunks; ++c) {
      const RoundedChunk chunk =
          round_chunk(queries.f32.data() + query * head_dim + c * kScaleDims);
      alignas(16) int8_t bytes[kScaleDims];
      _mm_store_si128(reinterpret_cast<__m128i*>(bytes), chunk.low);
      _mm_store_si128(reinterpret_cast<__m128i*>(bytes) + 1, chunk.high);
      int8_t* to = queries.bytes.data() + first * head_dim + (query - first) * 4;
      for (size_t quad = 0; quad < kChunkQuads; ++quad) {
        std::memcpy(to + (c * kChunkQuads + quad) * n * 4, bytes + quad * 4, 4);
      }
      const size_t at = first * n_chunks + c * n + query - first;
      queries.scales[at] = chunk.scale;
      queries.offsets[at] = -128 * chunk.sum;
    }
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
  const size_t n_chunks = head_dim / kScaleDims;
  __m512 share[kGroupTiles];  // the largest over the chunks of a token's scale to the group's
  LH_UNROLL for (size_t j = 0; j < kGroupTiles; ++j) share[j] = _mm512_set1_ps(kSmallestShare);
  for (size_t c = 0; c < n_chunks; ++c) {
    __m512 x[kGroupTiles];
    __m512 highest = _mm512_setzero_ps();
    __mmask16 nan = 0;
    LH_UNROLL for (size_t j = 0; j < kGroupTiles; ++j) {
      x[j] = load_value_scales(group.v[j], c, head_dim, masks[j]);
      highest = _mm512_max_ps(highest, x[j]);
      nan |= _mm512_cmp_ps_mask(x[j], x[j], _CMP_UNORD_Q);
    }
    const float max = _mm512_reduce_max_ps(highest);
    const __m512 inverse = _mm512_set1_ps(max > 0.0F ? 1.0F / max : 0.0F);
    LH_UNROLL for (size_t j = 0; j < kGroupTiles; ++j) {
      const __m512 of_group = _mm512_mul_ps(x[j], inverse);
      share[j] = _mm512_max_ps(of_group, share[j]);  // the old one if the new one is NaN
      _mm512_storeu_ps(scales.weights[c] + j * kTileTokens, of_group);
    }
    scales.units[c] = nan != 0 ? std::numeric_limits<float>::quiet_NaN() : max / kLargestP;
  }
  LH_UNROLL for (size_t j = 0; j < kGroupTiles; ++j) {
    const size_t at = j * kTileTokens;
    split_share(share[j], scales.shift + at, scales.inverse + at);
    const __m512 factor =
        _mm512_mul_ps(_mm512_loadu_ps(scales.inverse + at), _mm512_set1_ps(kLargestP));
    for (size_t c = 0; c < n_chunks; ++c) {
      float* weights = scales.weights[c] + at;
      _mm512_storeu_ps(weights, _mm512_mul_ps(_mm512_loadu_ps(weights), factor));
    }
  }
}

LH_VNNI void softmax_vnni(size_t n_queries, const TileGroup* next, const ValueScales* const* scales,
                          size_t head_dim, const float* scores, float* m, float* l,
                          GroupWeights& weights, uint8_t* p) {
  SoftmaxFetcher ahead(next, n_queries, head_dim);
  const __m512 minus_inf = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  __m512 maxima = minus_inf;  // lane i: of query i
  alignas(64) float bases[kMaxQueryBlock][16];
  for (size_t i = 0; i < n_queries; ++i) {
    ahead.fetch();
    __m512 s[kGroupTiles];
    shifted_scores(scores + i * kGroupTokens, scales[i]->shift, s);
    const __m512 max =
        reduce(_mm512_max_ps(_mm512_max_ps(s[0], s[1]), _mm512_max_ps(s[2], s[3])), Max());
    const __mmask16 seen = _mm512_cmp_ps_mask(max, minus_inf, _CMP_NEQ_UQ);
    _mm512_store_ps(bases[i], _mm512_maskz_mov_ps(seen, max));
    maxima = _mm512_mask_mov_ps(maxima, static_cast<__mmask16>(1U << i), max);
  }
  __m512 sums = _mm512_setzero_ps();
  for (size_t i = 0; i < n_queries; ++i) {
    ahead.fetch();
    const ValueScales& of_row = *scales[i];
    const __m512 base = _mm512_load_ps(bases[i]);
    __m512 w[kGroupTiles];
    shifted_scores(scores + i * kGroupTokens, of_row.shift, w);
    LH_UNROLL for (size_t j = 0; j < kGroupTiles; ++j) w[j] = exp2_of(_mm512_sub_ps(w[j], base));
    __m512 sum = _mm512_mul_ps(w[0], _mm512_loadu_ps(of_row.inverse));
    LH_UNROLL for (size_t j = 1; j < kGroupTiles; ++j) {
      sum = _mm512_fmadd_ps(w[j], _mm512_loadu_ps(of_row.inverse + j * 16), sum);
    }
    sums = _mm512_mask_mov_ps(sums, static_cast<__mmask16>(1U << i), reduce(sum, Add()));
    for (size_t c = 0; c < head_dim / kScaleDims; ++c) {
      round_p(w, of_row.weights[c], p + (c * n_queries + i) * kGroupTokens);
    }
  }
  merge_group(n_queries, maxima, sums, m, l, weights);
}

template <size_t kQueries>
LH_VNNI void scores_of(const Queries& queries, size_t first, const TileGroup& group,
                       const TileGroup* next, const float* k_scales, size_t head_dim,
                       float* scores) {
  if (next == nullptr) {
    return scores_of<kQueries>(queries, first, group, NoFetcher(), k_scales, head_dim, scores);
  }
  const Fetcher ahead(next->k, kTileTokens * head_dim);
  scores_of<kQueries>(queries, first, group, ahead, k_scales, head_dim, scores);
}

template <size_t kQueries>
LH_VNNI void values_of(const uint8_t* p, const TileGroup& group, const TileGroup* next,
                       const ValueScales* const* scales, size_t head_dim,
                       const GroupWeights& weights, float* o) {
  if (next == nullptr) {
    return values_of<kQueries>(p, group, NoFetcher(), scales, head_dim, weights, o);
  }
  const Fetcher ahead(next->v, kTileTokens * head_dim);
  values_of<kQueries>(p, group, ahead, scales, head_dim, weights, o);
}

void scores_vnni(size_t n_queries, const Queries& queries, size_t first, const TileGroup& group,
                 const TileGroup* next, const float* k_scales, size_t head_dim, float* scores) {
  static_assert(kMaxQueryBlock == 8);
  switch (n_queries) {
    case 1:
      return scores_of<1>(queries, first, group, next, k_scales, head_dim, scores);
    case 2:
      return scores_of<2>(queries, first, group, next, k_scales, head_dim, scores);
    case 3:
      return scores_of<3>(queries, first, group, next, k_scales, head_dim, scores);
    case 4:
      return scores_of<4>(queries, first, group, next, k_scales, head_dim, scores);
    case 5:
      return scores_of<5>(queries, first, group, next, k_scales, head_dim, scores);
    case 6:
      return scores_of<6>(queries, first, group, next, k_scales, head_dim, scores);
    case 7:
      return scores_of<7>(queries, first, group, next, k_scales, head_dim, scores);
    default:
      return scores_of<8>(queries, first, group, next, k_scales, head_dim, scores);
  }
}

void values_vnni(size_t n_queries, const uint8_t* p, const TileGroup& group, const TileGroup* next,
                 const ValueScales* const* scales, size_t head_dim, const GroupWeights& weights,
                 float* o) {
  switch (n_queries) {
    case 1:
      return values_of<1>(p, group, next, scales, head_dim, weights, o);
    case 2:
      return values_of<2>(p, group, next, scales, head_dim, weights, o);
    case 3:
      return values_of<3>(p, group, next, scales, head_dim, weights, o);
    case 4:
      return values_of<4>(p, group, next, scales, head_dim, weights, o);
    case 5:
      return values_of<5>(p, group, next, scales, head_dim, weights, o);
    case 6:
      return values_of<6>(p, group, next, scales, head_dim, weights, o);
    case 7:
      return values_of<7>(p, group, next, scales, head_dim, weights, o);
    default:
      return values_of<8>(p, group, next, scales, head_dim, weights, o);
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
