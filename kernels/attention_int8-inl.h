// Attention over one group of 64 tokens in 8-bit integers, on vectors of any target. A fragment:
// include it inside a target's namespace, after what multiplies bytes there. A lane holds 4 bytes,
// which are multiplied in kWords steps, a Word each:
//   unsigned_word(w, bytes), signed_word(w, bytes)  what step w multiplies of some bytes;
//   load_word(from)                                 the same word of 4 bytes in every lane;
//   Sum, set_zero(), add(unsigned, signed), total() the sums of products of the lanes.

constexpr size_t kLanes = hn::MaxLanes(DF());
constexpr size_t kChunkQuads = kScaleDims / 4;
constexpr size_t kPlaneBytes = kGroupTokens;           // one word of 16 quads of p
constexpr size_t kQueryPBytes = kWords * kPlaneBytes;  // p of a query and chunk

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
  const int8_t* q;         // [head_dim / 4, kWords, n_queries, 4]
  const float* q_scales;   // [head_dim / 32, n_queries]
  const int32_t* offsets;  // like q_scales
  size_t n_queries;
  const TileGroup& group;
  const TileGroup* next;
  const float* k_scales;
  size_t head_dim;
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
      for (size_t c = 0; c < head_dim / kScaleDims; ++c) {
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
  size_t head_dim;
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
        float* to = o + query * head_dim + dim + v * kLanes;
        const VF x = hn::ConvertTo(df, sums[i][v].total());
        hn::StoreU(hn::MulAdd(x, unit, hn::Mul(hn::LoadU(df, to), keep)), df, to);
      }
    }
  }

  // Queries first .. first + kQueries of the block.
  template <size_t kQueries>
  HWY_INLINE void run(size_t first) const {
    constexpr size_t kVectors = HWY_MIN(vectors_of(kQueries), kScaleDims / kLanes);
    for (size_t dim = 0; dim < head_dim; dim += kVectors * kLanes) {
      const uint8_t* words = p + (dim / kScaleDims * n_queries + first) * kQueryPBytes;
      Sum sums[kQueries][kVectors];
      set_zero(sums);
      for (size_t j = 0; j < kGroupTiles; ++j) {
        LH_UNROLL
        for (size_t g = 0; g < kTileTokens / 4; ++g) {
          const size_t at = (g * head_dim + dim) * 4;
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
            const TileGroup* next, const float* k_scales, size_t head_dim, float* scores) {
  const size_t n_chunks = head_dim / kScaleDims;
  run_in_parts(KeyPass{queries.bytes.data() + first * head_dim * kWords,
                       queries.scales.data() + first * n_chunks,
                       queries.offsets.data() + first * n_chunks, n_queries, group, next, k_scales,
                       head_dim, scores});
}

void values(size_t n_queries, const uint8_t* p, const TileGroup& group, const TileGroup* next,
            const ValueScales* const* scales, size_t head_dim, const GroupWeights& weights,
            float* o) {
  run_in_parts(ValuePass{p, n_queries, group, next, scales, head_dim, weights, o});
}

void prepare_keys(const TileGroup& group, size_t head_dim, float* k_scales) {
  for (size_t j = 0; j < kGroupTiles; ++j) {
    const std::byte* from = group.k[j] + kTileTokens * head_dim;
    for (size_t c = 0; c < head_dim / kScaleDims; ++c) {
      for (size_t t = 0; t < kTileTokens; t += kLanes) {
        hn::StoreU(LoadHalf(from + (c * kTileTokens + t) * 2), DF(),
                   k_scales + c * kGroupTokens + j * kTileTokens + t);
      }
    }
  }
}

// The integers of 32 numbers, and their scale and sum.
struct RoundedChunk {
  int8_t bytes[kScaleDims];
  float scale;
  int32_t sum;
};

HWY_INLINE void round_chunk(const float* from, RoundedChunk& to) {
  const DF df;
  const DI di;
  // Magnitudes order like their bits, NaN last: infinity and NaN end up in the scale.
  VI highest = hn::Zero(di);
  for (size_t d = 0; d < kScaleDims; d += kLanes) {
    highest = hn::Max(highest, hn::BitCast(di, hn::Abs(hn::LoadU(df, from + d))));
  }
  const float amax = hn::GetLane(hn::BitCast(df, hn::MaxOfLanes(di, highest)));
  const bool usable = amax >= kLargestQuery * std::numeric_limits<float>::min() &&
                      amax <= std::numeric_limits<float>::max();
  const VF inverse = hn::Set(df, usable ? kLargestQuery / amax : 0.0F);
  VI sum = hn::Zero(di);
  for (size_t d = 0; d < kScaleDims; d += kLanes) {
    const VF x = usable ? hn::LoadU(df, from + d) : hn::Zero(df);
    const VI q = hn::NearestInt(hn::Mul(x, inverse));
    const hn::Rebind<int8_t, DF> d8;
    hn::StoreU(hn::DemoteTo(d8, q), d8, to.bytes + d);
    sum = hn::Add(sum, q);
  }
  to.scale = amax / kLargestQuery;
  to.sum = hn::GetLane(hn::SumOfLanes(di, sum));
}

// Lays the words of a chunk's quads `stride` bytes apart.
HWY_INLINE void store_chunk(const int8_t* bytes, size_t stride, int8_t* to) {
  const hn::CappedTag<uint8_t, kScaleDims> d8;
  constexpr size_t kQuads = hn::MaxLanes(d8) / 4;
  for (size_t first = 0; first < kChunkQuads; first += kQuads) {
    const auto quads = hn::LoadU(d8, reinterpret_cast<const uint8_t*>(bytes) + first * 4);
    for (size_t word = 0; word < kWords; ++word) {
      HWY_ALIGN uint8_t words[kScaleDims];
      hn::StoreU(hn::BitCast(d8, signed_word(word, quads)), d8, words);
      for (size_t i = 0; i < kQuads; ++i) {
        hwy::CopyBytes<4>(words + 4 * i, to + ((first + i) * kWords + word) * stride);
      }
    }
  }
}

void round_queries(size_t n_queries, size_t head_dim, Queries& queries) {
  const size_t n_chunks = head_dim / kScaleDims;
  queries.bytes.ensure(n_queries * head_dim * kWords);
  queries.scales.ensure(n_queries * n_chunks);
  queries.offsets.ensure(n_queries * n_chunks);
  const size_t block_size = query_block_size(n_queries);
  for (size_t query = 0; query < n_queries; ++query) {
    const size_t first = query / block_size * block_size;
    const size_t n = HWY_MIN(block_size, n_queries - first);
    int8_t* to = queries.bytes.data() + first * head_dim * kWords + (query - first) * 4;
    for (size_t c = 0; c < n_chunks; ++c) {
      RoundedChunk chunk;
      round_chunk(queries.f32.data() + query * head_dim + c * kScaleDims, chunk);
      store_chunk(chunk.bytes, 4 * n, to + c * kScaleDims * kWords * n);
      const size_t at = first * n_chunks + c * n + query - first;
      queries.scales[at] = chunk.scale;
      queries.offsets[at] = -128 * chunk.sum;
    }
  }
}

// table[i], i < 16, in every lane.
HWY_INLINE VF look_up(const float* table, VI i) {
  const DF df;
  const auto within = hn::IndicesFromVec(df, hn::And(i, hn::Set(DI(), int32_t{kLanes - 1})));
  VF found = hn::TableLookupLanes(hn::LoadU(df, table), within);
  for (size_t first = kLanes; first < 16; first += kLanes) {
    const auto below = hn::Lt(i, hn::Set(DI(), static_cast<int32_t>(first)));
    const VF here = hn::TableLookupLanes(hn::LoadU(df, table + first), within);
    found = hn::IfThenElse(hn::RebindMask(df, below), found, here);
  }
  return found;
}

// Splits x in [2^-20, 1] up to the next number of 4 mantissa bits: shift = log2 of it, inverse = 1
// / it.
HWY_INLINE void split_share(VF x, float* shift, float* inverse) {
  static constexpr float kLog2[16] = {// log2(1 + i / 16)
                                      0.0F,         0.0874628413F, 0.169925001F, 0.247927513F,
                                      0.321928095F, 0.392317423F,  0.459431619F, 0.523561956F,
                                      0.584962501F, 0.64385619F,   0.700439718F, 0.754887502F,
                                      0.807354922F, 0.857980995F,  0.906890596F, 0.95419631F};
  const DF df;
  const DI di;
  const VI high = hn::Add(hn::ShiftRight<19>(hn::BitCast(di, x)), hn::Set(di, 1));
  const VF exponent = hn::ConvertTo(df, hn::Sub(hn::ShiftRight<4>(high), hn::Set(di, 127)));
  hn::StoreU(hn::Add(exponent, look_up(kLog2, hn::And(high, hn::Set(di, 15)))), df, shift);
  hn::StoreU(hn::Div(hn::Set(df, 1.0F), hn::BitCast(df, hn::ShiftLeft<19>(high))), df, inverse);
}

// The V scales of tokens t, t + 1, ... of a group, 0 where they are not seen.
HWY_INLINE VF load_value_scales(const TileGroup& group, const uint16_t* masks, size_t t, size_t c,
                                size_t head_dim) {
  const DI di;
  const size_t slot = t % kTileTokens;
  const VF scales = LoadHalf(group.v[t / kTileTokens] + scale_offset(slot, c, head_dim));
  const VI bits = hn::Set(di, masks[t / kTileTokens] >> slot);
  const auto seen = hn::TestBit(bits, hn::Shl(hn::Set(di, 1), hn::Iota(di, 0)));
  return hn::IfThenElseZero(hn::RebindMask(DF(), seen), scales);
}

// The higher one; `b` if `a` is NaN.
HWY_INLINE VF higher(VF a, VF b) { return hn::IfThenElse(hn::Gt(a, b), a, b); }

void prepare_values(const TileGroup& group, const uint16_t masks[kGroupTiles], size_t head_dim,
                    ValueScales& scales) {
  const DF df;
  const size_t n_chunks = head_dim / kScaleDims;
  // The largest over the chunks of a token's scale to the group's; then 255 times its inverse.
  HWY_ALIGN float share[kGroupTokens];
  for (float& x : share) x = kSmallestShare;
  for (size_t c = 0; c < n_chunks; ++c) {
    float* weights = scales.weights[c];
    VF highest = hn::Zero(df);
    auto nan = hn::Ne(highest, highest);
    for (size_t t = 0; t < kGroupTokens; t += kLanes) {
      const VF x = load_value_scales(group, masks, t, c, head_dim);
      highest = higher(x, highest);
      nan = hn::Or(nan, hn::Ne(x, x));
      hn::StoreU(x, df, weights + t);
    }
    const float max = hn::GetLane(hn::MaxOfLanes(df, highest));
    const VF inverse = hn::Set(df, max > 0.0F ? 1.0F / max : 0.0F);
    for (size_t t = 0; t < kGroupTokens; t += kLanes) {
      const VF of_group = hn::Mul(hn::LoadU(df, weights + t), inverse);
      hn::StoreU(higher(of_group, hn::Load(df, share + t)), df, share + t);
      hn::StoreU(of_group, df, weights + t);
    }
    const bool any_nan = !hn::AllFalse(df, nan);
    scales.units[c] = any_nan ? std::numeric_limits<float>::quiet_NaN() : max / kLargestP;
  }
  for (size_t t = 0; t < kGroupTokens; t += kLanes) {
    split_share(hn::Load(df, share + t), scales.shift + t, scales.inverse + t);
    const VF factor = hn::Mul(hn::LoadU(df, scales.inverse + t), hn::Set(df, kLargestP));
    for (size_t c = 0; c < n_chunks; ++c) {
      float* weights = scales.weights[c] + t;
      hn::StoreU(hn::Mul(hn::LoadU(df, weights), factor), df, weights);
    }
  }
}

// Integers of 0 to 255 as bytes, the 4 of a block beside those of the same block of b.
HWY_INLINE hn::Vec<hn::Half<D8>> pack(VI a, VI b) {
  const hn::Repartition<int16_t, DF> d16;
  return hn::DemoteTo(hn::Half<D8>(), hn::ReorderDemote2To(d16, a, b));
}

// The words of the integers of w * weight, at most 255, in the order of p_place. Added to 2^23 a
// number of that size is rounded, to an integer in the low bits.
HWY_INLINE void round_p(const float* w, const float* weight, uint8_t* p) {
  const DF df;
  const VF magic = hn::Set(df, 0x1p23F);
  for (size_t t = 0; t < kGroupTokens; t += 4 * kLanes) {
    VI x[4];
    LH_UNROLL
    for (size_t v = 0; v < 4; ++v) {
      const size_t at = t + v * kLanes;
      const VF sum = hn::MulAdd(hn::Load(df, w + at), hn::LoadU(df, weight + at), magic);
      x[v] = hn::Sub(hn::BitCast(DI(), sum), hn::BitCast(DI(), magic));
    }
    const V8 bytes = hn::Combine(D8(), pack(x[2], x[3]), pack(x[0], x[1]));
    LH_UNROLL
    for (size_t word = 0; word < kWords; ++word) {
      hn::StoreU(hn::BitCast(D8(), unsigned_word(word, bytes)), D8(), p + word * kPlaneBytes + t);
    }
  }
}

void softmax(size_t n_queries, const TileGroup* /*next*/, const ValueScales* const* scales,
             size_t head_dim, const float* scores, float* m, float* l, GroupWeights& weights,
             uint8_t* p) {
  const DF df;
  float maxima[kMaxQueryBlock];
  for (size_t i = 0; i < n_queries; ++i) {
    VF max = hn::Set(df, kMinusInf);
    for (size_t t = 0; t < kGroupTokens; t += kLanes) {
      const VF s = hn::LoadU(df, scores + i * kGroupTokens + t);
      max = hn::Max(max, hn::Add(s, hn::LoadU(df, scales[i]->shift + t)));
    }
    maxima[i] = hn::GetLane(hn::MaxOfLanes(df, max));
  }
  float sums[kMaxQueryBlock];
  for (size_t i = 0; i < n_queries; ++i) {
    const ValueScales& of_row = *scales[i];
    const VF base = hn::Set(df, maxima[i] == kMinusInf ? 0.0F : maxima[i]);
    HWY_ALIGN float w[kGroupTokens];  // the powers
    VF sum = hn::Zero(df);
    for (size_t t = 0; t < kGroupTokens; t += kLanes) {
      const VF s = hn::LoadU(df, scores + i * kGroupTokens + t);
      const VF power = Exp2<true>(hn::Sub(hn::Add(s, hn::LoadU(df, of_row.shift + t)), base));
      hn::Store(power, df, w + t);
      sum = hn::MulAdd(power, hn::LoadU(df, of_row.inverse + t), sum);
    }
    sums[i] = hn::GetLane(hn::SumOfLanes(df, sum));
    for (size_t c = 0; c < head_dim / kScaleDims; ++c) {
      round_p(w, of_row.weights[c], p + (c * n_queries + i) * kQueryPBytes);
    }
  }
  MergeGroup(maxima, sums, n_queries, m, l, weights);
}

constexpr Int8Kernels table_named(const char* name) {
  return {name, round_queries, prepare_keys, scores, prepare_values, softmax, values};
}
