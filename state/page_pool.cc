#include "state/page_pool.h"

#include <algorithm>

#include "base/check.h"

namespace longhaul {
namespace {

uint32_t pop(std::vector<uint32_t>& stack) {
  const uint32_t page = stack.back();
  stack.pop_back();
  return page;
}

}  // namespace

PagePool::PagePool(size_t n_pages, size_t n_warm) : refs_(n_pages, 0), n_warm_(n_warm) {
  warm_.reserve(n_pages);  // so that decoding allocates nothing
  cold_.reserve(n_pages);
}

uint32_t PagePool::allocate() {
  LH_CHECK(n_available() > 0);
  ++n_used_;
  const uint32_t page = !warm_.empty()   ? pop(warm_)
                        : !cold_.empty() ? pop(cold_)
                                         : static_cast<uint32_t>(n_touched_++);
  refs_[page] = 1;
  return page;
}

void PagePool::release(uint32_t page) {
  LH_CHECK(refs_[page] > 0);
  if (--refs_[page] > 0) return;
  --n_used_;
  warm_.push_back(page);
}

void PagePool::reserve() {
  LH_CHECK(n_available() > 0);
  ++n_reserved_;
}

void PagePool::unreserve() {
  LH_CHECK(n_reserved_ > 0);
  --n_reserved_;
}

void PagePool::trim(FunctionRef<void(uint32_t first_page, size_t n_pages)> discard) {
  if (warm_.size() <= n_warm_) return;
  std::sort(warm_.begin(), warm_.end());
  for (size_t i = n_warm_; i < warm_.size();) {
    const size_t first = i++;
    while (i < warm_.size() && warm_[i] == warm_[i - 1] + 1) ++i;
    discard(warm_[first], i - first);
  }
  cold_.insert(cold_.end(), warm_.rbegin(), warm_.rend() - static_cast<ptrdiff_t>(n_warm_));
  warm_.resize(n_warm_);
}

}  // namespace longhaul
