// Memory that is taken from the system page by page as it is first written, in huge pages where the
// system has them: what is read in full again and again (weights, keys and values) costs a look-up
// of addresses for every 2 MiB instead of every 4 KiB.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

namespace longhaul {

inline constexpr size_t kHugePageBytes = size_t{2} << 20;

// Asks the system to back [start, start + n_bytes) with huge pages; a system that cannot does
// nothing.
void advise_huge_pages(void* start, size_t n_bytes) noexcept;

// An owning range of zeros, move-only.
class PageRegion {
 public:
  PageRegion() = default;
  // Empty if the system refuses.
  static PageRegion reserve(size_t n_bytes) noexcept;
  ~PageRegion();
  PageRegion(PageRegion&& other) noexcept
      : mapping_(std::exchange(other.mapping_, {})), bytes_(std::exchange(other.bytes_, {})) {}
  PageRegion& operator=(PageRegion&& other) noexcept {
    std::swap(mapping_, other.mapping_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  // Starts at a huge page.
  std::span<std::byte> bytes() const { return bytes_; }

 private:
  std::span<std::byte> mapping_;  // what the system gave
  std::span<std::byte> bytes_;    // what was asked for, within
};

}  // namespace longhaul
