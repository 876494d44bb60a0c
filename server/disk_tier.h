// Kept prompts on disk: what of a kept text is clean goes there, page by page, and comes back into
// a session whose prompt begins like it.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "longhaul/engine.h"
#include "server/metrics.h"
#include "server/page_store.h"
#include "server/page_writer.h"

namespace longhaul {

// May be used by several threads at once.
class DiskTier {
 public:
  struct Options {
    std::string folder;
    uint64_t max_bytes = 0;
    std::string program;            // names program and processor: the bits are theirs
    std::vector<std::string> keys;  // of the API, in the order of their owners
    std::chrono::milliseconds grace{0};
    std::function<void(std::string_view)> log;
  };
  // Reads the model file. Error: keys and values of this model cannot be kept in pages; the folder
  // cannot be used.
  static Result<std::unique_ptr<DiskTier>> open(Engine& engine, const Options& options,
                                                Metrics& metrics);

  // Writes from now on what keep() is told, as `source` gives it.
  void start(PageWriter::Source source);
  // Ends that, within the grace.
  void stop();
  // The names of a text's whole pages.
  std::vector<PageKey> pages_of(std::span<const int32_t> tokens, size_t owner) const;
  // See PageWriter.
  void keep(uint64_t text, std::vector<PageKey> pages, const std::vector<uint64_t>& gone);
  void forget_all();
  // They were of use, though the disk was not asked.
  void use(std::span<const PageKey> pages) { store_->use(pages); }

  struct Restored {
    size_t n_tokens = 0;      // that the disk gave
    bool is_damaged = false;  // it had more, but not whole
    bool is_full = false;     // no pages of the cache for more
  };
  // Has the session, which holds a beginning of the prompt and all of it clean, hold as much of it
  // as is there, but for its last token.
  Restored restore(Session& session, std::span<const int32_t> prompt, size_t owner);

 private:
  DiskTier(std::unique_ptr<PageStore> store, PageNames names, const Options& options,
           size_t page_bytes, Metrics& metrics);
  void report();

  const Options options_;
  const size_t page_bytes_;
  const PageNames names_;
  Metrics& metrics_;
  const std::unique_ptr<PageStore> store_;
  std::unique_ptr<PageWriter> writer_;  // null before start()
  std::mutex report_mutex_;             // the newest counts are told last
};

}  // namespace longhaul
