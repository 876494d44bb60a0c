// Gate keys as what the gate selector keeps per block.
#pragma once

#include "attention/gate/gates.h"
#include "state/summary.h"

namespace longhaul {

inline constexpr std::string_view kGateSummary = "gate keys";

// What a cache must plan for gate keys of `dim` dimensions.
SummarySpec gate_summary_spec(size_t dim);

// The gate key of every complete block, a row of f16 each. Not saved: a state serves with any gates
// and without.
class GateSummary : public Summary {
 public:
  GateSummary(const GateWeights& weights, RopeAngles rope) : gates_(weights, std::move(rope)) {}

  const Gates& gates() const { return gates_; }

  SummarySpec spec() const override;
  void update(const KeyChange& change) const override;
  void blank(std::byte* group, size_t n_tokens, size_t block_size) const override;
  size_t n_row_floats() const override { return gates_.n_angles(); }
  void prepare_row(size_t pos, float* row) const override { gates_.query_angles(pos, row); }

 private:
  Gates gates_;
};

// The gate keys of the complete blocks of a view of this summary: row i is that of block i.
HalfMatrixView gate_keys(const SummaryView& view);

}  // namespace longhaul
