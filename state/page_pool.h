// Which pages of a cache are free and how many sequences share each of the others. Numbers only, no
// memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/function_ref.h"

namespace longhaul {

// Pages never used are handed out in ascending order, so that a young cache stays compact. Not
// thread-safe.
class PagePool {
 public:
  // Keeps at most `n_warm` freed pages backed by memory, for the next allocations.
  PagePool(size_t n_pages, size_t n_warm);

  size_t n_pages() const { return refs_.size(); }
  size_t n_used() const { return n_used_; }
  // Pages [0, n_touched()) were handed out at least once.
  size_t n_touched() const { return n_touched_; }
  // Pages that allocate() may still hand out: those neither used nor reserved.
  size_t n_available() const { return refs_.size() - n_used_ - n_reserved_; }

  // A free page, held once. There must be one available.
  uint32_t allocate();
  // One more, or one fewer, holder of a page. A page without holders is free.
  void share(uint32_t page) { ++refs_[page]; }
  void release(uint32_t page);
  bool is_shared(uint32_t page) const { return refs_[page] > 1; }

  // Sets one page aside for later, or gives it back: a promise that an allocation will succeed.
  void reserve();
  void unreserve();

  // Calls discard(first_page, n_pages) for the runs of freed pages beyond the warm ones: their
  // memory may go.
  void trim(FunctionRef<void(uint32_t first_page, size_t n_pages)> discard);

 private:
  std::vector<uint32_t> refs_;  // [n_pages] holders of each page
  std::vector<uint32_t> warm_;  // freed pages that still have memory
  std::vector<uint32_t> cold_;  // freed pages without
  size_t n_warm_;
  size_t n_touched_ = 0;  // pages from this one on were never handed out
  size_t n_used_ = 0;
  size_t n_reserved_ = 0;
};

}  // namespace longhaul
