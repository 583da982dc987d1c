// What the host program may supply: threads, files, memory, a log and a trace. All of it is
// optional. Every object handed in here is shared, and is kept alive by what uses it. Unless said
// otherwise its methods are called from several threads at once.
#pragma once
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "tyto/export.h"
#include "tyto/result.h"

namespace tyto {
inline namespace v1 {

using Clock = std::chrono::steady_clock;

// The host's job system. Tasks of one run() never wait for each other; run() returns when all are
// done.
class TYTO_EXPORT Executor {
 public:
  virtual ~Executor() = default;
  virtual int concurrency() const noexcept = 0;  // how many tasks may run at once; at least 1
  virtual void run(int tasks, void (*task)(void* context, int index) noexcept,
                   void* context) noexcept = 0;
};

// Bytes at offsets: a file, an entry of a pack file, an encrypted archive, memory.
class TYTO_EXPORT FileSource {
 public:
  virtual ~FileSource() = default;
  virtual Result<std::uint64_t> size() const = 0;
  // Fills all of `into`, or fails with `io` (also where the file ends too early).
  virtual Result<> read(std::uint64_t offset, std::span<std::byte> into) const = 0;
  // All of it as memory that stays where and as it is while the source lives. Empty: it can only be
  // read. Of a packed file the weights are used where they lie there, and are neither allocated nor
  // copied.
  virtual std::span<const std::byte> map() const noexcept { return {}; }
  // When the content last changed, in nanoseconds since 1970; 0: not known.
  virtual std::int64_t modified() const noexcept { return 0; }
};

// Where paths lead: the model's own, and the shards and side files beside it.
class TYTO_EXPORT FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Result<std::shared_ptr<const FileSource>> open(std::string_view utf8_path) const = 0;
};

// A FileSource over bytes of the host's. The bytes must outlive it, and with it all models that
// were loaded from it as a packed file, which keep it.
TYTO_EXPORT Result<std::shared_ptr<const FileSource>> memory_source(
    std::span<const std::byte> bytes);

// The large blocks only: weights, caches, workspaces. A null answer becomes no_memory.
class TYTO_EXPORT Allocator {
 public:
  virtual ~Allocator() = default;
  virtual void* allocate(std::size_t bytes, std::size_t alignment) noexcept = 0;
  virtual void deallocate(void* block, std::size_t bytes) noexcept = 0;
};

enum class LogLevel : unsigned char { debug, info, warning };
class TYTO_EXPORT LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void write(LogLevel level, std::string_view line) noexcept = 0;
};

// Spans of time. `bytes` is what the span read or wrote, 0 if not counted.
//   load            reading and packing a model's weights
// and for whoever wants them, of every step on the CPU (but not of the reference backend) the
// stages that have something to do, in order, with the bytes of weights and of cached keys and
// values that they read; of experts as if no two rows shared one, of embeddings none:
//   embed
//   attention.norm  attention.qkv, attention.store (the cache's write), attention.attend,
//                   attention.records (inputs of what follows), attention.out
//   mlp.norm        mlp.up (and gate), mlp.records, mlp.down
//   experts.norm    experts.scores, experts.choose, experts.group, experts.gather, experts.up (and
//                   gate), experts.records, experts.down
//   head.norm       head.logits
// A stage's span includes waiting for other models of the same runtime.
class TYTO_EXPORT TraceSink {
 public:
  virtual ~TraceSink() = default;
  // Called by the thread that computes, while a step is under way: it may not call that model's
  // sessions.
  virtual void span(std::string_view name, Clock::time_point begin, Clock::time_point end,
                    std::uint64_t bytes) noexcept = 0;
  // Asked whenever a step begins or goes on. Stages then run one by one, which costs some
  // microseconds each.
  virtual bool wants_stages() const noexcept { return false; }
};

struct Host {
  std::shared_ptr<Executor> executor = {};
  std::shared_ptr<FileSystem> files = {};
  std::shared_ptr<Allocator> allocator = {};
  std::shared_ptr<LogSink> log = {};
  std::shared_ptr<TraceSink> trace = {};
};

struct RuntimeOptions {
  int threads = 0;  // 0: one per core this process may use; more than that is clamped to it
  bool pin = true;  // each of our threads stays on one core
  std::chrono::microseconds spin{50};  // how long an idle thread spins before it sleeps
  // Bytes of host memory for all models of this runtime: weights, caches, workspaces. 0: no budget.
  std::uint64_t memory_budget = 0;
  Host host = {};  // with an executor, the runtime starts no threads of its own
};

// One thread pool and one memory budget for many models. Without one, each model makes its own.
// Immutable and shareable; threads start with the first model that is loaded.
class TYTO_EXPORT Runtime {
 public:
  static Result<std::shared_ptr<Runtime>> create(const RuntimeOptions& options = {});
  int threads() const noexcept;  // after clamping

  struct Impl;
  explicit Runtime(std::unique_ptr<Impl> impl) noexcept;
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  Impl& impl() const noexcept { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

// Asks computing calls to stop. Any thread may request; whole chunks already computed are kept, and
// the session is usable at once.
class Cancel {
 public:
  void request() noexcept { flag_.store(true, std::memory_order_relaxed); }
  bool requested() const noexcept { return flag_.load(std::memory_order_relaxed); }
  void reset() noexcept { flag_.store(false, std::memory_order_relaxed); }

 private:
  std::atomic<bool> flag_{false};
};

}  // namespace v1
}  // namespace tyto
