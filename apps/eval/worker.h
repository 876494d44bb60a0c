// Runs items in settings on engines of its own: one worker per job.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "apps/eval/item.h"
#include "apps/eval/record.h"
#include "apps/eval/settings.h"

namespace longhaul::eval {

class Worker {
 public:
  // `go_on` is asked often; once it says no, run functions return kCancelled.
  Worker(const Plan& plan, std::function<bool()> go_on) : plan_(plan), go_on_(std::move(go_on)) {}

  // Loads the engine of a group of settings, and for what is compared with dense decoding that of
  // the plan's first KV type, if it is another.
  Status load(const EngineKey& key, size_t n_threads, bool needs_reference);

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
  std::function<bool()> go_on_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Engine> other_engine_;  // null: the reference is engine_
  Engine* reference_engine_ = nullptr;    // null: nothing is compared
  const Item* item_ = nullptr;
  std::optional<Session> session_;
  std::optional<Session> reference_;
};

}  // namespace longhaul::eval
