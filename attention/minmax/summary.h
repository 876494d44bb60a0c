// The box around the keys of every block (kernels/block_bounds.h) as what selectors keep per block.
#pragma once

#include "kernels/block_bounds.h"
#include "state/summary.h"

namespace longhaul {

inline constexpr std::string_view kBoundsSummary = "bounds";

// What a cache must plan for the bounds of keys of that width.
SummarySpec bounds_summary_spec(size_t key_dim);

// Of every block, the unfinished one included.
class BoundsSummary : public Summary {
 public:
  explicit BoundsSummary(size_t key_dim) : key_dim_(key_dim) {}

  size_t key_dim() const { return key_dim_; }

  SummarySpec spec() const override;
  void update(const KeyChange& change) const override;
  void blank(std::byte* group, size_t n_tokens, size_t block_size) const override;

 private:
  void set(const KeyChange& change, size_t block, size_t end) const;

  size_t key_dim_;
};

// The bounds of the first n_blocks blocks of a view of this summary.
BoundsView block_bounds(const SummaryView& view, size_t n_blocks);

}  // namespace longhaul
