// The table of operations on a GPU: who calls which kernel. One stream; nothing waits but read(),
// wait() and the loading of weights.
#pragma once

#include <map>
#include <optional>
#include <variant>
#include <vector>

#include "cuda/attention.h"
#include "cuda/device.h"
#include "cuda/linear.h"
#include "cuda/ops.h"
#include "cuda/pass_table.h"
#include "model/backend.h"

namespace longhaul::cuda {

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(Card card) : card_(std::move(card)), memory_(stream_) {}
  ~CudaBackend() override;

  std::optional<longhaul::DeviceInfo> measure_device() override;
  Floats floats(size_t size) override;
  Floats floats_of(std::span<const float> numbers) override;
  void reserve_weights(size_t) override {}
  Result<MatrixPtr> matrix(TensorType type, const std::byte* rows, size_t n_out,
                           size_t n_in) override;
  Result<EmbeddingPtr> embedding(TensorType type, const std::byte* rows, size_t n_rows,
                                 size_t n_cols) override;
  DeviceMemory* device_memory() override { return &memory_; }
  Status check(const ModelPlan& plan) const override;
  Status check(const Step& step) const override;
  void read(MatrixView<const float> from, float* to) override;
  void wait() override {
    settle();
    stream_.wait();
  }
  MatrixView<float> staging(MatrixView<float> host) override;

  void begin(::longhaul::Pass& pass) override;
  void run(::longhaul::Pass& pass, FunctionRef<void()> operations) override;
  void narrow(std::span<const RowMove> moves, std::span<const RowBuffer> buffers) override;

  void embed(const ::longhaul::Pass& pass, const ::longhaul::Embedding& embedding, float scale,
             MatrixView<float> x) override;
  void angles(const ::longhaul::Pass& pass, const RopeTable& rope, MatrixView<float> cos,
              MatrixView<float> sin) override;
  void norm(MatrixView<const float> x, const Floats& weight, float eps,
            MatrixView<float> out) override;
  void add(MatrixView<float> x, MatrixView<float> y, const Floats& norm, float eps) override;
  void rotate(std::span<const HeadRows> heads, float eps) override;
  void activate(Activation activation, MatrixView<float> gate, MatrixView<const float> up) override;
  void gather(MatrixView<const float> from, std::span<const uint32_t> rows,
              MatrixView<float> to) override;
  void add_shares(MatrixView<float> from, std::span<const RowShare> shares,
                  MatrixView<float> to) override;
  void zero(MatrixView<float> x) override;
  // check() refuses the models that want these.
  void decay_keys(const ::longhaul::Pass&, const AttentionSpec&, MatrixView<float>) override {
    refused();
  }
  void spread_parts(MatrixView<const float>, size_t, MatrixView<float>) override { refused(); }
  void subtract_pairs(MatrixView<const float>, size_t, const Lambda&, MatrixView<float>) override {
    refused();
  }
  void layer_norm(MatrixView<const float>, const Floats&, const Floats&, float,
                  MatrixView<float>) override {
    refused();
  }
  void convolve(::longhaul::Pass&, const MambaSpec&, MatrixView<const float>, const Floats&,
                const Floats&, MatrixView<float>) override {
    refused();
  }
  void scan(::longhaul::Pass&, const MambaSpec&, const ScanInput&, MatrixView<float>) override {
    refused();
  }
  void retain(::longhaul::Pass&, const RetentionSpec&, MatrixView<const float>, MatrixView<float>,
              MatrixView<const float>, MatrixView<const float>, MatrixView<float>) override {
    refused();
  }

  void prepare(MatrixView<const float> x) override;
  void multiply(std::span<const Product> products) override;

  void store(const ::longhaul::Pass& pass, const AttentionSpec& spec, MatrixView<const float> k,
             MatrixView<const float> v) override;
  void attend(::longhaul::Pass& pass, const AttentionSpec& spec, MatrixView<const float> q,
              MatrixView<float> out) override;
  void fill_random(KvSequence& kv, size_t first, size_t count, uint64_t seed) override;

 private:
  static void refused() { LH_CHECK(false); }
  using Key = std::vector<uint32_t>;
  // x += y.
  struct Sum {
    Rows x, y;
  };
  struct Graph {
    bool seen = false;  // such a pass ran
    cudaGraphExec_t exec = nullptr;
  };

  void settle();
  bool makes(MatrixView<const float> x) const;
  void prepare_forms(unsigned forms);
  void make_room(const ::longhaul::Pass& pass);
  void make_activations(size_t n_rows, size_t n_cols);
  void count(::longhaul::Pass& pass) const;
  Key key_of(const ::longhaul::Pass& pass) const;
  void run_captured(Graph& graph, FunctionRef<void()> operations);
  void drop_graphs();
  static KvLayer layer_of(const KvSequence& kv, size_t index);
  static KvLayer layer_of(const ::longhaul::Pass& pass, const AttentionSpec& spec);

  Card card_;
  Stream stream_;
  CudaMemory memory_;
  std::optional<PassTable> pass_table_;
  AttentionLimits limits_;  // that the workspaces were made for
  std::optional<AttendWorkspace> attend_workspace_;
  std::optional<SelectWorkspace> select_workspace_;
  Activations activations_;
  size_t activation_rows_ = 0, activation_cols_ = 0;
  MatrixView<const float> input_;  // that prepare() was given
  unsigned forms_ = 0;             // in which it is prepared
  // What was asked for last and is not on the stream yet: the next operation may take it along.
  std::variant<std::monostate, Sum, Norm, Activated> pending_;
  std::vector<MatmulTask> tasks_;
  DeviceBuffer<float> staging_, scratch_, shares_;
  DeviceBuffer<uint32_t> rows_;
  std::vector<uint32_t> row_ids_;
  std::vector<float> weights_;
  std::map<const RopeTable*, DeviceBuffer<double>> frequencies_;
  bool is_narrowed_ = false;
  std::map<Key, Graph> graphs_;
};

}  // namespace longhaul::cuda
