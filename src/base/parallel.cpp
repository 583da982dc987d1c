#include "src/base/parallel.h"

#include <algorithm>
#include <limits>
#include <mutex>

#include "src/base/error.h"

namespace tyto {
namespace {

constexpr int kPerRound = 8;  // tasks per worker, between two calls of the progress callback

struct Round {
  const std::function<Result<>(int, int)>& work;
  std::mutex mutex = {};
  int failed = std::numeric_limits<int>::max();
  Error error = {};

  static void task(void* context, int index, int worker) noexcept {
    Round& round = *static_cast<Round*>(context);
    const auto result = guarded([&] { return round.work(index, worker); });
    if (result) return;
    const std::lock_guard lock(round.mutex);
    if (index >= round.failed) return;
    round.failed = index;
    round.error = result.error();
  }
};

}  // namespace

Result<> run_all(Team& team, int tasks, const std::function<Result<>(int, int)>& task) {
  Round round{task};
  const Stage stage{Round::task, &round, tasks};
  team.run({&stage, 1});
  return round.failed == std::numeric_limits<int>::max() ? Result<>() : round.error;
}

Result<> run_rounds(Team& team, std::uint64_t tasks,
                    const std::function<Result<>(std::uint64_t, int)>& task,
                    const Progress& progress) {
  const std::uint64_t step = static_cast<std::uint64_t>(team.workers()) * kPerRound;
  for (std::uint64_t first = 0; first < tasks; first += step) {
    const std::uint64_t some = std::min(step, tasks - first);
    TYTO_TRY(run_all(team, static_cast<int>(some), [&](int i, int worker) {
      return task(first + static_cast<std::uint64_t>(i), worker);
    }));
    const auto done = static_cast<float>(first + some) / static_cast<float>(tasks);
    if (progress && !progress(done))
      return Error(ErrorCode::cancelled, "loading was cancelled by its progress callback");
  }
  return {};
}

}  // namespace tyto
