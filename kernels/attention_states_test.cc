// Softmax states, and attention over the parts of a text.
#include <limits>

#include "kernels/attention_test_cases.h"

namespace longhaul {
namespace {

TEST(AttentionStates, EmptyIsNeutralAndMergingGivesTheSoftmaxOfTheUnion) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  struct One {
    float m, l, o[2];
    AttentionStates states() { return {&m, &l, o, 1, 2}; }
  };
  One total{7, 7, {7, 7}};
  set_empty(total.states());
  One empty = total;
  One a{3, 1.5F, {0.25F, -1}};
  One b{5, 1.25F, {2, 0.5F}};
  merge(total.states(), empty.states());
  EXPECT_EQ(total.m, -kInf);
  EXPECT_EQ(total.l, 0);
  merge(total.states(), a.states());
  EXPECT_EQ(std::memcmp(&total, &a, sizeof(One)), 0);
  merge(total.states(), empty.states());
  EXPECT_EQ(std::memcmp(&total, &a, sizeof(One)), 0);
  merge(total.states(), b.states());
  EXPECT_EQ(total.m, 5);
  EXPECT_EQ(total.l, 1.5F * 0.25F + 1.25F);
  EXPECT_EQ(total.o[0], 0.25F * 0.25F + 2);
  EXPECT_EQ(total.o[1], -0.25F + 0.5F);
}

TEST(AttentionStates, FinishDividesIntoRowsOfAJob) {
  StateBuffer buffer;
  const AttentionStates states = buffer.make(4, 2);
  set_empty(states);
  states.l[1] = 2;
  states.l[2] = 4;
  for (size_t i = 0; i < 8; ++i) states.o[i] = static_cast<float>(i);
  std::vector<float> out(10, kSentinel);
  finish(states, 2, out.data(), 5);
  EXPECT_EQ(out, (std::vector<float>{0, 0, 1, 1.5F, kSentinel, 1, 1.25F, 0, 0, kSentinel}));
}

// The text of a job cut at the given tiles: computed part by part, each with a page table of its
// own pages alone, merged in order and finished.
std::vector<float> attend_in_parts(const Cache& cache, const Case& c,
                                   const std::vector<size_t>& borders, size_t n_threads,
                                   const Int8Kernels* int8) {
  ThreadPool pool(n_threads);
  AttentionWorkspace workspace = attention::workspace_with(int8);
  StateBuffer buffer;
  SegmentStates states;
  const AttentionStates total = buffer.make(c.job.n_rows * c.job.n_group, c.job.kv.value_dim);
  set_empty(total);
  for (size_t i = 0; i + 1 < borders.size(); ++i) {
    const TextPart part{borders[i], borders[i + 1]};
    std::vector<uint32_t> pages(cache.pages.size(), ~0U);  // far outside of the cache
    const size_t first = part.first_tile / cache.tiles_per_page;
    const size_t end = std::min(pages.size(), part.end_tile / cache.tiles_per_page);
    for (size_t p = first; p < end; ++p) pages[p] = cache.pages[p];
    AttentionJob job = c.job;
    job.kv.pages = pages.data();
    job.out = nullptr;
    attend_part(pool, {&job, 1}, {&part, 1}, workspace, states);
    for (size_t s = 0; s < states.n_segments(0); ++s) merge(total, states.segment(0, s));
  }
  std::vector<float> out(c.out.size(), kSentinel);
  finish(total, c.job.n_group, out.data(), c.job.out_stride);
  return out;
}

// Borders of n parts of a text of 9 segments, of different sizes.
std::vector<size_t> borders_of(size_t n_parts, size_t segment_tiles) {
  std::vector<size_t> borders = {0};
  if (n_parts == 8) {
    for (size_t i = 1; i < 8; ++i) borders.push_back(i * segment_tiles);
  } else {
    borders.push_back(2 * segment_tiles);
    if (n_parts == 3) borders.push_back(7 * segment_tiles);
  }
  borders.push_back(std::numeric_limits<size_t>::max());
  return borders;
}

TEST(AttentionStates, PartsOfATextMergeToTheBitsOfTheWhole) {
  constexpr const Int8Kernels* kF32 = nullptr;
  for (const Types types : {kTypes[0], kTypes[1]}) {
    const Cache cache(types.k, types.v, Dims(32, 64), 8 * 8192 + 100, 61, 3.0F);
    std::vector<TileRef> tiles = some_tiles(cache.n_tokens, 62);
    std::erase_if(tiles, [](TileRef tile) { return tile.tile / kListSegmentTiles == 3; });
    for (const bool listed : {false, true}) {
      const size_t segment_tiles = listed ? kListSegmentTiles : kSegmentTiles;
      const size_t n_tokens = 8 * segment_tiles * kTileTokens + 100;
      for (const size_t n_rows : {1, 70}) {
        for (const size_t window : {size_t{0}, 3 * segment_tiles * kTileTokens + 5}) {
          Case c(cache, n_rows, 3, static_cast<uint32_t>(n_tokens - n_rows - 40), 63);
          c.job.window = window;
          c.job.all_tiles = !listed;
          if (listed) c.job.tiles = tiles;
          for (const Int8Kernels* int8 : {attention::best_int8_kernels(), kF32}) {
            run(c.job, 1, int8);
            for (const size_t n_parts : {2, 3, 8}) {
              for (const size_t n_threads : {1, 4}) {
                EXPECT_EQ(
                    attend_in_parts(cache, c, borders_of(n_parts, segment_tiles), n_threads, int8),
                    c.out)
                    << n_parts << " parts, " << n_rows << " rows, window " << window
                    << (listed ? ", listed" : "");
              }
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace longhaul
