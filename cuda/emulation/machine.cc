#include "cuda/emulation/machine.h"

#include <cuda_runtime.h>
#include <sys/mman.h>

#include <cstring>
#include <deque>
#include <vector>

#include "base/check.h"

uint3 threadIdx, blockIdx;
dim3 blockDim;

// Keeps the registers that a call preserves on the stack, leaves its top in *from, and goes on
// where the stack `to` was left.
extern "C" void longhaul_switch_fiber(void** from, void* to);
asm(R"(
.text
.globl longhaul_switch_fiber
.type longhaul_switch_fiber, @function
longhaul_switch_fiber:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
)");

namespace longhaul::cuda::emulation {
namespace {

constexpr size_t kStackBytes = 256 * 1024;
constexpr size_t kMostShared = 227 * 1024;
constexpr uint32_t kLanes = 32;
constexpr uint32_t kMostThreads = 1024;

struct Copy {
  std::byte* to;
  const std::byte* from;
  bool zeros;
};

struct Fiber {
  void* top = nullptr;  // of its stack
  bool done = false;
  std::vector<Copy> open;
  std::deque<std::vector<Copy>> ended;
};

struct Warp {
  Meeting meetings[2];  // the second while the last lanes still read the first
  uint32_t n_arrived = 0;
  uint32_t turn = 0;
};

struct Machine {
  std::vector<Fiber> fibers{kMostThreads};
  std::vector<Warp> warps{kMostThreads / kLanes};
  std::byte* stacks = nullptr;
  std::byte* shared = nullptr;
  size_t n_shared = 0;
  const std::function<void()>* thread = nullptr;
  void* scheduler = nullptr;  // the top of the caller's stack
  uint32_t current = 0, n_live = 0, n_arrived = 0, turn = 0;
  uint32_t n_blocks = 0;  // so far: every other one runs backwards
  bool moves = false;     // something happened since the fibers were last run
};

std::byte* map_memory(size_t n_bytes) {
  void* memory = mmap(nullptr, n_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  LH_CHECK(memory != MAP_FAILED);
  return static_cast<std::byte*>(memory);
}

Machine& machine() {
  static Machine& machine = *[] {
    auto* made = new Machine;
    made->stacks = map_memory(kMostThreads * kStackBytes);
    made->shared = map_memory(kMostShared);
    return made;
  }();
  return machine;
}

Fiber& current_fiber() { return machine().fibers[machine().current]; }

void let_others_run() { longhaul_switch_fiber(&current_fiber().top, machine().scheduler); }

void leave_barrier_if_full() {
  Machine& m = machine();
  if (m.n_arrived == 0 || m.n_arrived < m.n_live) return;
  m.n_arrived = 0;
  ++m.turn;
  m.moves = true;
}

void enter() {
  (*machine().thread)();
  current_fiber().done = true;
  --machine().n_live;
  machine().moves = true;
  leave_barrier_if_full();  // threads that are done are not waited for
  let_others_run();
}

void prepare_fiber(uint32_t i) {
  Machine& m = machine();
  // As if enter() had been called: the stack is 8 bytes off a multiple of 16 when it begins.
  auto** top = reinterpret_cast<void**>(m.stacks + (i + 1) * kStackBytes) - 8;
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(&enter);
  for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
  Fiber& fiber = m.fibers[i];
  fiber.top = top;
  fiber.done = false;
  fiber.open.clear();
  fiber.ended.clear();
}

void run_block(uint32_t n_threads) {
  Machine& m = machine();
  std::memset(m.shared, 0xFF, m.n_shared);
  for (uint32_t i = 0; i < n_threads; ++i) prepare_fiber(i);
  for (uint32_t i = 0; i < n_threads / kLanes; ++i) m.warps[i].n_arrived = 0;
  m.n_live = n_threads;
  m.n_arrived = 0;
  const bool backwards = m.n_blocks++ % 2 == 1;
  while (m.n_live > 0) {
    m.moves = false;
    for (uint32_t i = 0; i < n_threads; ++i) {
      m.current = backwards ? n_threads - 1 - i : i;
      if (m.fibers[m.current].done) continue;
      threadIdx = {m.current, 0, 0};
      longhaul_switch_fiber(&m.scheduler, m.fibers[m.current].top);
    }
    LH_CHECK(m.moves);  // else no thread can ever go on
  }
}

}  // namespace

void run_grid(const dim3& grid, uint32_t n_threads, size_t n_shared_bytes,
              const std::function<void()>& thread) {
  LH_CHECK(n_threads > 0 && n_threads <= kMostThreads && n_threads % kLanes == 0);
  LH_CHECK(n_shared_bytes <= kMostShared);
  Machine& m = machine();
  m.thread = &thread;
  m.n_shared = n_shared_bytes;
  blockDim = dim3(n_threads);
  for (uint32_t z = 0; z < grid.z; ++z) {
    for (uint32_t y = 0; y < grid.y; ++y) {
      for (uint32_t x = 0; x < grid.x; ++x) {
        blockIdx = {x, y, z};
        run_block(n_threads);
      }
    }
  }
}

std::byte* shared_memory() { return machine().shared; }
bool is_shared(const std::byte* memory, size_t n_bytes) {
  const Machine& m = machine();
  return memory >= m.shared && memory + n_bytes <= m.shared + m.n_shared;
}
uint32_t lane_id() { return machine().current % kLanes; }

void wait_for_block() {
  Machine& m = machine();
  const uint32_t turn = m.turn;
  ++m.n_arrived;
  leave_barrier_if_full();
  while (m.turn == turn) let_others_run();
}

const Meeting& meet(const Words& own, void (*last)(Meeting&)) {
  Machine& m = machine();
  Warp& warp = m.warps[m.current / kLanes];
  const uint32_t turn = warp.turn;
  Meeting& meeting = warp.meetings[turn % 2];
  meeting.lanes[lane_id()] = own;
  if (++warp.n_arrived == kLanes) {
    if (last != nullptr) last(meeting);
    warp.n_arrived = 0;
    ++warp.turn;
    m.moves = true;
  } else {
    while (warp.turn == turn) let_others_run();
  }
  return meeting;
}

void begin_copy(std::byte* to, const std::byte* from, bool zeros) {
  LH_CHECK(reinterpret_cast<uintptr_t>(to) % 16 == 0 && is_shared(to, 16));
  LH_CHECK(reinterpret_cast<uintptr_t>(from) % 16 == 0);
  std::memset(to, 0xFF, 16);
  current_fiber().open.push_back({to, from, zeros});
}

void end_copies() {
  Fiber& fiber = current_fiber();
  fiber.ended.push_back(std::move(fiber.open));
  fiber.open.clear();
}

void wait_copies(size_t n_pending) {
  Fiber& fiber = current_fiber();
  for (; fiber.ended.size() > n_pending; fiber.ended.pop_front()) {
    for (const Copy& copy : fiber.ended.front()) {
      if (copy.zeros) {
        std::memset(copy.to, 0, 16);
      } else {
        std::memcpy(copy.to, copy.from, 16);
      }
    }
  }
}

}  // namespace longhaul::cuda::emulation
