// Windows, and block masses with and without them.
#include <sys/mman.h>
#include <unistd.h>

#include "kernels/attention_test_cases.h"

namespace longhaul {
namespace {

// Around the borders of tiles, groups and segments; rows see less than, or more than, a chunk.
constexpr size_t kWindows[] = {1, 15, 16, 17, 63, 64, 65, 200, 2047, 2048, 2049};
// Of each that is even also two blocks of half of it.
std::vector<size_t> steps_of(size_t window) {
  return window % 2 == 0 ? std::vector<size_t>{0, window / 2} : std::vector<size_t>{0};
}

TEST(AttentionWindow, AgreesWithTheReference) {
  for (const Types types : kTypes) {
    const Cache cache(types.k, types.v, Dims(32, 64), 2200, 50, 2.0F);
    const auto tiles = some_tiles(2200, 51);
    for (const size_t window : kWindows) {
      for (const bool listed : {false, true}) {
        for (const size_t n_rows : {1, 23}) {
          for (const size_t step : steps_of(window)) {
            Case c(cache, n_rows, 3, static_cast<uint32_t>(2190 - n_rows), 52);
            c.job.window = window;
            c.job.window_step = step;
            c.job.all_tiles = !listed;
            if (listed) c.job.tiles = tiles;
            expect_close(c);
          }
        }
      }
    }
  }
}

TEST(AttentionWindow, ARowInAChunkHasTheBitsOfTheRowAlone) {
  for_each_kernel([](const Int8Kernels* int8) {
    for (const Types types : kTypes) {
      const Cache cache(types.k, types.v, 32, 8192 + 50, 53, 3.0F);
      const auto tiles = some_tiles(cache.n_tokens, 54);
      for (const bool listed : {false, true}) {
        for (const size_t window : kWindows) {
          Case chunk(cache, 60, 3, 8192 - 30, 55);
          chunk.job.window = window;
          chunk.job.window_step = steps_of(window).back();
          chunk.job.all_tiles = !listed;
          if (listed) chunk.job.tiles = tiles;
          run(chunk.job, 1, int8);
          std::vector<float> alone(chunk.job.out_stride);
          for (size_t r = 0; r < 60; r += window < 100 ? 1 : 7) {
            run(chunk.row(r, alone.data()), 1, int8);
            ASSERT_EQ(std::memcmp(alone.data(), chunk.job.out + r * chunk.job.out_stride,
                                  3 * 32 * sizeof(float)),
                      0)
                << "row " << r << ", window " << window << (listed ? ", listed" : "");
          }
        }
      }
    }
  });
}

TEST(AttentionWindow, OfTheWholeTextHasTheBitsOfNone) {
  for_each_kernel([](const Int8Kernels* int8) {
    for (const Types types : kTypes) {
      const Cache cache(types.k, types.v, 64, 2100, 56);
      Case want(cache, 30, 2, 2060, 57);
      run(want.job, 1, int8);
      for (const size_t window : {size_t{2090}, size_t{2091}, ~size_t{0}}) {
        Case got(cache, 30, 2, 2060, 57);
        got.job.window = window;
        run(got.job, 2, int8);
        EXPECT_EQ(got.out, want.out);
      }
      Case less(cache, 30, 2, 2060, 57);  // the last row no longer sees the first token
      less.job.window = 2089;
      run(less.job, 1, int8);
      EXPECT_NE(less.out, want.out);
    }
  });
}

// A page table whose entries before the first one that a window needs cannot be read.
class GuardedTable {
 public:
  GuardedTable(const std::vector<uint32_t>& pages, size_t first) : n_os_(::getpagesize()) {
    memory_ = static_cast<std::byte*>(
        ::mmap(nullptr, 2 * n_os_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    auto* readable = reinterpret_cast<uint32_t*>(memory_ + n_os_);
    std::copy(pages.begin() + static_cast<ptrdiff_t>(first), pages.end(), readable);
    table_ = readable - first;
    EXPECT_EQ(::mprotect(memory_, n_os_, PROT_NONE), 0);
  }
  ~GuardedTable() { ::munmap(memory_, 2 * n_os_); }
  GuardedTable(const GuardedTable&) = delete;
  GuardedTable& operator=(const GuardedTable&) = delete;
  const uint32_t* data() const { return table_; }

 private:
  size_t n_os_;
  std::byte* memory_;
  const uint32_t* table_;
};

TEST(AttentionWindow, TilesBeforeItAreNotTouched) {
  for (const Types types : kTypes) {
    Cache cache(types.k, types.v, Dims(64, 32), 2300, 58, 1.0F, 1);
    const auto tiles = some_tiles(2300, 59);
    for (const size_t window : {1 + 2048, 700, 65, 64, 40, 1}) {  // falling: more is poisoned
      for (const bool listed : {false, true}) {
        Case c(cache, 40, 3, 2250, 60);
        c.job.window = window;
        c.job.all_tiles = !listed;
        if (listed) c.job.tiles = tiles;
        std::vector<std::vector<float>> want;
        for_each_kernel([&](const Int8Kernels* int8) {
          run(c.job, 1, int8);
          want.push_back(c.out);
        });
        const size_t first_tile = (2250 - window + 1) / kTileTokens;
        for (size_t t = 0; t < first_tile; ++t) {
          std::memset(cache.k_tile(t), 0xFF, k_tile_bytes(types.k, 64));
          std::memset(cache.v_tile(t), 0xFF, v_tile_bytes(types.v, 32));
        }
        const GuardedTable table(cache.pages, first_tile);
        c.job.kv.pages = table.data();
        size_t i = 0;
        for_each_kernel([&](const Int8Kernels* int8) {
          run(c.job, 2, int8);
          EXPECT_EQ(c.out, want[i++]) << window;
        });
      }
    }
  }
}

void expect_masses(size_t window) {
  const Cache cache(KvType::kQ8_0, KvType::kQ8_0, Dims(64, 96), 1000, 26);
  Case c(cache, 1, 3, 900, 27);
  c.job.window = window;
  for (const size_t block_size : {8, 16, 32, 48}) {
    const size_t n_blocks = 900 / block_size + 1;
    std::vector<double> want(n_blocks);
    std::vector<float> key(64);
    for (size_t h = 0; h < 3; ++h) {
      std::vector<double> mass(n_blocks);
      double sum = 0;
      for (size_t t = window == 0 ? 0 : 901 - window; t <= 900; ++t) {
        read_k(cache.k_type, const_cast<Cache&>(cache).k_tile(t / 16), t % 16, key.data(), 64);
        const double dot = std::inner_product(key.begin(), key.end(), &c.q[h * 64], 0.0);
        const double p = std::exp(dot * double{c.job.scale});
        mass[t / block_size] += p;
        sum += p;
      }
      for (size_t b = 0; b < n_blocks; ++b) want[b] = std::max(want[b], mass[b] / sum);
    }
    std::vector<float> got(n_blocks + 1, kSentinel);
    AttentionWorkspace workspace;
    block_masses(c.job, block_size, n_blocks, got.data(), workspace);
    for (size_t b = 0; b < n_blocks; ++b) EXPECT_NEAR(got[b], want[b], 1e-4 * want[b] + 1e-7);
    EXPECT_EQ(got[n_blocks], kSentinel);
  }
}

TEST(BlockMasses, AreTheSoftmaxOfTheBlocks) { expect_masses(0); }

TEST(BlockMasses, AreThoseOfTheWindow) {
  expect_masses(1);
  expect_masses(77);
}

}  // namespace
}  // namespace longhaul
