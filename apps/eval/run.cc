#include "apps/eval/run.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "apps/eval/worker.h"
#include "base/progress.h"
#include "base/result.h"

namespace longhaul::eval {
namespace {

constexpr size_t kSmallModelBytes = size_t{64} << 20;

// One run of an item; exactly one of the settings is set.
struct Trial {
  Measure measure = Measure::kAnswers;
  const Setting* setting = nullptr;
  const RecallSetting* recall = nullptr;
};

struct Batch {
  const Item* item = nullptr;
  std::vector<Trial> trials;
};

// What one engine has to do.
struct Group {
  std::vector<Batch> batches;
  bool needs_reference = false;
};

size_t work_of(const Item& item, Measure measure) {
  return measure == Measure::kAnswers ? item.max_tokens : item.target.size();
}

// What is left of the plan, by engine; items in their order.
class Schedule {
 public:
  Schedule(const Plan& plan, const std::vector<Item>& items, const std::vector<Setting>& settings,
           const std::vector<RecallSetting>& recalls, const Store& store)
      : plan_(plan), store_(store) {
    for (const Item& item : items) {
      for (const Setting& setting : settings) {
        add(item, {Measure::kAnswers, &setting, nullptr}, setting.engine, setting.name);
        add(item, {Measure::kForced, &setting, nullptr}, setting.engine, setting.name);
      }
      for (const RecallSetting& recall : recalls) {
        add(item, {Measure::kRecall, nullptr, &recall}, recall.engine, recall.name);
      }
    }
  }

  const std::map<EngineKey, Group>& groups() const { return groups_; }
  size_t work() const { return work_; }  // tokens of all that is left

 private:
  bool applies(const Item& item, const Trial& trial) const {
    // A text has no answer, and a fixed text nothing else.
    const bool is_text = item.score == nullptr;
    if (trial.measure == Measure::kAnswers) return !is_text && plan_.measures_any(trial.measure);
    if (item.target.size() < 2) return false;
    if (trial.measure == Measure::kRecall) return plan_.measures_any(trial.measure);
    return trial.setting->can_be_forced() && (is_text || plan_.measures_any(trial.measure));
  }

  void add(const Item& item, const Trial& trial, const EngineKey& key, const std::string& name) {
    if (!applies(item, trial)) return;
    if (store_.has(record_key(trial.measure, name, item.task, item.length, item.index))) return;
    work_ += work_of(item, trial.measure);
    Group& group = groups_[key];
    if (group.batches.empty() || group.batches.back().item != &item) {
      group.batches.push_back({&item, {}});
    }
    group.batches.back().trials.push_back(trial);
    group.needs_reference |= trial.measure == Measure::kForced;
  }

  const Plan& plan_;
  const Store& store_;
  std::map<EngineKey, Group> groups_;
  size_t work_ = 0;
};

// The progress of all workers in one bar, and their first error.
class Shared {
 public:
  Shared(size_t work, Store& store) : bar_("eval", work), store_(store) {}

  Status finish(const Record& record, size_t n_tokens) {
    const std::string note = record.task + ", " + record.setting;
    LH_RETURN_IF_ERROR(store_.add(record));
    const std::lock_guard lock(mutex_);
    bar_.update(done_ += n_tokens, note);
    return {};
  }

  void fail(Status status) {
    const std::lock_guard lock(mutex_);
    if (first_error_) first_error_ = std::move(status);
    failed_ = true;
  }
  bool failed() const { return failed_; }
  Status status() { return std::move(first_error_); }

 private:
  std::mutex mutex_;
  ProgressBar bar_;
  size_t done_ = 0;
  Store& store_;
  Status first_error_;
  std::atomic<bool> failed_ = false;
};

Status run_batch(Worker& worker, const Batch& batch, Shared& shared) {
  LH_RETURN_IF_ERROR(worker.begin(*batch.item));
  for (const Trial& trial : batch.trials) {
    auto record = trial.measure == Measure::kAnswers  ? worker.answer(*trial.setting)
                  : trial.measure == Measure::kForced ? worker.forced(*trial.setting)
                                                      : worker.recall(*trial.recall);
    LH_RETURN_IF_ERROR(record);
    LH_RETURN_IF_ERROR(shared.finish(*record, work_of(*batch.item, trial.measure)));
  }
  return {};
}

// How many tasks have prompts that begin alike.
size_t count_prefixes(const Group& group) {
  std::set<std::string> tasks;
  for (const Batch& batch : group.batches) {
    if (batch.item->n_shared > 0) tasks.insert(batch.item->task);
  }
  return tasks.size();
}

// Each worker takes the next item until none is left. Returns the tokens of shared prefixes read.
Result<size_t> run_group(const Plan& plan, const EngineKey& key, const Group& group,
                         const std::function<bool()>& go_on, Shared& shared) {
  LH_ASSIGN_OR_RETURN(const Engines engines,
                      load_engines(plan, key, std::max<size_t>(1, plan.n_jobs),
                                   count_prefixes(group), group.needs_reference));
  SharedPrefixes prefixes(plan.out);
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    Worker worker(plan, engines, prefixes, [&] { return go_on() && !shared.failed(); });
    Status status;
    while (status && !shared.failed()) {
      const size_t i = next++;
      if (i >= group.batches.size()) break;
      status = run_batch(worker, group.batches[i], shared);
    }
    if (!status) shared.fail(std::move(status));
  };
  std::vector<std::jthread> threads;
  threads.reserve(engines.n_jobs);
  for (size_t i = 0; i < engines.n_jobs; ++i) threads.emplace_back(work);
  threads.clear();  // waits for them
  if (!shared.failed()) prefixes.forget();
  return prefixes.n_read();
}

}  // namespace

size_t default_jobs(const ModelInfo& model, size_t n_threads) {
  return model.weight_bytes <= kSmallModelBytes ? n_threads : 1;
}

Result<RunCounts> run(const Plan& plan, const std::vector<Item>& items,
                      const std::vector<Setting>& settings, const std::function<bool()>& go_on,
                      Store& store) {
  const std::vector<RecallSetting> recalls = make_recall_settings(plan);
  const Schedule schedule(plan, items, settings, recalls, store);
  Shared shared(schedule.work(), store);
  RunCounts counts;
  for (const auto& [key, group] : schedule.groups()) {
    if (shared.failed()) break;
    LH_ASSIGN_OR_RETURN(const size_t n_read, run_group(plan, key, group, go_on, shared));
    counts.n_prefix_tokens += n_read;
  }
  LH_RETURN_IF_ERROR(shared.status());
  return counts;
}

}  // namespace longhaul::eval
