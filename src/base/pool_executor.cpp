// A team over the host's job system: one Executor::run per stage. Each of its tasks is one worker,
// which takes the stage's tasks one after the other; so nothing waits, however few of them really
// run at once.
#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <utility>

#include "src/base/team.h"

namespace tyto {
namespace {

class ExecutorTeam final : public Team {
 public:
  explicit ExecutorTeam(std::shared_ptr<Executor> executor)
      : executor_(std::move(executor)), workers_(std::max(executor_->concurrency(), 1)) {}

  int workers() const noexcept override { return workers_; }

  void run(std::span<const Stage> stages) noexcept override {
    const std::lock_guard lock(mutex_);
    for (const Stage& stage : stages) {
      if (stage.tasks == 1) {
        stage.task(stage.context, 0, 0);
      } else if (stage.tasks > 1) {
        Shared shared{stage, {}};
        executor_->run(std::min(workers_, stage.tasks), take_tasks, &shared);
      }
    }
  }

 private:
  struct Shared {
    const Stage& stage;
    std::atomic<int> next{0};
  };

  static void take_tasks(void* context, int worker) noexcept {
    Shared& shared = *static_cast<Shared*>(context);
    for (int i; (i = shared.next.fetch_add(1, std::memory_order_relaxed)) < shared.stage.tasks;)
      shared.stage.task(shared.stage.context, i, worker);
  }

  const std::shared_ptr<Executor> executor_;
  const int workers_;
  std::mutex mutex_;
};

}  // namespace

std::unique_ptr<Team> new_executor_team(std::shared_ptr<Executor> executor) {
  return std::make_unique<ExecutorTeam>(std::move(executor));
}

}  // namespace tyto
