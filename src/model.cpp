#include "tyto/model.h"

#include <algorithm>
#include <charconv>

#include "cpu/cpu_backend.h"
#include "cpu/ref_backend.h"
#include "src/accelerator.h"
#include "src/arch/arch.h"
#include "src/base/checked.h"
#include "src/base/error.h"
#include "src/file/packed.h"
#include "src/file/quoted.h"
#include "src/file/tensor_source.h"
#include "src/model_impl.h"
#include "src/packed_cache.h"
#include "src/text/tokenizer.h"

namespace tyto {
inline namespace v1 {
namespace {

constexpr int kScoredRows = 16;  // rows whose logits a step of Session::score may ask for

enum class Purpose { plan, load, pack };

// Everything known before the first weight is read.
struct Prepared {
  std::shared_ptr<Runtime> runtime;
  std::unique_ptr<file::ModelFile> file;
  std::shared_ptr<const file::PackedFile> packed;  // the file itself, or a cached one; or null
  file::PackedForm form;                           // with packed or a cache
  Plan plan;
  Tokenizer tokenizer;
  std::unique_ptr<Backend> backend;
  Capacity capacity;
  Slice slice;
  std::vector<int> pages;
  MemoryPlan memory;
};

Result<> check(const ModelOptions& options) {
  const auto in_range = [](std::string_view name, int value, int max) -> Result<> {
    if (value >= 1 && value <= max) return {};
    return fail(ErrorCode::bad_argument, "ModelOptions::{} is {}, expected 1 to {}", name, value,
                max);
  };
  TYTO_TRY(in_range("cache_tokens", options.cache_tokens, 1 << 30));
  TYTO_TRY(in_range("limits.rows", options.limits.rows, 1 << 16));
  TYTO_TRY(in_range("limits.sequences", options.limits.sequences, 1 << 12));
  return {};
}

// "cuda" is "cuda:0".
Result<std::unique_ptr<Backend>> open_accelerator(const ModelOptions& options) {
  const std::string_view device = options.device, kind = device.substr(0, device.find(':'));
  if (options.accelerator && options.accelerator->kind() == kind) {
    if (device == kind) return options.accelerator->open(0);
    int index = 0;
    const char* const end = device.data() + device.size();
    const char* const number = device.data() + kind.size() + 1;
    const auto parsed = std::from_chars(number, end, index);
    if (parsed.ec == std::errc() && parsed.ptr == end && index >= 0)
      return options.accelerator->open(index);
  } else if (kind == "cuda") {
    return fail(ErrorCode::unsupported,
                "device \"{}\": no such devices were handed in (ModelOptions::accelerator)",
                device);
  }
  return fail(ErrorCode::bad_argument,
              "ModelOptions::device is \"{}\", expected auto, cpu, reference, cuda or cuda:N",
              device);
}

Result<std::unique_ptr<Backend>> new_backend(const ModelOptions& options,
                                             std::shared_ptr<Runtime> runtime, bool to_run) {
  if (options.device == "auto" || options.device == "cpu")
    return cpu::new_cpu_backend(std::move(runtime), options.isa, to_run);
  if (options.device == "reference") return cpu::new_reference_backend(std::move(runtime));
  return open_accelerator(options);
}

// The backend whose table packed the file, if it is one of those asked for.
Result<std::unique_ptr<Backend>> backend_of(const file::PackedFile& file,
                                            const ModelOptions& options,
                                            const std::shared_ptr<Runtime>& runtime) {
  TYTO_TRY(auto asked, new_backend(options, runtime, true));
  if (asked->packed_table() == file.table()) return asked;
  if (options.isa == Isa::best && (options.device == "auto" || options.device == "cpu"))
    if (auto other = cpu::new_cpu_backend_for(runtime, file.table())) return other;
  return fail(ErrorCode::mismatch, "{}: packed for {}, but this is {}", file.name(),
              file::quoted(file.table()), asked->name());
}

// For "auto": the first of the devices that were handed in, if it is there and serves the model;
// else null, for the CPU, and the log says why.
std::unique_ptr<Backend> automatic_accelerator(const Prepared& p, const ModelOptions& options) {
  if (options.device != "auto" || !options.accelerator || options.isa != Isa::best) return nullptr;
  const auto refused = [&](const Error& error) {
    p.runtime->impl().log(LogLevel::info,
                          fmt::format("device \"auto\" is the CPU: {}", error.message()));
    return nullptr;
  };
  auto backend = options.accelerator->open(0);
  if (!backend) return refused(backend.error());
  const auto footprint = (*backend)->footprint(p.plan, p.slice, options.cache_type, p.capacity);
  if (!footprint && footprint.error().code() == ErrorCode::unsupported)
    return refused(footprint.error());
  return std::move(*backend);
}

// Sets `packed` and `form`, where the file is a packed one or there is a cache.
Result<> find_packed(Prepared& p, const ModelOptions& options, Purpose purpose) {
  if (!p.packed && options.packed_cache.empty()) return {};
  auto form = p.backend->packed_form(p.plan, p.slice);
  if (!form && !p.packed) return {};  // a device without packed files does without a cache
  TYTO_TRY(p.form, std::move(form));
  if (p.packed) return p.packed->check_form(p.form);
  const PackedCache cache(options.packed_cache, *p.file, p.form, p.runtime->impl());
  if (purpose == Purpose::plan) {
    p.packed = cache.look();
    return {};
  }
  const auto going_on = [&](float) { return !options.progress || options.progress(0); };
  TYTO_TRY(p.packed, cache.find(options.verify_packed, going_on));
  return {};
}

std::uint64_t plan_bytes(const Plan& plan) {
  std::uint64_t bytes = plan.blocks.size() * sizeof(Block);
  for (const Tensor& tensor : plan.tensors) bytes += sizeof(Tensor) + tensor.name.size() + 32;
  return bytes;
}

Result<> plan_memory(Prepared& p, CacheType cache_type) {
  TYTO_TRY(const Footprint footprint,
           p.backend->footprint(p.plan, p.slice, cache_type, p.capacity));
  MemoryPlan::Device device;
  device.name = p.backend->name();
  const bool mapped = p.packed && !p.packed->mapped_weights().empty();
  (mapped ? device.mapped : device.weights) = footprint.weights;
  device.workspace = footprint.workspace;
  Checked cache(0);
  for (std::size_t c = 0; c < footprint.page.size(); ++c)
    cache = cache + Checked(footprint.page[c]) * Checked(static_cast<std::uint64_t>(p.pages[c]));
  if (!cache.get()) return fail(ErrorCode::no_memory, "cache: more than the address space");
  device.cache = *cache.get();
  p.memory.host_tables =
      plan_bytes(p.plan) + (p.tokenizer.impl() ? p.tokenizer.impl()->memory_bytes() : 0);
  const std::uint64_t of_host =
      footprint.own_memory ? 0 : device.weights + device.cache + device.workspace;
  p.memory.host_peak_during_load =
      of_host + p.memory.host_tables + p.file->header_bytes() + (p.packed ? 0 : footprint.loading);
  p.memory.devices.push_back(std::move(device));
  return {};
}

Result<Prepared> prepare(std::shared_ptr<const FileSource> source, std::string_view name,
                         const FileSystem* files, const ModelOptions& options,
                         std::shared_ptr<Runtime> runtime, Purpose purpose) {
  Prepared p;
  p.runtime = std::move(runtime);
  TYTO_TRY(p.file, file::open_model(std::move(source), name, files));
  TYTO_TRY(p.plan, arch::lower(*p.file));
  // A file without a tokenizer serves ids; its tokenizer() answers bad_argument.
  if (p.file->metadata().has("tokenizer.ggml.model")) {
    TYTO_TRY(p.tokenizer, text::make_tokenizer(p.file->metadata(), p.file->name()));
  }
  p.packed = p.file->packed();
  p.capacity = {options.limits.rows, options.limits.sequences,
                std::max(options.limits.sequences, kScoredRows)};
  p.slice = {0, static_cast<int>(p.plan.blocks.size())};
  if (!p.packed && purpose != Purpose::pack) p.backend = automatic_accelerator(p, options);
  if (!p.backend) {
    TYTO_TRY(p.backend, p.packed ? backend_of(*p.packed, options, p.runtime)
                                 : new_backend(options, p.runtime, purpose != Purpose::pack));
  }
  p.pages.assign(p.plan.caches.size(), (options.cache_tokens + kPageTokens - 1) / kPageTokens);
  if (purpose == Purpose::pack) return p;  // and no more is asked of an ISA that cannot run here
  TYTO_TRY(find_packed(p, options, purpose));
  TYTO_TRY(plan_memory(p, options.cache_type));
  return p;
}

// The weight format that holds most values: what people call the model's type.
std::string_view main_format(const Plan& plan) {
  std::vector<std::pair<const quant::Format*, std::int64_t>> totals;
  for (const Tensor& tensor : plan.tensors) {
    if (!tensor.format) continue;
    std::int64_t values = 1;
    for (const std::int64_t dim : tensor.shape) values *= dim;
    auto found = std::find_if(totals.begin(), totals.end(),
                              [&](const auto& t) { return t.first == tensor.format; });
    if (found == totals.end()) found = totals.insert(totals.end(), {tensor.format, 0});
    found->second += values;
  }
  const auto most =
      std::max_element(totals.begin(), totals.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == totals.end() ? "" : most->first->name;
}

std::string parameter_count(const Plan& plan) {
  double values = 0;
  for (const Tensor& tensor : plan.tensors) {
    double n = 1;
    for (const std::int64_t dim : tensor.shape) n *= static_cast<double>(dim);
    values += n;
  }
  if (values >= 1e9) return fmt::format("{:.1f}B", values * 1e-9);
  if (values >= 1e6) return fmt::format("{:.1f}M", values * 1e-6);
  return fmt::format("{:.0f}K", values * 1e-3);
}

// A backend knows tensors, not files.
Error named(const Error& error, std::string_view file) {
  if (error.code() != ErrorCode::bad_file && error.code() != ErrorCode::unsupported) return error;
  if (error.message().starts_with(file)) return error;
  return fail(error.code(), "{}: {}", file, error.message());
}

// The weights of a packed file: where they lie, or read into memory of the same layout.
Result<std::unique_ptr<Weights>> use_packed(const Prepared& p, const ModelOptions& options) {
  Team& team = *p.runtime->impl().team;
  const bool is_source =
      p.packed == p.file->packed();  // a cached one was verified when it was found
  const auto going_on = [&](float) { return !options.progress || options.progress(0); };
  if (options.verify_packed && is_source) TYTO_TRY(p.packed->verify_weights(team, going_on));
  std::span<const std::byte> bytes = p.packed->mapped_weights();
  std::shared_ptr<const void> owner = p.packed->source();
  if (bytes.empty()) {
    TYTO_TRY(LargeBlock block, Runtime::Impl::allocate(p.runtime, p.form.bytes, "weights"));
    TYTO_TRY(p.packed->read_weights(team, options.progress, block.data()));
    bytes = {block.data(), block.size()};
    owner = std::make_shared<const LargeBlock>(std::move(block));
  } else if (options.progress && !options.progress(1)) {
    return Error(ErrorCode::cancelled, "loading was cancelled by its progress callback");
  }
  return p.backend->use_packed(p.plan, p.slice, bytes, std::move(owner));
}

Result<std::unique_ptr<Weights>> weights_of(const Prepared& p, const ModelOptions& options) {
  if (p.packed) return use_packed(p, options);
  auto weights =
      p.backend->pack(p.plan, p.slice, *p.file, {options.check_weights, options.progress});
  if (!weights) return named(weights.error(), p.file->name());
  // Unchecked weights are not kept: who loads them later may want them checked.
  if (p.form.bytes > 0 && options.check_weights)
    PackedCache(options.packed_cache, *p.file, p.form, p.runtime->impl())
        .keep((*weights)->packed());
  return weights;
}

Result<Model> finish_load(Prepared p, const ModelOptions& options) {
  auto impl = std::make_shared<Model::Impl>();
  const auto begin = Clock::now();
  TYTO_TRY(impl->weights, weights_of(p, options));
  p.runtime->impl().trace("load", begin, impl->weights->bytes());
  TYTO_TRY(impl->cache, p.backend->new_cache(p.plan, p.slice, options.cache_type, p.pages));
  TYTO_TRY(impl->program,
           p.backend->compile(p.plan, p.slice, *impl->weights, *impl->cache, p.capacity));
  impl->engine =
      std::make_unique<Engine>(p.plan, *impl->program, *impl->cache, p.capacity, p.pages);
  impl->cache_tokens = static_cast<std::size_t>(p.pages.empty() ? 0 : p.pages[0]) * kPageTokens;
  impl->description = fmt::format("{} {} {} on {}, {} thread{}", p.plan.family,
                                  parameter_count(p.plan), main_format(p.plan), p.backend->name(),
                                  p.runtime->threads(), p.runtime->threads() == 1 ? "" : "s");
  impl->fingerprint = p.file->fingerprint();
  impl->memory = std::move(p.memory);
  impl->runtime = std::move(p.runtime);
  impl->plan = std::move(p.plan);
  impl->tokenizer = std::move(p.tokenizer);
  impl->backend = std::move(p.backend);
  impl->runtime->impl().log(LogLevel::info, impl->description);
  return Model(std::shared_ptr<const Model::Impl>(std::move(impl)));
}

Result<std::shared_ptr<Runtime>> runtime_of(const ModelOptions& options) {
  if (options.runtime) return options.runtime;
  return Runtime::create();
}

Result<Prepared> prepare_path(std::string_view path, const ModelOptions& options, Purpose purpose) {
  TYTO_TRY(check(options));
  TYTO_TRY(auto runtime, runtime_of(options));
  const auto& host_files = runtime->impl().options.host.files;
  const FileSystem& files = host_files ? *host_files : file::os_files();
  TYTO_TRY(auto source, files.open(path));
  return prepare(std::move(source), path, &files, options, std::move(runtime), purpose);
}

Result<Prepared> prepare_source(std::shared_ptr<const FileSource> source,
                                const ModelOptions& options, Purpose purpose) {
  if (!source) return fail(ErrorCode::bad_argument, "the FileSource is null");
  TYTO_TRY(check(options));
  TYTO_TRY(auto runtime, runtime_of(options));
  return prepare(std::move(source), "memory", nullptr, options, std::move(runtime), purpose);
}

// Whatever else lies at the path of a packed file to be written is not ours to replace.
Result<> check_replaceable(std::string_view path) {
  auto there = file::os_files().open(path);
  if (!there)  // nothing; or writing will tell
    return there.error().code() == ErrorCode::bad_file ? Result<>(there.error()) : Result<>();
  TYTO_TRY(const std::uint64_t size, (*there)->size());
  TYTO_TRY(const bool packed, file::is_packed(**there, path));
  if (size == 0 || packed) return {};
  return fail(ErrorCode::bad_argument, "{}: there is a file, and it is no packed one", path);
}

}  // namespace

Result<Model> Model::load(std::string_view utf8_path, const ModelOptions& options) {
  return guarded([&]() -> Result<Model> {
    TYTO_TRY(Prepared p, prepare_path(utf8_path, options, Purpose::load));
    return finish_load(std::move(p), options);
  });
}

Result<Model> Model::load(std::shared_ptr<const FileSource> source, const ModelOptions& options) {
  return guarded([&]() -> Result<Model> {
    TYTO_TRY(Prepared p, prepare_source(std::move(source), options, Purpose::load));
    return finish_load(std::move(p), options);
  });
}

Result<MemoryPlan> Model::plan(std::string_view utf8_path, const ModelOptions& options) {
  return guarded([&]() -> Result<MemoryPlan> {
    TYTO_TRY(Prepared p, prepare_path(utf8_path, options, Purpose::plan));
    return std::move(p.memory);
  });
}

Result<MemoryPlan> Model::plan(std::shared_ptr<const FileSource> source,
                               const ModelOptions& options) {
  return guarded([&]() -> Result<MemoryPlan> {
    TYTO_TRY(Prepared p, prepare_source(std::move(source), options, Purpose::plan));
    return std::move(p.memory);
  });
}

Result<> Model::pack(std::string_view utf8_path, std::string_view packed_path,
                     const ModelOptions& options) {
  return guarded([&]() -> Result<> {
    TYTO_TRY(check_replaceable(packed_path));
    TYTO_TRY(const Prepared p, prepare_path(utf8_path, options, Purpose::pack));
    if (p.packed) return fail(ErrorCode::bad_argument, "{}: is a packed file already", utf8_path);
    TYTO_TRY(const file::PackedForm form, p.backend->packed_form(p.plan, p.slice));
    const auto fill = [&](file::ByteSink& sink) {
      return p.backend->pack_to(p.plan, p.slice, *p.file, {true, options.progress}, sink);
    };
    const auto going_on = [&](float) { return !options.progress || options.progress(1); };
    const auto done =
        write_packed(*p.file, form, packed_path, *p.runtime->impl().team, fill, going_on);
    return done ? done : named(done.error(), p.file->name());
  });
}

Tokenizer Model::tokenizer() const noexcept { return impl_ ? impl_->tokenizer : Tokenizer(); }
SamplerOptions Model::default_sampling() const { return {}; }
std::string_view Model::describe() const noexcept {
  return impl_ ? std::string_view(impl_->description) : "";
}
std::string_view Model::fingerprint() const noexcept {
  return impl_ ? std::string_view(impl_->fingerprint) : "";
}
int Model::context_length() const noexcept { return impl_ ? impl_->plan.context : 0; }
int Model::vocab_size() const noexcept { return impl_ ? impl_->plan.vocab : 0; }
MemoryPlan Model::memory() const { return impl_ ? impl_->memory : MemoryPlan{}; }

}  // namespace v1
}  // namespace tyto
