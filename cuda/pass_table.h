// What a pass is, for kernels: its rows, steps and page tables in device memory, at places that do
// not move, so that captured launches find them.
#pragma once

#include <vector>

#include "cuda/attention_types.h"
#include "cuda/runtime.h"
#include "model/pass.h"

namespace longhaul::cuda {

class PassTable {
 public:
  // Room for passes of up to max_rows rows. Throws std::bad_alloc where the device has none.
  PassTable(size_t max_rows, size_t n_slots);
  ~PassTable();
  PassTable(const PassTable&) = delete;
  PassTable& operator=(const PassTable&) = delete;

  // Brings a pass to the device. True if something moved, so that captured launches must go.
  bool upload(const ::longhaul::Pass& pass, cudaStream_t stream);

  const int32_t* tokens() const;
  const uint32_t* positions() const;
  // The rows of the pass as one slot sees them; `narrowed`: those that narrow() leaves.
  Pass pass(size_t slot, bool narrowed) const;
  bool any_sparse() const { return any_sparse_; }
  // The most tokens that a row sees, rounded up so that few graphs serve a long text.
  uint32_t max_context() const { return max_context_; }

 private:
  // The beginning of each part in the table, in bytes.
  struct Layout {
    size_t tokens, positions, row_steps[2], steps, size;
  };
  static Layout layout(size_t max_rows, size_t n_slots);
  template <class T>
  T* host(size_t offset) {
    return reinterpret_cast<T*>(host_ + offset);
  }
  void fill_rows(const ::longhaul::Pass& pass, bool narrowed);
  void fill_steps(const ::longhaul::Pass& pass, size_t slot, bool narrowed);
  void list_pages(const ::longhaul::Pass& pass);
  bool upload_pages(cudaStream_t stream);
  size_t steps_offset(size_t slot, bool narrowed) const;

  size_t max_rows_, n_slots_;
  Layout layout_;
  std::byte* host_ = nullptr;  // pinned
  DeviceBuffer<std::byte> device_;
  cudaEvent_t copied_ = nullptr;
  std::vector<uint32_t> pages_, device_pages_list_;  // as wanted, and as they were uploaded last
  std::vector<uint32_t> first_pages_;                // [slots, steps]
  DeviceBuffer<uint32_t> pages_on_device_;
  uint32_t n_rows_[2] = {};  // [narrowed]
  uint32_t n_steps_[2] = {};
  uint32_t max_context_ = 0;
  bool any_sparse_ = false;
};

}  // namespace longhaul::cuda
