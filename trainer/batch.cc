#include "trainer/batch.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "tasks/path.h"
#include "tasks/recall.h"
#include "tasks/sum.h"

namespace longhaul::trainer {

Batch Batch::empty(int n_rows, int length, const Vocabulary& vocabulary) {
  const auto n = size_t(n_rows) * size_t(length);
  return {n_rows, length, std::vector<int64_t>(n, vocabulary.eos()),
          std::vector<int64_t>(n, vocabulary.eos()), std::vector<TargetKind>(n, TargetKind::kNone)};
}

bool Batch::set_task(int row, const Task& task, const TaskShape& shape,
                     const Vocabulary& vocabulary) {
  const std::vector<int32_t> prompt = vocabulary.encode(task.prompt);
  const std::vector<int32_t> answer = vocabulary.encode(task.answer);
  LH_CHECK(answer.size() % shape.step_tokens == 0);
  if (1 + prompt.size() + answer.size() > size_t(length)) return false;
  const size_t start = size_t(row) * size_t(length);
  size_t at = start;
  ids[at++] = vocabulary.bos();
  for (const int32_t id : prompt) ids[at++] = id;
  for (const int32_t id : answer) ids[at++] = id;
  for (size_t i = start; i + 1 < at; ++i) targets[i] = ids[i + 1];
  const size_t first = start + prompt.size();  // the last prompt token predicts the first answer
  for (size_t i = 0; i <= answer.size(); ++i) {
    kinds[first + i] = i % shape.step_tokens == shape.hard_token ? shape.hard : shape.other;
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

namespace {

constexpr int kNames = 1024;
constexpr int kFrame = 8;         // mark, "path:", "from u :" or "total :"
constexpr int kRecallFrame = 32;  // mark and the sentences of the prompt

}  // namespace

int max_path_nodes(int length) { return std::clamp((length - kFrame) / 6, 1, kNames); }

int max_sum_entries(int length) { return std::clamp((length - kFrame) / 7, 1, kNames); }

int max_recall_pairs(int length) { return std::max(1, (length - kRecallFrame - 7) / 15 * 2); }

int max_recall_queries(int length, int n_pairs) {
  return std::clamp((length - kRecallFrame - 4 * n_pairs) / 7, 1, n_pairs);
}

// Evaluation uses seeds below 2^32: stay above.
uint64_t BatchSource::draw_seed() { return random_.next() | uint64_t{1} << 63; }

int BatchSource::draw_size(int most) {
  const bool full = random_.below(2) == 0;
  return full ? most : 1 + static_cast<int>(random_.below(size_t(most)));
}

Result<Task> BatchSource::draw_path(int length) {
  const int size = draw_size(max_path_nodes(length));
  // A shorter path leaves room for other paths: up to one edge per three tokens of what is free.
  const int room = std::min((length - kFrame - 6 * size) / 3, kNames - size);
  const int n_other = static_cast<int>(random_.below(size_t(room) + 1));
  return make_path_task({.n_nodes = size, .n_other = n_other}, draw_seed());
}

Result<Task> BatchSource::draw_sum(int length) {
  return make_sum_task({.n_entries = draw_size(max_sum_entries(length))}, draw_seed());
}

// Half of the tasks make their keys of few names, so that one name of a key says little.
Result<Task> BatchSource::draw_recall(int length) {
  const auto n_pairs = size_t(draw_size(max_recall_pairs(length)));
  const auto most_queries = size_t(max_recall_queries(length, static_cast<int>(n_pairs)));
  const size_t n_queries = 1 + random_.below(most_queries);
  const auto fewest = static_cast<size_t>(std::ceil(std::sqrt(2.0 * double(n_pairs))));
  const bool few = random_.below(2) == 0;
  const size_t n_names =
      few ? std::min(size_t(kNames), fewest + random_.below(2 * fewest)) : kNames;
  return make_recall_task({.n_pairs = n_pairs, .n_queries = n_queries, .n_names = n_names},
                          draw_seed());
}

Batch BatchSource::next(int n_rows, int length) {
  Batch batch = Batch::empty(n_rows, length, vocabulary_);
  for (int row = 0; row < n_rows; ++row) {
    // Multiples of the golden ratio spread evenly over [0, 1).
    double whole = 0;
    const double u = std::modf(static_cast<double>(n_rows_drawn_++) * 0.6180339887498949, &whole);
    const auto set = [&](const Result<Task>& task, const TaskShape& shape) {
      LH_CHECK(task.has_value());
      LH_CHECK(batch.set_task(row, *task, shape, vocabulary_));
    };
    if (u < mix_.path) {
      set(draw_path(length), kPathShape);
    } else if (u < mix_.path + mix_.sum) {
      set(draw_sum(length), kSumShape);
    } else if (u < mix_.path + mix_.sum + mix_.recall) {
      set(draw_recall(length), kRecallShape);
    } else {
      batch.set_text(row, text_, random_.below(text_.size()), vocabulary_);
    }
  }
  return batch;
}

}  // namespace longhaul::trainer
