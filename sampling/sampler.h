// From logits to a token: the sampling chain of one request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "longhaul/options.h"
#include "sampling/penalty_window.h"
#include "sampling/steps.h"
#include "sampling/token_constraint.h"

namespace longhaul {

// One per request: the options and the tokens the penalties look at.
//
// The chain, in this order: repetition, presence and frequency penalties, logit bias, the
// constraint, temperature, top-k, top-p, min-p. Temperature 0 is greedy: the largest logit after
// penalties and bias, the lower index of equals. What is drawn at a position depends on the seed,
// the position and the logits alone, so that a text drawn twice, or drafted and then verified, is
// the same text. A NaN logit counts as -infinity. If no logit is above -infinity (a broken model,
// or a bias that forbids every token) the answer is token 0; `any_candidate` tells the caller
// beforehand.
class Sampler {
 public:
  // Error, naming the field, what was expected and found, if an option is impossible.
  static Result<Sampler> create(const SamplingOptions& options, size_t vocab_size);

  // From now on only what the constraint allows is drawn. It is told of what is accepted and rolled
  // back from here on.
  void constrain(std::unique_ptr<TokenConstraint> constraint);

  bool greedy() const { return options_.temperature == 0.0F; }

  // True if some token can be chosen from these logits [vocab_size].
  bool any_candidate(std::span<const float> logits);
  // Why there was none.
  Error no_candidate(size_t position) const;
  // Applies the chain to logits [vocab_size] and draws the token of that position of the text. Does
  // not accept it.
  int32_t sample(std::span<const float> logits, size_t position);
  // The chain as a distribution: probs [vocab_size] sums to 1; greedy gives a one-hot row.
  void distribution(std::span<const float> logits, std::span<float> probs);
  // Draws from probs [vocab_size], which need not be normalised; never a token of probability 0
  // unless all are. A race: token i takes an exponential time of rate probs[i] made from the number
  // that seed, position and i give, and the first wins. Of two distributions with total variation
  // distance d the same token wins with probability at least (1 - d) / (1 + d), since every token
  // meets the same number in both (the Gumbel-max coupling; Daliri, Musco and Suresh, arXiv
  // 2408.07978): that is why sparse drafts agree with the dense draw as often as they do.
  int32_t draw(std::span<const float> probs, size_t position) const;

  // A token became part of the text: the penalties see it from now on. Prompt tokens count too if
  // the caller accepts them.
  void accept(int32_t token);
  // Undoes the last `n_tokens` accepts (drafts that failed).
  void rollback(size_t n_tokens);

 private:
  Sampler(const SamplingOptions& options, size_t vocab_size);

  bool has_penalties() const;
  // The largest logit as it stands is what greedy draws.
  bool is_plain() const {
    return !has_penalties() && options_.logit_bias.empty() && constraint_ == nullptr;
  }
  // Penalties, bias and constraint, in place: all of the chain that greedy needs.
  void adjust(std::span<float> logits);

  SamplingOptions options_;
  size_t vocab_size_;
  PenaltyWindow window_;
  std::unique_ptr<TokenConstraint> constraint_;  // null: none
  std::vector<float> row_;                       // [vocab_size] scratch
  std::vector<uint32_t> indices_;                // scratch of top-k and top-p
};

}  // namespace longhaul
