// One request at work on one text: what a mode may look at and use, and the steps that lead from
// the prompt to the last token. Who runs the steps, and with whom together, it does not know.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/mode.h"
#include "longhaul/engine.h"
#include "sampling/sampler.h"

namespace longhaul {

class Run {
 public:
  // `end`: the length the text may reach. The references must outlive the run.
  Run(Text& text, const AttentionOptions& options, std::unique_ptr<DecodeMode> mode,
      Sampler sampler, size_t max_rows, size_t end);
  virtual ~Run() = default;
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // For modes.
  Text& text() { return text_; }
  const Text& text() const { return text_; }
  const AttentionOptions& options() const { return options_; }
  const Selector& selector() const { return selector_; }
  AttentionStats& stats() { return stats_; }
  size_t max_rows() const { return max_rows_; }  // of one step
  size_t n_left() const { return end_ - text_.size(); }
  // True if a sparse step at the present length would read every block: then it is a dense step.
  bool selects_everything() const;
  // The newest token over all blocks, or over those that the selector chooses.
  Planned dense_step();
  Planned sparse_step();
  // All tokens that are not cached, but the newest, over all blocks, without logits.
  Planned catch_up();
  // Appends what follows these logits; final.
  virtual Status append(std::span<const float> logits) = 0;
  // True if the token ends the text.
  virtual bool is_end(int32_t) const { return false; }
  // Draws the token of that position and tells the sampler; the text stays. Error if no logit is a
  // number above -infinity.
  Result<int32_t> draw(std::span<const float> logits, size_t position);
  // The sampler forgets the last draws, which were drafts.
  void undraw(size_t n_tokens) { sampler_.rollback(n_tokens); }

  // For the scheduler, in the order of a life. begin(): room was found.
  void begin();
  // The step to run next; the same until it was run. Only while is_over() is false.
  const Planned& plan();
  // `step` is the planned one or its first part, as a pass left it; `times` its share of the pass.
  void take(const Step& step, MatrixView<const float> logits, const PassTimes& times);
  // There is something for deliver(), which calls the caller's functions and touches neither cache
  // nor text. settle() then does what they decided.
  virtual bool has_news() const = 0;
  virtual void deliver() = 0;
  virtual void settle() = 0;
  virtual bool has_callbacks() const = 0;
  virtual bool wants_cancel() const { return false; }
  virtual bool waits_for_room() const { return false; }
  // Ends it from outside. refuse(): before begin(), as if nothing had been asked. fail(): what was
  // final stays. cancel(): the same, but no error where the request has a word for it.
  virtual void refuse(Error error) { fail(std::move(error)); }
  void fail(Error error);
  virtual void cancel() = 0;
  bool is_over() const;

  size_t end() const { return end_; }
  bool wants_times() const { return profile_ != nullptr; }
  const Status& status() const { return status_; }

  size_t n_missed = 0;  // passes in a row that had no room for it

 protected:
  // Before begin(): the text up to `read_end` is to be read first, with the logits after it if
  // asked for. What is clean by the mode's word is not read again.
  void read_first(size_t read_end, bool with_logits, bool continues);
  // The text ends here: tokens after the first n_tokens are forgotten.
  void stop_at(size_t n_tokens);

  // Tokens to read before decoding, and how many of them are read.
  size_t n_to_read() const { return read_end_ - read_begin_; }
  size_t n_read() const { return is_reading_ ? text_.n_cached() - read_begin_ : n_to_read(); }
  bool is_read() const { return !is_reading_; }
  DecodeMode& mode() { return *mode_; }

  using Clock = std::chrono::steady_clock;
  const Clock::time_point made_at_ = Clock::now();
  Clock::time_point begun_at_ = made_at_, read_at_ = made_at_;
  size_t n_when_read_ = 0;                       // length of the text at read_at_
  Profile* profile_ = nullptr;                   // null: nothing is timed or hashed
  const SelectionObserver* observer_ = nullptr;  // of one-token steps
  bool wants_attended_ = false;                  // attended() will be asked
  // What the newest step of one token attended to.
  Attended attended() const;

 private:
  Planned newest(const Selector* selector);
  Status take_ran(const Planned& ran, MatrixView<const float> logits);

  Text& text_;
  const AttentionOptions& options_;
  const Selector& selector_;
  std::unique_ptr<DecodeMode> mode_;
  Sampler sampler_;
  AttentionStats stats_;
  size_t max_rows_;
  size_t end_;
  size_t read_begin_ = 0, read_end_ = 0;
  bool reads_logits_ = false;
  bool continues_ = false;
  bool is_reading_ = false;
  bool is_catching_up_ = false;  // after a rewind that went further than asked
  bool is_stopped_ = false;
  std::optional<Planned> planned_;
  std::vector<uint32_t> block_counts_;  // of the newest one-token step, where they are wanted
  bool was_sparse_ = false;             // that step
  Status status_;
};

}  // namespace longhaul
