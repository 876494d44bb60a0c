// An owning array aligned for SIMD loads (64 bytes), zero-initialised, move-only; large ones lie in
// huge pages. For trivially copyable types.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <type_traits>

#include "base/page_region.h"

namespace longhaul {

inline constexpr size_t kSimdAlignment = 64;

template <class T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  AlignedBuffer() = default;
  // Throws std::bad_alloc if the memory cannot be had.
  explicit AlignedBuffer(size_t size) : size_(size) {
    if (size == 0) return;
    const size_t n_bytes =
        (size * sizeof(T) + kSimdAlignment - 1) / kSimdAlignment * kSimdAlignment;
    const bool large = n_bytes >= 2 * kHugePageBytes;
    void* memory = nullptr;  // posix_memalign: aligned_alloc wants a multiple of the alignment
    if (::posix_memalign(&memory, large ? kHugePageBytes : kSimdAlignment, n_bytes) != 0) {
      throw std::bad_alloc();
    }
    data_.reset(static_cast<T*>(memory));
    if (large) advise_huge_pages(data_.get(), n_bytes);
    std::memset(static_cast<void*>(data_.get()), 0, n_bytes);
  }

  T* data() noexcept { return data_.get(); }
  const T* data() const noexcept { return data_.get(); }
  size_t size() const noexcept { return size_; }
  T& operator[](size_t i) noexcept { return data_.get()[i]; }
  const T& operator[](size_t i) const noexcept { return data_.get()[i]; }
  std::span<T> span() noexcept { return {data(), size_}; }
  std::span<const T> span() const noexcept { return {data(), size_}; }

  // Makes room for at least `size` elements; what was there is lost if it has to grow.
  void ensure(size_t size) {
    if (size > size_) *this = AlignedBuffer(size);
  }

 private:
  struct Free {
    void operator()(T* p) const noexcept { std::free(p); }
  };
  std::unique_ptr<T[], Free> data_;
  size_t size_ = 0;
};

}  // namespace longhaul
