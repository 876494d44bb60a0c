// Grids of threads on the CPU, one block after another: every thread is a fiber that runs until it
// waits for the others. Blocks take turns in running their fibers forwards and backwards, so that
// what depends on an order that nothing keeps changes its bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

struct dim3;

namespace longhaul::cuda::emulation {

// Calls `thread` once for every thread of the grid, a multiple of 32 to a block. Dynamic shared
// memory is NaNs before. Ends the process where threads wait for one another forever.
void run_grid(const dim3& grid, uint32_t n_threads, size_t n_shared_bytes,
              const std::function<void()>& thread);

// What follows is for the thread that runs.
std::byte* shared_memory();
bool is_shared(const std::byte* memory, size_t n_bytes);
void wait_for_block();

struct Words {
  uint32_t word[6] = {};
};
// The lanes of a warp meet: what each brought, and what the last to come made of it.
struct Meeting {
  Words lanes[32];
  alignas(32) float floats[16][8];
  alignas(32) int32_t ints[16][8];
};
const Meeting& meet(const Words& own, void (*last)(Meeting&) = nullptr);
uint32_t lane_id();

// Asynchronous copies of 16 bytes to shared memory. They arrive when they are waited for; until
// then the place holds NaNs.
void begin_copy(std::byte* to, const std::byte* from, bool zeros);
void end_copies();
void wait_copies(size_t n_pending);

}  // namespace longhaul::cuda::emulation
