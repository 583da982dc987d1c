// Runs the threads of a block as fibers: started by makecontext, switched by the compiler's setjmp,
// which asks the kernel nothing.
#include <ucontext.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "tests/fake_cuda/cuda_runtime.h"

namespace fake_cuda {
namespace {

constexpr std::size_t kStack = 256 << 10;
constexpr unsigned kLanes = 32, kMostThreads = 1024;  // of a block

// Threads that wait for each other.
struct Barrier {
  unsigned members = 0, arrived = 0, generation = 0;

  bool complete() {
    if (members == 0 || arrived < members) return false;
    arrived = 0;
    ++generation;
    return true;
  }
};
struct Warp {
  Barrier barrier;
  alignas(16) std::byte bytes[2][kLanes * kMostShared] = {};
};

struct Copy {
  void* to;
  const void* from;
  std::size_t bytes;
};
using Place = void* [5];  // of __builtin_setjmp
struct Fiber {
  ucontext_t beginning;
  Place place;
  std::unique_ptr<char[]> stack;
  bool begun = false, ended = false;
  // Of the kernel that runs.
  bool ordered = false;                   // has called begin_thread()
  std::vector<std::vector<Copy>> copies;  // groups that were not waited for, and the open one
};

[[noreturn]] void fatal(const char* what) {
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

// The block that runs; one at a time.
struct Block {
  const Work* kernel = nullptr;
  Place scheduler;
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  std::vector<std::byte> shared;
  Barrier barrier;
  unsigned current = 0;
  bool moved = false;  // since the scheduler last looked at every thread
};
Block block;

Warp& warp() { return block.warps[block.current / kLanes]; }

// The compiler sees no other thread: whatever it knows of memory is void after a switch.
void forget() { asm volatile("" ::: "memory"); }

// A function of its own: GCC allows no setjmp beside a longjmp.
[[noreturn, gnu::noinline]] void leap(Place& place) { __builtin_longjmp(place, 1); }

[[gnu::noinline]] void yield() {
  forget();
  if (__builtin_setjmp(block.fibers[block.current].place) == 0) leap(block.scheduler);
  forget();
}
[[gnu::noinline]] void resume(Fiber& fiber) {
  forget();
  if (__builtin_setjmp(block.scheduler) == 0) {
    if (std::exchange(fiber.begun, true)) leap(fiber.place);
    setcontext(&fiber.beginning);
  }
  forget();
}

void wait_at(Barrier& barrier) {
  const unsigned generation = barrier.generation;
  ++barrier.arrived;
  block.moved = true;
  if (barrier.complete()) return;
  while (barrier.generation == generation) yield();
}

void leave(Barrier& barrier) {
  --barrier.members;
  barrier.complete();
}

// A thread of one block after another.
void run_threads() {
  for (Block& b = block;; yield()) {
    (*b.kernel)();
    Fiber& fiber = b.fibers[b.current];
    if (!fiber.ordered) fatal("a kernel does not begin with begin_kernel()");
    for (const std::vector<Copy>& group : fiber.copies)
      if (!group.empty()) fatal("a thread ends before its copies to shared memory");
    fiber.ended = true;
    b.moved = true;
    leave(b.barrier);
    leave(warp().barrier);
  }
}

void begin(Fiber& fiber) {
  fiber.stack = std::make_unique<char[]>(kStack);
  getcontext(&fiber.beginning);
  fiber.beginning.uc_stack.ss_sp = fiber.stack.get();
  fiber.beginning.uc_stack.ss_size = kStack;
  fiber.beginning.uc_link = nullptr;
  makecontext(&fiber.beginning, run_threads, 0);
}

void run_block(unsigned threads) {
  Block& b = block;
  b.warps.assign((threads + kLanes - 1) / kLanes, {});
  b.barrier = {};
  b.barrier.members = threads;
  b.fibers.resize(kMostThreads);  // once: what is begun must not move
  for (unsigned t = 0; t < threads; ++t) {
    ++b.warps[t / kLanes].barrier.members;
    b.fibers[t].ended = b.fibers[t].ordered = false;
    b.fibers[t].copies.assign(1, {});
    if (!b.fibers[t].stack) begin(b.fibers[t]);
  }
  for (unsigned alive = threads; alive > 0;) {
    b.moved = false;
    alive = 0;
    for (unsigned t = 0; t < threads; ++t) {
      if (b.fibers[t].ended) continue;
      ++alive;
      b.current = t;
      threadIdx = {t, 0, 0};
      resume(b.fibers[t]);
    }
    if (alive > 0 && !b.moved) {
      fatal("a kernel's threads wait for each other for ever");
    }
  }
}

}  // namespace

void wait_for_block() { wait_at(block.barrier); }
void wait_for_warp() { wait_at(warp().barrier); }
// In turn, so that a value is there until every lane has come to the next exchange.
std::byte* warp_bytes() {
  if (warp().barrier.members < kLanes)
    fatal("lanes of a warp that has ended in part exchange values");
  return warp().bytes[warp().barrier.generation % 2];
}

void begin_thread() { block.fibers[block.current].ordered = true; }
std::byte* dynamic_shared() { return block.shared.data(); }

void add_copy(void* to, const void* from, std::size_t bytes) {
  const auto misplaced = [bytes](const void* at) {
    return reinterpret_cast<std::uintptr_t>(at) % bytes != 0;
  };
  if (misplaced(to) || misplaced(from)) fatal("a copy to shared memory is not aligned");
  block.fibers[block.current].copies.back().push_back({to, from, bytes});
}
void commit_copies() { block.fibers[block.current].copies.emplace_back(); }
void wait_copies(int pending) {
  auto& groups = block.fibers[block.current].copies;
  while (static_cast<int>(groups.size()) - 1 > pending) {  // the last one is open
    for (const Copy& copy : groups.front()) std::memcpy(copy.to, copy.from, copy.bytes);
    groups.erase(groups.begin());
  }
}

void run_grid(dim3 grid, dim3 threads, std::size_t shared_bytes, const Work& kernel) {
  block.kernel = &kernel;
  block.shared.assign(shared_bytes + 128, std::byte{0xff});
  blockDim = threads;
  gridDim = grid;
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) {
        blockIdx = {x, y, z};
        std::fill(block.shared.begin(), block.shared.end(), std::byte{0xff});
        run_block(threads.x);
      }
}

}  // namespace fake_cuda
