// The whole evaluation: every item in every setting, several items at once, results stored as they
// come.
#pragma once

#include "apps/eval/item.h"
#include "apps/eval/settings.h"
#include "apps/eval/store.h"

namespace longhaul::eval {

struct RunCounts {
  size_t n_prefix_tokens = 0;  // read of what the prompts of a task share
};

// Runs what the store does not have yet. `go_on` is asked often, from several threads; once it says
// no, the run stops with kCancelled.
Result<RunCounts> run(const Plan& plan, const std::vector<Item>& items,
                      const std::vector<Setting>& settings, const std::function<bool()>& go_on,
                      Store& store);

// Items at once, whose texts share the passes of one engine: 1 where the cache of more is large,
// all threads where the model is small.
size_t default_jobs(const ModelInfo& model, size_t n_threads);

}  // namespace longhaul::eval
