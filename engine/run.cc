#include "engine/run.h"

#include <algorithm>

#include "base/check.h"

namespace longhaul {
namespace {

PassTimes& part_of(Profile& profile, Work work) {
  switch (work) {
    case Work::kStep:
      return profile.steps;
    case Work::kChunk:
      return profile.chunks;
    case Work::kPrompt:
      return profile.prompt;
  }
  LH_CHECK(false);
}

}  // namespace

Run::Run(Text& text, const AttentionOptions& options, std::unique_ptr<DecodeMode> mode,
         Sampler sampler, size_t max_rows, size_t end)
    : text_(text),
      options_(options),
      selector_(*find_selector(options.selector)),
      mode_(std::move(mode)),
      sampler_(std::move(sampler)),
      max_rows_(max_rows),
      end_(end) {
  stats_.mode = options.mode;
}

bool Run::selects_everything() const {
  const size_t block_size = text_.block_size();
  const size_t n_blocks = (text_.n_cached() + block_size) / block_size;  // with the newest token
  return n_selected_blocks(options_, selector_, n_blocks, block_size) == n_blocks;
}

Planned Run::newest(const Selector* selector) {
  LH_CHECK(text_.n_cached() + 1 == text_.size());
  Planned planned{text_.step(text_.tokens().last(1), 1), Work::kStep};
  planned.step.selector = selector;
  planned.step.attention = &options_;
  planned.step.observer = observer_;
  if (wants_attended_ && selector != nullptr) {
    block_counts_.assign(text_.n_cached() / text_.block_size() + 1, 0);
    planned.step.block_counts = block_counts_;
  }
  return planned;
}

Planned Run::dense_step() { return newest(nullptr); }
Planned Run::sparse_step() { return newest(&selector_); }

Planned Run::catch_up() {
  const auto tokens = text_.tokens().subspan(text_.n_cached());
  return {text_.step(tokens.first(tokens.size() - 1), 0), Work::kChunk};
}

Result<int32_t> Run::draw(std::span<const float> logits, size_t position) {
  if (!sampler_.any_candidate(logits)) {
    return tl::unexpected<Error>(sampler_.no_candidate(position));
  }
  const int32_t token = sampler_.sample(logits, position);
  sampler_.accept(token);
  return token;
}

void Run::read_first(size_t read_end, bool with_logits, bool continues) {
  read_end_ = read_end;
  reads_logits_ = with_logits;
  continues_ = continues;
}

void Run::begin() {
  text_.reserve(end_);
  const size_t last = reads_logits_ ? read_end_ - 1 : read_end_;
  const size_t first = std::min(mode_->clean_from(text_, continues_), last);
  if (first < text_.n_cached()) text_.rewind(first);
  read_begin_ = std::min(text_.n_cached(), read_end_);
  is_reading_ = read_begin_ < read_end_;
  begun_at_ = read_at_ = Clock::now();
  n_when_read_ = text_.size();
}

const Planned& Run::plan() {
  if (planned_) return *planned_;
  if (is_reading_) {
    const size_t first = text_.n_cached();
    const auto tokens = text_.tokens().subspan(first, read_end_ - first);
    planned_ = Planned{text_.step(tokens, reads_logits_ ? 1 : 0), Work::kPrompt};
  } else if (text_.n_cached() + 1 < text_.size() && !mode_->owes(*this)) {
    is_catching_up_ = true;
    planned_ = catch_up();
  } else {
    planned_ = mode_->plan(*this);
  }
  return *planned_;
}

void Run::take(const Step& step, MatrixView<const float> logits, const PassTimes& times) {
  const Planned ran{step, planned_->work};
  planned_.reset();
  n_missed = 0;
  if (profile_ != nullptr) part_of(*profile_, ran.work) += times;
  Status status = step.status;
  if (status) status = take_ran(ran, logits);
  if (!status) fail(std::move(status.error()));
}

Status Run::take_ran(const Planned& ran, MatrixView<const float> logits) {
  const Step& step = ran.step;
  text_.ran(step, step.selector == nullptr || ran.work == Work::kChunk);
  if (is_reading_) {
    is_reading_ = text_.n_cached() < read_end_;
    if (is_reading_) return {};
    if (step.n_logits > 0) LH_RETURN_IF_ERROR(append({logits.row(0), logits.n_cols}));
    read_at_ = Clock::now();
    n_when_read_ = text_.size();
    return {};
  }
  if (is_catching_up_) {
    is_catching_up_ = text_.n_cached() + 1 < text_.size();
    return {};
  }
  if (ran.work == Work::kStep) {
    was_sparse_ = step.selector != nullptr;
    ++(step.selector == nullptr ? stats_.dense_steps : stats_.sparse_steps);
    stats_.blocks_read += step.stats.blocks_read;
    stats_.blocks_total += step.stats.blocks_total;
  }
  return mode_->take(*this, step, logits);
}

Attended Run::attended() const {
  Attended attended;
  attended.n_tokens = text_.size();
  attended.is_sparse = was_sparse_;
  // A backend that counts nothing leaves zeros.
  if (was_sparse_ && !block_counts_.empty() && block_counts_.back() > 0)
    attended.block_counts = block_counts_;
  attended.n_rectifications = stats_.rectifications;
  attended.n_rectified = text_.n_rectified();
  return attended;
}

void Run::stop_at(size_t n_tokens) {
  // What a mode left unfinished goes: drafts that nobody verified.
  const bool unfinished = !is_reading_ && mode_->owes(*this);
  text_.cut(n_tokens);
  if (unfinished && text_.n_cached() >= text_.size()) text_.rewind(text_.size() - 1);
  is_stopped_ = true;
}

void Run::fail(Error error) {
  stop_at(text_.size());
  status_ = tl::unexpected<Error>(std::move(error));
}

bool Run::is_over() const {
  return is_stopped_ || (!is_reading_ && n_left() == 0 && !mode_->owes(*this));
}

}  // namespace longhaul
