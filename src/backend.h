// The only interface between src/ and a backend folder. The core lowers a model to a Plan; a
// backend packs the weights once, compiles a Program once, and runs it once per step: no
// allocation, no virtual call per op, no shape check inside a step.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "src/file/packed_form.h"
#include "src/file/tensor_source.h"
#include "src/plan.h"
#include "src/top_logits.h"
#include "tyto/host.h"
#include "tyto/model.h"
#include "tyto/result.h"

namespace tyto {

using PageId = std::uint32_t;

struct Slice {  // blocks [first, last) of the plan, on this backend
  int first = 0, last = 0;
};

struct Capacity {  // the most one step may hold; every size follows from it
  int rows = 512;
  int sequences = 32;
  int outputs = 64;
};

struct Row {
  std::int32_t token;  // -1: next row of StepInput::hidden (an earlier slice, a soft prompt)
  std::int32_t
      sequence;  // index in StepInput::sequences; a sequence's rows are adjacent, slots ascending
  std::int32_t slot;        // cache slot written; not the position
  std::int32_t begin, end;  // keys seen: slots [begin, end); causal: end = slot + 1
  std::int32_t position;    // for rope and position tables
};

struct Sequence {
  std::span<const std::span<const PageId>>
      pages;  // per Plan::caches; slot s lies in pages[c][s / kPageTokens]
};

enum class Want : std::uint8_t { logits, hidden, top };

struct Output {  // one per wanted row, rows ascending
  std::int32_t row = 0;
  Want want = Want::logits;
  std::span<float> values;   // [vocab] logits or [width] hidden (the stream after the slice's last
                             // block); the caller's
  TopLogits* top = nullptr;  // for Want::top, instead of values; the caller's
};

struct StepInput {
  std::span<const Row> rows;  // prompt chunks and single rows mixed; at least one
  std::span<const Sequence> sequences;
  std::span<const float> hidden;  // [rows with token -1, width]
};

// Packed weights; immutable.
class Weights {
 public:
  virtual ~Weights() = default;
  virtual std::uint64_t bytes() const noexcept = 0;
  // As Backend::use_packed takes them. Empty: a backend that has no such form.
  virtual std::span<const std::byte> packed() const noexcept { return {}; }
};

// Page arena. The core owns tables, reference counts and copy-on-write; the backend owns the bytes.
// Calls never overlap with each other or with a step.
class Cache {
 public:
  virtual ~Cache() = default;
  virtual std::uint64_t bytes() const noexcept = 0;
  virtual Result<> copy_page(int cache, PageId from, PageId to) = 0;
  // Zeroes the slots of a page from `first_slot` on (0 to kPageTokens - 1).
  virtual Result<> clear_page(int cache, PageId page, int first_slot) = 0;
};

// Serves any step within its capacity; one step at a time. start, then work until it answers true,
// then finish. A start while a step is under way drops that step.
class Program {
 public:
  virtual ~Program() = default;
  virtual std::uint64_t bytes() const noexcept = 0;  // of workspace
  // Whether Want::top is served. Where logits are in the host's memory it would save nothing.
  virtual bool ranks() const noexcept { return false; }
  // Copies rows, tables and output requests; the spans may die after it, Output::values and
  // Output::top may not.
  virtual Result<> start(const StepInput& input, std::span<const Output> outputs) = 0;
  // True: computed. Past `until` it returns false at the next block border.
  virtual Result<bool> work(Clock::time_point until) = 0;
  virtual Result<> finish() = 0;  // fills Output::values and Output::top
};

struct Footprint {
  std::uint64_t weights = 0, workspace = 0;
  bool own_memory = false;          // weights, workspace and pages are no memory of the host's
  std::uint64_t loading = 0;        // what pack() holds for a while besides the weights
  std::vector<std::uint64_t> page;  // bytes of one page, per Plan::caches
};

struct PackOptions {
  bool check_weights = true;
  std::function<bool(float fraction)>
      progress;  // called from the packing thread that called pack; false cancels
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const noexcept = 0;  // "cpu avx512", "reference"
  // What pack, new_cache and compile will allocate, to the byte. `unsupported` names the block and
  // field this backend lacks: at load, never in mid-generation.
  virtual Result<Footprint> footprint(const Plan&, Slice, CacheType, const Capacity&) const = 0;
  virtual Result<std::unique_ptr<Weights>> pack(const Plan&, Slice, const file::TensorSource&,
                                                const PackOptions&) = 0;

  // For packed files. A backend whose weights are no bytes in memory leaves these as they are.
  // The table whose layouts packed weights have: name(), unless several share them.
  virtual std::string_view packed_table() const noexcept { return {}; }
  virtual Result<file::PackedForm> packed_form(const Plan&, Slice) const {
    return Error(ErrorCode::unsupported, "weights of this device cannot be kept in a packed file");
  }
  // Writes what pack would make to `sink`, and holds only the buffers of Footprint::loading, twice.
  virtual Result<> pack_to(const Plan&, Slice, const file::TensorSource&, const PackOptions&,
                           file::ByteSink&) {
    return Error(ErrorCode::unsupported, "weights of this device cannot be kept in a packed file");
  }
  // Weights over `bytes` of the form that packed_form tells: what pack_to wrote, at a multiple of
  // 64, there as long as `owner` lives. Bytes that are something else give wrong results, and
  // nothing worse.
  virtual Result<std::unique_ptr<Weights>> use_packed(const Plan&, Slice,
                                                      std::span<const std::byte>,
                                                      std::shared_ptr<const void>) {
    return Error(ErrorCode::unsupported, "weights of this device cannot be kept in a packed file");
  }

  virtual Result<std::unique_ptr<Cache>> new_cache(const Plan&, Slice, CacheType,
                                                   std::span<const int> pages) = 0;
  // Weights and cache must outlive the program; the plan need not.
  virtual Result<std::unique_ptr<Program>> compile(const Plan&, Slice, const Weights&, Cache&,
                                                   const Capacity&) = 0;
};

}  // namespace tyto
