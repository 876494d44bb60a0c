// The bits of a row depend on its own sequence alone: not on the cut into passes, the other steps,
// the pages, the split, nor on the run.
#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "cuda/attention_test_world.h"

namespace longhaul::cuda {
namespace {

using CudaAttentionBits = CudaTest;

// [first, end) of a sequence in steps of n_rows rows.
std::vector<Rows> cut(uint32_t sequence, uint32_t first, uint32_t end, uint32_t n_rows) {
  std::vector<Rows> steps;
  for (uint32_t pos = first; pos < end; pos += n_rows)
    steps.push_back(
        {.sequence = sequence, .first_pos = pos, .n_rows = std::min(n_rows, end - pos)});
  return steps;
}

// Where two outputs of rows from `first` on differ, in words; empty: nowhere.
std::string difference(const std::vector<float>& a, const std::vector<float>& b, size_t width,
                       uint32_t first) {
  if (a.size() != b.size()) return "sizes";
  size_t n = 0;
  size_t at = 0;
  for (size_t i = a.size(); i-- > 0;) {
    if (std::memcmp(&a[i], &b[i], sizeof(float)) == 0) continue;
    ++n;
    at = i;
  }
  if (n == 0) return "";
  return std::to_string(n) + " of " + std::to_string(a.size()) + " numbers, first at pos " +
         std::to_string(first + at / width) + " column " + std::to_string(at % width) + ": " +
         std::to_string(a[at]) + " and " + std::to_string(b[at]);
}

void check_cuts(const Shape& shape, uint32_t n_tokens, uint32_t first) {
  SCOPED_TRACE(testing::Message() << "dim " << shape.dim << " group " << shape.n_group << " window "
                                  << shape.window << " from " << first);
  World world(shape, {n_tokens}, 20);
  world.store_all();
  const auto one = world.attend_all(cut(0, first, n_tokens, 1));
  for (const uint32_t n_rows : {2U, 7U, 32U, 64U, 512U}) {
    const auto steps = cut(0, first, n_tokens, n_rows);
    EXPECT_EQ(difference(one, world.attend_all(steps), shape.q_width(), first), "")
        << n_rows << " rows, together";
    if (n_rows < 32) continue;
    for (const bool split : {false, true}) {
      std::vector<float> out;
      for (const Rows& step : steps) {
        const auto some = world.attend({step}, split);
        out.insert(out.end(), some.begin(), some.end());
      }
      EXPECT_EQ(difference(one, out, shape.q_width(), first), "")
          << n_rows << " rows, alone, " << (split ? "split" : "not split");
    }
  }
}

TEST_F(CudaAttentionBits, DoNotDependOnTheCutIntoPasses) {
  check_cuts({.n_group = 4, .dim = 128}, 700, 0);
  check_cuts({.n_group = 7, .dim = 64}, 700, 0);
  check_cuts({.n_kv_heads = 1, .n_group = 2, .dim = 256}, 600, 0);
  check_cuts({.n_kv_heads = 1, .n_group = 3, .dim = 96}, 600, 0);
  check_cuts({.n_kv_heads = 1, .n_group = 16, .dim = 128, .block_size = 32}, 400, 0);
  check_cuts({.n_group = 4, .dim = 128}, 2400, 1900);  // across a span
  check_cuts({.n_group = 7, .dim = 64}, 6500, 6060);   // across several
}

TEST_F(CudaAttentionBits, DoNotDependOnTheCutWithAWindow) {
  check_cuts({.n_group = 4, .dim = 128, .window = 100}, 700, 0);
  check_cuts({.n_group = 4, .dim = 64, .window = 1024}, 3500, 3000);
}

// Long texts at once, many spans: the split of longer steps, the order of merges.
TEST_F(CudaAttentionBits, DoNotDependOnTheSplitOfALongText) {
  const Shape shape = {.n_kv_heads = 1, .n_group = 4, .dim = 128};
  constexpr uint32_t kTokens = 40000;
  World world(shape, {kTokens}, 21);
  world.store_all();
  const auto one = world.attend_all(cut(0, kTokens - 64, kTokens, 1));
  for (const uint32_t n_rows : {4U, 32U, 64U}) {
    for (const bool split : {false, true}) {
      std::vector<float> out;
      for (const Rows& step : cut(0, kTokens - 64, kTokens, n_rows)) {
        const auto some = world.attend({step}, split);
        out.insert(out.end(), some.begin(), some.end());
      }
      EXPECT_EQ(difference(one, out, shape.q_width(), kTokens - 64), "") << n_rows;
    }
  }
  world.check_row(&one[63 * shape.q_width()], 0, kTokens - 1);
}

// Steps of every kind in one pass, each alone, other pages, other cuts of the storing.
TEST_F(CudaAttentionBits, DoNotDependOnOtherStepsNorPages) {
  const Shape shape = {.n_group = 4, .dim = 128};
  const std::vector<uint32_t> lengths = {1, 40, 300, 301, 2100, 5000, 33, 700};
  World world(shape, lengths, 22);
  world.store_all();
  std::vector<Rows> steps;
  for (uint32_t i = 0; i < lengths.size(); ++i) {
    const uint32_t n = std::min(lengths[i], i % 2 == 0 ? 1U : 3U + 17U * i);
    steps.push_back({.sequence = i, .first_pos = lengths[i] - n, .n_rows = n});
  }
  const auto together = world.attend(steps);
  std::vector<float> alone;
  for (const Rows& step : steps) {
    const auto out = world.attend({step});
    alone.insert(alone.end(), out.begin(), out.end());
  }
  EXPECT_EQ(difference(together, alone, shape.q_width(), 0), "");

  World shuffled(shape, lengths, 22, 99);
  shuffled.store_all(13);
  EXPECT_EQ(difference(together, shuffled.attend(steps), shape.q_width(), 0), "");
  for (int i = 0; i < 20; ++i)
    ASSERT_EQ(difference(together, world.attend(steps), shape.q_width(), 0), "") << "run " << i;
}

// A captured launch serves the steps that follow: what changes lies in device memory.
TEST_F(CudaAttentionBits, ACapturedPassIsReplayedAtOtherPositions) {
  const Shape shape = {.n_group = 4, .dim = 128};
  const std::vector<uint32_t> lengths = {900, 3000};
  World world(shape, lengths, 23);
  world.store_all();
  const auto steps_at = [](uint32_t a, uint32_t b) {
    return std::vector<Rows>{{.sequence = 0, .first_pos = a, .n_selected = 12, .n_local = 1},
                             {.sequence = 1, .first_pos = b, .n_selected = 20, .n_local = 1}};
  };
  cudaStream_t stream;
  LH_CUDA(cudaStreamCreate(&stream));
  const auto enqueue = [&](const World::DevicePass& made) {
    select(stream, made.pass, world.kv(), made.rows.q, made.rows.q_stride, shape.n_group,
           world.selection());
    attend(stream, made.pass, world.kv(), made.rows, world.workspace(true), &world.selection());
  };
  const auto captured = world.make_pass(steps_at(500, 700));
  enqueue(captured);  // what is set up at a first launch
  LH_CUDA(cudaStreamSynchronize(stream));
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  LH_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  enqueue(captured);
  LH_CUDA(cudaStreamEndCapture(stream, &graph));
  LH_CUDA(cudaGraphInstantiate(&exec, graph, 0));
  const std::vector<std::pair<uint32_t, uint32_t>> places = {{501, 701}, {899, 2999}, {200, 320}};
  for (const auto& [a, b] : places) {
    const auto direct = world.make_pass(steps_at(a, b));
    enqueue(direct);
    const auto expected = direct.download(stream);
    LH_CUDA(cudaMemcpy(captured.steps.data(), direct.steps.data(), 2 * sizeof(StepRows),
                       cudaMemcpyDeviceToDevice));
    LH_CUDA(cudaMemcpy(captured.q.data(), direct.q.data(), captured.q.size() * sizeof(float),
                       cudaMemcpyDeviceToDevice));
    LH_CUDA(cudaDeviceSynchronize());
    LH_CUDA(cudaGraphLaunch(exec, stream));
    EXPECT_EQ(difference(expected, captured.download(stream), shape.q_width(), 0), "");
  }
  LH_CUDA(cudaGraphExecDestroy(exec));
  LH_CUDA(cudaGraphDestroy(graph));
  LH_CUDA(cudaStreamDestroy(stream));
}

}  // namespace
}  // namespace longhaul::cuda
