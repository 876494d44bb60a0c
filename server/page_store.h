// Pages in a folder, under one limit for all that lies in it, the least recently used ones going
// first: KEY.page is the file of a page (page_file.h), index.db what is known of them beside
// (page_index.h), and whoever uses the folder holds `lock`. A process that is killed leaves pages
// that are whole, or names that are thrown away when the next one begins.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "server/page_index.h"
#include "server/page_key.h"

namespace longhaul {

struct PageStoreOptions {
  std::string folder;
  uint64_t max_bytes = 0;
  uint64_t page_bytes = 0;                    // keys and values of a page
  std::function<void(std::string_view)> log;  // called by any thread
};

// May be used by several threads at once, but for write() and flush(), which are one thread's.
class PageStore {
 public:
  // Makes the folder if there is none. Error: another process uses it; the limit leaves no room for
  // a page.
  static Result<std::unique_ptr<PageStore>> open(PageStoreOptions options);
  ~PageStore();
  PageStore(const PageStore&) = delete;
  PageStore& operator=(const PageStore&) = delete;

  // How many of these are there, up to the first that is not.
  size_t n_there(std::span<const PageKey> keys) const;
  // Those that are there were of use now, all at the same time: a page never goes before one that
  // lies behind it in its text. Returns that time.
  uint64_t use(std::span<const PageKey> keys);

  enum class Read { kThere, kGone, kDamaged };
  // Keys and values. A damaged file is removed.
  Read read(const PageKey& key, std::vector<std::byte>& payload);

  enum class Write { kWritten, kThere, kNoRoom, kFailed };
  // A page that begins at token `first`, used at `now`, a time of use(). What was used before then
  // may have to go.
  Write write(const PageKey& key, size_t first, std::span<const std::byte> payload, uint64_t now);
  // Tells the index what has changed.
  void flush();

  struct Counts {
    uint64_t n_bytes = 0, n_pages = 0;
    uint64_t n_evicted = 0, n_damaged = 0;  // since it was opened
  };
  Counts counts() const;

 private:
  struct Page {
    uint64_t n_bytes = 0;  // that its file takes
    uint32_t first = 0;
    uint64_t used = 0;
  };
  using Pages = std::map<PageKey, Page>;
  using Order = std::tuple<uint64_t, uint32_t, PageKey>;  // used, ~first

  explicit PageStore(PageStoreOptions options) : options_(std::move(options)) {}
  Status lock_folder();
  Result<std::map<PageKey, PageRow>> read_index();
  Status read_folder(std::map<PageKey, PageRow> known);
  void take(const std::string& name, const PageKey& key, std::map<PageKey, PageRow>& known,
            uint64_t n_bytes);
  std::string path(const std::string& name) const { return options_.folder + "/" + name; }
  std::string path(const PageKey& key) const { return path(to_hex(key) + ".page"); }
  void log(std::string_view line) const;
  // These with the mutex.
  static Order order(const PageKey& key, const Page& page);
  void add(const PageKey& key, const Page& page);
  void erase(Pages::iterator page);
  bool make_room(uint64_t n_bytes, uint64_t before, std::vector<PageKey>& gone);
  uint64_t n_bytes() const { return n_page_bytes_ + n_other_bytes_ + n_index_bytes_; }

  void drop_damaged(const PageKey& key, std::string_view why);
  Status write_file(const PageKey& key, size_t first, std::span<const std::byte> payload) const;

  const PageStoreOptions options_;
  int lock_ = -1;
  std::unique_ptr<PageIndex> index_;  // null: it is lost, and found again in the files
  bool has_failed_ = false;           // the last write: said once
  mutable std::mutex mutex_;          // guards what follows
  Pages pages_;
  std::set<Order> order_;      // the first goes first
  std::set<PageKey> changed_;  // whose row the index does not have right
  uint64_t now_ = 0;
  uint64_t n_page_bytes_ = 0, n_other_bytes_ = 0, n_index_bytes_ = 0;
  uint64_t n_evicted_ = 0, n_damaged_ = 0;
};

}  // namespace longhaul
