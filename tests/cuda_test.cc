// Whole models on a GPU: close to the host's, and the same bits in any chunks, beside others, and
// from captured passes. Skips where there is no device; built with -DLONGHAUL_CUDA=EMULATED it needs
// none.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "attention/setup.h"
#include "cuda/backend.h"
#include "model/cpu/backend.h"
#include "model/model.h"
#include "tests/tiny_model.h"

namespace longhaul {
namespace {

constexpr size_t kMaxRows = 256;
constexpr size_t kTokens = 16384;
#if defined(LH_CUDA_EMULATION)
constexpr size_t kShare = 5;  // the emulation is slow: that part of the longer texts
#else
constexpr size_t kShare = 1;
#endif

struct Case {
  std::string architecture;
  TensorType type;
};

TinyModelSpec spec_of(const Case& c) {
  TinyModelSpec spec = tiny_spec(c.architecture);
  spec.type = c.type;
  spec.head_dim = 64;
  spec.d_model = 256;
  spec.d_ff = 512;
  spec.context_length = kTokens;
  return spec;
}

// A model on one backend, with states there.
struct Side {
  Side(const GgufFile& file, Backend& backend) {
    auto loaded = Model::load(file, backend, kMaxRows);
    EXPECT_TRUE(loaded.has_value()) << (loaded ? "" : loaded.error().message);
    model = std::move(*loaded);
    SelectorSetup setup = selector_setup(model->plan(), 16, &file);
    setup.kept = {"minmax"};
    summaries = make_summaries(setup, model->rope_angles()).value();
    StateOptions options{.block_size = 16, .n_sequences = 4, .n_tokens = kTokens};
    options.summaries = specs_of(summaries);
    auto pool = StatePool::create(state_slots(model->plan(), options), backend.device_memory());
    EXPECT_TRUE(pool.has_value()) << (pool ? "" : pool.error().message);
    states = std::move(*pool);
  }

  size_t vocab_size() const { return model->plan().vocab_size; }

  std::unique_ptr<Model> model;
  std::vector<std::unique_ptr<Summary>> summaries;
  std::unique_ptr<StatePool> states;
};

struct Rig {
  explicit Rig(const Case& c) : bytes(make_tiny_model(spec_of(c))), pool(2), cpu(pool) {
    file = std::make_unique<GgufFile>(GgufFile::parse(bytes, "tiny").value());
    auto made = cuda::make_backend();
    if (!made) {
      reason = made.error().message;
      return;
    }
    gpu = std::move(*made);
    host = std::make_unique<Side>(*file, cpu);
    device = std::make_unique<Side>(*file, *gpu);
  }

  std::string reason;  // why there is no device
  std::vector<std::byte> bytes;
  ThreadPool pool;
  CpuBackend cpu;
  std::unique_ptr<Backend> gpu;
  std::unique_ptr<GgufFile> file;
  std::unique_ptr<Side> host, device;
};

struct Mode {
  const Selector* selector = nullptr;
  const AttentionOptions* options = nullptr;
  bool timed = false;  // not captured
};

// Logits of all tokens, run behind what the sequence holds.
std::vector<float> run(Side& side, SequenceState& state, std::span<const int32_t> tokens,
                       size_t chunk_size, Mode mode = {}, StepStats* stats = nullptr) {
  std::vector<float> logits(tokens.size() * side.vocab_size(), NAN);
  for (size_t done = 0; done < tokens.size();) {
    const size_t n = std::min(chunk_size, tokens.size() - done);
    Step step;
    step.state = &state;
    step.tokens = tokens.subspan(done, n);
    step.first_pos = state.n_tokens();
    step.n_logits = n;
    step.selector = mode.selector;
    step.attention = mode.options;
    PassTimes times;
    const MatrixView<float> out(logits.data() + done * side.vocab_size(), n, side.vocab_size());
    const Status status = side.model->run(step, out, mode.timed ? &times : nullptr);
    EXPECT_TRUE(status.has_value()) << (status ? "" : status.error().message);
    if (stats != nullptr) *stats += step.stats;
    done += n;
  }
  return logits;
}

// Root of the mean squared difference over that of the values.
double relative_error(std::span<const float> found, std::span<const float> wanted) {
  double errors = 0;
  double squares = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const double error = double{found[i]} - double{wanted[i]};
    errors += error * error;
    squares += double{wanted[i]} * double{wanted[i]};
  }
  return std::sqrt(errors / squares);
}

std::ptrdiff_t first_difference(std::span<const float> a, std::span<const float> b, size_t n_cols) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0)
      return static_cast<std::ptrdiff_t>(i / n_cols);
  }
  return -1;
}

