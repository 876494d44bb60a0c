#include <algorithm>

#include "cuda/launch.h"
#include "cuda/linear_few-inl.h"

namespace longhaul::cuda {
namespace {

template <TensorType type, int kGroups, int kCols>
void launch(cudaStream_t stream, MatmulArgs args) {
  const dim3 grid(place_tasks(args, kTileRows), divide_up(args.n_rows, kFewRows<kGroups, kCols>));
  few_rows<type, kGroups, kCols><<<grid, std::min(args.n_slices, kFewWarps<kGroups>) * 32,
                                   few_shared_bytes<kGroups, kCols>(args.n_slices), stream>>>(args);
  LH_CUDA_LAUNCHED();
}

template <TensorType type>
void launch_rows(cudaStream_t stream, const MatmulArgs& args) {
  if (args.n_rows <= 4 && LaneFormat<type>::kScaled) {
    if constexpr (LaneFormat<type>::kScaled) launch<type, 1, 1>(stream, args);
  } else if (args.n_rows <= 8) {
    launch<type, 1, 2>(stream, args);
  } else if (args.n_rows <= 16) {
    launch<type, 2, 2>(stream, args);
  } else {
    launch<type, 4, 2>(stream, args);
  }
}

}  // namespace

void launch_few(cudaStream_t stream, TensorType type, const MatmulArgs& args) {
  LH_CHECK(with_fragment_type(type, [&]<TensorType kType>() { launch_rows<kType>(stream, args); }));
}

}  // namespace longhaul::cuda
