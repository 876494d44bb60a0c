// From logits to a token: the sampling chain of one request, and one step of speculative sampling.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "longhaul/options.h"
#include "sampling/penalty_window.h"
#include "sampling/random.h"
#include "sampling/steps.h"

namespace longhaul {

// One per request: the options, the seeded generator, and the tokens the penalties look at.
//
// The chain, in this order: repetition, presence and frequency penalties, logit bias, temperature,
// top-k, top-p, min-p. Temperature 0 is greedy: the largest logit after penalties and bias, the
// lower index of equals. A NaN logit counts as -infinity. If no logit is above -infinity (a broken
// model, or a bias that forbids every token) the answer is token 0; `any_candidate` tells the
// caller beforehand.
class Sampler {
 public:
  // Error, naming the field, what was expected and found, if an option is impossible.
  static Result<Sampler> create(const SamplingOptions& options, size_t vocab_size);

  bool greedy() const { return options_.temperature == 0.0F; }

  // True if some token can be chosen from these logits [vocab_size].
  bool any_candidate(std::span<const float> logits);
  // Applies the chain to logits [vocab_size] and draws a token. Does not accept it.
  int32_t sample(std::span<const float> logits);
  // The chain as a distribution: probs [vocab_size] sums to 1; greedy gives a one-hot row.
  void distribution(std::span<const float> logits, std::span<float> probs);
  // Draws from probs [vocab_size], which need not be normalised; never a token of probability 0
  // unless all are.
  int32_t draw(std::span<const float> probs);
  // Draws from the normalised positive part of p - q, both [vocab_size]; from p where that is
  // empty.
  int32_t draw_difference(std::span<const float> p, std::span<const float> q);
  // Uniform in [0, 1), from the request's generator.
  double uniform() { return random_.uniform(); }

  // A token became part of the text: the penalties see it from now on. Prompt tokens count too if
  // the caller accepts them.
  void accept(int32_t token);
  // Undoes the last `n_tokens` accepts (drafts that failed). The generator does not go back: random
  // numbers spent on a failed draft must not be used again.
  void rollback(size_t n_tokens);

 private:
  Sampler(const SamplingOptions& options, size_t vocab_size);

  bool has_penalties() const;
  // Penalties and bias, in place: all of the chain that greedy needs.
  void adjust(std::span<float> logits);

  SamplingOptions options_;
  size_t vocab_size_;
  Random random_;
  PenaltyWindow window_;
  std::vector<float> row_;         // [vocab_size] scratch
  std::vector<uint32_t> indices_;  // scratch of top-k and top-p
};

struct Verdict {
  bool accepted;
  int32_t token;  // the draft if accepted, else the token that replaces it
};

// One step of speculative sampling (Leviathan et al. 2023; Chen et al. 2023). `drafted` was drawn
// from p_sparse; it is accepted with probability min(1, p_dense/p_sparse), else a token is drawn
// from the positive part of p_dense - p_sparse. The result is distributed as p_dense. Both rows are
// [vocab_size] and come from `Sampler::distribution` with the same tokens accepted.
Verdict verify_draft(Sampler& sampler, int32_t drafted, std::span<const float> p_sparse,
                     std::span<const float> p_dense);

}  // namespace longhaul
