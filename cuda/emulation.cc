#include "cuda/emulation.h"

#include <setjmp.h>
#include <ucontext.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "base/check.h"
#include "quant/half.h"

namespace longhaul::cuda {
namespace {

constexpr size_t kStackBytes = 64 * 1024;
constexpr uint32_t kWarp = 32;

struct Copy {
  std::byte* to;
  const std::byte* from;
};

// What a lane shows the others of its warp.
struct Shown {
  uint32_t a[4];
  uint32_t b[2];
  uint32_t word;
};

// Threads that wait for one another.
struct Group {
  uint32_t n_arrived = 0;
  uint32_t turn = 0;
};

struct Fiber {
  ucontext_t context;  // to enter it; after that jumps are enough, and much faster
  jmp_buf place;
  bool entered = false;
  bool done = false;
  std::vector<Copy> open;
  std::deque<std::vector<Copy>> ended;
};

struct Block {
  jmp_buf scheduler;
  std::vector<Fiber> fibers;
  std::vector<Shown> shown;
  std::vector<Group> warps;
  Group all;
  std::vector<uint4> shared;
  const std::function<void()>* thread;
  uint32_t x, y, current;
};

Block* running = nullptr;  // one block at a time, on one thread of the host

void enter() {
  (*running->thread)();
  running->fibers[running->current].done = true;
  _longjmp(running->scheduler, 1);
}

// Runs the current fiber until it waits or ends.
void resume() {
  if (_setjmp(running->scheduler) != 0) return;
  Fiber& fiber = running->fibers[running->current];
  if (fiber.entered) _longjmp(fiber.place, 1);
  fiber.entered = true;
  setcontext(&fiber.context);
}

void wait_in(Group& group, uint32_t size) {
  const uint32_t turn = group.turn;
  if (++group.n_arrived == size) {
    group.n_arrived = 0;
    ++group.turn;
    return;
  }
  while (group.turn == turn) {
    if (_setjmp(running->fibers[running->current].place) == 0) _longjmp(running->scheduler, 1);
  }
}

void wait_for_warp() { wait_in(running->warps[running->current / kWarp], kWarp); }
Shown& own() { return running->shown[running->current]; }
const Shown& of_lane(uint32_t lane) {
  return running->shown[running->current / kWarp * kWarp + lane];
}
int32_t byte_of(uint32_t word, uint32_t byte) { return static_cast<int8_t>(word >> 8 * byte); }

// Element [row][k] of A and [k][column] of B, by the tables of the PTX documentation for 8-bit
// m16n8k32 (k below 16 is also m16n8k16) and for f16 m16n8k16.
int32_t a_s8(uint32_t row, uint32_t k) {
  return byte_of(of_lane(row % 8 * 4 + k % 16 / 4).a[k / 16 * 2 + row / 8], k % 4);
}
int32_t b_s8(uint32_t k, uint32_t column) {
  return byte_of(of_lane(column * 4 + k % 16 / 4).b[k / 16], k % 4);
}
float half_of(uint32_t word, uint32_t i) {
  return f16_to_f32(static_cast<uint16_t>(word >> 16 * i));
}
float a_f16(uint32_t row, uint32_t k) {
  return half_of(of_lane(row % 8 * 4 + k % 8 / 2).a[k / 8 * 2 + row / 8], k % 2);
}
float b_f16(uint32_t k, uint32_t column) {
  return half_of(of_lane(column * 4 + k % 8 / 2).b[k / 8], k % 2);
}
uint32_t c_row(uint32_t i) { return running->current % kWarp / 4 + i / 2 * 8; }
uint32_t c_column(uint32_t i) { return running->current % 4 * 2 + i % 2; }

void mma_s8_of(int32_t (&d)[4], uint32_t n_k, int32_t start) {
  wait_for_warp();
  for (uint32_t i = 0; i < 4; ++i) {
    d[i] = start;
    for (uint32_t k = 0; k < n_k; ++k) d[i] += a_s8(c_row(i), k) * b_s8(k, c_column(i));
  }
  wait_for_warp();
}

}  // namespace

void emulate(uint32_t grid_x, uint32_t grid_y, uint32_t n_threads, size_t shared_bytes,
             const std::function<void()>& thread) {
  LH_CHECK(n_threads % kWarp == 0);
  const auto stacks = std::make_unique_for_overwrite<std::byte[]>(n_threads * kStackBytes);
  for (uint32_t i = 0; i < grid_x * grid_y; ++i) {
    Block block;
    block.fibers = std::vector<Fiber>(n_threads);
    block.shown.resize(n_threads);
    block.warps.resize(n_threads / kWarp);
    block.shared.assign(shared_bytes / 16 + 1, {0x7FCDCDCD, 0x7FCDCDCD, 0x7FCDCDCD, 0x7FCDCDCD});
    block.thread = &thread;
    block.x = i % grid_x;
    block.y = i / grid_x;
    running = &block;
    for (uint32_t t = 0; t < n_threads; ++t) {
      Fiber& fiber = block.fibers[t];
      getcontext(&fiber.context);
      fiber.context.uc_stack.ss_sp = stacks.get() + t * kStackBytes;
      fiber.context.uc_stack.ss_size = kStackBytes;
      fiber.context.uc_link = nullptr;
      makecontext(&fiber.context, enter, 0);
    }
    for (bool alive = true; alive;) {
      alive = false;
      for (uint32_t t = 0; t < n_threads; ++t) {
        if (block.fibers[t].done) continue;
        alive = true;
        block.current = t;
        resume();
      }
    }
    running = nullptr;
  }
}

uint32_t thread_id() { return running->current; }
uint32_t n_threads() { return static_cast<uint32_t>(running->fibers.size()); }
uint32_t block_x() { return running->x; }
uint32_t block_y() { return running->y; }
void wait_for_block() { wait_in(running->all, n_threads()); }
std::byte* shared_memory() { return reinterpret_cast<std::byte*>(running->shared.data()); }

float fma_rn(float a, float b, float c) { return std::fma(a, b, c); }
float mul_rn(float a, float b) { return a * b; }
float add_rn(float a, float b) { return a + b; }
float div_rn(float a, float b) { return a / b; }
int32_t round_to_int(float x) { return static_cast<int32_t>(std::nearbyint(x)); }
float int_to_float(int32_t x) { return static_cast<float>(x); }
float float_of(uint32_t bits) { return std::bit_cast<float>(bits); }
uint32_t bits_of(float x) { return std::bit_cast<uint32_t>(x); }
float f16_to_float(uint32_t half) { return f16_to_f32(static_cast<uint16_t>(half)); }
uint32_t float_to_f16(float x) { return f32_to_f16(x); }

uint32_t shuffle_xor(uint32_t x, uint32_t mask) {
  own().word = x;
  wait_for_warp();
  const uint32_t out = of_lane(running->current % kWarp ^ mask).word;
  wait_for_warp();
  return out;
}

void check_aligned(const void* from, size_t n_bytes) {
  LH_CHECK(reinterpret_cast<uintptr_t>(from) % n_bytes == 0);
}

void copy_async(std::byte* to_shared, const std::byte* from) {
  check_aligned(from, 16);
  check_aligned(to_shared, 16);
  LH_CHECK(to_shared >= shared_memory() &&
           to_shared + 16 <= shared_memory() + running->shared.size() * 16);
  running->fibers[running->current].open.push_back({to_shared, from});
}
void end_copy_group() {
  Fiber& fiber = running->fibers[running->current];
  fiber.ended.push_back(std::move(fiber.open));
  fiber.open.clear();
}
void wait_for_copies(size_t n_groups) {
  Fiber& fiber = running->fibers[running->current];
  for (; fiber.ended.size() > n_groups; fiber.ended.pop_front()) {
    for (const Copy& copy : fiber.ended.front()) std::memcpy(copy.to, copy.from, 16);
  }
}

void mma_s8(int32_t (&d)[4], const uint32_t (&a)[4], uint2 b, int32_t start) {
  own() = {{a[0], a[1], a[2], a[3]}, {b.x, b.y}, 0};
  mma_s8_of(d, 32, start);
}
void mma_s8(int32_t (&d)[4], uint32_t a0, uint32_t a1, uint32_t b, int32_t start) {
  own() = {{a0, a1, 0, 0}, {b, 0}, 0};
  mma_s8_of(d, 16, start);
}
void mma_f16(float (&c)[4], const uint32_t (&a)[4], uint2 b) {
  own() = {{a[0], a[1], a[2], a[3]}, {b.x, b.y}, 0};
  wait_for_warp();
  for (uint32_t i = 0; i < 4; ++i) {
    double sum = c[i];
    for (uint32_t k = 0; k < 16; ++k)
      sum += static_cast<double>(a_f16(c_row(i), k)) * b_f16(k, c_column(i));
    c[i] = static_cast<float>(sum);
  }
  wait_for_warp();
}

}  // namespace longhaul::cuda
