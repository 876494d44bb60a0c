#include <algorithm>

#include "cuda/launch_kernel.cuh"
#include "cuda/linear_few-inl.h"

namespace longhaul::cuda {
namespace {

template <TensorType type, int kTiles, int kGroups, int kCols>
void launch(cudaStream_t stream, MatmulArgs args) {
  const dim3 grid(place_tasks(args, kTiles * kTileRows),
                  divide_up(args.n_rows, kFewRows<kGroups, kCols>));
  const uint32_t n_threads = std::min(args.n_slices, kFewWarps<kGroups>) * 32;
  const uint32_t shared_bytes = few_shared_bytes<kTiles, kGroups, kCols>(args.n_slices);
  launch_kernel(stream, few_rows<type, kTiles, kGroups, kCols>, {grid, n_threads, shared_bytes},
                args);
}

template <TensorType type>
void launch_rows(cudaStream_t stream, MatmulArgs args, size_t two_tiles_from_blocks) {
  if (args.n_rows <= 4 && LaneFormat<type>::kScaled) {
    if constexpr (LaneFormat<type>::kScaled) launch<type, 1, 1, 1>(stream, args);
  } else if (args.n_rows <= 8) {
    launch<type, 1, 1, 2>(stream, args);
  } else if (args.n_rows <= 16) {
    launch<type, 1, 2, 2>(stream, args);
  } else if (place_tasks(args, 2 * kTileRows) < two_tiles_from_blocks) {
    launch<type, 1, 4, 2>(stream, args);
  } else {  // the activations of 32 rows are larger than a tile of weights: two tiles read them once
    launch<type, 2, 4, 2>(stream, args);
  }
}

}  // namespace

void launch_few(cudaStream_t stream, TensorType type, const MatmulArgs& args,
                size_t two_tiles_from_blocks) {
  LH_CHECK(with_fragment_type(
      type, [&]<TensorType kType>() { launch_rows<kType>(stream, args, two_tiles_from_blocks); }));
}

}  // namespace longhaul::cuda
