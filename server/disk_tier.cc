#include "server/disk_tier.h"

#include <algorithm>

#include "base/result.h"

namespace longhaul {
namespace {

static_assert(kPageTokens % kCleanTokens == 0);

// Read before the session takes them all at once, which waits for the pass that runs.
constexpr size_t kBatchBytes = size_t{32} << 20;

}  // namespace

Result<std::unique_ptr<DiskTier>> DiskTier::open(Engine& engine, const Options& options,
                                                 Metrics& metrics) {
  LH_ASSIGN_OR_RETURN(const CleanFormat format, engine.clean_format());
  const size_t page_bytes = format.token_bytes * kPageTokens;
  LH_ASSIGN_OR_RETURN(auto store, PageStore::open({.folder = options.folder,
                                                   .max_bytes = options.max_bytes,
                                                   .page_bytes = page_bytes,
                                                   .log = options.log}));
  metrics.token_bytes(format.token_bytes);
  PageNames names(format.id + "\n" + options.program, options.keys);
  std::unique_ptr<DiskTier> tier(
      new DiskTier(std::move(store), std::move(names), options, page_bytes, metrics));
  tier->report();
  return tier;
}

DiskTier::DiskTier(std::unique_ptr<PageStore> store, PageNames names, const Options& options,
                   size_t page_bytes, Metrics& metrics)
    : options_(options),
      page_bytes_(page_bytes),
      names_(std::move(names)),
      metrics_(metrics),
      store_(std::move(store)) {}

void DiskTier::start(PageWriter::Source source) {
  writer_ =
      std::make_unique<PageWriter>(*store_, PageWriter::Options{.grace = options_.grace,
                                                                .source = std::move(source),
                                                                .on_change = [this] { report(); }});
}

void DiskTier::stop() { writer_->end(); }

std::vector<PageKey> DiskTier::pages_of(std::span<const int32_t> tokens, size_t owner) const {
  return names_.of(tokens, owner);
}

void DiskTier::keep(uint64_t text, std::vector<PageKey> pages, const std::vector<uint64_t>& gone) {
  writer_->offer(text, std::move(pages), gone);
}

void DiskTier::forget_all() { writer_->forget_all(); }

DiskTier::Restored DiskTier::restore(Session& session, std::span<const int32_t> prompt,
                                     size_t owner) {
  Restored restored;
  const std::vector<PageKey> keys = names_.of(prompt.first(prompt.size() - 1), owner);
  const size_t n_there = store_->n_there(keys);
  const size_t n_held = session.n_clean() / kPageTokens;
  if (n_there <= n_held) return restored;
  const std::span pages = std::span(keys).first(n_there);
  store_->use(pages);
  if (session.tokens().size() > n_held * kPageTokens) session.truncate(n_held * kPageTokens);
  const size_t n_batch = std::max<size_t>(1, kBatchBytes / page_bytes_);
  for (size_t i = n_held; i < n_there && !restored.is_damaged && !restored.is_full;) {
    std::vector<std::vector<std::byte>> pieces;
    while (pieces.size() < n_batch && i + pieces.size() < n_there) {
      std::vector<std::byte> piece;
      const PageStore::Read read = store_->read(pages[i + pieces.size()], piece);
      restored.is_damaged = read == PageStore::Read::kDamaged;
      if (read != PageStore::Read::kThere) break;
      pieces.push_back(std::move(piece));
    }
    if (pieces.empty()) break;
    const size_t n_tokens = pieces.size() * kPageTokens;
    restored.is_full =
        !session.import_clean(prompt.subspan(i * kPageTokens, n_tokens), pieces).has_value();
    if (restored.is_full) break;
    restored.n_tokens += n_tokens;
    i += pieces.size();
  }
  metrics_.restored(restored.n_tokens);
  report();
  return restored;
}

void DiskTier::report() {
  const std::lock_guard lock(report_mutex_);
  const PageStore::Counts store = store_->counts();
  PageWriter::Counts writer;
  if (writer_ != nullptr) writer = writer_->counts();
  metrics_.disk({.n_bytes = store.n_bytes,
                 .n_pages = store.n_pages,
                 .n_waiting = writer.n_waiting,
                 .n_written = writer.n_written,
                 .n_dropped = writer.n_dropped,
                 .n_evicted = store.n_evicted,
                 .n_damaged = store.n_damaged});
}

}  // namespace longhaul
