#include "cpu/cpu_backend.h"

#include <iterator>
#include <string>

#include "cpu/cpu_cache.h"
#include "cpu/cpu_program.h"
#include "cpu/lowered.h"
#include "cpu/pack.h"
#include "cpu/workspace.h"
#include "src/base/error.h"
#include "src/runtime.h"

namespace tyto::cpu {
namespace {

class CpuWeights final : public Weights {
 public:
  CpuWeights(std::span<const std::byte> packed, std::shared_ptr<const void> owner) noexcept
      : packed_(packed), owner_(std::move(owner)) {}
  std::uint64_t bytes() const noexcept override { return packed_.size(); }
  std::span<const std::byte> packed() const noexcept override { return packed_; }

 private:
  const std::span<const std::byte> packed_;
  const std::shared_ptr<const void> owner_;
};

class CpuBackend final : public Backend {
 public:
  CpuBackend(std::shared_ptr<Runtime> runtime, const IsaTable& table)
      : runtime_(std::move(runtime)), table_(table), name_("cpu ") {
    name_ += table.name;
  }

  std::string_view name() const noexcept override { return name_; }

  Result<Footprint> footprint(const Plan& plan, Slice slice, CacheType type,
                              const Capacity& capacity) const override {
    if (type == CacheType::f8_e4m3)
      return Error(ErrorCode::unsupported, "cpu: a cache of 8-bit floats is not served; q8_0 is");
    TYTO_TRY(const Lowered lowered, lower(plan, slice, table_));
    TYTO_TRY(const Workspace workspace, lay_out(lowered, *table_.rows, capacity, workers()));
    Footprint out;
    out.weights = lowered.weight_bytes;
    out.workspace = workspace.bytes;
    out.loading = pack_buffer_bytes(lowered, workers());
    for (const CacheSpec& spec : plan.caches)
      out.page.push_back(static_cast<std::uint64_t>(spec.layers) *
                         static_cast<unsigned>(spec.kv_heads) *
                         part_layout(type, spec.key_dim, spec.value_dim).bytes);
    return out;
  }

  Result<std::unique_ptr<Weights>> pack(const Plan& plan, Slice slice,
                                        const file::TensorSource& source,
                                        const PackOptions& options) override {
    TYTO_TRY(const Lowered lowered, lower(plan, slice, table_));
    TYTO_TRY(LargeBlock block, Runtime::Impl::allocate(runtime_, lowered.weight_bytes, "weights"));
    TYTO_TRY(pack_weights(plan, lowered, source, options, *runtime_->impl().team, block.data()));
    const std::span<const std::byte> packed(block.data(), block.size());
    return std::unique_ptr<Weights>(
        std::make_unique<CpuWeights>(packed, std::make_shared<const LargeBlock>(std::move(block))));
  }

  std::string_view packed_table() const noexcept override {
    return table_.isa == Isa::amx ? "cpu avx512" : std::string_view(name_);  // the same layouts
  }

  Result<file::PackedForm> packed_form(const Plan& plan, Slice slice) const override {
    TYTO_TRY(const Lowered lowered, lower(plan, slice, table_));
    return file::PackedForm{std::string(packed_table()), kLayoutVersion, places_of(plan, lowered),
                            lowered.weight_bytes};
  }

  Result<> pack_to(const Plan& plan, Slice slice, const file::TensorSource& source,
                   const PackOptions& options, file::ByteSink& sink) override {
    TYTO_TRY(const Lowered lowered, lower(plan, slice, table_));
    return pack_weights(plan, lowered, source, options, *runtime_->impl().team, sink);
  }

  Result<std::unique_ptr<Weights>> use_packed(const Plan&, Slice, std::span<const std::byte> bytes,
                                              std::shared_ptr<const void> owner) override {
    return std::unique_ptr<Weights>(std::make_unique<CpuWeights>(bytes, std::move(owner)));
  }

  Result<std::unique_ptr<Cache>> new_cache(const Plan& plan, Slice, CacheType type,
                                           std::span<const int> pages) override {
    auto cache = std::make_unique<CpuCache>(plan.caches, type, pages);
    const auto bytes = cache->bytes_needed();
    if (!bytes) return fail(ErrorCode::no_memory, "cache: more than the address space");
    TYTO_TRY(LargeBlock block, Runtime::Impl::allocate(runtime_, *bytes, "cache"));
    cache->use(std::move(block));
    return std::unique_ptr<Cache>(std::move(cache));
  }

  Result<std::unique_ptr<Program>> compile(const Plan& plan, Slice slice, const Weights& weights,
                                           Cache& cache, const Capacity& capacity) override {
    TYTO_TRY(Lowered lowered, lower(plan, slice, table_));
    TYTO_TRY(Workspace layout, lay_out(lowered, *table_.rows, capacity, workers()));
    TYTO_TRY(LargeBlock workspace, Runtime::Impl::allocate(runtime_, layout.bytes, "workspace"));
    const auto& arena = static_cast<const CpuCache&>(cache);
    std::vector<int> pages;
    for (std::size_t c = 0; c < plan.caches.size(); ++c)
      pages.push_back(arena.pages(static_cast<int>(c)));
    return new_cpu_program(runtime_, table_, std::move(lowered), weights.packed().data(), arena,
                           StepLimits(plan, slice, capacity, std::move(pages)), std::move(layout),
                           std::move(workspace));
  }

 private:
  int workers() const noexcept { return runtime_->impl().team->workers(); }

  const std::shared_ptr<Runtime> runtime_;
  const IsaTable& table_;
  std::string name_;
};

constexpr std::string_view kIsas[] = {"best", "scalar", "avx2", "avx512", "amx", "neon"};

}  // namespace

Result<std::unique_ptr<Backend>> new_cpu_backend(std::shared_ptr<Runtime> runtime, Isa isa,
                                                 bool to_run) {
  const IsaTable* table = find_table(isa, to_run);
  if (table == nullptr)
    return fail(ErrorCode::unsupported, "this machine, or this build, has no {}",
                kIsas[static_cast<int>(isa)]);
  return std::unique_ptr<Backend>(std::make_unique<CpuBackend>(std::move(runtime), *table));
}

std::unique_ptr<Backend> new_cpu_backend_for(std::shared_ptr<Runtime> runtime,
                                             std::string_view packed_table) {
  for (int isa = 1; isa < static_cast<int>(std::size(kIsas)); ++isa) {
    auto backend = new_cpu_backend(runtime, static_cast<Isa>(isa));
    if (backend && (*backend)->packed_table() == packed_table) return *std::move(backend);
  }
  return nullptr;
}

}  // namespace tyto::cpu
