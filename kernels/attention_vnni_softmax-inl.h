// What the AVX-512 kernels of attention do between the products: rounding of queries, scales, and
// from scores to integers of probabilities. A fragment of attention_vnni.cc.

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

LH_VNNI_INLINE __m512 load_value_scales(const std::byte* tile, size_t c, size_t value_dim,
                                        uint16_t mask) {
  const std::byte* from = tile + kTileTokens * value_dim + c * kTileTokens * 2;
  return _mm512_maskz_mov_ps(mask, load_halves(from));
}

// From x in [2^-20, 1] up to the next number y of 4 mantissa bits: shift = log2(y), inverse
// = 1 / y.
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

LH_VNNI void round_queries_vnni(size_t n_queries, size_t key_dim, Queries& queries) {
  const size_t n_chunks = key_dim / kScaleDims;
  queries.bytes.ensure(n_queries * key_dim);
  queries.scales.ensure(n_queries * n_chunks);
  queries.offsets.ensure(n_queries * n_chunks);
  const size_t block_size = query_block_size(n_queries);
  for (size_t query = 0; query < n_queries; ++query) {
    const size_t first = query / block_size * block_size;
    const size_t n = std::min(block_size, n_queries - first);
    for (size_t c = 0; c < n_chunks; ++c) {
      const RoundedChunk chunk = round_chunk(queries.f32.data() + query * key_dim + c * kScaleDims);
      alignas(16) int8_t bytes[kScaleDims];
      _mm_store_si128(reinterpret_cast<__m128i*>(bytes), chunk.low);
      _mm_store_si128(reinterpret_cast<__m128i*>(bytes) + 1, chunk.high);
      int8_t* to = queries.bytes.data() + first * key_dim + (query - first) * 4;
      for (size_t quad = 0; quad < kChunkQuads; ++quad) {
        std::memcpy(to + (c * kChunkQuads + quad) * n * 4, bytes + quad * 4, 4);
      }
      const size_t at = first * n_chunks + c * n + query - first;
      queries.scales[at] = chunk.scale;
      queries.offsets[at] = -128 * chunk.sum;
    }
  }
}

LH_VNNI void prepare_keys_vnni(const TileGroup& group, size_t key_dim, float* k_scales) {
  for (size_t j = 0; j < kGroupTiles; ++j) {
    const std::byte* from = group.k[j] + kTileTokens * key_dim;
    for (size_t c = 0; c < key_dim / kScaleDims; ++c) {
      _mm512_storeu_ps(k_scales + c * kGroupTokens + j * kTileTokens,
                       load_halves(from + c * kTileTokens * 2));
    }
  }
}

LH_VNNI void prepare_values_vnni(const TileGroup& group, const uint16_t masks[kGroupTiles],
                                 size_t value_dim, ValueScales& scales) {
  const size_t n_chunks = value_dim / kScaleDims;
  __m512 share[kGroupTiles];  // the largest over the chunks of a token's scale to the group's
  LH_UNROLL for (size_t j = 0; j < kGroupTiles; ++j) share[j] = _mm512_set1_ps(kSmallestShare);
  for (size_t c = 0; c < n_chunks; ++c) {
    __m512 x[kGroupTiles];
    __m512 highest = _mm512_setzero_ps();
    __mmask16 nan = 0;
    LH_UNROLL for (size_t j = 0; j < kGroupTiles; ++j) {
      x[j] = load_value_scales(group.v[j], c, value_dim, masks[j]);
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

LH_VNNI void softmax_vnni(size_t n_queries, const TileGroup* next, const ValueScales* const* scales,
                          size_t key_dim, size_t value_dim, const float* scores, float* m, float* l,
                          GroupWeights& weights, uint8_t* p) {
  SoftmaxFetcher ahead(next, n_queries, key_dim);
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
    for (size_t c = 0; c < value_dim / kScaleDims; ++c) {
      round_p(w, of_row.weights[c], p + (c * n_queries + i) * kGroupTokens);
    }
  }
  merge_group(n_queries, maxima, sums, m, l, weights);
}
