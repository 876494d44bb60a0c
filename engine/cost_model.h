// Milliseconds per token of each mode at a given length, from a calibration: a pass costs a fixed
// part, plus attention over what it reads, plus the scoring of all blocks where it is sparse.
#pragma once

#include "attention/selector.h"
#include "longhaul/calibration.h"
#include "longhaul/engine.h"

namespace longhaul {

class CostModel {
 public:
  // The references must outlive the model.
  CostModel(const Calibration& calibration, const AttentionOptions& options,
            const Selector& selector, size_t block_size)
      : calibration_(calibration),
        options_(options),
        selector_(selector),
        block_size_(block_size) {}

  // Each for a text of n_tokens tokens; a partial rectification counts as a dense one, the most
  // that it can cost. `every` of the answer is the period of `resa`: the shortest within 5% of the
  // cheapest, since a shorter one repairs sooner; and the cheapest draft of `exact`, at most
  // rectify_every.
  ModeCost dense(size_t n_tokens) const;
  ModeCost sparse(size_t n_tokens) const;
  ModeCost resa(size_t n_tokens) const;
  // `acceptance`: the probability that a draft is kept.
  ModeCost exact(size_t n_tokens, double acceptance) const;
  // A pass that verifies drafts which cost nothing: `every` is the cheapest number of them from 1 to
  // `longest`.
  ModeCost copied(size_t n_tokens, double acceptance, size_t longest) const;

  // Writes the costs of the four in the order of AttentionMode; returns the cheapest that
  // options.auto_may allows. Dense wins a draw.
  AttentionMode choose(size_t n_tokens, double acceptance, std::array<ModeCost, 4>& costs) const;
  // The shortest length, to a block, at which choose() leaves dense; 0 if it never does within 2^24
  // tokens.
  size_t crossover(double acceptance) const;

  // True if a sparse step at this length would read every block.
  bool selects_everything(size_t n_tokens) const;

 private:
  ModeCost drafted(size_t n_tokens, double draft_ms, double acceptance, size_t longest) const;
  double sparse_step_ms(size_t n_tokens) const;
  double dense_pass_ms(size_t n_rows, size_t n_tokens) const;
  size_t n_blocks(size_t n_tokens) const { return (n_tokens + block_size_ - 1) / block_size_; }

  const Calibration& calibration_;
  const AttentionOptions& options_;
  const Selector& selector_;
  size_t block_size_;
};

// Tokens a round of `exact` adds on average when each of n_drafted drafts is kept with probability
// `acceptance`: 1 + a + a^2 + ... + a^n (Leviathan and others, arXiv 2211.17192, equation 1).
double expected_tokens(double acceptance, size_t n_drafted);

}  // namespace longhaul
