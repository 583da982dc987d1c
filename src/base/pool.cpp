// Our own team: threads that start with the first run, each on a core of its own, and meet at spin
// barriers. The calling thread is worker 0 and is never pinned: it is the host's. If it runs on a
// core where one of our threads is pinned, that thread moves out of its way.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "src/base/error.h"
#include "src/base/pool_cores.h"
#include "src/base/team.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace tyto {
namespace {

void relax() noexcept {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// One worker's share of a stage. Others take from its end of the queue when they have finished
// their own.
struct alignas(64) Share {
  std::atomic<int> next{0};
  int end = 0;
};

class Pool final : public Team {
 public:
  Pool(int threads, bool pin, std::chrono::microseconds spin)
      : workers_(threads),
        pin_(pin),
        spin_(spin),
        owner_(process_id()),
        shares_(2 * static_cast<std::size_t>(threads)) {}
  ~Pool() override;

  int workers() const noexcept override { return workers_; }
  void run(std::span<const Stage> stages) noexcept override;

 private:
  static void worker_main(void* self, int worker) noexcept;
  void start_threads() noexcept;
  void stay_clear_of_caller() noexcept;
  void lock(int me) noexcept;
  void unlock() noexcept;

  std::size_t run_serial(std::size_t stage, int worker) const noexcept;
  void set_share(std::uint32_t phase, std::size_t stage, int worker) noexcept;
  void run_share(std::uint32_t phase, int worker) noexcept;
  void work(std::uint32_t phase, int worker) noexcept;
  std::uint32_t wait_for_change(std::uint32_t seen) const noexcept;
  Share& share(std::uint32_t phase, int worker) noexcept {
    return shares_[(phase >> 1 & 1) * static_cast<std::size_t>(workers_) +
                   static_cast<std::size_t>(worker)];
  }

  // Constant after construction.
  const int workers_;
  const bool pin_;
  const std::chrono::microseconds spin_;
  const int owner_;  // after a fork the child has none of our threads

  // Protected by lock().
  std::atomic<int> locked_by_{0};  // process id of the holder, 0: free
  bool started_ = false;
  bool crowded_ =
      false;  // more threads than cores: a spinning thread would keep a working one off its core
  std::unique_ptr<std::vector<std::thread>> threads_ = std::make_unique<std::vector<std::thread>>();
  std::vector<int> cpu_of_;  // per worker; of worker 0, the one that is left

  // The run under way. Written by the one thread that opens a phase, read by all in that phase.
  // phase_ is odd while there is nothing to do; each stage is an even number, and stages alternate
  // in bit 1, which picks one of two sets of shares: one is in use while the other is being filled.
  std::vector<Share> shares_;
  std::span<const Stage> stages_;
  std::size_t stage_ = 0;
  int active_ = 1;                 // workers that take part
  std::uint32_t first_phase_ = 1;  // what a new thread has seen: the phase when it was started
  alignas(64) std::atomic<std::uint32_t> phase_{1};
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<bool> stop_{false};
};

Pool::~Pool() {
  if (process_id() != owner_) {  // there is nobody to join, and the handles mean nothing
    static_cast<void>(threads_.release());
    return;
  }
  stop_.store(true, std::memory_order_relaxed);
  phase_.fetch_add(2);
  phase_.notify_all();
  for (std::thread& thread : *threads_) thread.join();
}

// A lock that a forked child finds open even if another thread of its parent held it.
void Pool::lock(int me) noexcept {
  for (int holder = 0; !locked_by_.compare_exchange_weak(holder, me, std::memory_order_acquire);) {
    if (holder == me) locked_by_.wait(me);
    if (holder == me) holder = 0;
  }
}

void Pool::unlock() noexcept {
  locked_by_.store(0);
  locked_by_.notify_one();
}

void Pool::start_threads() noexcept {
  started_ = true;
  first_phase_ = phase_.load(std::memory_order_relaxed);
  try {
    cpu_of_ = allowed_cpus();
    crowded_ = usable_cores() < workers_;
    if (!pin_ || cpu_of_.size() < static_cast<std::size_t>(workers_)) cpu_of_.clear();
    if (!cpu_of_.empty()) cpu_of_.resize(static_cast<std::size_t>(workers_));
    threads_->reserve(static_cast<std::size_t>(workers_ - 1));
  } catch (...) {
    return;  // no memory: the caller works alone
  }
  for (int worker = 1; worker < workers_; ++worker) {
    std::thread thread = start_quiet_thread(worker_main, this, worker);
    if (!thread.joinable()) break;
    if (!cpu_of_.empty()) pin_to_cpu(thread, cpu_of_[static_cast<std::size_t>(worker)]);
    threads_->push_back(std::move(thread));
    ++active_;
  }
}

void Pool::stay_clear_of_caller() noexcept {
  if (cpu_of_.empty()) return;
  const int cpu = current_cpu();
  if (cpu < 0 || cpu == cpu_of_[0]) return;
  const auto taken = std::find(cpu_of_.begin() + 1, cpu_of_.begin() + active_, cpu);
  if (taken != cpu_of_.begin() + active_) {
    *taken = cpu_of_[0];
    pin_to_cpu((*threads_)[static_cast<std::size_t>(taken - cpu_of_.begin() - 1)], *taken);
  }
  cpu_of_[0] = cpu;
}

// Runs stages of at most one task, from `stage` on; returns the first that is wider.
std::size_t Pool::run_serial(std::size_t stage, int worker) const noexcept {
  for (; stage < stages_.size() && (stages_[stage].tasks <= 1 || active_ == 1); ++stage)
    for (int i = 0; i < stages_[stage].tasks; ++i)
      stages_[stage].task(stages_[stage].context, i, worker);
  return stage;
}

void Pool::set_share(std::uint32_t phase, std::size_t stage, int worker) noexcept {
  const std::int64_t tasks = stages_[stage].tasks;
  Share& mine = share(phase, worker);
  mine.next.store(static_cast<int>(tasks * worker / active_), std::memory_order_relaxed);
  mine.end = static_cast<int>(tasks * (worker + 1) / active_);
}

void Pool::run_share(std::uint32_t phase, int worker) noexcept {
  const Stage& stage = stages_[stage_];
  for (int turn = 0; turn < active_; ++turn) {
    Share& from = share(phase, (worker + turn) % active_);
    while (from.next.load(std::memory_order_relaxed) < from.end) {
      const int index = from.next.fetch_add(1, std::memory_order_relaxed);
      if (index < from.end) stage.task(stage.context, index, worker);
    }
  }
}

// One phase: this worker's tasks, then the barrier. The last to arrive runs the narrow stages that
// follow, so that these cost no barrier of their own, and opens the next phase.
void Pool::work(std::uint32_t phase, int worker) noexcept {
  std::size_t wide = stage_ + 1;
  while (wide < stages_.size() && stages_[wide].tasks <= 1) ++wide;
  if (wide < stages_.size()) set_share(phase + 2, wide, worker);
  run_share(phase, worker);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 != active_) return;
  arrived_.store(0, std::memory_order_relaxed);
  stage_ = run_serial(stage_ + 1, worker);
  // Sequentially consistent, so that notify sees every thread that went to sleep on the old value.
  phase_.fetch_add(stage_ < stages_.size() ? 2 : 1);
  phase_.notify_all();
}

std::uint32_t Pool::wait_for_change(std::uint32_t seen) const noexcept {
  std::uint32_t now = seen;
  const auto changed = [&] {
    for (int i = 0; i < 32 && now == seen; ++i) {
      now = phase_.load(std::memory_order_acquire);
      if (now == seen) relax();
    }
    return now != seen;
  };
  if (changed()) return now;
  const auto deadline = Clock::now() + spin_;
  while (Clock::now() < deadline) {
    if (crowded_) std::this_thread::yield();
    if (changed()) return now;
  }
  while ((now = phase_.load(std::memory_order_acquire)) == seen) phase_.wait(seen);
  return now;
}

void Pool::worker_main(void* self, int worker) noexcept {
  Pool& pool = *static_cast<Pool*>(self);
  std::uint32_t phase = pool.first_phase_;
  for (;;) {
    phase = pool.wait_for_change(phase);
    if (pool.stop_.load(std::memory_order_relaxed)) return;
    if (phase % 2 == 0) pool.work(phase, worker);
  }
}

void Pool::run(std::span<const Stage> stages) noexcept {
  const int me = process_id();
  lock(me);
  const bool child = me != owner_;
  if (child) active_ = 1;
  const auto wide = [](const Stage& stage) { return stage.tasks > 1; };
  if (!child && workers_ > 1 && !started_ && std::any_of(stages.begin(), stages.end(), wide))
    start_threads();
  stages_ = stages;
  stage_ = run_serial(0, 0);
  if (stage_ < stages_.size()) {
    stay_clear_of_caller();
    std::uint32_t phase = phase_.load(std::memory_order_relaxed) + 1;
    for (int worker = 0; worker < active_; ++worker) set_share(phase, stage_, worker);
    phase_.fetch_add(1);
    phase_.notify_all();
    while (phase % 2 == 0) {
      work(phase, 0);
      phase = wait_for_change(phase);
    }
  }
  stages_ = {};
  unlock();
}

}  // namespace

Result<std::unique_ptr<Team>> new_pool(int threads, bool pin, std::chrono::microseconds spin) {
  if (threads < 1 || threads > kMostThreads)
    return fail(ErrorCode::bad_argument, "{} threads; 1 to {} are possible", threads, kMostThreads);
  return std::unique_ptr<Team>(std::make_unique<Pool>(threads, pin, spin));
}

}  // namespace tyto
