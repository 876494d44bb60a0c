#include "trainer/sequences.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "tasks/random.h"

namespace longhaul::trainer {
namespace {

constexpr uint64_t kTrainingSeed = uint64_t{1} << 63;  // evaluation's seeds are below 2^32

// The golden ratio's multiples spread evenly over [0, 1): its sequence number decides what a
// sequence is, so that shares are right from the first on.
double spread(uint64_t i, double ratio) {
  double whole = 0;
  return std::modf(static_cast<double>(i) * ratio, &whole);
}

}  // namespace

Result<Sequences> Sequences::make(const Tokenizer& tokenizer, const SequenceOptions& options) {
  Sequences sequences(tokenizer, options);
  if (options.tasks.empty() && options.text.empty()) {
    return bad_input("--tasks, --text: expected at least one of them");
  }
  for (const std::string& name : options.tasks) LH_RETURN_IF_ERROR(sequences.add_kind(name));
  sequences.options_.text.clear();
  if (options.text.empty()) return sequences;
  LH_ASSIGN_OR_RETURN(sequences.text_, tokenizer.encode(options.text, {.add_bos = false}));
  // The held-out tenth and a training part from which pieces differ.
  const auto n_needed = static_cast<size_t>(20 * options.length);
  if (sequences.text_.size() < n_needed) {
    return bad_input("--text: expected at least 20 times --length, {} tokens, found {}", n_needed,
                     sequences.text_.size());
  }
  return sequences;
}

// Learns how many tokens tasks of a kind take, from two sizes.
Status Sequences::add_kind(const std::string& name) {
  const TaskKind* kind = find_task_kind(name);
  if (kind == nullptr) {
    std::vector<std::string_view> names;
    for (const TaskKind* known : all_task_kinds()) names.push_back(known->name);
    return bad_input("--tasks {}: expected one of {}", name, fmt::join(names, ", "));
  }
  const size_t small = std::clamp<size_t>(16, kind->least_units, kind->most_units);
  const size_t large = std::clamp<size_t>(128, kind->least_units, kind->most_units);
  LH_ASSIGN_OR_RETURN(const auto few, task_ids(*kind, small, 1));
  LH_ASSIGN_OR_RETURN(const auto many, task_ids(*kind, large, 1));
  const double slope = (static_cast<double>(many.size()) - static_cast<double>(few.size())) /
                       static_cast<double>(std::max<size_t>(1, large - small));
  kinds_.push_back({kind, std::max(slope, 1.0),
                    static_cast<double>(few.size()) - slope * static_cast<double>(small)});
  return {};
}

Result<std::vector<int64_t>> Sequences::task_ids(const TaskKind& kind, size_t n_units,
                                                 uint64_t seed) const {
  TaskSpec spec{.n_units = n_units, .seed = seed};
  if (kind.has_queries) spec.n_queries = (n_units + 1) / 2;  // look-ups fill the last half
  LH_ASSIGN_OR_RETURN(const Task task, kind.make(spec));
  LH_ASSIGN_OR_RETURN(const auto ids, tokenizer_->encode(task.prompt + task.answer));
  return std::vector<int64_t>(ids.begin(), ids.end());
}

// A task of about `length` tokens, never more.
std::vector<int64_t> Sequences::task(const Kind& kind, int64_t length, uint64_t seed) const {
  const double units = (static_cast<double>(length) - kind.tokens_fixed) / kind.tokens_a_unit;
  const auto n_units = std::clamp<size_t>(static_cast<size_t>(std::max(units, 1.0)),
                                          kind.task->least_units, kind.task->most_units);
  auto ids = task_ids(*kind.task, n_units, seed);
  LH_CHECK(ids.has_value());  // its kind was made and encoded before
  if (static_cast<int64_t>(ids->size()) > length) ids->resize(static_cast<size_t>(length));
  return std::move(*ids);
}

// Mark and `length` tokens, the mark included, of the text from `first` on.
std::vector<int64_t> Sequences::piece(int64_t first, int64_t length) const {
  std::vector<int64_t> ids;
  if (tokenizer_->add_bos() && tokenizer_->bos()) ids.push_back(*tokenizer_->bos());
  const auto n = length - static_cast<int64_t>(ids.size());
  ids.insert(ids.end(), text_.begin() + first, text_.begin() + first + n);
  return ids;
}

bool Sequences::is_text(uint64_t i) const {
  if (kinds_.empty() || text_.empty()) return kinds_.empty();
  return spread(i, 0.6180339887498949) < options_.text_share;
}

std::vector<int64_t> Sequences::training(uint64_t i) const {
  TaskRandom random(options_.seed * 0x100000001b3 + i);
  const auto quarter = static_cast<uint64_t>(options_.length / 4);
  const int64_t shorter = options_.length - static_cast<int64_t>(random.below(3 * quarter + 1));
  const int64_t length = random.below(2) == 0 ? options_.length : shorter;
  if (!is_text(i)) {
    const Kind& kind = kinds_[random.below(kinds_.size())];
    return task(kind, length, random.next() | kTrainingSeed);
  }
  const size_t end = text_.size() / 10 * 9 - static_cast<size_t>(length);
  return piece(static_cast<int64_t>(random.below(end)), length);
}

std::vector<int64_t> Sequences::held_out(uint64_t i) const {
  if (!is_text(i)) return task(kinds_[i % kinds_.size()], options_.length, i + 1);
  const size_t first = text_.size() / 10 * 9;
  TaskRandom random(i);
  const size_t room = text_.size() - first - static_cast<size_t>(options_.length) + 1;
  return piece(static_cast<int64_t>(first + random.below(room)), options_.length);
}

}  // namespace longhaul::trainer
