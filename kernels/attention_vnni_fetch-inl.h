// How the AVX-512 kernels of attention ask for the tiles that come next. A fragment of
// attention_vnni.cc.

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
  LH_VNNI_INLINE SoftmaxFetcher(const TileGroup* next, size_t n_queries, size_t key_dim) {
    if (next == nullptr || !fetches_in_softmax(n_queries)) return;
    tiles_ = next->k + kGroupTiles / 2;
    end_ = kTileTokens * key_dim;
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
