// Prompts of the past and of texts that run, whose keys and values later prompts share.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "longhaul/engine.h"
#include "server/disk_tier.h"
#include "server/metrics.h"
#include "server/prefix_index.h"

namespace longhaul {

// May be used by several threads at once. Its functions wait for the pass that runs.
class PrefixCache {
 public:
  // Keeps at most max_tokens tokens, whole pages counted; 0: none. `log` is told of every miss. With
  // a disk tier (not null) what is kept goes there too, and comes back from there.
  PrefixCache(Engine& engine, size_t max_tokens, Metrics& metrics,
              std::function<void(std::string_view)> log, std::unique_ptr<DiskTier> disk = nullptr);
  ~PrefixCache();

  struct Start {
    Session session;
    size_t n_reused = 0;  // tokens of the prompt that the session holds, at least one fewer than it
  };
  // A session that holds as much of the prompt as was kept for that owner, bit for bit as a dense
  // prefill would have left it.
  Result<Start> begin(std::span<const int32_t> prompt, size_t owner);
  // Keeps what is clean of a text that is over, or a copy of it while it goes on. False: there is no
  // room for it.
  bool keep(Session session, size_t owner);
  void keep_copy(const Session& session, size_t owner);
  // As much of a text as is kept for that owner. Error: no pages for a copy.
  Result<std::optional<Session>> copy_of(std::span<const int32_t> tokens, size_t owner);
  // Gives back the texts of that owner of which this one has all that is kept.
  void forget(std::span<const int32_t> tokens, size_t owner);
  // Gives all back.
  void clear();

 private:
  // What memory has for a prompt, and what it has not.
  struct Found {
    std::optional<Session> session;
    size_t n_reused = 0;
    MissReason reason = MissReason::kEmpty;
    std::optional<PrefixIndex::Match> best = std::nullopt;
  };
  Found find(std::span<const int32_t> prompt, size_t owner);
  void restore(Found& found, std::span<const int32_t> prompt, size_t owner);
  bool is_worth_it(const Session& session) const;
  Result<Session> copy(const PrefixIndex::Match& match, size_t n_tokens);
  std::optional<std::vector<std::byte>> page_of(uint64_t id, size_t page);
  void report(std::span<const int32_t> prompt, const Found& found);

  Engine& engine_;
  Metrics& metrics_;
  const std::function<void(std::string_view)> log_;
  const bool is_on_;
  const std::unique_ptr<DiskTier> disk_;
  std::mutex mutex_;  // guards what follows
  PrefixIndex index_;
  std::map<uint64_t, Session> sessions_;  // by the index's ids
};

}  // namespace longhaul
