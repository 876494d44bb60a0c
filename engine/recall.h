// How much of the true attention mass selectors would catch, measured on the queries of one-token
// steps while they run.
#pragma once

#include <span>
#include <vector>

#include "attention/selector.h"
#include "model/model.h"

namespace longhaul {

class RecallProbe {
 public:
  // Every selector chooses with the budget of `options`, which must outlive the probe.
  RecallProbe(const AttentionOptions& options, std::vector<const Selector*> selectors,
              const SelectorSetup& setup, size_t n_workers);

  // To be called for every layer and KV head of a step, in parallel for different ones.
  SelectionObserver observer();

  // Of the last step, per selector: the mass of the chosen blocks over that of all blocks, mean
  // over layers and KV heads. The mass of a block is the maximum over the heads of the group of the
  // softmax probability of its tokens.
  std::span<const float> mean_recall();

 private:
  struct Scratch {
    SelectionBuffer selection;
    AlignedBuffer<float> masses;  // [n_blocks]
  };

  void observe(size_t layer, size_t kv_head, size_t worker, const SelectionInput& input,
               AttentionWorkspace& workspace);

  const AttentionOptions& options_;
  const std::vector<const Selector*> selectors_;
  const size_t n_kv_heads_;
  std::vector<Scratch> scratch_;  // [n_workers]
  std::vector<double> recall_;    // [n_layers, n_kv_heads, n_selectors] of the last step
  std::vector<float> mean_;       // [n_selectors]
};

}  // namespace longhaul
