#include "server/page_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <limits>
#include <system_error>

#include "base/result.h"
#include "base/rounding.h"
#include "server/page_file.h"
#include "server/page_folder.h"

namespace longhaul {

PageStore::~PageStore() {
  if (index_ != nullptr) flush();
  index_.reset();  // before the lock goes
  if (lock_ >= 0) ::close(lock_);
}

void PageStore::log(std::string_view line) const {
  if (options_.log) options_.log(fmt::format("prefixes on disk: {}", line));
}

// Of pages used at the same time those deep in their texts go first.
PageStore::Order PageStore::order(const PageKey& key, const Page& page) {
  return {page.used, ~page.first, key};
}

void PageStore::add(const PageKey& key, const Page& page) {
  pages_.emplace(key, page);
  order_.insert(order(key, page));
  n_page_bytes_ += page.n_bytes;
}

void PageStore::erase(Pages::iterator page) {
  order_.erase(order(page->first, page->second));
  n_page_bytes_ -= page->second.n_bytes;
  changed_.insert(page->first);
  pages_.erase(page);
}

// Room for n_bytes and for what the index may grow by: of pages used before a time, the names of
// those that must go.
bool PageStore::make_room(uint64_t n_bytes_wanted, uint64_t before, std::vector<PageKey>& gone) {
  while (n_bytes() + n_bytes_wanted + PageIndex::kMostGrowth > options_.max_bytes) {
    if (order_.empty() || std::get<0>(*order_.begin()) >= before) return false;
    gone.push_back(std::get<2>(*order_.begin()));
    erase(pages_.find(gone.back()));
    ++n_evicted_;
  }
  return true;
}

size_t PageStore::n_there(std::span<const PageKey> keys) const {
  const std::lock_guard lock(mutex_);
  size_t n = 0;
  while (n < keys.size() && pages_.contains(keys[n])) ++n;
  return n;
}

uint64_t PageStore::use(std::span<const PageKey> keys) {
  const std::lock_guard lock(mutex_);
  ++now_;
  for (const PageKey& key : keys) {
    const auto found = pages_.find(key);
    if (found == pages_.end()) continue;
    order_.erase(order(key, found->second));
    found->second.used = now_;
    order_.insert(order(key, found->second));
    changed_.insert(key);
  }
  return now_;
}

PageStore::Read PageStore::read(const PageKey& key, std::vector<std::byte>& payload) {
  if (n_there({&key, 1}) == 0) return Read::kGone;
  const std::string name = path(key);
  auto file = read_whole_file(name, kPageFrameBytes + options_.page_bytes);
  if (!file) {
    // It may have had to go meanwhile.
    if (n_there({&key, 1}) == 0) return Read::kGone;
    drop_damaged(key, file.error().message);
    return Read::kDamaged;
  }
  const auto found = read_page(*file, key, options_.page_bytes, name);
  if (!found) {
    drop_damaged(key, found.error().message);
    return Read::kDamaged;
  }
  payload = std::move(*file);
  payload.erase(payload.begin(), payload.begin() + kPageHeadBytes);
  payload.resize(options_.page_bytes);
  return Read::kThere;
}

void PageStore::drop_damaged(const PageKey& key, std::string_view why) {
  log(fmt::format("dropped: {}", why));
  {
    const std::lock_guard lock(mutex_);
    const auto found = pages_.find(key);
    if (found == pages_.end()) return;  // by another reader
    erase(found);
    ++n_damaged_;
  }
  ::unlink(path(key).c_str());
}

PageStore::Write PageStore::write(const PageKey& key, size_t first,
                                  std::span<const std::byte> payload, uint64_t now) {
  const uint64_t n_file_bytes = disk_bytes(kPageFrameBytes + payload.size());
  std::vector<PageKey> gone;
  bool has_room = false;
  {
    const std::lock_guard lock(mutex_);
    if (pages_.contains(key)) return Write::kThere;
    has_room = make_room(n_file_bytes, now, gone);
  }
  for (const PageKey& old : gone) ::unlink(path(old).c_str());
  if (!has_room) return Write::kNoRoom;
  const Status status = write_file(key, first, payload);
  if (!status) {
    if (!has_failed_) log(status.error().message);
    has_failed_ = true;
    return Write::kFailed;
  }
  has_failed_ = false;
  const std::lock_guard lock(mutex_);
  add(key, {n_file_bytes, static_cast<uint32_t>(first), now});
  changed_.insert(key);
  return Write::kWritten;
}

// Under its name once it is whole. It does not wait for the disk: what a crash of the system leaves
// of it is noticed by its checksum.
Status PageStore::write_file(const PageKey& key, size_t first,
                             std::span<const std::byte> payload) const {
  const std::string name = path(key);
  const std::string temporary = name + ".tmp";
  const PageFrame frame = frame_page({key, static_cast<uint32_t>(first), payload.size()}, payload);
  Status status = write_whole_file(temporary, {frame.head, payload, frame.tail});
  if (status && std::rename(temporary.c_str(), name.c_str()) != 0) {
    status = make_error(ErrorCode::kIo, "{}: cannot rename {} to it: {}", name, temporary,
                        std::generic_category().message(errno));
  }
  if (!status) ::unlink(temporary.c_str());
  return status;
}

void PageStore::flush() {
  while (index_ != nullptr) {
    std::vector<PageRow> put;
    std::vector<PageKey> removed, gone;
    {
      const std::lock_guard lock(mutex_);
      (void)make_room(0, std::numeric_limits<uint64_t>::max(), gone);
      while (!changed_.empty() && put.size() + removed.size() < PageIndex::kMostRows) {
        const PageKey key = *changed_.begin();
        changed_.erase(changed_.begin());
        const auto page = pages_.find(key);
        if (page == pages_.end()) {
          removed.push_back(key);
        } else {
          put.push_back({key, page->second.first, page->second.used});
        }
      }
    }
    for (const PageKey& key : gone) ::unlink(path(key).c_str());
    if (put.empty() && removed.empty()) return;
    const Status status = index_->apply(put, removed);
    if (!status) {
      log(fmt::format("the index is lost until the next start: {}", status.error().message));
      index_.reset();
      for (const std::string& name : index_files(path("index.db"))) ::unlink(name.c_str());
    }
    const std::lock_guard lock(mutex_);
    n_index_bytes_ = index_ == nullptr ? 0 : disk_bytes(index_->n_bytes());
  }
}

PageStore::Counts PageStore::counts() const {
  const std::lock_guard lock(mutex_);
  return {n_bytes(), pages_.size(), n_evicted_, n_damaged_};
}

}  // namespace longhaul
