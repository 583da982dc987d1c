#include "tyto/model.h"

#include <algorithm>

#include "cpu/cpu_backend.h"
#include "cpu/ref_backend.h"
#include "src/arch/arch.h"
#include "src/base/checked.h"
#include "src/base/error.h"
#include "src/file/tensor_source.h"
#include "src/model_impl.h"
#include "src/text/tokenizer.h"

namespace tyto {
inline namespace v1 {
namespace {

constexpr int kScoredRows = 16;  // rows whose logits a step of Session::score may ask for

// Everything known before the first weight is read.
struct Prepared {
  std::shared_ptr<Runtime> runtime;
  std::unique_ptr<file::ModelFile> file;
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

Result<std::unique_ptr<Backend>> new_backend(const ModelOptions& options,
                                             std::shared_ptr<Runtime> runtime) {
  if (options.device == "auto" || options.device == "cpu")
    return cpu::new_cpu_backend(std::move(runtime), options.isa);
  if (options.device == "reference") return cpu::new_reference_backend(std::move(runtime));
  if (options.device == "cuda" || options.device.starts_with("cuda:"))
    return fail(ErrorCode::unsupported, "device \"{}\": this version runs models on the CPU only",
                options.device);
  return fail(ErrorCode::bad_argument,
              "ModelOptions::device is \"{}\", expected auto, cpu or reference", options.device);
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
  device.weights = footprint.weights;
  device.workspace = footprint.workspace;
  Checked cache(0);
  for (std::size_t c = 0; c < footprint.page.size(); ++c)
    cache = cache + Checked(footprint.page[c]) * Checked(static_cast<std::uint64_t>(p.pages[c]));
  if (!cache.get()) return fail(ErrorCode::no_memory, "cache: more than the address space");
  device.cache = *cache.get();
  p.memory.host_tables =
      plan_bytes(p.plan) + (p.tokenizer.impl() ? p.tokenizer.impl()->memory_bytes() : 0);
  p.memory.host_peak_during_load = device.weights + device.cache + device.workspace +
                                   p.memory.host_tables + p.file->header_bytes() +
                                   footprint.loading;
  p.memory.devices.push_back(std::move(device));
  return {};
}

Result<Prepared> prepare(std::shared_ptr<const FileSource> source, std::string_view name,
                         const FileSystem* files, const ModelOptions& options,
                         std::shared_ptr<Runtime> runtime) {
  Prepared p;
  p.runtime = std::move(runtime);
  TYTO_TRY(p.file, file::open_gguf(std::move(source), name, files));
  TYTO_TRY(p.plan, arch::lower(*p.file));
  // A file without a tokenizer serves ids; its tokenizer() answers bad_argument.
  if (p.file->metadata().has("tokenizer.ggml.model")) {
    TYTO_TRY(p.tokenizer, text::make_tokenizer(p.file->metadata(), p.file->name()));
  }
  TYTO_TRY(p.backend, new_backend(options, p.runtime));
  p.capacity = {options.limits.rows, options.limits.sequences,
                std::max(options.limits.sequences, kScoredRows)};
  p.slice = {0, static_cast<int>(p.plan.blocks.size())};
  p.pages.assign(p.plan.caches.size(), (options.cache_tokens + kPageTokens - 1) / kPageTokens);
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

Result<Model> finish_load(Prepared p, const ModelOptions& options) {
  auto impl = std::make_shared<Model::Impl>();
  const auto begin = Clock::now();
  auto weights =
      p.backend->pack(p.plan, p.slice, *p.file, {options.check_weights, options.progress});
  if (!weights) return named(weights.error(), p.file->name());
  impl->weights = std::move(*weights);
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

Result<Prepared> prepare_path(std::string_view path, const ModelOptions& options) {
  TYTO_TRY(check(options));
  TYTO_TRY(auto runtime, runtime_of(options));
  const auto& host_files = runtime->impl().options.host.files;
  const FileSystem& files = host_files ? *host_files : file::os_files();
  TYTO_TRY(auto source, files.open(path));
  return prepare(std::move(source), path, &files, options, std::move(runtime));
}

Result<Prepared> prepare_source(std::shared_ptr<const FileSource> source,
                                const ModelOptions& options) {
  if (!source) return fail(ErrorCode::bad_argument, "the FileSource is null");
  TYTO_TRY(check(options));
  TYTO_TRY(auto runtime, runtime_of(options));
  return prepare(std::move(source), "memory", nullptr, options, std::move(runtime));
}

}  // namespace

Result<Model> Model::load(std::string_view utf8_path, const ModelOptions& options) {
  return guarded([&]() -> Result<Model> {
    TYTO_TRY(Prepared p, prepare_path(utf8_path, options));
    return finish_load(std::move(p), options);
  });
}

Result<Model> Model::load(std::shared_ptr<const FileSource> source, const ModelOptions& options) {
  return guarded([&]() -> Result<Model> {
    TYTO_TRY(Prepared p, prepare_source(std::move(source), options));
    return finish_load(std::move(p), options);
  });
}

Result<MemoryPlan> Model::plan(std::string_view utf8_path, const ModelOptions& options) {
  return guarded([&]() -> Result<MemoryPlan> {
    TYTO_TRY(Prepared p, prepare_path(utf8_path, options));
    return std::move(p.memory);
  });
}

Result<MemoryPlan> Model::plan(std::shared_ptr<const FileSource> source,
                               const ModelOptions& options) {
  return guarded([&]() -> Result<MemoryPlan> {
    TYTO_TRY(Prepared p, prepare_source(std::move(source), options));
    return std::move(p.memory);
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
