// The launches that are not matrix products of fragments: preparing, packing, embedding, and
// products with F32 and BF16.
#include "cuda/launch_kernel.cuh"
#include "cuda/linear_float-inl.h"
#include "cuda/linear_prepare-inl.h"
#include "cuda/linear_table-inl.h"

namespace longhaul::cuda {
namespace {

uint32_t padded_to_groups(uint32_t n_rows) { return divide_up(n_rows, kGroupRows) * kGroupRows; }

template <TensorType type>
void embed(cudaStream_t stream, const EmbedArgs& args, size_t row_bytes) {
  launch_kernel(stream, embed_rows<type>,
                {dim3(divide_up(args.n_cols, kTableThreads), args.n_rows), kTableThreads}, args,
                row_bytes);
}

template <TensorType type, uint32_t kRows>
void multiply_rows(cudaStream_t stream, const FloatArgs& args) {
  const dim3 grid(divide_up(args.n_out, kFloatWarps), divide_up(args.n_rows, kRows));
  launch_kernel(stream, float_rows<type, kRows>, {grid, kFloatWarps * 32}, args);
}

template <TensorType type>
void multiply(cudaStream_t stream, const FloatArgs& args) {
  if (args.n_rows == 1) return multiply_rows<type, 1>(stream, args);
  if (args.n_rows <= 4) return multiply_rows<type, 4>(stream, args);
  multiply_rows<type, 8>(stream, args);
}

}  // namespace

void launch_prepare_q8(cudaStream_t stream, const PrepareArgs& args) {
  const dim3 grid(divide_up(size_t{args.n_blocks} * 8, kPrepareThreads),
                  padded_to_groups(args.n_rows));
  launch_kernel(stream, prepare_q8, {grid, kPrepareThreads}, args);
}

void launch_prepare_f16(cudaStream_t stream, const PrepareArgs& args) {
  constexpr size_t kShared = kPrepareThreads / 32 * sizeof(uint32_t);
  launch_kernel(stream, prepare_f16, {padded_to_groups(args.n_rows), kPrepareThreads, kShared},
                args);
}

void launch_pack(cudaStream_t stream, TensorType type, const FileMatrix& from, uint32_t n_tiles,
                 uint32_t n_units, uint32_t* to) {
  LH_CHECK(with_fragment_type(type, [&]<TensorType kType>() {
    const size_t n_words = size_t{n_tiles} * n_units * (Layout<kType>::kBytes / 4);
    launch_kernel(stream, pack_units<kType>, {divide_up(n_words, kTableThreads), kTableThreads},
                  from, n_units, n_words, to);
  }));
}

void launch_embed(cudaStream_t stream, TensorType type, const EmbedArgs& args) {
  const TensorTypeInfo& info = tensor_type_info(type);
  const size_t row_bytes = size_t{args.n_cols} / info.block_len * info.block_bytes;
  if (type == TensorType::kF32) return embed<TensorType::kF32>(stream, args, row_bytes);
  if (type == TensorType::kBF16) return embed<TensorType::kBF16>(stream, args, row_bytes);
  LH_CHECK(
      with_fragment_type(type, [&]<TensorType kType>() { embed<kType>(stream, args, row_bytes); }));
}

void launch_float(cudaStream_t stream, TensorType type, const FloatArgs& args) {
  LH_CHECK(type == TensorType::kF32 || type == TensorType::kBF16);
  if (type == TensorType::kF32) return multiply<TensorType::kF32>(stream, args);
  multiply<TensorType::kBF16>(stream, args);
}

}  // namespace longhaul::cuda
