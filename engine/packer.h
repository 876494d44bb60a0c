// Packs the next steps of many texts into one pass of the model.
#pragma once

#include <span>
#include <vector>

#include "engine/run.h"
#include "model/model.h"

namespace longhaul {

class Packer {
 public:
  explicit Packer(Model& model);

  // One pass over what these runs plan, none of them over, as far as it fits into max_rows(). Those
  // that were in it have taken what came out. First go those that several passes had no room for;
  // then newest tokens, so that nobody who talks waits for somebody's prompt; then rectification
  // and verification; then prompts, the shortest first, cut to the rows that are left and, beside
  // others, to a share of the pass. Among equals, turn and turn about.
  void run(std::span<Run* const> runs);
  // The runs of the last pass.
  std::span<Run* const> ran() const { return ran_; }

 private:
  void pack(std::span<Run* const> runs);
  // Adds what fits of the next step; false if that is nothing.
  bool add(Run& run);

  struct Place {
    int rank;
    size_t n_tokens;  // of a prompt
    size_t turn;
    Run* run;
  };

  Model& model_;
  std::vector<Place> order_;
  std::vector<Run*> ran_;
  std::vector<Step> steps_;  // as ran_
  size_t n_rows_ = 0;
  size_t n_logits_ = 0;
  size_t turn_ = 0;
  AlignedBuffer<float> logits_;  // [n_logits_, vocab_size]
};

}  // namespace longhaul
