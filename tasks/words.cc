// words: which words of a long list occur most often? Nothing in the list can be left out, so that
// every block matters a little (RULER's aggregation tasks, arXiv 2404.06654). Even seeds ask for
// the ten common words among many rare ones, odd seeds for the three most frequent of a steep
// distribution of made-up words.
#include <algorithm>
#include <map>

#include "tasks/answers.h"
#include "tasks/english.h"
#include "tasks/task_kind.h"

namespace longhaul {
namespace {

constexpr size_t kCommon = 10;   // common words
constexpr size_t kFrequent = 3;  // most frequent words asked for
constexpr size_t kLeastWords = 80;
constexpr size_t kMostWords = 60000;
constexpr double kZetaOf2 = 1.6449340668482264;

struct WordList {
  std::vector<std::string> words;  // shuffled
  std::vector<std::string> wanted;
};

// Half of the list are the common words, each as often as the others; rare ones a tenth as often.
WordList common_words(size_t n_words, TaskRandom& random) {
  std::vector<size_t> ids(n_compound_words());
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = i;
  random.shuffle(ids);
  WordList list;
  const size_t n_times = n_words / (2 * kCommon);
  const size_t n_rare_times = std::max<size_t>(1, n_times / 10);
  for (size_t i = 0; i < kCommon; ++i) {
    list.wanted.push_back(compound_word(ids[i]));
    list.words.insert(list.words.end(), n_times, list.wanted.back());
  }
  for (size_t i = kCommon; list.words.size() < n_words; ++i) {
    const size_t n = std::min(n_rare_times, n_words - list.words.size());
    list.words.insert(list.words.end(), n, compound_word(ids[i % ids.size()]));
  }
  random.shuffle(list.words);
  return list;
}

// The word of rank r occurs in proportion to 1 / r^2.
WordList frequent_words(size_t n_words, TaskRandom& random) {
  std::vector<std::string> names = task_names();
  random.shuffle(names);
  WordList list;
  for (size_t rank = 1; list.words.size() < n_words; ++rank) {
    const double share = 1 / (kZetaOf2 * static_cast<double>(rank * rank));
    const auto n = std::max<size_t>(1, static_cast<size_t>(share * static_cast<double>(n_words)));
    list.words.insert(list.words.end(), std::min(n, n_words - list.words.size()),
                      names[(rank - 1) % names.size()]);
    if (rank <= kFrequent) list.wanted.push_back(names[rank - 1]);
  }
  random.shuffle(list.words);
  return list;
}

bool is_candidate(std::string_view word) {
  if (word.find('-') != std::string_view::npos) return true;
  const auto& names = task_names();
  return std::find(names.begin(), names.end(), word) != names.end();
}

Result<Task> make(const TaskSpec& spec) {
  if (spec.n_units < kLeastWords || spec.n_units > kMostWords) {
    return bad_input("words task: {} words asked for; need {} to {}", spec.n_units, kLeastWords,
                     kMostWords);
  }
  TaskRandom random(spec.seed);
  const bool common = spec.seed % 2 == 0;
  const WordList list =
      common ? common_words(spec.n_units, random) : frequent_words(spec.n_units, random);
  Task task;
  task.prompt = "Below is a list of words. Some occur more often than others.\n";
  for (const std::string& word : list.words) task.prompt += word + " ";
  const std::string asked =
      (common ? "ten most common" : "three most frequent") + std::string(" words of the list");
  task.prompt += "\nWhich are the " + asked + "?\nAnswer: The " + asked + " are";
  task.answer = listed(list.wanted);
  task.wanted = list.wanted;
  return task;
}

}  // namespace

extern const TaskKind kWordsTaskKind;
const TaskKind kWordsTaskKind = {
    .name = "words",
    .about = "the common (even seeds) or most frequent (odd) words of a list",
    .least_units = kLeastWords,
    .most_units = kMostWords,
    .one_line = true,
    .make = make,
    .score = [](const Task& task,
                std::string_view generated) { return score_words(task, generated, is_candidate); },
};

}  // namespace longhaul
