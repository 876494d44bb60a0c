// Kernels launched before those ahead of them are done give the same bits.
#include <cstring>

#include "cuda/attention_test_world.h"

namespace longhaul::cuda {
namespace {

class CudaEarlyLaunch : public CudaTest {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (IsSkipped()) return;
    int major = 0;
    LH_CUDA(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0));
    if (major < 9) GTEST_SKIP() << "needs compute capability 9";
  }
};

// Captured, many layers of selection and attention behind each other, and a chunk.
TEST_F(CudaEarlyLaunch, GivesTheSameBits) {
  const Shape shape = {.n_group = 4, .dim = 128};
  const std::vector<uint32_t> lengths = {900, 5000, 3000};
  World world(shape, lengths, 40);
  world.store_all();
  const auto sparse = world.make_pass(
      {{.sequence = 0, .first_pos = 899, .n_selected = 12, .n_local = 1},
       {.sequence = 1, .first_pos = 4999, .n_selected = 40, .n_sinks = 1, .n_local = 1},
       {.sequence = 2, .first_pos = 2999}});
  const auto chunk = world.make_pass({{.sequence = 1, .first_pos = 4900, .n_rows = 100},
                                      {.sequence = 2, .first_pos = 2990, .n_rows = 2}});
  cudaStream_t stream;
  LH_CUDA(cudaStreamCreate(&stream));
  const auto enqueue = [&](bool early) {
    allow_early_launches(early);
    Pass pass = sparse.pass;
    select(stream, pass, world.kv(), sparse.rows.q, sparse.rows.q_stride, shape.n_group,
           world.selection());
    attend(stream, pass, world.kv(), sparse.rows, world.workspace(true), &world.selection());
    pass = chunk.pass;
    attend(stream, pass, world.kv(), chunk.rows, world.workspace(true));
  };
  enqueue(false);
  const auto sparse_out = sparse.download(stream);
  const auto chunk_out = chunk.download(stream);
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  LH_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  for (int i = 0; i < 8; ++i) enqueue(true);
  LH_CUDA(cudaStreamEndCapture(stream, &graph));
  allow_early_launches(true);
  LH_CUDA(cudaGraphInstantiate(&exec, graph, 0));
  for (int i = 0; i < 20; ++i) {
    LH_CUDA(cudaMemsetAsync(sparse.out.data(), 0xFF, sparse_out.size() * sizeof(float), stream));
    LH_CUDA(cudaMemsetAsync(chunk.out.data(), 0xFF, chunk_out.size() * sizeof(float), stream));
    LH_CUDA(cudaGraphLaunch(exec, stream));
    const auto a = sparse.download(stream);
    const auto b = chunk.download(stream);
    ASSERT_EQ(std::memcmp(a.data(), sparse_out.data(), a.size() * sizeof(float)), 0) << i;
    ASSERT_EQ(std::memcmp(b.data(), chunk_out.data(), b.size() * sizeof(float)), 0) << i;
  }
  LH_CUDA(cudaGraphExecDestroy(exec));
  LH_CUDA(cudaGraphDestroy(graph));
  LH_CUDA(cudaStreamDestroy(stream));
}

}  // namespace
}  // namespace longhaul::cuda
