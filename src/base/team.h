// The threads that run a step: a list of stages, each split into tasks that never wait for each
// other. A stage begins when the one before it is done. Two implementations: our own pinned pool,
// and a host's Executor.
#pragma once
#include <cstdint>
#include <memory>
#include <span>

#include "tyto/host.h"
#include "tyto/result.h"

namespace tyto {

struct Stage {
  // worker: 0 to Team::workers() - 1, and never two tasks at once with the same; for scratch
  // memory.
  void (*task)(void* context, int index, int worker) noexcept = nullptr;
  void* context = nullptr;
  int tasks = 0;
  // For a trace (TraceSink): what is computed, and how much it reads; 0: not counted.
  const char* name = "";
  std::uint64_t bytes = 0;
};

class Team {
 public:
  virtual ~Team() = default;
  virtual int workers() const noexcept = 0;
  // Runs all stages in order and returns when the last is done. One caller at a time per team: a
  // second one waits.
  virtual void run(std::span<const Stage> stages) noexcept = 0;
};

constexpr int kMostThreads = 1024;
Result<std::unique_ptr<Team>> new_pool(int threads, bool pin, std::chrono::microseconds spin);
std::unique_ptr<Team> new_executor_team(std::shared_ptr<Executor> executor);
// Cores this process may use: affinity mask and cgroup quota counted; at least 1.
int usable_cores() noexcept;

}  // namespace tyto
