#include "server/prefix_cache.h"

#include <fmt/format.h>

#include "base/result.h"

namespace longhaul {
namespace {

// Fewer tokens are as quickly read as copied.
constexpr size_t kLeastTokens = 16;
// Entries that are tried where windows have lost what the index promised.
constexpr size_t kMostTries = 3;
// The pages of a cache hold 16 blocks (docs/glossary.md).
constexpr size_t kPageBlocks = 16;

}  // namespace

PrefixCache::PrefixCache(Engine& engine, size_t max_tokens, Metrics& metrics,
                         std::function<void(std::string_view)> log)
    : engine_(engine),
      metrics_(metrics),
      log_(std::move(log)),
      is_on_(max_tokens > 0),
      index_(max_tokens, kPageBlocks * engine.options().block_size,
             engine.model_info().n_window_layers == 0) {}

Result<PrefixCache::Start> PrefixCache::begin(std::span<const int32_t> prompt, size_t owner) {
  const std::lock_guard lock(mutex_);
  const auto matches = index_.find(prompt, owner, kMostTries);
  MissReason reason = index_.has_any(owner) ? MissReason::kUnknown : MissReason::kEmpty;
  for (const PrefixIndex::Match& match : matches) {
    const size_t n_wanted = std::min(match.n_usable, prompt.size() - 1);
    if (n_wanted < kLeastTokens) break;
    auto session = copy(match, n_wanted);
    if (!session) {
      reason = MissReason::kFull;
      break;
    }
    const size_t n_reused = session->n_clean();
    if (n_reused < n_wanted) {
      reason = MissReason::kWindow;
      continue;
    }
    index_.touch(match.id);
    if (n_reused + 1 == prompt.size()) {
      reason = MissReason::kNone;
    } else if (match.n_usable < match.n_common) {
      reason = MissReason::kSparse;
    } else {
      reason = match.next ? MissReason::kDiverged : MissReason::kExtended;
    }
    report(prompt, n_reused, reason, &match);
    return Start{std::move(*session), n_reused};
  }
  report(prompt, 0, reason, matches.empty() ? nullptr : &matches.front());
  LH_ASSIGN_OR_RETURN(Session session, engine_.new_session());
  return Start{std::move(session), 0};
}

Result<Session> PrefixCache::copy(const PrefixIndex::Match& match, size_t n_tokens) {
  LH_ASSIGN_OR_RETURN(Session session, sessions_.at(match.id).fork());
  session.truncate(n_tokens);
  return session;
}

void PrefixCache::report(std::span<const int32_t> prompt, size_t n_reused, MissReason reason,
                         const PrefixIndex::Match* best) {
  metrics_.prefix_asked(prompt.size(), n_reused, reason);
  if (!log_ || reason == MissReason::kNone || reason == MissReason::kExtended) return;
  std::string line =
      fmt::format("prefix: {} of {} tokens kept: {}", n_reused, prompt.size(), to_string(reason));
  if (best != nullptr && best->next && best->n_common < prompt.size()) {
    line += fmt::format("; the nearest text has token {} at {}, this prompt {}", *best->next,
                        best->n_common, prompt[best->n_common]);
  }
  log_(line);
}

bool PrefixCache::is_worth_it(const Session& session) const {
  return is_on_ && session.n_clean() >= kLeastTokens;
}

void PrefixCache::keep_copy(const Session& session, size_t owner) {
  if (!is_worth_it(session)) return;
  if (auto copy = session.fork()) keep(std::move(*copy), owner);
}

void PrefixCache::keep(Session session, size_t owner) {
  if (!is_worth_it(session)) return;
  const size_t n_clean = session.n_clean();
  std::vector<int32_t> tokens(session.tokens().begin(), session.tokens().end());
  if (n_clean < tokens.size()) session.truncate(n_clean);
  const std::lock_guard lock(mutex_);
  const PrefixIndex::Added added = index_.add(std::move(tokens), n_clean, owner);
  for (const uint64_t id : added.gone) sessions_.erase(id);
  if (added.id) sessions_.emplace(*added.id, std::move(session));
  metrics_.prefix_kept(index_.n_entries(), index_.n_tokens());
}

void PrefixCache::clear() {
  const std::lock_guard lock(mutex_);
  sessions_.clear();
  index_.clear();
  metrics_.prefix_kept(0, 0);
}

}  // namespace longhaul
