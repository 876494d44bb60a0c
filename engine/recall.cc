#include "engine/recall.h"

#include "base/check.h"

namespace longhaul {

RecallProbe::RecallProbe(const AttentionOptions& options, std::vector<const Selector*> selectors,
                         const SelectorSetup& setup, size_t n_workers)
    : options_(options),
      selectors_(std::move(selectors)),
      n_kv_heads_(setup.n_kv_heads),
      scratch_(n_workers),
      recall_(setup.n_layers * setup.n_kv_heads * selectors_.size()),
      mean_(selectors_.size()) {}

SelectionObserver RecallProbe::observer() {
  return
      [this](size_t layer, size_t kv_head, size_t worker, const SelectionInput& input,
             AttentionWorkspace& workspace) { observe(layer, kv_head, worker, input, workspace); };
}

void RecallProbe::observe(size_t layer, size_t kv_head, size_t worker, const SelectionInput& input,
                          AttentionWorkspace& workspace) {
  LH_CHECK(worker < scratch_.size());
  Scratch& scratch = scratch_[worker];
  scratch.masses.ensure(input.n_blocks);
  block_masses(*input.query, input.block_size, input.n_blocks, scratch.masses.data(), workspace);
  const auto masses = scratch.masses.span().first(input.n_blocks);
  double total = 0;
  for (const float mass : masses) total += static_cast<double>(mass);

  scratch.selection.reserve(input.n_blocks, input.block_size, input.query->kv.key_dim);
  double* recall = &recall_[(layer * n_kv_heads_ + kv_head) * selectors_.size()];
  for (size_t s = 0; s < selectors_.size(); ++s) {
    scratch.selection.select(*selectors_[s], options_, input, input.query->first_pos + 1,
                             workspace);
    double caught = 0;
    for (const uint32_t block : scratch.selection.block_ids()) {
      caught += static_cast<double>(masses[block]);
    }
    recall[s] = caught / total;
  }
}

std::span<const float> RecallProbe::mean_recall() {
  const size_t n_selectors = selectors_.size();
  const size_t n_jobs = recall_.size() / n_selectors;
  for (size_t s = 0; s < n_selectors; ++s) {
    double sum = 0;
    for (size_t job = 0; job < n_jobs; ++job) sum += recall_[job * n_selectors + s];
    mean_[s] = static_cast<float>(sum / static_cast<double>(n_jobs));
  }
  return mean_;
}

}  // namespace longhaul
