// Training rows: tasks and text as token ids, with what each position is to be judged by.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "tasks/random.h"
#include "tasks/task.h"
#include "trainer/vocabulary.h"

namespace longhaul::trainer {

// What the token after a position is. Each kind has its own loss and accuracy.
enum class TargetKind : uint8_t {
  kNone,         // prompt and padding: not learnt
  kText,         // English
  kPathHop,      // the end of an edge: the look-up
  kPathOther,    // the rest of a path answer: copies, separators, the end mark
  kSumTotal,     // a running total
  kSumOther,     // the rest of a sum answer: looked-up labels and addends, separators, the end
  kRecallValue,  // a looked-up value
  kRecallOther,  // the rest of a recall answer: the keys asked for, separators, the end
};
inline constexpr int kTargetKinds = 8;

// A kind of task to learn: how its answers are cut into steps, and how large they can be.
struct TaskShape {
  const char* name;
  size_t step_tokens;  // of the answer
  size_t hard_token;   // the one in a step that has to be found out
  TargetKind hard, other;
};
inline constexpr TaskShape kPathShape{"path", 3, 1, TargetKind::kPathHop, TargetKind::kPathOther};
inline constexpr TaskShape kSumShape{"sum", 4, 2, TargetKind::kSumTotal, TargetKind::kSumOther};
inline constexpr TaskShape kRecallShape{"recall", 4, 2, TargetKind::kRecallValue,
                                        TargetKind::kRecallOther};

struct Batch {
  int n_rows = 0;
  int length = 0;
  std::vector<int64_t> ids;       // [n_rows, length]
  std::vector<int64_t> targets;   // [n_rows, length], the id that follows
  std::vector<TargetKind> kinds;  // [n_rows, length]

  // A batch of rows that predict nothing yet: ids are the end mark.
  static Batch empty(int n_rows, int length, const Vocabulary& vocabulary);
  // Writes mark, prompt, answer and end mark into `row`. False if they need more than `length`.
  bool set_task(int row, const Task& task, const TaskShape& shape, const Vocabulary& vocabulary);
  // Writes mark and `text` from `offset` on into `row`.
  void set_text(int row, const std::vector<int32_t>& text, size_t offset,
                const Vocabulary& vocabulary);
};

// The largest path or sum task, and the largest recall task that asks for half of its keys, whose
// prompt and answer fit into `length` tokens.
int max_path_nodes(int length);
int max_sum_entries(int length);
int max_recall_pairs(int length);
// How many of its keys a recall task of so many pairs can ask for in `length` tokens.
int max_recall_queries(int length, int n_pairs);

struct BatchMix {
  double path = 0.4;
  double sum = 0.3;
  double recall = 0;  // the rest is text
};

// Draws one row after the other: kinds in the proportions of the mix, spread evenly; sizes up to
// what fits, half of them at the largest.
class BatchSource {
 public:
  BatchSource(const Vocabulary& vocabulary, std::vector<int32_t> text, BatchMix mix, uint64_t seed)
      : vocabulary_(vocabulary), text_(std::move(text)), mix_(mix), random_(seed) {}

  Batch next(int n_rows, int length);

 private:
  // A size up to `most`, half of the time `most`.
  int draw_size(int most);
  Result<Task> draw_path(int length);
  Result<Task> draw_sum(int length);
  Result<Task> draw_recall(int length);
  uint64_t draw_seed();

  const Vocabulary& vocabulary_;
  std::vector<int32_t> text_;
  BatchMix mix_;
  TaskRandom random_;
  uint64_t n_rows_drawn_ = 0;
};

}  // namespace longhaul::trainer
