#include "cuda/launch_kernel.cuh"
#include "cuda/linear_many-inl.h"

namespace longhaul::cuda {
namespace {

template <TensorType type>
void launch(cudaStream_t stream, MatmulArgs args) {
  constexpr uint32_t kSharedBytes = Stage<type>::kStages * Stage<type>::kBytes;
  [[maybe_unused]] static const bool allowed = [] {  // once: more than 48 KB must be asked for
    LH_CUDA(cudaFuncSetAttribute(many_rows<type>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(kSharedBytes)));
    return true;
  }();
  const uint32_t n_blocks = place_tasks(args, kManyOutputs) * divide_up(args.n_rows, kManyRows);
  launch_kernel(stream, many_rows<type>, {n_blocks, kManyWarps * 32, kSharedBytes}, args);
}

}  // namespace

void launch_many(cudaStream_t stream, TensorType type, const MatmulArgs& args) {
  LH_CHECK(with_fragment_type(type, [&]<TensorType kType>() { launch<kType>(stream, args); }));
}

}  // namespace longhaul::cuda
