// Attention over one group of 64 tokens in f32. Tiles of any type become f32 once and serve all
// queries; where the queries are few, f16 tiles are converted in registers instead. Included once
// per SIMD target (Highway); the vectors hold at most 16 lanes.

#if defined(LONGHAUL_KERNELS_ATTENTION_F32_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LONGHAUL_KERNELS_ATTENTION_F32_INL_H_
#undef LONGHAUL_KERNELS_ATTENTION_F32_INL_H_
#else
#define LONGHAUL_KERNELS_ATTENTION_F32_INL_H_
#endif

#include <hwy/highway.h>

#include "kernels/attention_kernel.h"
#include "kernels/attention_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longhaul::attention {
namespace HWY_NAMESPACE {

// Vectors of sums per query; 4 queries at a time fill 16 of 32 registers or 8 of 16.
#if HWY_TARGET == HWY_AVX3
inline constexpr size_t kSumVectors = 4;
#else
inline constexpr size_t kSumVectors = 2;
#endif

// k[dim, 64] of tile j (columns 16 j ..) from a K tile.
HWY_INLINE void KeysToF32(KvType type, const std::byte* tile, size_t key_dim,
                          float* HWY_RESTRICT k) {
  const DF df;
  const DI di;
  const DU du;
  const size_t n = hn::Lanes(df);
  for (size_t t = 0; t < kTileTokens; t += n) {
    if (type == KvType::kF16) {
      for (size_t dim = 0; dim < key_dim; ++dim) {
        hn::StoreU(LoadHalf(tile + (dim * kTileTokens + t) * 2), df, k + dim * kGroupTokens + t);
      }
      continue;
    }
    const std::byte* scales = tile + kTileTokens * key_dim;
    for (size_t quad = 0; quad < key_dim / 4; ++quad) {
      const VF scale = LoadHalf(scales + (quad / (kScaleDims / 4) * kTileTokens + t) * 2);
      const auto* from = reinterpret_cast<const uint32_t*>(tile) + quad * kTileTokens + t;
      auto bytes = hn::LoadU(du, from);
      for (size_t i = 0; i < 4; ++i) {
        const auto byte = hn::BitCast(di, hn::And(bytes, hn::Set(du, 0xFFU)));
        const VF q = hn::ConvertTo(df, hn::Sub(byte, hn::Set(di, 128)));
        hn::StoreU(hn::Mul(q, scale), df, k + (quad * 4 + i) * kGroupTokens + t);
        bytes = hn::ShiftRight<8>(bytes);
      }
    }
  }
}

// v[16, value_dim] from a V tile; tokens outside `mask` become zeros, since their bytes may be
// anything.
HWY_INLINE void ValuesToF32(KvType type, const std::byte* tile, size_t value_dim, uint32_t mask,
                            float* HWY_RESTRICT v) {
  const DF df;
  const DI di;
  const DU du;
  const size_t n = hn::Lanes(df);
  const auto* scales = reinterpret_cast<const uint16_t*>(tile + kTileTokens * value_dim);
  for (size_t token = 0; token < kTileTokens; ++token, v += value_dim) {
    if (((mask >> token) & 1U) == 0) {
      for (size_t dim = 0; dim < value_dim; dim += n) hn::StoreU(hn::Zero(df), df, v + dim);
    } else if (type == KvType::kF16) {
      for (size_t dim = 0; dim < value_dim; dim += n) {
        hn::StoreU(LoadHalf(tile + (token * value_dim + dim) * 2), df, v + dim);
      }
    } else {
      const auto* from = reinterpret_cast<const uint32_t*>(tile) + token / 4 * value_dim;
      const int up = static_cast<int>(24 - token % 4 * 8);
      for (size_t dim = 0; dim < value_dim; dim += n) {
        const VF scale = hn::Set(df, f16_to_f32(scales[dim / kScaleDims * kTileTokens + token]));
        const auto high = hn::ShiftLeftSame(hn::LoadU(du, from + dim), up);
        const VF q = hn::ConvertTo(df, hn::ShiftRight<24>(hn::BitCast(di, high)));
        hn::StoreU(hn::Mul(q, scale), df, v + dim);
      }
    }
  }
}

// A row of kVectors vectors, and below it kQueries of them: recursive, because compilers keep
// structs of vectors in registers but not arrays.
template <size_t kVectors>
struct Row {
  VF head;
  Row<kVectors - 1> tail;

