// Runs items in settings on engines that all workers share: one worker per job.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "apps/eval/item.h"
#include "apps/eval/record.h"
#include "apps/eval/settings.h"
#include "apps/eval/shared_prefix.h"

namespace longhaul::eval {

// What a group of settings runs on, once in memory whatever the number of jobs.
struct Engines {
  std::unique_ptr<Engine> tested;
  std::unique_ptr<Engine> other;  // null: what is compared with dense decoding is `tested` too
  Engine* reference = nullptr;    // null: nothing is compared
  size_t n_jobs = 0;              // that there is room for, at most those asked for
};

// Loads the engine of a group of settings, and for what is compared with dense decoding that of the
// plan's first KV type, if it is another: storage types and block sizes are an engine's own. Where
// memory has no room for the cache of n_jobs jobs, for fewer. n_prefixes shared prefixes have room
// beside them.
Result<Engines> load_engines(const Plan& plan, const EngineKey& key, size_t n_jobs,
                             size_t n_prefixes, bool needs_reference);

class Worker {
 public:
  // `go_on` is asked often; once it says no, run functions return kCancelled. The references must
  // outlive the worker.
  Worker(const Plan& plan, const Engines& engines, SharedPrefixes& prefixes,
         std::function<bool()> go_on)
      : plan_(plan), engines_(engines), prefixes_(prefixes), go_on_(std::move(go_on)) {}

  // Takes an item: its prompt is read once for all settings that follow.
  Status begin(const Item& item);
  Result<Record> answer(const Setting& setting);
  Result<Record> forced(const Setting& setting);
  Result<Record> recall(const RecallSetting& setting);

 private:
  Record record_of(Measure measure, const std::string& setting) const;
  Result<Session> read_context(Engine& engine);
  // Cuts a session back to the item's prompt and one known token, whose logits come first.
  Status rewind(Session& session) const;
  Status compare_caches(const Setting& setting, ForcedRecord& forced) const;
  size_t n_known() const;
  std::vector<int32_t> scored_tokens() const;

  const Plan& plan_;
  const Engines& engines_;
  SharedPrefixes& prefixes_;
  std::function<bool()> go_on_;
  const Item* item_ = nullptr;
  std::optional<Session> session_;
  std::optional<Session> reference_;
};

}  // namespace longhaul::eval
