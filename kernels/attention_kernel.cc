// The walk of a task over its tiles, compiled for every SIMD target.
#include "kernels/attention_kernel.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "hwy/cache_control.h"
#include "kernels/attention_int8.h"

// GCC warns of its own _mm512_undefined_* (its bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention_kernel.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/attention_f32-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longhaul::attention {
namespace HWY_NAMESPACE {

// Pointers and masks of the group that starts at the range's tile `first`.
HWY_INLINE TileGroup GroupAt(const TileRange& tiles, size_t first) {
  const KvView& kv = *tiles.kv;
  const int page_shift = std::countr_zero(kv.tiles_per_page);
  const size_t k_bytes = k_tile_bytes(kv.k_type, kv.key_dim);
  const size_t tile_bytes = k_bytes + v_tile_bytes(kv.v_type, kv.value_dim);
  TileGroup group;
  for (size_t j = 0; j < kGroupTiles; ++j) {
    const size_t i = std::clamp(first + j, tiles.n_before, tiles.n_tiles - 1);
    const TileRef ref = tiles.list != nullptr
                            ? tiles.list[i]
                            : TileRef{tiles.first_tile + static_cast<uint32_t>(i), 0xFFFF};
    const uint32_t tile = ref.tile;
    const size_t page = kv.pages[tile >> page_shift];
    const size_t place = tile & (kv.tiles_per_page - 1);
    group.k[j] = kv.base + page * kv.page_stride + place * tile_bytes;
    group.v[j] = group.k[j] + k_bytes;
    group.first_pos[j] = tile * static_cast<uint32_t>(kTileTokens);
    group.mask[j] = i == first + j ? ref.mask : uint16_t{0};
  }
  return group;
}

HWY_INLINE bool AllVisible(const TileGroup& group, Sight sight) {
  bool all = true;
  for (size_t j = 0; j < kGroupTiles; ++j) all &= visible(group, j, sight) == 0xFFFF;
  return all;
}

// Writes -inf where the token is not seen.
HWY_INLINE void MaskScores(const TileGroup& group, Sight sight, float* HWY_RESTRICT scores) {
  const DF df;
  const DI di;
  const size_t n = hn::Lanes(df);
  HWY_ALIGN int32_t bits[kTileTokens];
  for (size_t i = 0; i < kTileTokens; ++i) bits[i] = 1 << i;
  for (size_t j = 0; j < kGroupTiles; ++j) {
    const auto mask = hn::Set(di, static_cast<int32_t>(visible(group, j, sight)));
    for (size_t t = 0; t < kTileTokens; t += n) {
      float* at = scores + j * kTileTokens + t;
      const auto seen = hn::TestBit(mask, hn::LoadU(di, bits + t));
      hn::StoreU(
          hn::IfThenElse(hn::RebindMask(df, seen), hn::LoadU(df, at), hn::Set(df, kMinusInf)), df,
          at);
    }
  }
}

// Turns rows of 64 scores into p = 2^(s - max) in place, and finds their maxima and sums of p. All
// -inf gives zeros. In passes over the rows, since the steps of one row wait for each other.
HWY_NOINLINE void Softmax(float* HWY_RESTRICT scores, size_t n_rows, float* HWY_RESTRICT max,
                          float* HWY_RESTRICT sum) {
  const DF df;
  const size_t n = hn::Lanes(df);
  for (size_t i = 0; i < n_rows; ++i) {
    const float* row = scores + i * kGroupTokens;
    VF highest = hn::LoadU(df, row);
    for (size_t t = n; t < kGroupTokens; t += n) highest = hn::Max(highest, hn::LoadU(df, row + t));
    max[i] = hn::GetLane(hn::MaxOfLanes(df, highest));
  }
  HWY_ALIGN float sums[kMaxQueryBlock * kTileTokens];
  for (size_t i = 0; i < n_rows; ++i) {
    float* row = scores + i * kGroupTokens;
    const VF base = hn::Set(df, max[i] == kMinusInf ? 0.0F : max[i]);
    VF total = hn::Zero(df);
    for (size_t t = 0; t < kGroupTokens; t += n) {
      const VF p = Exp2(hn::Sub(hn::LoadU(df, row + t), base));
      hn::StoreU(p, df, row + t);
      total = hn::Add(total, p);
    }
    hn::StoreU(total, df, sums + i * n);
  }
  for (size_t i = 0; i < n_rows; ++i)
    sum[i] = hn::GetLane(hn::SumOfLanes(df, hn::LoadU(df, sums + i * n)));
}

// Asks for one line of each tile of a group, of q8_0 the scales: then its page is known when the
// rest is asked for, between the products.
HWY_INLINE void FetchFirst(KvType type, const std::byte* const* tiles, size_t dim) {
  const size_t n_scales = kTileTokens * dim / kScaleDims;
  const size_t at = type == KvType::kQ8_0 ? kTileTokens * dim : 0;
  const size_t end = type == KvType::kQ8_0 ? at + n_scales * 2 : 1;
  for (size_t j = 0; j < kGroupTiles; ++j) {
    for (size_t line = at; line < end; line += 64) hwy::Prefetch(tiles[j] + line);
  }
}

// Which tiles of a group are multiplied as they lie: f16, for few queries that see it all (tokens
// that nobody wrote may hold NaN). Either way a query has the same bits.
struct InPlace {
  bool keys = false;
  bool values = false;
};
HWY_INLINE InPlace WhatIsReadInPlace(const SegmentTask& task, size_t n_queries, bool full) {
  if (!full || n_queries > kMaxQueryBlock) return {};
  const KvView& kv = *task.tiles.kv;
  return {kv.k_type == KvType::kF16, kv.v_type == KvType::kF16};
}

// Reads what all query blocks share of a group.
HWY_INLINE void PrepareGroup(const SegmentTask& task, const TileGroup& group, InPlace in_place) {
  const KvView& kv = *task.tiles.kv;
  Scratch& scratch = *task.scratch;
  uint16_t masks[kGroupTiles];
  for (size_t j = 0; j < kGroupTiles; ++j) masks[j] = visible(group, j, task.sight_of_any());
  if (task.int8_keys) task.int8->prepare_keys(group, kv.key_dim, scratch.k.data());
  if (task.int8_values)
    task.int8->prepare_values(group, masks, kv.value_dim, scratch.value_scales[0]);
  for (size_t j = 0; j < kGroupTiles; ++j) {
    if (!task.int8_keys && !in_place.keys) {
      KeysToF32(kv.k_type, group.k[j], kv.key_dim, scratch.k.data() + j * kTileTokens);
    }
    if (!task.int8_values && !in_place.values) {
      ValuesToF32(kv.v_type, group.v[j], kv.value_dim, masks[j],
                  scratch.v.data() + j * kTileTokens * kv.value_dim);
    }
  }
}

// The scales of each query's row: one for all where every row sees the whole group, else what the
// row sees decides.
HWY_INLINE void FindValueScales(const SegmentTask& task, const TileGroup& group, size_t first,
                                size_t n_queries, bool full, const ValueScales** scales) {
  ValueScales* of_rows = task.scratch->value_scales.data();
  for (size_t i = 0; i < n_queries; ++i) {
    const size_t row = (first + i) / task.n_group;
    if (full) {
      scales[i] = of_rows;
    } else if (i > 0 && row == (first + i - 1) / task.n_group) {
      scales[i] = scales[i - 1];
    } else {
      uint16_t masks[kGroupTiles];
      for (size_t j = 0; j < kGroupTiles; ++j) {
        masks[j] = visible(group, j, task.sight_of(first + i));
      }
      task.int8->prepare_values(group, masks, task.tiles.kv->value_dim, of_rows[1 + i]);
      scales[i] = of_rows + 1 + i;
    }
  }
}

// One group for queries first .. first + n_queries, at most kMaxQueryBlock. Fetches the group
// `next` if there is one.
void QueryBlock(const SegmentTask& task, const TileGroup& group, const TileGroup* next,
                size_t first, size_t n_queries, bool full, InPlace in_place) {
  const size_t key_dim = task.tiles.kv->key_dim;
  const size_t value_dim = task.tiles.kv->value_dim;
  const Scratch& scratch = *task.scratch;
  float* scores = task.scratch->scores.data();
  if (task.int8_keys) {
    task.int8->scores(n_queries, scratch.queries, first, group, next, scratch.k.data(), key_dim,
                      scores);
  } else {
    const float* q = scratch.queries.f32.data() + first * key_dim;
    if (in_place.keys) {
      const HalfKeys k{group.k, next == nullptr ? nullptr : next->k};
      ScoresF32(n_queries, q, k, key_dim, scores);
    } else {
      ScoresF32(n_queries, q, FloatMatrix{scratch.k.data(), kGroupTokens}, key_dim, scores);
    }
  }
  for (size_t i = 0; !full && i < n_queries; ++i) {
    MaskScores(group, task.sight_of(first + i), scores + i * kGroupTokens);
  }
  float* m = task.states.m + first;
  float* l = task.states.l + first;
  float* o = task.states.o + first * value_dim;
  GroupWeights weights;
  if (task.int8_values) {
    const ValueScales* scales[kMaxQueryBlock];
    FindValueScales(task, group, first, n_queries, full, scales);
    uint8_t* p = task.scratch->p.data();
    task.int8->softmax(n_queries, next, scales, key_dim, value_dim, scores, m, l, weights, p);
    task.int8->values(n_queries, p, group, next, scales, value_dim, weights, o);
    return;
  }
  float max[kMaxQueryBlock];
  float sum[kMaxQueryBlock];
  Softmax(scores, n_queries, max, sum);
  MergeGroup(max, sum, n_queries, m, l, weights);
  if (in_place.values) {
    const HalfValues v{group.v, next == nullptr ? nullptr : next->v, value_dim};
    return ValuesF32(n_queries, scores, v, value_dim, weights.keep, weights.add, o);
  }
  const FloatMatrix v{scratch.v.data(), value_dim};
  ValuesF32(n_queries, scores, v, value_dim, weights.keep, weights.add, o);
}

// Whether a token of the group may be seen by one of n queries, whose rows ascend.
HWY_INLINE bool MaySee(const SegmentTask& task, const TileGroup& group, size_t first, size_t n) {
  return group.first_pos[0] <= task.sight_of(first + n - 1).last &&
         group.first_pos[kGroupTiles - 1] + kTileTokens > task.sight_of(first).first;
}

void AttendSegment(const SegmentTask& task) {
  const size_t n_queries = task.n_rows * task.n_group;
  const size_t block_size = query_block_size(n_queries);
  set_empty(task.states);
  const size_t n_tiles = task.tiles.n_tiles;
  TileGroup groups[2];
  groups[0] = GroupAt(task.tiles, 0);
  for (size_t tile = 0; tile < n_tiles; tile += kGroupTiles) {
    const TileGroup& group = groups[tile / kGroupTiles % 2];
    if (group.first_pos[0] > task.last_pos()) break;
    TileGroup* next = &groups[(tile / kGroupTiles + 1) % 2];
    if (tile + kGroupTiles < n_tiles) {
      *next = GroupAt(task.tiles, tile + kGroupTiles);
    } else if (task.following != nullptr) {
      *next = GroupAt(*task.following, 0);
    } else {
      next = nullptr;
    }
    const bool full = AllVisible(group, task.sight_of_all());
    const InPlace in_place = WhatIsReadInPlace(task, n_queries, full);
    PrepareGroup(task, group, in_place);
    if (next != nullptr) {
      FetchFirst(task.tiles.kv->k_type, next->k, task.tiles.kv->key_dim);
      FetchFirst(task.tiles.kv->v_type, next->v, task.tiles.kv->value_dim);
    }
    for (size_t first = 0; first < n_queries; first += block_size) {
      const size_t n = std::min(block_size, n_queries - first);
      if (full || MaySee(task, group, first, n)) {
        QueryBlock(task, group, first == 0 ? next : nullptr, first, n, full, in_place);
      }
    }
  }
}

void SegmentScores(const SegmentTask& task, float* scores, size_t stride) {
  const size_t key_dim = task.tiles.kv->key_dim;
  for (size_t tile = 0; tile < task.tiles.n_tiles; tile += kGroupTiles) {
    const TileGroup group = GroupAt(task.tiles, tile);
    PrepareGroup(task, group, {});
    for (size_t i = 0; i < task.n_rows * task.n_group; ++i) {
      float* at = scores + i * stride + tile * kTileTokens;
      ScoresF32(1, task.scratch->queries.f32.data() + i * key_dim,
                FloatMatrix{task.scratch->k.data(), kGroupTokens}, key_dim, at);
      MaskScores(group, task.sight_of(i), at);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace longhaul::attention
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longhaul::attention {

HWY_EXPORT(AttendSegment);
HWY_EXPORT(SegmentScores);

void attend_segment(const SegmentTask& task) { HWY_DYNAMIC_DISPATCH(AttendSegment)(task); }

void segment_scores(const SegmentTask& task, float* scores, size_t stride) {
  HWY_DYNAMIC_DISPATCH(SegmentScores)(task, scores, stride);
}

}  // namespace longhaul::attention
#endif  // HWY_ONCE
