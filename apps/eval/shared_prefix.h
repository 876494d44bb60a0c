// What the prompts of a task begin with, read once for all of them.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "apps/eval/item.h"

namespace longhaul::eval {

// Sessions that hold the first Item::n_shared tokens of a task, one for each task and engine. With
// a directory each is kept there too, so that a run that goes on need not read it again.
// Threads may call it at once; what they ask for waits for what is being read.
class SharedPrefixes {
 public:
  // An empty directory: nothing is kept. Must not outlive the engines.
  explicit SharedPrefixes(std::string directory) : directory_(std::move(directory)) {}

  // A session with the shared tokens of the item, whose pages are those of all others. Errors: a
  // kept one that is damaged or of other tokens, kCancelled once `go_on` says no.
  Result<Session> fork(Engine& engine, const Item& item, const std::function<bool()>& go_on);

  // Removes what the directory keeps, once nobody will ask for it.
  void forget();

  size_t n_read() const { return n_read_; }  // tokens, those restored not among them

 private:
  Result<Session> restore(Engine& engine, const Item& item, const std::string& path) const;
  Result<Session> read(Engine& engine, const Item& item, const std::function<bool()>& go_on);
  std::string path_of(const Engine& engine, const Item& item) const;

  std::mutex mutex_;
  std::string directory_;
  std::map<std::pair<const Engine*, std::string>, Session> sessions_;  // by engine and task
  std::vector<std::string> kept_;                                      // paths
  size_t n_read_ = 0;
};

}  // namespace longhaul::eval