class Cuda : public testing::TestWithParam<Case> {};

// Activations are rounded to 8 bits (with F16 weights to 16) on both sides; queries and
// probabilities to f16 on the device alone, and a difference of 2^-11 tips some of the roundings
// behind it. On the host, norm weights moved at random by up to 2^-11 change the logits of these
// models by 2e-2 to 4e-2, with F16 weights by 2e-3.
double most_from_host(const Case& c) { return c.type == TensorType::kF16 ? 4e-3 : 4e-2; }

TEST_P(Cuda, IsCloseToTheHost) {
  Rig rig(GetParam());
  if (rig.gpu == nullptr) GTEST_SKIP() << rig.reason;
  const auto tokens = random_tokens(700 / kShare, 3);
  auto on_host = rig.host->states->new_sequence();
  auto on_device = rig.device->states->new_sequence();
  const auto wanted = run(*rig.host, on_host, tokens, 100);
  const auto found = run(*rig.device, on_device, tokens, 100);
  const double error = relative_error(found, wanted);
  RecordProperty("relative_error", std::to_string(error));
  fmt::print("relative error of the logits: {:.2e}\n", error);
  EXPECT_LT(error, most_from_host(GetParam()));
}

TEST_P(Cuda, AnyChunkingGivesTheSameBits) {
  Rig rig(GetParam());
  if (rig.gpu == nullptr) GTEST_SKIP() << rig.reason;
  const auto tokens = random_tokens(300 / kShare, 7);
  auto alone = rig.device->states->new_sequence();
  const auto wanted = run(*rig.device, alone, tokens, 1);
  for (const size_t chunk_size : {2, 7, 16, 33, 64, 256}) {
    auto sequence = rig.device->states->new_sequence();
    const auto found = run(*rig.device, sequence, tokens, chunk_size);
    EXPECT_EQ(first_difference(wanted, found, rig.device->vocab_size()), -1)
        << "chunks of " << chunk_size;
  }
}

TEST_P(Cuda, CapturedPassesGiveTheSameBits) {
  Rig rig(GetParam());
  if (rig.gpu == nullptr) GTEST_SKIP() << rig.reason;
  const auto tokens = random_tokens(120 / kShare, 9);
  auto captured = rig.device->states->new_sequence();
  auto direct = rig.device->states->new_sequence();
  EXPECT_EQ(first_difference(run(*rig.device, direct, tokens, 1, {.timed = true}),
                             run(*rig.device, captured, tokens, 1), rig.device->vocab_size()),
            -1);
}

TEST_P(Cuda, BesideOthersGivesTheSameBits) {
  Rig rig(GetParam());
  if (rig.gpu == nullptr) GTEST_SKIP() << rig.reason;
  Side& side = *rig.device;
  const size_t n_vocab = side.vocab_size();
  const auto one = random_tokens(90, 1);
  const auto two = random_tokens(40, 2);
  auto one_alone = side.states->new_sequence();
  auto two_alone = side.states->new_sequence();
  const auto wanted_one = run(side, one_alone, one, 64);
  const auto wanted_two = run(side, two_alone, two, 64);
  auto first = side.states->new_sequence();
  auto second = side.states->new_sequence();
  Step steps[2];
  steps[0].state = &first;
  steps[0].tokens = one;
  steps[0].n_logits = one.size();
  steps[1].state = &second;
  steps[1].tokens = two;
  steps[1].n_logits = 3;
  std::vector<float> logits((one.size() + 3) * n_vocab);
  side.model->run(steps, MatrixView<float>(logits.data(), one.size() + 3, n_vocab));
  ASSERT_TRUE(steps[0].status && steps[1].status);
  const std::span<const float> found(logits);
  EXPECT_EQ(first_difference(wanted_one, found.first(wanted_one.size()), n_vocab), -1);
  EXPECT_EQ(
      first_difference(std::span(wanted_two).last(3 * n_vocab), found.last(3 * n_vocab), n_vocab),
      -1);
}

