#include "engine/packer.h"

#include <algorithm>

namespace longhaul {
namespace {

// Passes that a run may be left out of before it goes first.
constexpr size_t kPatience = 8;
// Rows of logits in a pass, unless one step wants more: 300 MB at 151,936 tokens in the vocabulary.
constexpr size_t kMostLogits = 512;

constexpr int kRanks = 4;

int rank_of(Run& run) {
  if (run.n_missed >= kPatience) return 0;
  switch (run.plan().work) {
    case Work::kStep:
      return 1;
    case Work::kChunk:
      return 2;
    case Work::kPrompt:
      return 3;
  }
  return kRanks - 1;
}

// The pass's times by its share of the rows, so that the sums over all texts are those of the pass.
PassTimes share_of(const PassTimes& pass, size_t n_rows) {
  const double share = static_cast<double>(n_rows) / static_cast<double>(pass.n_tokens);
  return {.n_passes = pass.n_passes,
          .n_tokens = n_rows,
          .n_attended = pass.n_attended * share,
          .weights_s = pass.weights_s * share,
          .selection_s = pass.selection_s * share,
          .attention_s = pass.attention_s * share,
          .rest_s = pass.rest_s * share};
}

}  // namespace

Packer::Packer(Model& model) : model_(model), logits_(model.plan().vocab_size) {
  ran_.reserve(model.max_rows());
  steps_.reserve(model.max_rows());
}

bool Packer::add(Run& run) {
  Step step = run.plan().step;
  const size_t n_tokens = step.tokens.size();
  size_t room = model_.max_rows() - n_rows_;
  // A prompt that had to go first leaves room for those it goes before.
  if (run.n_missed >= kPatience && run.plan().work == Work::kPrompt) {
    room = std::min(room, model_.max_rows() / 4 + 1);
  }
  if (n_tokens > room) {
    // Rows with logits stay together, and so do those that choose blocks together: a later pass has
    // the rest.
    const size_t n = step.selector != nullptr ? 0 : std::min(n_tokens - step.n_logits, room);
    step.tokens = step.tokens.first(n);
    step.n_logits = 0;
    if (n == 0) return false;
  }
  if (n_logits_ > 0 && n_logits_ + step.n_logits > kMostLogits) return false;
  n_rows_ += step.tokens.size();
  n_logits_ += step.n_logits;
  ran_.push_back(&run);
  steps_.push_back(step);
  return true;
}

void Packer::pack(std::span<Run* const> runs) {
  ran_.clear();
  steps_.clear();
  n_rows_ = n_logits_ = 0;
  for (Run* run : runs) run->plan();
  for (int rank = 0; rank < kRanks; ++rank) {
    for (size_t i = 0; i < runs.size(); ++i) {
      Run& run = *runs[(turn_ + i) % runs.size()];
      if (rank_of(run) == rank && !add(run)) ++run.n_missed;
    }
  }
  ++turn_;
}

void Packer::run(std::span<Run* const> runs) {
  pack(runs);
  const size_t vocab_size = model_.plan().vocab_size;
  logits_.ensure(n_logits_ * vocab_size);
  const bool timed =
      std::any_of(ran_.begin(), ran_.end(), [](const Run* run) { return run->wants_times(); });
  PassTimes times;
  model_.run(steps_, MatrixView<float>(logits_.data(), n_logits_, vocab_size),
             timed ? &times : nullptr);
  for (size_t i = 0; i < ran_.size(); ++i) {
    const Step& step = steps_[i];
    const MatrixView<const float> logits(logits_.data() + step.first_logits * vocab_size,
                                         step.n_logits, vocab_size);
    ran_[i]->take(step, logits,
                  timed && times.n_tokens > 0 ? share_of(times, step.tokens.size()) : PassTimes());
  }
}

}  // namespace longhaul
