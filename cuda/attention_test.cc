// Attention against double: every border of tiles, groups, segments and spans, windows, groups of
// heads, lists.
#include <cstring>
#include <numeric>

#include "cuda/attention_test_world.h"

namespace longhaul::cuda {
namespace {

using CudaAttention = CudaTest;

const std::vector<uint32_t> kLengths = {1,   2,    15,   16,   17,   31,   32,  33,
                                        63,  64,   65,   128,  255,  256,  257, 511,
                                        513, 1025, 2047, 2048, 2049, 2305, 4097};

std::vector<Rows> last_rows(const std::vector<uint32_t>& lengths, uint32_t n_rows) {
  std::vector<Rows> steps;
  for (uint32_t i = 0; i < lengths.size(); ++i) {
    const uint32_t n = std::min(n_rows, lengths[i]);
    steps.push_back({.sequence = i, .first_pos = lengths[i] - n, .n_rows = n});
  }
  return steps;
}

// Rows of the steps, the first and the last of each.
void check_steps(const World& world, const std::vector<Rows>& steps,
                 const std::vector<float>& out) {
  size_t row = 0;
  for (const Rows& step : steps) {
    for (uint32_t r = 0; r < step.n_rows; ++r, ++row) {
      if (r > 0 && r + 1 < step.n_rows) continue;
      SCOPED_TRACE(testing::Message() << "rows " << step.n_rows);
      world.check_row(&out[row * world.shape.q_width()], step.sequence, step.first_pos + r);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

void check_decode_and_chunks(const Shape& shape) {
  SCOPED_TRACE(testing::Message() << "dim " << shape.dim << " group " << shape.n_group << " window "
                                  << shape.window << " blocks of " << shape.block_size);
  World world(shape, kLengths, 7);
  world.store_all();
  const auto decode = last_rows(kLengths, 1);
  check_steps(world, decode, world.attend(decode));
  if (testing::Test::HasFatalFailure()) return;
  const auto chunks = last_rows(kLengths, 20);
  check_steps(world, chunks, world.attend(chunks));
}

TEST_F(CudaAttention, DecodeAndChunksAreRightAtEveryBorder) {
  check_decode_and_chunks({.n_group = 4, .dim = 128});
  check_decode_and_chunks({.n_group = 7, .dim = 64, .block_size = 32});
  check_decode_and_chunks({.n_kv_heads = 1, .n_group = 2, .dim = 256, .block_size = 64});
  check_decode_and_chunks({.n_kv_heads = 1, .n_group = 3, .dim = 96});
}

TEST_F(CudaAttention, WindowsAreRight) {
  for (const uint32_t window : {1U, 16U, 100U, 256U, 1000U})
    check_decode_and_chunks({.n_kv_heads = 1, .n_group = 4, .dim = 64, .window = window});
}

TEST_F(CudaAttention, EveryGroupSizeIsRight) {
  const std::vector<uint32_t> lengths = {1, 70, 300, 2060};
  for (uint32_t n_group = 1; n_group <= 16; ++n_group) {
    SCOPED_TRACE(testing::Message() << "group " << n_group);
    World world({.n_group = n_group, .dim = 64}, lengths, 8);
    world.store_all();
    for (const uint32_t n_rows : {1U, 2U, 9U}) {
      const auto steps = last_rows(lengths, n_rows);
      check_steps(world, steps, world.attend(steps));
    }
  }
}

// One step alone and larger blocks of queries: the whole of 512 rows, and rows at a depth.
TEST_F(CudaAttention, LongChunksAreRight) {
  World world({.n_group = 4, .dim = 128}, {2600}, 9);
  world.store_all();
  for (const bool split : {false, true}) {
    for (const uint32_t first : {0U, 2000U, 2088U}) {
      const std::vector<Rows> steps = {{.first_pos = first, .n_rows = 512}};
      const auto out = world.attend(steps, split);
      for (const uint32_t row : {0U, 1U, 31U, 32U, 33U, 100U, 255U, 257U, 511U}) {
        world.check_row(&out[row * world.shape.q_width()], 0, first + row);
        ASSERT_FALSE(HasFatalFailure());
      }
    }
  }
}

// Attention over chosen blocks: what select() chose, against double over exactly these.
TEST_F(CudaAttention, ListsAreRight) {
  for (const uint32_t block_size : {16U, 32U, 64U}) {
    for (const uint32_t dim : {64U, 128U, 256U}) {
      const Shape shape = {.n_group = dim == 256 ? 2U : 5U, .dim = dim, .block_size = block_size};
      const std::vector<uint32_t> lengths = {1, 17, 300, 1111, 4097};
      World world(shape, lengths, 10);
      world.store_all();
      std::vector<Rows> steps = last_rows(lengths, 1);
      for (Rows& step : steps) {
        const uint32_t n_blocks = world.n_blocks(step.first_pos + 1);
        step.n_selected = std::max(n_blocks / 4, std::min(n_blocks, 3U));
        step.n_sinks = step.n_selected > 1 ? 1 : 0;
        step.n_local = 1;
      }
      steps[2].n_selected = 0;  // dense beside the others
      const auto chosen = world.select(steps);
      const auto out = world.attend_chosen(steps);
      for (size_t s = 0; s < steps.size(); ++s) {
        for (uint32_t head = 0; head < shape.n_heads(); ++head) {
          const auto& blocks = chosen[s * shape.n_kv_heads + head / shape.n_group];
          const Expected e = world.expected(steps[s].sequence, steps[s].first_pos, head,
                                            steps[s].n_selected == 0 ? nullptr : &blocks);
          const float* row = &out[s * shape.q_width() + head * dim];
          for (uint32_t j = 0; j < dim; ++j)
            ASSERT_NEAR(row[j], e.out[j], e.error[j]) << "step " << s << " head " << head;
        }
      }
    }
  }
}

TEST_F(CudaAttention, AListOfAllBlocksGivesTheBitsOfDense) {
  const std::vector<uint32_t> lengths = {1, 100, 2048, 3000};
  World world({.n_group = 4, .dim = 128}, lengths, 11);
  world.store_all();
  std::vector<Rows> steps = last_rows(lengths, 1);
  const auto dense = world.attend(steps);
  for (Rows& step : steps) step.n_selected = world.n_blocks(step.first_pos + 1);
  world.select(steps);
  const auto listed = world.attend_chosen(steps);
  EXPECT_EQ(std::memcmp(dense.data(), listed.data(), dense.size() * sizeof(float)), 0);
}

}  // namespace
}  // namespace longhaul::cuda
