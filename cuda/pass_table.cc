#include "cuda/pass_table.h"

#include <algorithm>
#include <bit>
#include <new>

#include "attention/selector.h"
#include "base/rounding.h"

namespace longhaul::cuda {
namespace {

constexpr size_t kAlignment = 256;
constexpr uint32_t kLeastContext = 4096;

// The next of four steps between powers of two.
uint32_t bucket_of(uint32_t n_tokens) {
  if (n_tokens <= kLeastContext) return kLeastContext;
  const uint32_t step = std::bit_floor(n_tokens - 1) / 4;
  return (n_tokens + step - 1) / step * step;
}

uint32_t as_u32(size_t n) { return static_cast<uint32_t>(n); }

// How many blocks a step of a sequence reads, and which it must.
void plan_selection(const Step& step, StepRows& rows) {
  if (step.selector == nullptr) return;
  const size_t block_size = step.state->block_size();
  const size_t n_blocks = ceil_div(step.first_pos + 1, block_size);
  const AttentionOptions& options = *step.attention;
  const size_t n_selected = n_selected_blocks(options, *step.selector, n_blocks, block_size);
  if (n_selected == n_blocks) return;  // a dense step
  const size_t n_sinks =
      std::min(n_selected, std::max(options.sink_blocks, step.selector->least_sink_blocks));
  // `window` takes the newest blocks, whatever the scores.
  const bool newest = step.selector->name == "window";
  const size_t n_local = newest ? n_selected - n_sinks : std::min(n_selected, options.local_blocks);
  rows.n_selected = as_u32(n_selected);
  rows.n_sinks = as_u32(n_sinks);
  rows.n_local = as_u32(n_local);
}

std::span<const ::longhaul::StepRows> rows_of(const ::longhaul::Pass& pass, bool narrowed) {
  return narrowed ? pass.kept() : pass.rows;
}

}  // namespace

PassTable::Layout PassTable::layout(size_t max_rows, size_t n_slots) {
  Layout layout{};
  size_t end = 0;
  const auto place = [&](size_t n_bytes) {
    const size_t begin = end;
    end = round_up(end + n_bytes, kAlignment);
    return begin;
  };
  layout.tokens = place(max_rows * sizeof(int32_t));
  layout.positions = place(max_rows * sizeof(uint32_t));
  for (size_t& offset : layout.row_steps) offset = place(max_rows * sizeof(uint32_t));
  layout.steps = place(2 * n_slots * max_rows * sizeof(StepRows));
  layout.size = end;
  return layout;
}

PassTable::PassTable(size_t max_rows, size_t n_slots)
    : max_rows_(max_rows), n_slots_(n_slots), layout_(layout(max_rows, n_slots)) {
  auto device = DeviceBuffer<std::byte>::create(layout_.size);
  void* host = nullptr;
  if (!device || cudaMallocHost(&host, layout_.size) != cudaSuccess) throw std::bad_alloc();
  device_ = std::move(*device);
  host_ = static_cast<std::byte*>(host);
  LH_CUDA(cudaEventCreateWithFlags(&copied_, cudaEventDisableTiming));
}

PassTable::~PassTable() {
  (void)cudaEventDestroy(copied_);
  (void)cudaFreeHost(host_);
}

size_t PassTable::steps_offset(size_t slot, bool narrowed) const {
  return layout_.steps + (2 * slot + (narrowed ? 1 : 0)) * max_rows_ * sizeof(StepRows);
}

void PassTable::fill_rows(const ::longhaul::Pass& pass, bool narrowed) {
  uint32_t* const row_steps = host<uint32_t>(layout_.row_steps[narrowed ? 1 : 0]);
  uint32_t n_rows = 0;
  uint32_t n_steps = 0;
  for (const ::longhaul::StepRows& step : rows_of(pass, narrowed)) {
    if (step.n == 0) continue;  // nothing is left of it
    std::fill_n(row_steps + step.first, step.n, n_steps++);
    n_rows += as_u32(step.n);
  }
  n_rows_[narrowed ? 1 : 0] = n_rows;
  n_steps_[narrowed ? 1 : 0] = n_steps;
  if (narrowed) return;
  for (size_t r = 0; r < n_rows; ++r) {
    host<int32_t>(layout_.tokens)[r] = pass.row(r).token;
    host<uint32_t>(layout_.positions)[r] = as_u32(pass.row(r).pos);
  }
}

void PassTable::fill_steps(const ::longhaul::Pass& pass, size_t slot, bool narrowed) {
  const auto steps = rows_of(pass, narrowed);
  StepRows* rows = host<StepRows>(steps_offset(slot, narrowed));
  for (size_t s = 0; s < steps.size(); ++s) {
    if (steps[s].n == 0) continue;
    *rows = {.first_row = as_u32(steps[s].first),
             .n_rows = as_u32(steps[s].n),
             .first_pos = as_u32(steps[s].first_pos),
             .first_page = first_pages_[slot * steps.size() + s]};
    const Step& step = *pass.steps[s];
    if (step.state->paged(slot).config().window == 0) plan_selection(step, *rows);
    any_sparse_ |= rows->n_selected > 0;
    ++rows;
    max_context_ = std::max(max_context_, as_u32(steps[s].first_pos + steps[s].n));
  }
}

// The page tables of all slots and steps, one after another.
void PassTable::list_pages(const ::longhaul::Pass& pass) {
  pages_.clear();
  first_pages_.clear();
  for (size_t slot = 0; slot < n_slots_; ++slot) {
    for (const Step* step : pass.steps) {
      const auto pages = step->state->paged(slot).pages();
      first_pages_.push_back(as_u32(pages_.size()));
      pages_.insert(pages_.end(), pages.begin(), pages.end());
    }
  }
}

bool PassTable::upload_pages(cudaStream_t stream) {
  if (pages_ == device_pages_list_) return false;
  bool moved = false;
  if (pages_.size() > pages_on_device_.size()) {
    LH_CUDA(cudaStreamSynchronize(stream));
    auto larger = DeviceBuffer<uint32_t>::create(std::max<size_t>(2 * pages_.size(), 16384));
    if (!larger) throw std::bad_alloc();
    pages_on_device_ = std::move(*larger);
    moved = true;
  }
  pages_on_device_.upload(pages_, stream);
  device_pages_list_ = pages_;
  return moved;
}

bool PassTable::upload(const ::longhaul::Pass& pass, cudaStream_t stream) {
  LH_CUDA(cudaEventSynchronize(copied_));  // the last copy has left the host's table
  max_context_ = 0;
  any_sparse_ = false;
  list_pages(pass);
  for (const bool narrowed : {false, true}) {
    fill_rows(pass, narrowed);
    for (size_t slot = 0; slot < n_slots_; ++slot) fill_steps(pass, slot, narrowed);
  }
  max_context_ = bucket_of(max_context_);
  const bool moved = upload_pages(stream);
  LH_CUDA(cudaMemcpyAsync(device_.data(), host_, layout_.size, cudaMemcpyHostToDevice, stream));
  LH_CUDA(cudaEventRecord(copied_, stream));
  return moved;
}

const int32_t* PassTable::tokens() const {
  return reinterpret_cast<const int32_t*>(device_.data() + layout_.tokens);
}

const uint32_t* PassTable::positions() const {
  return reinterpret_cast<const uint32_t*>(device_.data() + layout_.positions);
}

Pass PassTable::pass(size_t slot, bool narrowed) const {
  const std::byte* const table = device_.data();
  return {
      .steps = reinterpret_cast<const StepRows*>(table + steps_offset(slot, narrowed)),
      .row_steps = reinterpret_cast<const uint32_t*>(table + layout_.row_steps[narrowed ? 1 : 0]),
      .pages = pages_on_device_.data(),
      .n_steps = n_steps_[narrowed ? 1 : 0],
      .n_rows = n_rows_[narrowed ? 1 : 0],
      .max_context = max_context_};
}

}  // namespace longhaul::cuda