// The newest blocks, which no rounding changes: as near as dense steps.
TEST_P(Cuda, SparseStepsOfChosenBlocksAreCloseToTheHost) {
  Rig rig(GetParam());
  if (rig.gpu == nullptr) GTEST_SKIP() << rig.reason;
  AttentionOptions options;
  options.sparse_ratio = 0.1;
  options.min_blocks = 4;
  options.sink_blocks = 1;
  const Mode sparse{find_selector("window"), &options};
  const auto prefix = random_tokens(1500 / kShare, 5);
  const auto tail = random_tokens(40 / kShare, 6);
  StepStats stats;
  auto on_host = rig.host->states->new_sequence();
  (void)run(*rig.host, on_host, prefix, 250);
  const auto wanted = run(*rig.host, on_host, tail, 1, sparse);
  auto on_device = rig.device->states->new_sequence();
  (void)run(*rig.device, on_device, prefix, 250);
  const auto found = run(*rig.device, on_device, tail, 1, sparse, &stats);
  EXPECT_LT(stats.blocks_read, stats.blocks_total / 2);
  const double error = relative_error(found, wanted);
  fmt::print("relative error of the logits over newest blocks: {:.2e}\n", error);
  EXPECT_LT(error, most_from_host(GetParam()));
}

// Sparse steps: as many blocks as on the host, near its logits, the same bits again; and written
// over by a dense chunk they leave what was never sparse.
TEST_P(Cuda, SparseSteps) {
  Rig rig(GetParam());
  if (rig.gpu == nullptr) GTEST_SKIP() << rig.reason;
  AttentionOptions options;
  options.sparse_ratio = 0.1;
  options.min_blocks = 4;
  const Mode sparse{find_selector("minmax"), &options};
  const auto prefix = random_tokens(3000 / kShare, 5);
  const auto tail = random_tokens(40 / kShare, 6);
  StepStats wanted_stats, found_stats, again_stats;
  auto on_host = rig.host->states->new_sequence();
  (void)run(*rig.host, on_host, prefix, 250);
  const auto wanted = run(*rig.host, on_host, tail, 1, sparse, &wanted_stats);
  auto on_device = rig.device->states->new_sequence();
  (void)run(*rig.device, on_device, prefix, 250);
  const auto found = run(*rig.device, on_device, tail, 1, sparse, &found_stats);
  EXPECT_EQ(found_stats.blocks_read, wanted_stats.blocks_read);
  EXPECT_EQ(found_stats.blocks_total, wanted_stats.blocks_total);
  EXPECT_LT(found_stats.blocks_read, found_stats.blocks_total / 2);
  const size_t n_vocab = rig.device->vocab_size();
  on_device.rewind(prefix.size());
  const auto again = run(*rig.device, on_device, tail, 1, sparse, &again_stats);
  EXPECT_EQ(first_difference(found, again, rig.device->vocab_size()), -1);

  on_device.rewind(prefix.size());
  const auto rectified = run(*rig.device, on_device, tail, 40);
  auto never_sparse = rig.device->states->new_sequence();
  (void)run(*rig.device, never_sparse, prefix, 250);
  const auto dense = run(*rig.device, never_sparse, tail, 1);
  EXPECT_EQ(first_difference(dense, rectified, n_vocab), -1);
  // The comparisons compare: sparse is not dense. A near tie may choose another block than the host.
  EXPECT_NE(first_difference(dense, found, n_vocab), -1);
  const double error = relative_error(found, wanted);
  const double of_dense = relative_error(dense, wanted);
  fmt::print("relative error of sparse logits: {:.2e}, of dense ones {:.2e}\n", error, of_dense);
  EXPECT_LT(error, 0.5 * of_dense);
}

TEST_P(Cuda, ForksGiveTheSameBits) {
  Rig rig(GetParam());
  if (rig.gpu == nullptr) GTEST_SKIP() << rig.reason;
  const auto prefix = random_tokens(333, 5);
  const auto tail = random_tokens(20, 6);
  auto base = rig.device->states->new_sequence();
  (void)run(*rig.device, base, prefix, 100);
  auto child = base.fork();
  ASSERT_TRUE(child.has_value());
  const auto other = run(*rig.device, *child, random_tokens(20, 8), 20);
  const auto found = run(*rig.device, base, tail, 20);
  auto alone = rig.device->states->new_sequence();
  (void)run(*rig.device, alone, prefix, 100);
  const auto wanted = run(*rig.device, alone, tail, 20);
  EXPECT_EQ(first_difference(wanted, found, rig.device->vocab_size()), -1);
}

std::string name_of(const testing::TestParamInfo<Case>& info) {
  return info.param.architecture + "_" + std::string(tensor_type_info(info.param.type).name);
}

INSTANTIATE_TEST_SUITE_P(Models, Cuda,
                         testing::Values(Case{"qwen3", TensorType::kQ8_0},
                                         Case{"qwen2", TensorType::kQ4_0},
                                         Case{"llama", TensorType::kQ4_K},
                                         Case{"llama", TensorType::kF16},
                                         Case{"gemma3", TensorType::kQ6_K}),
                         name_of);

}  // namespace
}  // namespace longhaul