  HWY_INLINE void SetZero() {
    head = hn::Zero(DF());
    tail.SetZero();
  }
  template <class Matrix>
  HWY_INLINE void Load(const Matrix& from, size_t k, size_t column) {
    head = from.Load(k, column);
    tail.Load(from, k, column + hn::Lanes(DF()));
  }
  HWY_INLINE void Store(float* to) const {
    hn::StoreU(head, DF(), to);
    tail.Store(to + hn::Lanes(DF()));
  }
  HWY_INLINE void AddProduct(VF factor, const Row& row) {
    head = hn::MulAdd(factor, row.head, head);
    tail.AddProduct(factor, row.tail);
  }
  // to = to * keep + this * add
  HWY_INLINE void AddTo(float* to, VF keep, VF add) const {
    hn::StoreU(hn::MulAdd(head, add, hn::Mul(hn::LoadU(DF(), to), keep)), DF(), to);
    tail.AddTo(to + hn::Lanes(DF()), keep, add);
  }
};
template <>
struct Row<0> {
  HWY_INLINE void SetZero() {}
  template <class Matrix>
  HWY_INLINE void Load(const Matrix&, size_t, size_t) {}
  HWY_INLINE void Store(float*) const {}
  HWY_INLINE void AddProduct(VF, const Row&) {}
  HWY_INLINE void AddTo(float*, VF, VF) const {}
};

template <size_t kQueries, size_t kVectors>
struct Rows {
  Row<kVectors> head;
  Rows<kQueries - 1, kVectors> tail;

  HWY_INLINE void SetZero() {
    head.SetZero();
    tail.SetZero();
  }
  // Adds the outer product of factors[0], factors[stride], ... and a row.
  HWY_INLINE void AddProducts(const float* factors, size_t stride, const Row<kVectors>& row) {
    head.AddProduct(hn::Set(DF(), *factors), row);
    tail.AddProducts(factors + stride, stride, row);
  }
  HWY_INLINE void Store(float* to, size_t stride) const {
    head.Store(to);
    tail.Store(to + stride, stride);
  }
  // A group of weight 0 changes no bit.
  HWY_INLINE void AddTo(float* to, size_t stride, const float* keep, const float* add) const {
    if (*add != 0.0F) head.AddTo(to, hn::Set(DF(), *keep), hn::Set(DF(), *add));
    tail.AddTo(to + stride, stride, keep + 1, add + 1);
  }
};
template <size_t kVectors>
struct Rows<0, kVectors> {
  HWY_INLINE void SetZero() {}
  HWY_INLINE void AddProducts(const float*, size_t, const Row<kVectors>&) {}
  HWY_INLINE void Store(float*, size_t) const {}
  HWY_INLINE void AddTo(float*, size_t, const float*, const float*) const {}
};

// The matrices that queries and probabilities are multiplied by: K is [key_dim, 64 tokens], V [64
// tokens, value_dim].
struct FloatMatrix {
  const float* at;
  size_t stride;

  HWY_INLINE VF Load(size_t k, size_t column) const {
    return hn::LoadU(DF(), at + k * stride + column);
  }
  HWY_INLINE void Fetch(size_t, size_t, size_t) const {}
  HWY_INLINE void StopFetching() {}
};

// Tiles of f16 as they lie; `next`, if not null, are those to fetch meanwhile.
struct HalfKeys {
  const std::byte* const* tiles;
  const std::byte* const* next;

  HWY_INLINE VF Load(size_t k, size_t token) const {
    return LoadHalf(tiles[token / kTileTokens] + (k * kTileTokens + token % kTileTokens) * 2);
  }
  HWY_INLINE void Fetch(size_t k, size_t first, size_t n) const {
    if (next == nullptr) return;
    for (size_t token = first; token < first + n; token += kTileTokens) {
      FetchLines(next[token / kTileTokens], (k * kTileTokens + token % kTileTokens) * 2,
                 HWY_MIN(n, kTileTokens) * 2);
    }
  }
  HWY_INLINE void StopFetching() { next = nullptr; }
};
struct HalfValues {
  const std::byte* const* tiles;
  const std::byte* const* next;
  size_t value_dim;

