#include "engine/packer.h"

#include <algorithm>
#include <tuple>

namespace longhaul {
namespace {

// Passes that a run may be left out of before it goes first.
constexpr size_t kPatience = 8;
// A prompt beside other texts has this part of a pass at most.
constexpr size_t kPromptShare = 4;
// Rows of logits in a pass, unless one step wants more: 300 MB at 151,936 tokens in the vocabulary.
constexpr size_t kMostLogits = 512;

int rank_of(Run& run) {
  if (run.n_missed >= kPatience) return 0;
  switch (run.plan().work) {
    case Work::kStep:
      return 1;
    case Work::kChunk:
      return 2;
    case Work::kPrompt:
      break;
  }
  return 3;
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
  order_.reserve(model.max_rows());
}

bool Packer::add(Run& run) {
  Step step = run.plan().step;
  const size_t n_tokens = step.tokens.size();
  size_t room = model_.max_rows() - n_rows_;
  // Rows with logits stay together, and so do those that choose blocks together; the others may go
  // ahead, and a later pass has the rest.
  const size_t n_loose = step.selector != nullptr ? 0 : n_tokens - step.n_logits;
  // A prompt beside others takes a share: who talks, or is about to, waits for the whole pass. One
  // that had to go first leaves room for those it goes before.
  const bool has_company = n_rows_ > 0 || run.n_missed >= kPatience;
  if (n_loose > 0 && has_company && run.plan().work == Work::kPrompt)
    room = std::min(room, model_.max_rows() / kPromptShare + 1);
  if (n_tokens > room) {
    const size_t n = std::min(n_loose, room);
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
  order_.clear();
  for (size_t i = 0; i < runs.size(); ++i) {
    Run* const run = runs[(turn_ + i) % runs.size()];
    const Planned& planned = run->plan();
    // Short prompts first: they are soon done with.
    const size_t n_tokens = planned.work == Work::kPrompt ? planned.step.tokens.size() : 0;
    order_.push_back({rank_of(*run), n_tokens, i, run});
  }
  std::sort(order_.begin(), order_.end(), [](const Place& a, const Place& b) {
    return std::tie(a.rank, a.n_tokens, a.turn) < std::tie(b.rank, b.n_tokens, b.turn);
  });
  for (const Place& place : order_) {
    if (!add(*place.run)) ++place.run->n_missed;
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
