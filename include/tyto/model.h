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

// `amx` is avx512 with matrix tiles for products of many rows and for attention, the same bits but
// for BF16 weights and for a BF16 cache.
// Linux lets a process use tiles once it has asked, and from then on refuses alternate signal
// stacks that are too small for them (sysconf(_SC_MINSIGSTKSZ)); `best` asks where there are tiles,
// the others never do.
enum class Isa : unsigned char { best, scalar, avx2, avx512, amx, neon };
// Of keys and values. q8_0 and q4_0: 8 or 4 bits a value and a float for each 32 of a head.
// f8_e4m3: floats of 8 bits up to 448, on CUDA and by the reference alone.
enum class CacheType : unsigned char { bf16, f16, f32, q8_0, q4_0, f8_e4m3 };

// The most one step may hold; workspace follows.
struct Limits {
  int rows = 512;      // tokens, over all sequences: the chunk in which prompts are computed
  int sequences = 32;  // sessions in one step()
};

class Accelerator;  // cuda_accelerator() of tyto/cuda.h gives one

struct ModelOptions {
  // "cpu"; "reference": plain float32 loops, for checking; "cuda", or "cuda:1" for the second one,
  // with an accelerator that has it; "auto": the accelerator's first, if it is there and serves the
  // model, or else, and with packed files or an `isa`, the CPU, and the log says why. describe()
  // tells what it is.
  std::string device = "auto";
  std::shared_ptr<const Accelerator> accelerator = {};
  Isa isa = Isa::best;  // an ISA this machine lacks is `unsupported`
  CacheType cache_type = CacheType::bf16;
  // Of all sessions and forks of this model together; rounded up to whole pages of 16.
  int cache_tokens = 4096;
  Limits limits = {};
  // Refuse NaN and infinite weights and scales while loading. Those of a packed file were checked
  // when it was written.
  bool check_weights = true;
  // A directory for packed files (Model::pack), empty: none. load() uses the one it finds there for
  // this file and instruction set; where there is none, or one that does not fit, it packs as ever
  // and writes one for the next load. What cannot be written is a warning in the log. Several
  // processes may share a directory; old files in it are the host's to delete.
  std::string packed_cache = {};
  // Compare the content hashes of packed files, not their headers only: reads all of them, and all
  // of the file that a cached one was made of.
  bool verify_packed = false;
  // Called from the loading thread; false cancels the load.
  std::function<bool(float fraction)> progress = {};
  std::shared_ptr<Runtime> runtime = {};  // null: one of the model's own, with RuntimeOptions{}
};

struct MemoryPlan {
  struct Device {
    std::string name;
    // Bytes, equal to what load() then allocates. (A CUDA device's context and graphs are its
    // driver's, in no plan.)
    std::uint64_t weights = 0, cache = 0, workspace = 0;
    // Weights of a packed file that are used where they lie in its memory: not allocated, in no
    // budget, and of an OS file shared with other processes and dropped by the system where memory
    // is short. `weights` is 0 then.
    std::uint64_t mapped = 0;
  };
  std::vector<Device> devices;
  std::uint64_t host_tables = 0;  // tokenizer and plan, an estimate
  // Of the host: all of the above but `mapped` and what lies in a device's own memory, and the
  // buffers that loading needs for a while.
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
  // A GGUF file, the first file of a split one, or a packed file; of the OS, or a host FileSystem's
  // path. A packed file is `mismatch` for another device or instruction set than asked for (`best`
  // takes what the file has, where this machine has it), and for another version of tyto. It must
  // not be changed in place while a model uses it; replacing it by a rename is fine.
  static Result<Model> load(std::string_view utf8_path, const ModelOptions& options = {});
  static Result<Model> load(std::shared_ptr<const FileSource> source,
                            const ModelOptions& options = {});
  // What load would take, from the headers alone.
  static Result<MemoryPlan> plan(std::string_view utf8_path, const ModelOptions& options = {});
  static Result<MemoryPlan> plan(std::shared_ptr<const FileSource> source,
                                 const ModelOptions& options = {});

  // Writes a packed file: metadata, tokenizer and weights as load() would pack them for
  // options.isa, which may be one that this machine lacks. Loading it takes no time for reading and
  // packing, and its weights are not copied to memory but used from the file. What is at
  // `packed_path` is replaced at once, and only where it is empty or a packed file, too. Takes no
  // memory but a few buffers.
  static Result<> pack(std::string_view utf8_path, std::string_view packed_path,
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
