// exact: sparse steps draft a few tokens, or the text's own past does where it said the same before
// (copy_drafts.h); one dense pass over them gives the logits dense decoding
// would have had, in the same bits, and rewrites their K and V on the way. Drafts that agree are
// kept, the first that does not is replaced by the dense choice, and the cache is cut after it.
// The text is that of dense decoding token for token, sampled or not: what is drawn at a position
// depends on the seed, the position and its logits alone (sampling/sampler.h).
#pragma once

#include <optional>
#include <vector>

#include "engine/acceptance.h"
#include "engine/copy_drafts.h"
#include "engine/mode.h"

namespace longhaul {

class CostModel;

class ExactMode : public DecodeMode {
 public:
  // With a calibration a round drafts as many tokens as are the cheapest by it, and none where a
  // dense step is cheaper; without, as many as are accepted on average.
  explicit ExactMode(std::optional<Calibration> calibration) : calibration_(calibration) {}

  size_t clean_from(const Text& text, bool continues) const override;
  bool owes(const Run& run) const override;
  Planned plan(Run& run) override;
  Status take(Run& run, const Step& step, MatrixView<const float> logits) override;

  // Of drafts by sparse steps.
  double acceptance() const { return sparse_.value(); }

 private:
  bool begin_round(Run& run);
  size_t n_to_copy(Run& run, size_t longest);
  size_t n_to_draft(Run& run, size_t longest);
  CostModel costs(const Run& run) const;
  Status take_draft(Run& run, std::span<const float> logits);
  Status judge(Run& run, MatrixView<const float> logits);
  size_t n_drafted() const { return drafts_.size() - 1; }

  const std::optional<Calibration> calibration_;
  CopyDrafts copies_;
  Acceptance sparse_, copied_;
  std::vector<int32_t> drafts_;  // of a round: the newest token, then what may follow it
  size_t n_wanted_ = 0;          // drafts of this round
  bool is_drafting_ = false;
  bool is_copied_ = false;  // the drafts of this round are
};

}  // namespace longhaul
