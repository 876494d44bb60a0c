// Attention over one group of 64 tokens in 8-bit integers, on vectors of any target. A fragment:
// include it inside a target's namespace, after what multiplies bytes there. A lane holds 4 bytes,
// which are multiplied in kWords steps, a Word each:
//   unsigned_word(w, bytes), signed_word(w, bytes)  what step w multiplies of some bytes;
//   Sum, set_zero(), add(unsigned, signed), total() the sums of products of the lanes.

constexpr size_t kLanes = hn::MaxLanes(DF());
constexpr size_t kChunkQuads = kScaleDims / 4;
constexpr size_t kPlaneBytes = kGroupTokens;           // one word of 16 quads of p
constexpr size_t kQueryPBytes = kWords * kPlaneBytes;  // p of a query and chunk

// The same word of 4 bytes in every lane.
HWY_INLINE Word load_word(const void* from) {
  int32_t bits;
  hwy::CopyBytes<4>(from, &bits);
  return hn::BitCast(hn::DFromV<Word>(), hn::Set(DI(), bits));
}

// Up to 4 queries pass the tiles together; their sums fill 8 of 16 registers.
constexpr size_t vectors_of(size_t n_queries) { return n_queries <= 2 ? 4 : 2; }

// Where the products' factors stand: keys are the unsigned ones, values the signed.
struct KeyProducts {
  static HWY_INLINE Word weight(size_t word, V8 bytes) { return unsigned_word(word, bytes); }
  static HWY_INLINE void add(Sum& sum, Word weight, Word q) { sum.add(weight, q); }
};
struct ValueProducts {
  static HWY_INLINE Word weight(size_t word, V8 bytes) { return signed_word(word, bytes); }
  static HWY_INLINE void add(Sum& sum, Word weight, Word p) { sum.add(p, weight); }
};

template <size_t kQueries, size_t kVectors>
HWY_INLINE void set_zero(Sum (&sums)[kQueries][kVectors]) {
  LH_UNROLL
  for (size_t i = 0; i < kQueries; ++i) {
    LH_UNROLL
    for (size_t v = 0; v < kVectors; ++v) sums[i][v].set_zero();
  }
}

// sums[i][v] += the products of the words of bytes[v] with those of query i, which lie at factors +
// word * word_stride + i * query_stride.
template <class Products, size_t kQueries, size_t kVectors>
HWY_INLINE void add_products(Sum (&sums)[kQueries][kVectors], const V8 (&bytes)[kVectors],
                             const void* factors, size_t word_stride, size_t query_stride) {
  LH_UNROLL
  for (size_t word = 0; word < kWords; ++word) {
    Word weights[kVectors];
    LH_UNROLL
    for (size_t v = 0; v < kVectors; ++v) weights[v] = Products::weight(word, bytes[v]);
    const auto* from = static_cast<const uint8_t*>(factors) + word * word_stride;
    LH_UNROLL
    for (size_t i = 0; i < kQueries; ++i) {
      const Word factor = load_word(from + i * query_stride);
      LH_UNROLL
      for (size_t v = 0; v < kVectors; ++v) Products::add(sums[i][v], weights[v], factor);
    }
  }
}

HWY_INLINE V8 load_bytes(const std::byte* from) {
  return hn::LoadU(D8(), reinterpret_cast<const uint8_t*>(from));
}

// A block of queries against the K of a group: what scores() is given.
struct KeyPass {
  const int8_t* q;         // [key_dim / 4, kWords, n_queries, 4]
  const float* q_scales;   // [key_dim / 32, n_queries]
  const int32_t* offsets;  // like q_scales
  size_t n_queries;
  const TileGroup& group;
  const TileGroup* next;
  const float* k_scales;
  size_t key_dim;
  float* scores;

  // Asks for the lines of `next` where `n_tokens` tokens from t on have their bytes at `at`.
  HWY_INLINE void fetch(size_t t, size_t n_tokens, size_t at) const {
    for (size_t token = t; token < t + n_tokens; token += kTileTokens) {
      FetchLines(next->k[token / kTileTokens], at, HWY_MIN(n_tokens, kTileTokens) * 4);
    }
  }

  // scores (+)= sums * the scales of chunk c, for tokens from t on.
  template <size_t kQueries, size_t kVectors>
  HWY_INLINE void add_scores(const Sum (&sums)[kQueries][kVectors], size_t first, size_t t,
                             size_t c) const {
    const DF df;
    LH_UNROLL
    for (size_t i = 0; i < kQueries; ++i) {
      const size_t query = c * n_queries + first + i;
      const VF q_scale = hn::Set(df, q_scales[query]);
      const VI offset = hn::Set(DI(), offsets[query]);
      LH_UNROLL
      for (size_t v = 0; v < kVectors; ++v) {
        const size_t token = t + v * kLanes;
        float* to = scores + (first + i) * kGroupTokens + token;
        const VF unit = hn::Mul(hn::LoadU(df, k_scales + c * kGroupTokens + token), q_scale);
        const VF x = hn::ConvertTo(df, hn::Add(sums[i][v].total(), offset));
        hn::StoreU(c == 0 ? hn::Mul(x, unit) : hn::MulAdd(x, unit, hn::LoadU(df, to)), df, to);
      }
    }
  }

