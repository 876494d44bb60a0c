#include "trainer/batch.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "tasks/path.h"
#include "tasks/sum.h"

namespace longhaul::trainer {

Batch Batch::empty(int n_rows, int length, const Vocabulary& vocabulary) {
  const auto n = size_t(n_rows) * size_t(length);
  return {n_rows, length, std::vector<int64_t>(n, vocabulary.eos()),
          std::vector<int64_t>(n, vocabulary.eos()), std::vector<TargetKind>(n, TargetKind::kNone)};
}

bool Batch::set_task(int row, const Task& task, bool is_path, const Vocabulary& vocabulary) {
  const std::vector<int32_t> prompt = vocabulary.encode(task.prompt);
  const std::vector<int32_t> answer = vocabulary.encode(task.answer);
  const size_t step_tokens = is_path ? 3 : 4;
  const size_t value = is_path ? 1 : 2;  // the token of a step that has to be found out
  LH_CHECK(answer.size() % step_tokens == 0);
  if (1 + prompt.size() + answer.size() > size_t(length)) return false;
  const size_t start = size_t(row) * size_t(length);
  size_t at = start;
  ids[at++] = vocabulary.bos();
  for (const int32_t id : prompt) ids[at++] = id;
  for (const int32_t id : answer) ids[at++] = id;
  for (size_t i = start; i + 1 < at; ++i) targets[i] = ids[i + 1];
  const size_t first = start + prompt.size();  // the last prompt token predicts the first answer
  for (size_t i = 0; i <= answer.size(); ++i) {
    const bool hard = i % step_tokens == value;
    kinds[first + i] = is_path ? (hard ? TargetKind::kPathHop : TargetKind::kPathOther)
                               : (hard ? TargetKind::kSumTotal : TargetKind::kSumOther);
  }
  return true;
}

void Batch::set_text(int row, const std::vector<int32_t>& text, size_t offset,
                     const Vocabulary& vocabulary) {
  const size_t start = size_t(row) * size_t(length);
  ids[start] = vocabulary.bos();
  for (size_t i = 0; i < size_t(length); ++i) {
    const int32_t id = text[(offset + i) % text.size()];
    targets[start + i] = id;
    kinds[start + i] = TargetKind::kText;
    if (i + 1 < size_t(length)) ids[start + i + 1] = id;
  }
}

int max_task_size(int length, bool is_path) {
  constexpr int kFrame = 8;  // mark, "path:", "from u :" or "total :"
  return std::clamp((length - kFrame) / (is_path ? 6 : 7), 1,
                    static_cast<int>(task_names().size()));
}

void BatchSource::fill_task(Batch& batch, int row, bool is_path) {
  const int most = max_task_size(batch.length, is_path);
  const bool full = random_.below(2) == 0;
  const int size = full ? most : 1 + static_cast<int>(random_.below(size_t(most)));
  // Evaluation uses seeds below 2^32: stay above.
  const uint64_t seed = random_.next() | uint64_t{1} << 63;
  // A shorter path leaves room for other paths: up to one edge per three tokens of what is free.
  const int room = std::min((batch.length - 8 - 6 * size) / 3, 1024 - size);
  const int n_other = static_cast<int>(random_.below(size_t(room) + 1));
  const auto task = is_path ? make_path_task({.n_nodes = size, .n_other = n_other}, seed)
                            : make_sum_task({.n_entries = size}, seed);
  LH_CHECK(task.has_value());
  LH_CHECK(batch.set_task(row, *task, is_path, vocabulary_));
}

Batch BatchSource::next(int n_rows, int length) {
  Batch batch = Batch::empty(n_rows, length, vocabulary_);
  for (int row = 0; row < n_rows; ++row) {
    // Multiples of the golden ratio spread evenly over [0, 1).
    double whole = 0;
    const double u = std::modf(static_cast<double>(n_rows_drawn_++) * 0.6180339887498949, &whole);
    if (u < mix_.path + mix_.sum) {
      fill_task(batch, row, u < mix_.path);
    } else {
      batch.set_text(row, text_, random_.below(text_.size()), vocabulary_);
    }
  }
  return batch;
}

}  // namespace longhaul::trainer
