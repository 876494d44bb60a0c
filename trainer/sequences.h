// Token sequences to distil gates on: generated tasks and text, as a model's own tokenizer reads
// them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "tasks/task_kind.h"
#include "tokenizer/tokenizer.h"

namespace longhaul::trainer {

struct SequenceOptions {
  std::vector<std::string> tasks;  // kinds of tasks/, in equal shares; none: text only
  std::string text;                // its last tenth is held out
  double text_share = 0.3;         // of the sequences, if there are tasks as well
  int64_t length = 4096;           // tokens of the longest
  uint64_t seed = 1;
};

// Sequence i is a function of the options and of i alone, so that a resumed run goes on with those
// it would have seen. A sequence is one task or one piece of text, as long as `length` half of the
// time, else of any length from a quarter of it on. Held-out sequences are as long as `length`.
class Sequences {
 public:
  // Error: an unknown task, neither tasks nor text, a text shorter than two sequences.
  static Result<Sequences> make(const Tokenizer& tokenizer, const SequenceOptions& options);

  std::vector<int64_t> training(uint64_t i) const;
  std::vector<int64_t> held_out(uint64_t i) const;

 private:
  struct Kind {
    const TaskKind* task;
    double tokens_a_unit, tokens_fixed;  // of prompt and answer
  };

  Sequences(const Tokenizer& tokenizer, const SequenceOptions& options)
      : tokenizer_(&tokenizer), options_(options) {}
  Status add_kind(const std::string& name);
  // Mark, prompt and answer of a task.
  Result<std::vector<int64_t>> task_ids(const TaskKind& kind, size_t n_units, uint64_t seed) const;
  std::vector<int64_t> task(const Kind& kind, int64_t length, uint64_t seed) const;
  std::vector<int64_t> piece(int64_t first, int64_t length) const;
  bool is_text(uint64_t i) const;

  const Tokenizer* tokenizer_;
  SequenceOptions options_;
  std::vector<Kind> kinds_;
  std::vector<int32_t> text_;
};

}  // namespace longhaul::trainer
