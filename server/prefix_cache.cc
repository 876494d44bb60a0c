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
                         std::function<void(std::string_view)> log, std::unique_ptr<DiskTier> disk)
    : engine_(engine),
      metrics_(metrics),
      log_(std::move(log)),
      is_on_(max_tokens > 0),
      disk_(std::move(disk)),
      index_(max_tokens, kPageBlocks * engine.options().block_size,
             engine.model_info().n_window_layers == 0) {
  if (disk_ != nullptr)
    disk_->start([this](uint64_t id, size_t page) { return page_of(id, page); });
}

PrefixCache::~PrefixCache() {
  if (disk_ != nullptr) disk_->stop();
}

Result<PrefixCache::Start> PrefixCache::begin(std::span<const int32_t> prompt, size_t owner) {
  Found found = find(prompt, owner);
  if (disk_ != nullptr) restore(found, prompt, owner);
  report(prompt, found);
  if (!found.session) {
    LH_ASSIGN_OR_RETURN(Session session, engine_.new_session());
    return Start{std::move(session), 0};
  }
  return Start{std::move(*found.session), found.n_reused};
}

PrefixCache::Found PrefixCache::find(std::span<const int32_t> prompt, size_t owner) {
  const std::lock_guard lock(mutex_);
  const auto matches = index_.find(prompt, owner, kMostTries);
  Found found;
  if (index_.has_any(owner)) found.reason = MissReason::kUnknown;
  if (!matches.empty()) found.best = matches.front();
  for (const PrefixIndex::Match& match : matches) {
    const size_t n_wanted = std::min(match.n_usable, prompt.size() - 1);
    if (n_wanted < kLeastTokens) break;
    auto session = copy(match, n_wanted);
    if (!session) {
      found.reason = MissReason::kFull;
      break;
    }
    const size_t n_reused = session->n_clean();
    if (n_reused < n_wanted) {
      found.reason = MissReason::kWindow;
      continue;
    }
    index_.touch(match.id);
    if (n_reused + 1 == prompt.size()) {
      found.reason = MissReason::kNone;
    } else if (match.n_usable < match.n_common) {
      found.reason = MissReason::kSparse;
    } else {
      found.reason = match.next ? MissReason::kDiverged : MissReason::kExtended;
    }
    found.session = std::move(*session);
    found.n_reused = n_reused;
    found.best = match;
    break;
  }
  return found;
}

// Files are read without the mutex: others find in memory what they find meanwhile.
void PrefixCache::restore(Found& found, std::span<const int32_t> prompt, size_t owner) {
  if (found.reason == MissReason::kNone || found.reason == MissReason::kFull) return;
  if (!found.session) {
    auto session = engine_.new_session();
    if (!session) return;
    found.session = std::move(*session);
  }
  const DiskTier::Restored restored = disk_->restore(*found.session, prompt, owner);
  found.n_reused = found.session->n_clean();
  if (restored.n_tokens > 0) {
    found.reason = found.n_reused + 1 == prompt.size() ? MissReason::kNone : MissReason::kDisk;
    if (log_) {
      log_(fmt::format("prefix: {} of {} tokens kept, {} of them on disk", found.n_reused,
                       prompt.size(), restored.n_tokens));
    }
    keep_copy(*found.session, owner);  // for texts that begin alike meanwhile
  }
  if (restored.is_damaged) found.reason = MissReason::kDamaged;
  if (restored.is_full) found.reason = MissReason::kFull;
}

// For the thread that writes pages.
std::optional<std::vector<std::byte>> PrefixCache::page_of(uint64_t id, size_t page) {
  const std::lock_guard lock(mutex_);
  const auto session = sessions_.find(id);
  if (session == sessions_.end()) return std::nullopt;
  auto bytes = session->second.export_clean(page * kPageTokens, kPageTokens);
  if (!bytes) return std::nullopt;
  return std::move(*bytes);
}

Result<Session> PrefixCache::copy(const PrefixIndex::Match& match, size_t n_tokens) {
  LH_ASSIGN_OR_RETURN(Session session, sessions_.at(match.id).fork());
  session.truncate(n_tokens);
  return session;
}

void PrefixCache::report(std::span<const int32_t> prompt, const Found& found) {
  const MissReason reason = found.reason;
  metrics_.prefix_asked(prompt.size(), found.n_reused, reason);
  if (!log_ || reason == MissReason::kNone || reason == MissReason::kExtended) return;
  std::string line = fmt::format("prefix: {} of {} tokens kept: {}", found.n_reused, prompt.size(),
                                 to_string(reason));
  if (found.best && found.best->next && found.best->n_common < prompt.size()) {
    line += fmt::format("; the nearest text has token {} at {}, this prompt {}", *found.best->next,
                        found.best->n_common, prompt[found.best->n_common]);
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

bool PrefixCache::keep(Session session, size_t owner) {
  if (!is_worth_it(session)) return false;
  const size_t n_clean = session.n_clean();
  std::vector<int32_t> tokens(session.tokens().begin(), session.tokens().end());
  if (n_clean < tokens.size()) session.truncate(n_clean);
  std::vector<PageKey> pages;
  if (disk_ != nullptr) pages = disk_->pages_of(std::span(tokens).first(n_clean), owner);
  const std::lock_guard lock(mutex_);
  const PrefixIndex::Added added = index_.add(std::move(tokens), n_clean, owner);
  for (const uint64_t id : added.gone) sessions_.erase(id);
  if (added.id) sessions_.emplace(*added.id, std::move(session));
  metrics_.prefix_kept(index_.n_entries(), index_.n_tokens());
  if (disk_ != nullptr && added.id) disk_->keep(*added.id, std::move(pages), added.gone);
  if (disk_ != nullptr && !added.id) disk_->use(pages);  // what memory has longer serves from there
  return added.id || added.is_covered;
}

Result<std::optional<Session>> PrefixCache::copy_of(std::span<const int32_t> tokens, size_t owner) {
  const std::lock_guard lock(mutex_);
  const auto matches = index_.find(tokens, owner, 1);
  if (matches.empty() || matches.front().n_usable < kLeastTokens) return std::nullopt;
  LH_ASSIGN_OR_RETURN(Session session, copy(matches.front(), matches.front().n_usable));
  return session;
}

void PrefixCache::forget(std::span<const int32_t> tokens, size_t owner) {
  const std::lock_guard lock(mutex_);
  for (const uint64_t id : index_.remove(tokens, owner)) sessions_.erase(id);
  metrics_.prefix_kept(index_.n_entries(), index_.n_tokens());
}

void PrefixCache::clear() {
  const std::lock_guard lock(mutex_);
  sessions_.clear();
  index_.clear();
  metrics_.prefix_kept(0, 0);
  if (disk_ != nullptr) disk_->forget_all();
}

}  // namespace longhaul
