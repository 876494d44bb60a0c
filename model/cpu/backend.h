// The table of operations on the host's processor: kernels/ over rows, split over a pool of
// threads.
#pragma once

#include <vector>

#include "base/page_region.h"
#include "kernels/linear.h"
#include "kernels/retention.h"
#include "kernels/scan.h"
#include "model/backend.h"
#include "model/cpu/attention.h"
#include "parallel/thread_pool.h"

namespace longhaul {

class CpuBackend final : public Backend {
 public:
  // The pool must outlive it.
  explicit CpuBackend(ThreadPool& pool) : pool_(pool), attention_(pool) {}

  std::optional<DeviceInfo> measure_device() override { return {}; }
  Floats floats(size_t size) override;
  Floats floats_of(std::span<const float> numbers) override;
  void reserve_weights(size_t n_bytes) override;
  Result<MatrixPtr> matrix(TensorType type, const std::byte* rows, size_t n_out,
                           size_t n_in) override;
  Result<EmbeddingPtr> embedding(TensorType type, const std::byte* rows, size_t n_rows,
                                 size_t n_cols) override;
  DeviceMemory* device_memory() override { return nullptr; }
  Status check(const ModelPlan&) const override { return {}; }
  Status check(const Step&) const override { return {}; }
  void read(MatrixView<const float> from, float* to) override;
  void wait() override {}
  MatrixView<float> staging(MatrixView<float> host) override { return host; }

  void begin(Pass& pass) override { attention_.begin(pass); }
  void run(Pass&, FunctionRef<void()> operations) override { operations(); }
  void narrow(std::span<const RowMove> moves, std::span<const RowBuffer> buffers) override;

  void embed(const Pass& pass, const Embedding& embedding, float scale,
             MatrixView<float> x) override;
  void angles(const Pass& pass, const RopeTable& rope, MatrixView<float> cos,
              MatrixView<float> sin) override;
  void norm(MatrixView<const float> x, const Floats& weight, float eps,
            MatrixView<float> out) override;
  void layer_norm(MatrixView<const float> x, const Floats& weight, const Floats& bias, float eps,
                  MatrixView<float> out) override;
  void add(MatrixView<float> x, MatrixView<float> y, const Floats& norm, float eps) override;
  void rotate(std::span<const HeadRows> heads, float eps) override;
  void activate(Activation activation, MatrixView<float> gate, MatrixView<const float> up) override;
  void gather(MatrixView<const float> from, std::span<const uint32_t> rows,
              MatrixView<float> to) override;
  void add_shares(MatrixView<float> from, std::span<const RowShare> shares,
                  MatrixView<float> to) override;
  void zero(MatrixView<float> x) override;
  void spread_parts(MatrixView<const float> from, size_t head_dim, MatrixView<float> to) override;
  void subtract_pairs(MatrixView<const float> heads, size_t head_dim, const Lambda& lambda,
                      MatrixView<float> to) override;

  void prepare(MatrixView<const float> x) override;
  void multiply(std::span<const Product> products) override;

  void decay_keys(const Pass& pass, const AttentionSpec& spec, MatrixView<float> k) override {
    attention_.decay_keys(pass, spec, k);
  }
  void store(const Pass& pass, const AttentionSpec& spec, MatrixView<const float> k,
             MatrixView<const float> v) override {
    attention_.store(pass, spec, k, v);
  }
  void attend(Pass& pass, const AttentionSpec& spec, MatrixView<const float> q,
              MatrixView<float> out) override {
    attention_.attend(pass, spec, q, out);
  }
  void retain(Pass& pass, const RetentionSpec& spec, MatrixView<const float> q, MatrixView<float> k,
              MatrixView<const float> v, MatrixView<const float> gates,
              MatrixView<float> out) override;
  void convolve(Pass& pass, const MambaSpec& spec, MatrixView<const float> u, const Floats& weight,
                const Floats& bias, MatrixView<float> out) override;
  void scan(Pass& pass, const MambaSpec& spec, const ScanInput& input,
            MatrixView<float> out) override;
  void fill_random(KvSequence& kv, size_t first, size_t count, uint64_t seed) override;

 private:
  void for_each_row(size_t n_rows, FunctionRef<void(size_t row, size_t worker)> task);

  ThreadPool& pool_;
  PageRegion weights_;                 // of matrices
  std::span<std::byte> weights_left_;  // what is free of it
  Activations activations_;
  std::vector<MatmulTask> tasks_;
  std::vector<float> normal_;  // that fill_random() takes rows of, drawn with normal_seed_
  uint64_t normal_seed_ = 0;
  CpuAttention attention_;
  std::vector<float> decays_;           // [n_heads, rows] of a pass
  std::vector<RetentionJob> retained_;  // [steps, n_heads]
  std::vector<ScanJob> scans_;          // [steps]
};

// Below this many tasks a fork and join costs more than the loop.
inline constexpr size_t kSerialRows = 4;

// Calls task(i, worker) for every i < n, in turn where they are at most `serial`.
void for_each(ThreadPool& pool, size_t n, size_t serial,
              FunctionRef<void(size_t task, size_t worker)> task);

}  // namespace longhaul
