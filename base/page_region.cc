#include "base/page_region.h"

#include <sys/mman.h>

#include <cstdint>

namespace longhaul {

void advise_huge_pages(void* start, size_t n_bytes) noexcept {
#if defined(MADV_HUGEPAGE)
  (void)::madvise(start, n_bytes, MADV_HUGEPAGE);  // may fail: the memory works either way
#else
  (void)start;
  (void)n_bytes;
#endif
}

PageRegion PageRegion::reserve(size_t n_bytes) noexcept {
  PageRegion region;
  if (n_bytes == 0 || n_bytes > SIZE_MAX - kHugePageBytes) return region;
  const size_t n_mapped = n_bytes + kHugePageBytes;  // room to start at a huge page
  void* start =
      ::mmap(nullptr, n_mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) return region;
  auto* first = static_cast<std::byte*>(start);
  const size_t skipped = -reinterpret_cast<uintptr_t>(start) % kHugePageBytes;
  region.mapping_ = {first, n_mapped};
  region.bytes_ = {first + skipped, n_bytes};
  advise_huge_pages(first + skipped, n_bytes);
  return region;
}

PageRegion::~PageRegion() {
  if (!mapping_.empty()) ::munmap(mapping_.data(), mapping_.size());
}

}  // namespace longhaul
