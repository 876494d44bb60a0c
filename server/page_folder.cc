// Opening a folder of pages: its lock, its index, and what lies in it.
#include "server/page_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <system_error>

#include "base/result.h"
#include "base/rounding.h"
#include "server/page_file.h"
#include "server/page_store.h"

namespace longhaul {
namespace {

constexpr std::string_view kPageEnd = ".page";
constexpr std::string_view kTemporaryEnd = ".page.tmp";
constexpr const char* kIndexName = "index.db";
constexpr const char* kLockName = "lock";

tl::unexpected<Error> failed(const std::string& path, std::string_view what) {
  return make_error(ErrorCode::kIo, "{}: cannot {}: {}", path, what,
                    std::generic_category().message(errno));
}

class OpenFile {
 public:
  OpenFile(const std::string& path, int flags)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

Result<std::vector<std::byte>> read_bytes(const OpenFile& file, const std::string& path,
                                          uint64_t n_bytes) {
  std::vector<std::byte> bytes(n_bytes);
  size_t n_read = 0;
  while (n_read < bytes.size()) {
    const ssize_t n = ::read(file.fd(), bytes.data() + n_read, bytes.size() - n_read);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(path, "read");
    if (n == 0) break;
    n_read += static_cast<size_t>(n);
  }
  bytes.resize(n_read);
  return bytes;
}

// The key of a file name that ends so.
bool is_name_of(const std::string& name, std::string_view end, PageKey& key) {
  return name.ends_with(end) &&
         from_hex(std::string_view(name).substr(0, name.size() - end.size()), key);
}

}  // namespace

uint64_t disk_bytes(uint64_t n_bytes) { return round_up(n_bytes, uint64_t{4096}); }

Result<std::vector<std::byte>> read_whole_file(const std::string& path, uint64_t n_bytes) {
  const OpenFile file(path, O_RDONLY);
  struct stat found = {};
  if (file.fd() < 0 || ::fstat(file.fd(), &found) != 0) return failed(path, "open");
  if (static_cast<uint64_t>(found.st_size) != n_bytes)
    return bad_input("{}: expected {} bytes, found {}", path, n_bytes, found.st_size);
  return read_bytes(file, path, n_bytes);
}

Result<std::vector<std::byte>> read_file_head(const std::string& path, uint64_t n_bytes) {
  const OpenFile file(path, O_RDONLY);
  if (file.fd() < 0) return failed(path, "open");
  return read_bytes(file, path, n_bytes);
}

Status write_whole_file(const std::string& path,
                        std::initializer_list<std::span<const std::byte>> parts) {
  const OpenFile file(path, O_WRONLY | O_CREAT | O_TRUNC);
  if (file.fd() < 0) return failed(path, "create");
  for (std::span<const std::byte> part : parts) {
    while (!part.empty()) {
      const ssize_t n = ::write(file.fd(), part.data(), part.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return failed(path, "write");
      part = part.subspan(static_cast<size_t>(n));
    }
  }
  return {};
}

Result<std::unique_ptr<PageStore>> PageStore::open(PageStoreOptions options) {
  std::unique_ptr<PageStore> store(new PageStore(std::move(options)));
  LH_RETURN_IF_ERROR(store->lock_folder());
  LH_ASSIGN_OR_RETURN(auto known, store->read_index());
  LH_RETURN_IF_ERROR(store->read_folder(std::move(known)));
  store->flush();
  const std::lock_guard lock(store->mutex_);
  const uint64_t n_needed = store->n_other_bytes_ + store->n_index_bytes_ + PageIndex::kMostGrowth +
                            disk_bytes(kPageFrameBytes + store->options_.page_bytes);
  if (store->options_.max_bytes < n_needed) {
    return bad_input(
        "{}: expected a limit of at least {} bytes for the index and a page of {} "
        "tokens, found {}",
        store->options_.folder, n_needed, kPageTokens, store->options_.max_bytes);
  }
  return store;
}

Status PageStore::lock_folder() {
  const std::string& folder = options_.folder;
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return failed(folder, "make a folder");
  lock_ = ::open(path(kLockName).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_ < 0) return failed(path(kLockName), "open");
  if (::flock(lock_, LOCK_EX | LOCK_NB) == 0) return {};
  if (errno != EWOULDBLOCK) return failed(path(kLockName), "lock");
  return bad_input("{}: another server uses this folder: expected one of this server's own",
                   folder);
}

// An index that is damaged, or of another version, is made anew.
Result<std::map<PageKey, PageRow>> PageStore::read_index() {
  const std::string name = path(kIndexName);
  for (bool is_again = false;; is_again = true) {
    auto index = PageIndex::open(name);
    auto rows = index ? (*index)->rows() : tl::unexpected<Error>(index.error());
    if (rows) {
      index_ = std::move(*index);
      std::map<PageKey, PageRow> known;
      for (const PageRow& row : *rows) known.emplace(row.key, row);
      return known;
    }
    if (is_again) return tl::unexpected<Error>(rows.error());
    log(fmt::format("the index is made anew: {}", rows.error().message));
    index = tl::unexpected<Error>(Error{});  // closes it
    for (const std::string& file : index_files(name)) ::unlink(file.c_str());
  }
}

Status PageStore::read_folder(std::map<PageKey, PageRow> known) {
  DIR* const folder = ::opendir(options_.folder.c_str());
  if (folder == nullptr) return failed(options_.folder, "open");
  for (const auto& [key, row] : known) now_ = std::max(now_, row.used);
  ++now_;  // of pages that the index does not know: they were written last
  const std::vector<std::string> index_names = index_files(kIndexName);
  size_t n_others = 0;
  while (const dirent* const entry = ::readdir(folder)) {
    const std::string name = entry->d_name;
    struct stat found = {};
    if (name == "." || name == ".." || name == kLockName) continue;
    if (std::find(index_names.begin(), index_names.end(), name) != index_names.end()) continue;
    if (::lstat(path(name).c_str(), &found) != 0 || !S_ISREG(found.st_mode)) continue;
    const auto n_file_bytes = disk_bytes(static_cast<uint64_t>(found.st_size));
    PageKey key;
    if (is_name_of(name, kPageEnd, key)) {
      take(name, key, known, n_file_bytes);
    } else if (is_name_of(name, kTemporaryEnd, key)) {
      ::unlink(path(name).c_str());
    } else {
      n_other_bytes_ += n_file_bytes;
      ++n_others;
    }
  }
  ::closedir(folder);
  for (const auto& [key, row] : known) changed_.insert(key);  // whose files are gone
  if (n_others > 0)
    log(fmt::format("{}: {} files are not ours, their {} bytes count", options_.folder, n_others,
                    n_other_bytes_));
  n_index_bytes_ = disk_bytes(index_->n_bytes());
  return {};
}

// Removes what it finds from `known`.
void PageStore::take(const std::string& name, const PageKey& key, std::map<PageKey, PageRow>& known,
                     uint64_t n_file_bytes) {
  Page page{n_file_bytes, 0, now_};
  if (const auto row = known.extract(key)) {
    page.first = row.mapped().first;
    page.used = row.mapped().used;
    add(key, page);
    return;
  }
  const auto bytes = read_file_head(path(name), kPageHeadBytes);
  const auto head =
      bytes ? read_page_head(*bytes, key, path(name)) : tl::unexpected<Error>(bytes.error());
  if (!head) {
    log(fmt::format("dropped: {}", head.error().message));
    ++n_damaged_;
    ::unlink(path(name).c_str());
    return;
  }
  page.first = head->first;
  add(key, page);
  changed_.insert(key);
}

}  // namespace longhaul
