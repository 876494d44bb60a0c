// The mean of every block's keys and its outlier (kernels/block_outlier.h) as what selectors keep
// per block.
#pragma once

#include "kernels/block_outlier.h"
#include "state/summary.h"

namespace longhaul {

inline constexpr std::string_view kOutlierSummary = "outliers";

// What a cache must plan for blocks of keys of that width.
SummarySpec outlier_summary_spec(size_t key_dim);

// Of every complete block.
class OutlierSummary : public Summary {
 public:
  explicit OutlierSummary(size_t key_dim) : key_dim_(key_dim) {}

  size_t key_dim() const { return key_dim_; }

  SummarySpec spec() const override;
  void update(const KeyChange& change) const override;
  void blank(std::byte* group, size_t n_tokens, size_t block_size) const override;

 private:
  size_t key_dim_;
};

// The first n_blocks blocks of a view of this summary.
BoundsView outlier_blocks(const SummaryView& view, size_t n_blocks);

}  // namespace longhaul
