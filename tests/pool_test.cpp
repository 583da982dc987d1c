#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "src/base/pool_cores.h"
#include "src/base/team.h"
#include "tests/catch.h"

#if defined(__linux__)
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

using namespace tyto;

namespace {

// Stages that check their own order: every task of a stage must see all tasks of the stage before
// it done.
struct Trace {
  struct Step {
    Trace* trace;
    int index, tasks;
    std::atomic<int> done{0};
  };
  explicit Trace(const std::vector<int>& widths, int workers)
      : busy(static_cast<std::size_t>(workers)) {
    for (std::size_t i = 0; i < widths.size(); ++i) {
      steps.push_back(std::make_unique<Step>());
      steps.back()->trace = this;
      steps.back()->index = static_cast<int>(i);
      steps.back()->tasks = widths[i];
      stages.push_back({task, steps.back().get(), widths[i]});
    }
  }
  static void task(void* context, int, int worker) noexcept {
    Step& step = *static_cast<Step*>(context);
    Trace& trace = *step.trace;
    if (worker < 0 || worker >= static_cast<int>(trace.busy.size()) ||
        trace.busy[static_cast<std::size_t>(worker)].exchange(true))
      trace.wrong = true;
    if (step.index > 0) {
      const Step& before = *trace.steps[static_cast<std::size_t>(step.index) - 1];
      if (before.done != before.tasks) trace.wrong = true;
    }
    ++step.done;
    trace.busy[static_cast<std::size_t>(worker)] = false;
  }
  bool complete() const {
    return !wrong &&
           std::all_of(steps.begin(), steps.end(), [](auto& s) { return s->done == s->tasks; });
  }
  std::vector<std::unique_ptr<Step>> steps;
  std::vector<Stage> stages;
  std::vector<std::atomic<bool>> busy;
  std::atomic<bool> wrong{false};
};

const std::vector<int> kWidths = {1, 7, 0, 64, 1, 1, 3, 2, 0, 1, 129, 1};

std::unique_ptr<Team> pool(int threads, int spin_us = 50) {
  return new_pool(threads, true, std::chrono::microseconds(spin_us)).value();
}

struct InlineExecutor : Executor {
  explicit InlineExecutor(int n) : width(n) {}
  int concurrency() const noexcept override { return width; }
  void run(int tasks, void (*task)(void*, int) noexcept, void* context) noexcept override {
    for (int i = tasks; i-- > 0;) task(context, i);
  }
  int width;
};

}  // namespace

TEST_CASE("Stages run in order, every task once, on any number of threads", "[pool]") {
  for (const int threads : {1, 2, 3, 8}) {
    for (const int spin : {0, 50}) {
      const auto team = pool(threads, spin);
      CHECK(team->workers() == threads);
      for (int repeat = 0; repeat < 50; ++repeat) {
        Trace trace(kWidths, threads);
        team->run(trace.stages);
        REQUIRE(trace.complete());
      }
    }
  }
}

TEST_CASE("A pool that is never used starts no thread and ends at once", "[pool]") { pool(8); }

TEST_CASE("An empty run, and one without tasks, return", "[pool]") {
  const auto team = pool(2);
  team->run({});
  Trace trace({0, 0}, 2);
  team->run(trace.stages);
  CHECK(trace.complete());
}

TEST_CASE("Two callers of one pool take turns", "[pool]") {
  const auto team = pool(3);
  std::atomic<bool> good{true};
  const auto caller = [&] {
    for (int repeat = 0; repeat < 100; ++repeat) {
      Trace trace(kWidths, 3);
      team->run(trace.stages);
      if (!trace.complete()) good = false;
    }
  };
  std::thread other(caller);
  caller();
  other.join();
  CHECK(good);
}

TEST_CASE(
    "A host's executor runs the stages, also one that runs its tasks one by one and backwards",
    "[pool]") {
  for (const int width : {1, 4}) {
    const auto team = new_executor_team(std::make_shared<InlineExecutor>(width));
    CHECK(team->workers() == width);
    Trace trace(kWidths, width);
    team->run(trace.stages);
    CHECK(trace.complete());
  }
}

TEST_CASE("A thread count that makes no sense is a bad argument", "[pool]") {
  CHECK(new_pool(0, true, {}).error().code() == ErrorCode::bad_argument);
  CHECK(new_pool(1 << 20, true, {}).error().code() == ErrorCode::bad_argument);
}

TEST_CASE("A cgroup's quota is whole cores, rounded down, at least one", "[pool]") {
  CHECK_FALSE(quota_of_cpu_max("max 100000\n"));
  CHECK_FALSE(quota_of_cpu_max(""));
  CHECK(quota_of_cpu_max("200000 100000\n") == 2);
  CHECK(quota_of_cpu_max("150000 100000\n") == 1);
  CHECK(quota_of_cpu_max("50000 100000\n") == 1);
  CHECK_FALSE(quota_of_cfs("-1\n", "100000\n"));
  CHECK(quota_of_cfs("400000\n", "100000\n") == 4);
  CHECK_FALSE(quota_of_cfs("", ""));
}

#if defined(__linux__)
TEST_CASE("Four threads on one core finish", "[pool]") {
  std::thread narrow([] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(allowed_cpus().front(), &one);
    REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
    CHECK(usable_cores() == 1);
    const auto team = pool(4);
    for (int repeat = 0; repeat < 20; ++repeat) {
      Trace trace(kWidths, 4);
      team->run(trace.stages);
      REQUIRE(trace.complete());
    }
  });
  narrow.join();
}

namespace {
volatile sig_atomic_t usr1_count = 0, bus_count = 0;
}

TEST_CASE("A pool's thread takes none of the host's signals but its own faults", "[pool]") {
  struct sigaction count_usr1 = {}, count_bus = {}, usr1_before, bus_before;
  count_usr1.sa_handler = [](int) { usr1_count = usr1_count + 1; };
  count_bus.sa_handler = [](int) { bus_count = bus_count + 1; };
  REQUIRE(sigaction(SIGUSR1, &count_usr1, &usr1_before) == 0);
  REQUIRE(sigaction(SIGBUS, &count_bus, &bus_before) == 0);
  const auto body = [](void*, int) noexcept { raise(SIGUSR1), raise(SIGBUS); };
  start_quiet_thread(body, nullptr, 0).join();
  sigaction(SIGUSR1, &usr1_before, nullptr);
  sigaction(SIGBUS, &bus_before, nullptr);
  CHECK(usr1_count == 0);
  CHECK(bus_count == 1);
}

TEST_CASE("A forked child can still run, alone", "[pool][fork]") {
  auto team = pool(2);
  Trace before(kWidths, 2);
  team->run(before.stages);
  const pid_t child = fork();
  if (child == 0) {
    Trace trace(kWidths, 2);
    team->run(trace.stages);
    team.reset();
    _exit(trace.complete() ? 0 : 1);
  }
  int status = 1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  Trace after(kWidths, 2);
  team->run(after.stages);
  CHECK(after.complete());
}
#endif