  // Queries first .. first + kQueries of the block.
  template <size_t kQueries>
  HWY_INLINE void run(size_t first) const {
    constexpr size_t kVectors = vectors_of(kQueries);
    for (size_t t = 0; t < kGroupTokens; t += kVectors * kLanes) {
      const int8_t* words = q + 4 * first;
      size_t at = t % kTileTokens * 4;
      for (size_t c = 0; c < key_dim / kScaleDims; ++c) {
        Sum sums[kQueries][kVectors];
        set_zero(sums);
        for (size_t quad = 0; quad < kChunkQuads; ++quad, at += kTileTokens * 4) {
          V8 k[kVectors];
          LH_UNROLL
          for (size_t v = 0; v < kVectors; ++v) {
            const size_t token = t + v * kLanes;
            const size_t beyond = token % kTileTokens - t % kTileTokens;
            k[v] = load_bytes(group.k[token / kTileTokens] + at + beyond * 4);
          }
          if (next != nullptr && first == 0) fetch(t, kVectors * kLanes, at);
          add_products<KeyProducts>(sums, k, words, 4 * n_queries, 4);
          words += 4 * kWords * n_queries;
        }
        add_scores(sums, first, t, c);
      }
    }
  }
};

// Where softmax leaves the word of 4 tokens: it packs pairs of vectors, block by block of 16 bytes.
constexpr size_t p_place(size_t quad) {
  constexpr size_t kBlocks = kLanes / 4;
  const size_t vector = quad / kBlocks;
  return (vector / 2 * 2 * kBlocks + quad % kBlocks * 2 + vector % 2) * 4;
}

// The probabilities of a block of queries times the V of a group: what values() is given.
struct ValuePass {
  const uint8_t* p;
  size_t n_queries;
  const TileGroup& group;
  const TileGroup* next;
  const ValueScales* const* scales;
  size_t value_dim;
  const GroupWeights& weights;
  float* o;

  template <size_t kQueries, size_t kVectors>
  HWY_INLINE void add_to_output(const Sum (&sums)[kQueries][kVectors], size_t first,
                                size_t dim) const {
    const DF df;
    LH_UNROLL
    for (size_t i = 0; i < kQueries; ++i) {
      const size_t query = first + i;
      const float add = weights.add[query];
      if (add == 0.0F) continue;  // a group of weight 0 changes no bit
      const VF keep = hn::Set(df, weights.keep[query]);
      const VF unit = hn::Set(df, scales[query]->units[dim / kScaleDims] * add);
      LH_UNROLL
      for (size_t v = 0; v < kVectors; ++v) {
        float* to = o + query * value_dim + dim + v * kLanes;
        const VF x = hn::ConvertTo(df, sums[i][v].total());
        hn::StoreU(hn::MulAdd(x, unit, hn::Mul(hn::LoadU(df, to), keep)), df, to);
      }
    }
  }

  // Queries first .. first + kQueries of the block.
  template <size_t kQueries>
  HWY_INLINE void run(size_t first) const {
    constexpr size_t kVectors = HWY_MIN(vectors_of(kQueries), kScaleDims / kLanes);
    for (size_t dim = 0; dim < value_dim; dim += kVectors * kLanes) {
      const uint8_t* words = p + (dim / kScaleDims * n_queries + first) * kQueryPBytes;
      Sum sums[kQueries][kVectors];
      set_zero(sums);
      for (size_t j = 0; j < kGroupTiles; ++j) {
        LH_UNROLL
        for (size_t g = 0; g < kTileTokens / 4; ++g) {
          const size_t at = (g * value_dim + dim) * 4;
          V8 v[kVectors];
          LH_UNROLL
          for (size_t i = 0; i < kVectors; ++i) {
            v[i] = load_bytes(group.v[j] + at + i * kLanes * 4);
          }
          if (next != nullptr && first == 0) FetchLines(next->v[j], at, kVectors * kLanes * 4);
          add_products<ValueProducts>(sums, v, words + p_place(j * (kTileTokens / 4) + g),
                                      kPlaneBytes, kQueryPBytes);
        }
      }
      add_to_output(sums, first, dim);
    }
  }
};

// A block of at most 8 queries in parts of at most 4.
template <class Pass>
HWY_INLINE void run_in_parts(const Pass& pass) {
  const size_t n = pass.n_queries;
  const size_t part = n <= 4 ? n : (n + 1) / 2;
  for (size_t first = 0; first < n; first += part) {
    switch (HWY_MIN(part, n - first)) {
      case 1:
        pass.template run<1>(first);
        break;
      case 2:
        pass.template run<2>(first);
        break;
      case 3:
        pass.template run<3>(first);
        break;
      default:
        pass.template run<4>(first);
    }
  }
}

void scores(size_t n_queries, const Queries& queries, size_t first, const TileGroup& group,
            const TileGroup* next, const float* k_scales, size_t key_dim, float* scores) {
  const size_t n_chunks = key_dim / kScaleDims;
  run_in_parts(KeyPass{queries.bytes.data() + first * key_dim * kWords,
                       queries.scales.data() + first * n_chunks,
                       queries.offsets.data() + first * n_chunks, n_queries, group, next, k_scales,
                       key_dim, scores});
}

void values(size_t n_queries, const uint8_t* p, const TileGroup& group, const TileGroup* next,
            const ValueScales* const* scales, size_t value_dim, const GroupWeights& weights,
            float* o) {
  run_in_parts(ValuePass{p, n_queries, group, next, scales, value_dim, weights, o});
}

#include "kernels/attention_int8_rounding-inl.h"

constexpr Int8Kernels table_named(const char* name) {
  return {name, round_queries, prepare_keys, scores, prepare_values, softmax, values};
}