  HWY_INLINE VF Load(size_t k, size_t dim) const {
    return LoadHalf(tiles[k / kTileTokens] + (k % kTileTokens * value_dim + dim) * 2);
  }
  HWY_INLINE void Fetch(size_t k, size_t first, size_t n) const {
    if (next == nullptr) return;
    FetchLines(next[k / kTileTokens], (k % kTileTokens * value_dim + first) * 2, n * 2);
  }
  HWY_INLINE void StopFetching() { next = nullptr; }
};

// The sums of `depth` outer products: a[i, depth] by b[depth, columns], columns from `column` on.
template <size_t kQueries, size_t kVectors, class Matrix>
HWY_INLINE void Multiply(const float* HWY_RESTRICT a, size_t a_stride, const Matrix& b,
                         size_t column, size_t depth, Rows<kQueries, kVectors>& sums) {
  sums.SetZero();
  for (size_t k = 0; k < depth; ++k) {
    b.Fetch(k, column, kVectors * hn::Lanes(DF()));
    Row<kVectors> row;
    row.Load(b, k, column);
    sums.AddProducts(a + k, a_stride, row);
  }
}

template <size_t kQueries, class Keys>
HWY_INLINE void ScoresOf(const float* q, const Keys& k, size_t key_dim, float* scores) {
  for (size_t t = 0; t < kGroupTokens; t += kSumVectors * hn::Lanes(DF())) {
    Rows<kQueries, kSumVectors> sums;
    Multiply(q, key_dim, k, t, key_dim, sums);
    sums.Store(scores + t, kGroupTokens);
  }
}

template <size_t kQueries, class Values>
HWY_INLINE void ValuesOf(const float* p, const Values& v, size_t value_dim, const float* keep,
                         const float* add, float* o) {
  const size_t step = kSumVectors * hn::Lanes(DF());
  size_t dim = 0;
  for (; dim + step <= value_dim; dim += step) {
    Rows<kQueries, kSumVectors> sums;
    Multiply(p, kGroupTokens, v, dim, kGroupTokens, sums);
    sums.AddTo(o + dim, value_dim, keep, add);
  }
  if (dim < value_dim) {  // 32 dimensions
    Rows<kQueries, 2> sums;
    Multiply(p, kGroupTokens, v, dim, kGroupTokens, sums);
    sums.AddTo(o + dim, value_dim, keep, add);
  }
}

// scores[i, 64] = q[i] . k for rows of q [key_dim].
template <class Keys>
HWY_INLINE void ScoresF32(size_t n_queries, const float* q, Keys k, size_t key_dim, float* scores) {
  for (; n_queries > 4; n_queries -= 4, q += 4 * key_dim, scores += 4 * kGroupTokens) {
    ScoresOf<4>(q, k, key_dim, scores);
    k.StopFetching();
  }
  switch (n_queries) {
    case 1:
      return ScoresOf<1>(q, k, key_dim, scores);
    case 2:
      return ScoresOf<2>(q, k, key_dim, scores);
    case 3:
      return ScoresOf<3>(q, k, key_dim, scores);
    default:
      return ScoresOf<4>(q, k, key_dim, scores);
  }
}

// o[i] = o[i] * keep[i] + add[i] * sum over the 64 tokens of p[i, token] v[token].
template <class Values>
HWY_INLINE void ValuesF32(size_t n_queries, const float* p, Values v, size_t value_dim,
                          const float* keep, const float* add, float* o) {
  for (; n_queries > 4; n_queries -= 4, p += 4 * kGroupTokens, o += 4 * value_dim) {
    ValuesOf<4>(p, v, value_dim, keep, add, o);
    v.StopFetching();
    keep += 4;
    add += 4;
  }
  switch (n_queries) {
    case 1:
      return ValuesOf<1>(p, v, value_dim, keep, add, o);
    case 2:
      return ValuesOf<2>(p, v, value_dim, keep, add, o);
    case 3:
      return ValuesOf<3>(p, v, value_dim, keep, add, o);
    default:
      return ValuesOf<4>(p, v, value_dim, keep, add, o);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace longhaul::attention
HWY_AFTER_NAMESPACE();

#endif  // LONGHAUL_KERNELS_ATTENTION_F32_INL_H_
