// A model: its weights, tokenizer and compiled program. Immutable once loaded.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tyto/export.h"
#include "tyto/host.h"
#include "tyto/result.h"
#include "tyto/sampler.h"
#include "tyto/tokenizer.h"

namespace tyto {
inline namespace v1 {

// `amx` is avx512 with matrix tiles for products of many rows, the same bits but for BF16 weights.
// Linux lets a process use tiles once it has asked, and from then on refuses alternate signal stacks
// that are too small for them (sysconf(_SC_MINSIGSTKSZ)); `best` asks where there are tiles, the
// others never do.
enum class Isa : unsigned char { best, scalar, avx2, avx512, amx, neon };
// Of keys and values. q8_0 and q4_0: 8 or 4 bits a value and a float for each 32 of a head.
enum class CacheType : unsigned char { bf16, f16, f32, q8_0, q4_0 };

// The most one step may hold; workspace follows.
struct Limits {
  int rows = 512;      // tokens, over all sequences: the chunk in which prompts are computed
  int sequences = 32;  // sessions in one step()
};

struct ModelOptions {
  // "auto", "cpu", or "reference": plain float32 loops, for checking. describe() tells what it is.
  std::string device = "auto";
  Isa isa = Isa::best;  // an ISA this machine lacks is `unsupported`
  CacheType cache_type = CacheType::bf16;
  // Of all sessions and forks of this model together; rounded up to whole pages of 16.
  int cache_tokens = 4096;
  Limits limits = {};
  bool check_weights = true;  // refuse NaN and infinite weights and scales while loading
  // Called from the loading thread; false cancels the load.
  std::function<bool(float fraction)> progress = {};
  std::shared_ptr<Runtime> runtime = {};  // null: one of the model's own, with RuntimeOptions{}
};

struct MemoryPlan {
  struct Device {
    std::string name;
    // Bytes, equal to what load() then allocates.
    std::uint64_t weights = 0, cache = 0, workspace = 0;
  };
  std::vector<Device> devices;
  std::uint64_t host_tables = 0;  // tokenizer and plan, an estimate
  // All of the above and the buffers that loading needs for a while.
  std::uint64_t host_peak_during_load = 0;
};

struct SessionOptions {
  // Tokens; clamped to the model's own and to its cache, Session::capacity tells. A fork has the
  // same.
  int context = 4096;
  // Read by every computing call, between chunks and steps; must outlive the session
  // and its forks.
  const Cancel* cancel = nullptr;
};

class Session;

// Copies share the weights; every method may be called from several threads at once. One step at a
// time runs per model: a second thread waits its turn; to advance several sessions in one pass over
// the weights use step(). A default-constructed or moved-from Model answers bad_argument.
class TYTO_EXPORT Model {
 public:
  // A GGUF file, the first file of a split one, or a host FileSystem's path.
  static Result<Model> load(std::string_view utf8_path, const ModelOptions& options = {});
  static Result<Model> load(std::shared_ptr<const FileSource> source,
                            const ModelOptions& options = {});
  // What load would take, from the headers alone.
  static Result<MemoryPlan> plan(std::string_view utf8_path, const ModelOptions& options = {});
  static Result<MemoryPlan> plan(std::shared_ptr<const FileSource> source,
                                 const ModelOptions& options = {});

  Result<Session> new_session(const SessionOptions& options = {}) const;
  Tokenizer tokenizer() const noexcept;  // a copy shares its tables
  SamplerOptions default_sampling() const;
  std::string_view describe() const noexcept;  // "llama 6.6M q8_0 on cpu avx512, 2 threads"
  // 32 hexadecimal digits over metadata and tensor directory.
  std::string_view fingerprint() const noexcept;
  int context_length() const noexcept;  // what the model was trained for, in tokens
  int vocab_size() const noexcept;
  MemoryPlan memory() const;  // what is allocated now

  struct Impl;
  Model() noexcept = default;
  explicit Model(std::shared_ptr<const Impl> impl) noexcept : impl_(std::move(impl)) {}
  const std::shared_ptr<const Impl>& impl() const noexcept { return impl_; }

 private:
  std::shared_ptr<const Impl> impl_;
};

}  // namespace v1
}  // namespace tyto
