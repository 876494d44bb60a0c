// Sequences with random K, V and queries on the device, passes over them, and what attention over
// them must give in double.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "cuda/attention.h"

namespace longhaul::cuda {

struct Shape {
  uint32_t n_kv_heads = 2;
  uint32_t n_group = 4;
  uint32_t dim = 128;
  uint32_t block_size = 16;
  uint32_t window = 0;

  uint32_t n_heads() const { return n_kv_heads * n_group; }
  size_t kv_width() const { return size_t{n_kv_heads} * dim; }
  size_t q_width() const { return size_t{n_heads()} * dim; }
};

// A step of a pass: rows of a sequence.
struct Rows {
  uint32_t sequence = 0;
  uint32_t first_pos = 0;
  uint32_t n_rows = 1;
  uint32_t n_selected = 0;
  uint32_t n_sinks = 0;
  uint32_t n_local = 0;
};

// Skips, in words, where there is no device.
class CudaTest : public testing::Test {
 protected:
  void SetUp() override;
};

// [dim] of one query, and how far an output may lie from it.
struct Expected {
  std::vector<double> out, error;
};

class World {
 public:
  static constexpr uint32_t kMaxSteps = 64;
  static constexpr uint32_t kMaxRows = 512;

  // Sequence i has lengths[i] tokens, whose numbers depend on `seed` and i alone. Pages are dealt in
  // an order of `page_seed`; everything that is not written is NaN.
  World(const Shape& shape, std::vector<uint32_t> lengths, unsigned seed, unsigned page_seed = 1);

  // Stores the rows of a pass; store_all every sequence in passes of `n_rows` rows.
  void store(const std::vector<Rows>& steps);
  void store_all(uint32_t n_rows = kMaxRows);

  // [rows of all steps, n_heads, dim]. `split`: longer steps may be split over their text.
  std::vector<float> attend(const std::vector<Rows>& steps, bool split = true);
  // As many passes as needed; the rows in order.
  std::vector<float> attend_all(const std::vector<Rows>& steps, bool split = true);
  // Chooses blocks for the steps; their lists, [step][kv head]. attend_chosen() then uses them.
  std::vector<std::vector<uint32_t>> select(const std::vector<Rows>& steps);
  std::vector<float> attend_chosen(const std::vector<Rows>& steps);
  // The scores behind the last selection of a step.
  std::vector<float> scores(size_t step, uint32_t kv_head, size_t n_blocks) const;

  // A query at `pos` over the tokens that it sees, or over those of them in the blocks.
  Expected expected(uint32_t sequence, uint32_t pos, uint32_t head,
                    const std::vector<uint32_t>* blocks = nullptr) const;
  // Compares a row of attend() with expected().
  void check_row(const float* out, uint32_t sequence, uint32_t pos) const;

  // Bytes of a page of the arenas, as they are now.
  std::vector<std::byte> tiles_of_page(uint32_t sequence, uint32_t kv_head, uint32_t page) const;
  std::vector<std::byte> bounds_of_page(uint32_t sequence, uint32_t kv_head, uint32_t page) const;
  std::vector<std::byte> all_tiles() const;
  const float* key(uint32_t sequence, uint32_t pos, uint32_t kv_head) const;
  const float* value(uint32_t sequence, uint32_t pos, uint32_t kv_head) const;
  const float* query(uint32_t sequence, uint32_t pos) const;  // [n_heads, dim]
  float scale() const;
  uint32_t n_blocks(uint32_t n_tokens) const { return (n_tokens - 1) / shape.block_size + 1; }

  // The device's side, for tests of their own.
  struct DevicePass {
    DeviceBuffer<StepRows> steps;
    DeviceBuffer<uint32_t> row_steps;
    DeviceBuffer<float> q, out;
    Pass pass;
    AttendRows rows;
    std::vector<float> download(cudaStream_t stream) const;
  };
  DevicePass make_pass(const std::vector<Rows>& steps) const;
  const KvLayer& kv() const { return kv_; }
  const AttendWorkspace& workspace(bool split) const { return split ? *split_ : *walk_; }
  const SelectWorkspace& selection() const { return *select_; }

  Shape shape;

 private:
  struct Sequence {
    uint32_t n_tokens, first_page;
    std::vector<float> k, v, q;  // [n_tokens, n_kv_heads or n_heads, dim]
    std::vector<float> k_half, v_half;
  };
  const Sequence& at(uint32_t i) const { return sequences_[i]; }
  std::vector<std::byte> page_bytes(const std::byte* base, size_t n_bytes) const;

  std::vector<Sequence> sequences_;
  std::vector<uint32_t> page_table_;
  uint32_t max_context_ = 0;
  KvLayer kv_;
  DeviceBuffer<std::byte> tiles_, bounds_;
  DeviceBuffer<uint32_t> pages_;
  std::optional<AttendWorkspace> split_, walk_;
  std::optional<SelectWorkspace> select_;
};

}  // namespace longhaul::cuda
