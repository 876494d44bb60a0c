// Storing, block bounds, scores and the choice of blocks, against the kernels of the CPU.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "cuda/attention_test_world.h"
#include "kernels/block_bounds.h"
#include "kernels/reference/block_bounds.h"
#include "quant/half.h"

namespace longhaul::cuda {
namespace {

using CudaSelection = CudaTest;

const std::vector<uint32_t> kLengths = {1, 15, 16, 17, 255, 257, 700, 1100};

uint16_t half_at(const std::vector<std::byte>& bytes, size_t tile_at, uint32_t offset) {
  uint16_t half;
  std::memcpy(&half, &bytes[tile_at + offset * 2], 2);
  return half;
}

// Every token that was stored is found at its place, every other place still holds what was there.
TEST_F(CudaSelection, StoredTokensLieInTheirTiles) {
  for (const uint32_t dim : {64U, 96U, 128U, 256U}) {
    const Shape shape = {.dim = dim, .block_size = dim == 128 ? 32U : 16U};
    World world(shape, kLengths, 30);
    world.store_all(100);
    const uint32_t page_tokens = shape.block_size * kGroupLanes;
    size_t n_written = 0;
    for (uint32_t s = 0; s < kLengths.size(); ++s) {
      for (uint32_t head = 0; head < shape.n_kv_heads; ++head) {
        for (uint32_t page = 0; page * page_tokens < kLengths[s]; ++page) {
          const auto bytes = world.tiles_of_page(s, head, page);
          for (uint32_t i = 0; i < page_tokens; ++i) {
            const uint32_t pos = page * page_tokens + i;
            const size_t tile_at = i / kTile * size_t{2 * tile_bytes(dim)};
            for (uint32_t j = 0; j < dim; ++j) {
              const uint16_t k = half_at(bytes, tile_at, k_offset(i % kTile, j, dim));
              const uint16_t v = half_at(bytes, tile_at + tile_bytes(dim), v_offset(i % kTile, j));
              const bool is_there = pos < kLengths[s];
              ASSERT_EQ(k, is_there ? f32_to_f16(world.key(s, pos, head)[j]) : 0xFFFF) << pos;
              ASSERT_EQ(v, is_there ? f32_to_f16(world.value(s, pos, head)[j]) : 0xFFFF) << pos;
              n_written += is_there ? 2 : 0;
            }
          }
        }
      }
    }
    // So the pages of nobody hold nothing else.
    const auto all = world.all_tiles();
    size_t n_other = 0;
    for (size_t i = 0; i < all.size(); i += 2)
      n_other += all[i] != std::byte{0xFF} || all[i + 1] != std::byte{0xFF} ? 1 : 0;
    EXPECT_EQ(n_other, n_written);
  }
}

// The group that the CPU makes of the stored keys; what it does not set is as on the device.
std::vector<std::byte> host_group(const World& world, uint32_t s, uint32_t head, uint32_t group,
                                  uint32_t n_tokens) {
  const Shape& shape = world.shape;
  std::vector<std::byte> bytes(page_bounds_bytes(shape.dim), std::byte{0xFF});
  for (uint32_t lane = 0; lane < kGroupLanes; ++lane) {
    const uint32_t first = (group * kGroupLanes + lane) * shape.block_size;
    if (first >= n_tokens) break;
    std::vector<float> lowest(world.key(s, first, head), world.key(s, first, head) + shape.dim);
    std::vector<float> highest(lowest);
    for (uint32_t pos = first + 1; pos < std::min(first + shape.block_size, n_tokens); ++pos) {
      for (uint32_t j = 0; j < shape.dim; ++j) {
        lowest[j] = std::min(lowest[j], world.key(s, pos, head)[j]);
        highest[j] = std::max(highest[j], world.key(s, pos, head)[j]);
      }
    }
    bounds_set(bytes.data(), lane, lowest.data(), highest.data(), shape.dim);
  }
  return bytes;
}

void check_bounds(const World& world, uint32_t s, uint32_t n_tokens) {
  const uint32_t page_tokens = world.shape.block_size * kGroupLanes;
  for (uint32_t head = 0; head < world.shape.n_kv_heads; ++head) {
    for (uint32_t page = 0; page * page_tokens < n_tokens; ++page) {
      const auto device = world.bounds_of_page(s, head, page);
      const auto host = host_group(world, s, head, page, n_tokens);
      size_t n_different = 0;
      for (size_t i = 0; i < host.size(); ++i) n_different += device[i] != host[i] ? 1 : 0;
      ASSERT_EQ(n_different, 0U) << "of " << host.size() << " bytes, sequence " << s << " head "
                                 << head << " page " << page << " tokens " << n_tokens;
    }
  }
}

TEST_F(CudaSelection, BoundsAreThoseOfTheCpuToTheByte) {
  for (const uint32_t dim : {64U, 96U, 128U, 256U}) {
    for (const uint32_t block_size : {16U, 64U}) {
      World world({.dim = dim, .block_size = block_size}, kLengths, 31);
      world.store_all(77);
      for (uint32_t s = 0; s < kLengths.size(); ++s) {
        check_bounds(world, s, kLengths[s]);
        ASSERT_FALSE(HasFatalFailure()) << "dim " << dim << " blocks of " << block_size;
      }
    }
  }
}

// Token by token, and then a part again, as a rectification writes it.
TEST_F(CudaSelection, BoundsFollowEveryToken) {
  World world({.n_kv_heads = 1, .dim = 64}, {600}, 32);
  for (uint32_t pos = 0; pos < 300; ++pos) {
    world.store({{.first_pos = pos}});
    if (pos % 7 == 0 || pos > 250) check_bounds(world, 0, pos + 1);
    ASSERT_FALSE(HasFatalFailure());
  }
  for (const uint32_t first : {250U, 256U, 257U, 200U}) {
    world.store({{.first_pos = first, .n_rows = 300 - first}});
    check_bounds(world, 0, 300);
    ASSERT_FALSE(HasFatalFailure());
  }
}

// The scores of the CPU, up to its and our rounding of sums in f32; the choice is its choice from
// our scores, with what is forced.
TEST_F(CudaSelection, ScoresAndChoiceAreThoseOfTheCpu) {
  for (const uint32_t dim : {64U, 96U, 128U, 256U}) {
    const Shape shape = {.n_group = dim == 64 ? 7U : 3U, .dim = dim};
    const std::vector<uint32_t> lengths = {16, 40, 700, 5000};
    World world(shape, lengths, 33);
    world.store_all();
    std::vector<Rows> steps;
    for (uint32_t s = 0; s < lengths.size(); ++s) {
      const uint32_t n = world.n_blocks(lengths[s]);
      steps.push_back({.sequence = s,
                       .first_pos = lengths[s] - 1,
                       .n_selected = std::max(1U, n / 10),
                       .n_sinks = n > 40 ? 2U : 0U,
                       .n_local = 1});
    }
    const auto chosen = world.select(steps);
    for (uint32_t s = 0; s < steps.size(); ++s) {
      const uint32_t n = world.n_blocks(lengths[s]);
      for (uint32_t head = 0; head < shape.n_kv_heads; ++head) {
        std::vector<std::byte> groups;
        std::vector<uint32_t> pages;
        for (uint32_t page = 0; page * kGroupLanes < n; ++page) {
          const auto bytes = world.bounds_of_page(s, head, page);
          groups.insert(groups.end(), bytes.begin(), bytes.end());
          pages.push_back(page);
        }
        std::vector<float> mean(dim);
        for (uint32_t j = 0; j < dim; ++j) {
          const float* q = world.query(s, steps[s].first_pos) + head * shape.n_group * dim + j;
          for (uint32_t i = 0; i < shape.n_group; ++i) mean[j] += q[i * dim];
          mean[j] /= static_cast<float>(shape.n_group);
        }
        const BoundsView view = {groups.data(), page_bounds_bytes(dim), pages.data(), dim, n};
        std::vector<float> host(n);
        score_blocks(view, mean.data(), host.data());
        const auto device = world.scores(s, head, n);
        for (uint32_t b = 0; b < n; ++b) {
          if (b < steps[s].n_sinks || b + steps[s].n_local >= n) {
            ASSERT_EQ(device[b], std::numeric_limits<float>::infinity()) << b;
            continue;
          }
          const auto box = reference::block_box(
              groups.data() + b / kGroupLanes * page_bounds_bytes(dim), b % kGroupLanes, dim);
          double sum = 0.0;  // of magnitudes; 8 + 3 roundings for each 32 dims, on both sides
          for (uint32_t j = 0; j < dim; ++j)
            sum += std::fabs(mean[j]) *
                   (std::fabs(box.origin[j]) + std::fabs(box.offset[j]) + box.radius[j]) * 1.02;
          ASSERT_NEAR(device[b], host[b], 2 * sum * 0x1p-24 * (8.0 + 3.0 * dim / 32)) << b;
        }
        std::vector<uint32_t> expected(steps[s].n_selected);
        top_k(device, expected.size(), expected.data());
        ASSERT_EQ(chosen[s * shape.n_kv_heads + head], expected) << "step " << s;
      }
    }
  }
}

// Scores of many kinds: ties at the border, all alike, forced ones, far apart, up to 65,536.
TEST_F(CudaSelection, TheHighestScoresAreChosenAndTiesGoToTheLowerIndex) {
  std::mt19937 rng(34);
  std::normal_distribution<float> normal;
  constexpr float kForced = std::numeric_limits<float>::infinity();
  const std::vector<uint32_t> sizes = {1, 2, 31, 33, 100, 1023, 1025, 4096, 8192, 20000, 65536};
  AttentionLimits limits = {.n_kv_heads = 6, .n_group = 1, .dim = 64};
  limits.max_context = 65536 * 16;
  limits.max_steps = 1;
  const auto workspace = SelectWorkspace::create(limits).value();
  const auto steps = DeviceBuffer<StepRows>::create(1).value();
  for (const uint32_t n : sizes) {
    std::vector<std::vector<float>> lists(limits.n_kv_heads, std::vector<float>(n));
    for (uint32_t i = 0; i < n; ++i) {
      lists[0][i] = normal(rng) * 20 + 100;
      lists[1][i] = static_cast<float>(rng() % 7);  // ties
      lists[2][i] = 3.25F;                          // all alike
      lists[3][i] = std::ldexp(normal(rng), static_cast<int>(rng() % 200) - 100);
      lists[4][i] = i % 5 == 0 || i + 3 > n ? kForced : -normal(rng);  // many forced
      lists[5][i] = rng() % 2 == 0 ? 0.0F : static_cast<float>(i % 3) - 1.0F;
    }
    const BlockLists memory = workspace.lists();
    for (size_t i = 0; i < lists.size(); ++i)
      LH_CUDA(cudaMemcpy(memory.scores + i * memory.stride, lists[i].data(), n * sizeof(float),
                         cudaMemcpyHostToDevice));
    for (const uint32_t n_selected : {1U, 2U, n / 10, n / 2, n - 1, n}) {
      if (n_selected == 0 || n_selected > n) continue;
      const StepRows step = {.n_rows = 1, .first_pos = n * 16 - 1, .n_selected = n_selected};
      steps.upload({&step, 1}, nullptr);
      SelectArgs args;
      args.pass.steps = steps.data();
      args.pass.n_steps = 1;
      args.kv.n_kv_heads = limits.n_kv_heads;
      args.kv.block_size = 16;
      args.lists = memory;
      LH_CUDA(cudaMemset(memory.ids, 0xFF, n * sizeof(uint32_t)));
      launch_top_k(nullptr, args);
      for (size_t i = 0; i < lists.size(); ++i) {
        std::vector<uint32_t> ids(n_selected);
        LH_CUDA(cudaMemcpy(ids.data(), memory.ids + i * memory.stride,
                           n_selected * sizeof(uint32_t), cudaMemcpyDeviceToHost));
        std::vector<uint32_t> expected(n_selected);
        top_k(lists[i], n_selected, expected.data());
        ASSERT_EQ(ids, expected) << "list " << i << ", " << n_selected << " of " << n;
      }
    }
  }
}

}  // namespace
}  // namespace longhaul::cuda
