// What attention in 8-bit integers rounds: queries, once, and probabilities, group by group, with
// the scales of K and V. A fragment of attention_int8-inl.h.

void prepare_keys(const TileGroup& group, size_t key_dim, float* k_scales) {
  for (size_t j = 0; j < kGroupTiles; ++j) {
    const std::byte* from = group.k[j] + kTileTokens * key_dim;
    for (size_t c = 0; c < key_dim / kScaleDims; ++c) {
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

void round_queries(size_t n_queries, size_t key_dim, Queries& queries) {
  const size_t n_chunks = key_dim / kScaleDims;
  queries.bytes.ensure(n_queries * key_dim * kWords);
  queries.scales.ensure(n_queries * n_chunks);
  queries.offsets.ensure(n_queries * n_chunks);
  const size_t block_size = query_block_size(n_queries);
  for (size_t query = 0; query < n_queries; ++query) {
    const size_t first = query / block_size * block_size;
    const size_t n = HWY_MIN(block_size, n_queries - first);
    int8_t* to = queries.bytes.data() + first * key_dim * kWords + (query - first) * 4;
    for (size_t c = 0; c < n_chunks; ++c) {
      RoundedChunk chunk;
      round_chunk(queries.f32.data() + query * key_dim + c * kScaleDims, chunk);
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

// From x in [2^-20, 1] up to the next number y of 4 mantissa bits: shift = log2(y), inverse
// = 1 / y.
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
                                size_t value_dim) {
  const DI di;
  const size_t slot = t % kTileTokens;
  const VF scales = LoadHalf(group.v[t / kTileTokens] + scale_offset(slot, c, value_dim));
  const VI bits = hn::Set(di, masks[t / kTileTokens] >> slot);
  const auto seen = hn::TestBit(bits, hn::Shl(hn::Set(di, 1), hn::Iota(di, 0)));
  return hn::IfThenElseZero(hn::RebindMask(DF(), seen), scales);
}

// The higher one; `b` if `a` is NaN.
HWY_INLINE VF higher(VF a, VF b) { return hn::IfThenElse(hn::Gt(a, b), a, b); }

void prepare_values(const TileGroup& group, const uint16_t masks[kGroupTiles], size_t value_dim,
                    ValueScales& scales) {
  const DF df;
  const size_t n_chunks = value_dim / kScaleDims;
  // The largest over the chunks of a token's scale to the group's; then 255 times its inverse.
  HWY_ALIGN float share[kGroupTokens];
  for (float& x : share) x = kSmallestShare;
  for (size_t c = 0; c < n_chunks; ++c) {
    float* weights = scales.weights[c];
    VF highest = hn::Zero(df);
    auto nan = hn::Ne(highest, highest);
    for (size_t t = 0; t < kGroupTokens; t += kLanes) {
      const VF x = load_value_scales(group, masks, t, c, value_dim);
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
             size_t /*key_dim*/, size_t value_dim, const float* scores, float* m, float* l,
             GroupWeights& weights, uint8_t* p) {
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
    for (size_t c = 0; c < value_dim / kScaleDims; ++c) {
      round_p(w, of_row.weights[c], p + (c * n_queries + i) * kQueryPBytes);
    }
  }
  MergeGroup(maxima, sums, n_queries, m, l, weights);
}
