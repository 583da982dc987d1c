#include "cpu/ref_backend.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/ref_program.h"
#include "src/base/error.h"
#include "src/quant/e4m3.h"

namespace tyto::cpu {
namespace {

std::size_t elements(const Tensor& tensor) {
  std::size_t n = 1;
  for (const std::int64_t dim : tensor.shape) n *= static_cast<std::size_t>(dim);
  return n;
}

// Which tensors the slice uses, as a mask over Plan::tensors.
std::vector<bool> used_tensors(const Plan& plan, Slice slice) {
  std::vector<bool> used(plan.tensors.size());
  for (int b = slice.first; b < slice.last; ++b)
    for (const int index : tensors_of(plan.blocks[b])) used[index] = true;
  return used;
}

constexpr std::size_t kPieceBytes = 1 << 16;

// Reads and dequantizes one tensor in pieces of a few rows.
Result<> load_tensor(const file::TensorSource& source, const Tensor& tensor, bool check,
                     float* out) {
  if (!tensor.computed.empty()) {
    std::copy(tensor.computed.begin(), tensor.computed.end(), out);
    return {};
  }
  const file::TensorInfo* info = source.find(tensor.name);
  if (!info || !info->format)
    return fail(ErrorCode::internal, "tensor {} left the file", tensor.name);
  const quant::Format& format = *info->format;
  const std::size_t piece = std::max<std::size_t>(1, kPieceBytes / format.block_bytes);
  const std::size_t blocks = elements(tensor) / format.block_values;
  std::vector<std::byte> buffer(std::min(piece, blocks) * format.block_bytes);
  for (std::size_t first = 0; first < blocks; first += piece) {
    const std::size_t count = std::min(piece, blocks - first);
    const std::span<std::byte> bytes(buffer.data(), count * format.block_bytes);
    TYTO_TRY(source.read(*info, first * format.block_bytes, bytes));
    if (check && !format.finite(bytes.data(), count))
      return fail(ErrorCode::bad_file, "tensor {} holds NaN or infinity near value {}", tensor.name,
                  first * format.block_values);
    format.dequantize(bytes.data(), count, out + first * format.block_values);
  }
  return {};
}

class RefBackend : public Backend {
 public:
  explicit RefBackend(std::shared_ptr<Runtime> runtime) : runtime_(std::move(runtime)) {}

  std::string_view name() const noexcept override { return "reference"; }

  Result<Footprint> footprint(const Plan& plan, Slice slice, CacheType,
                              const Capacity& capacity) const override {
    Footprint footprint;
    footprint.loading = kPieceBytes;
    const std::vector<bool> used = used_tensors(plan, slice);
    for (std::size_t i = 0; i < used.size(); ++i)
      if (used[i]) footprint.weights += elements(plan.tensors[i]) * sizeof(float);
    footprint.workspace = ref_workspace_floats(plan, slice, capacity) * sizeof(float);
    for (const CacheSpec& spec : plan.caches)
      footprint.page.push_back(sizeof(float) * kPageTokens * spec.layers * spec.kv_heads *
                               (spec.key_dim + spec.value_dim));
    return footprint;
  }

  Result<std::unique_ptr<Weights>> pack(const Plan& plan, Slice slice,
                                        const file::TensorSource& source,
                                        const PackOptions& options) override {
    auto weights = std::make_unique<RefWeights>();
    TYTO_TRY(const Footprint footprint, this->footprint(plan, slice, CacheType::f32, {}));
    TYTO_TRY(weights->block, Runtime::Impl::allocate(runtime_, footprint.weights, "weights"));
    weights->first.resize(plan.tensors.size());
    const std::vector<bool> used = used_tensors(plan, slice);
    std::size_t done = 0;
    const std::size_t total = footprint.weights / sizeof(float);
    for (std::size_t i = 0; i < used.size(); ++i) {
      if (!used[i]) continue;
      weights->first[i] = done;
      float* out = reinterpret_cast<float*>(weights->block.data()) + done;
      TYTO_TRY(load_tensor(source, plan.tensors[i], options.check_weights, out));
      done += elements(plan.tensors[i]);
      if (options.progress &&
          !options.progress(static_cast<float>(done) / static_cast<float>(total)))
        return Error(ErrorCode::cancelled, "loading was cancelled by its progress callback");
    }
    return std::unique_ptr<Weights>(std::move(weights));
  }

  Result<std::unique_ptr<Cache>> new_cache(const Plan& plan, Slice, CacheType type,
                                           std::span<const int> pages) override {
    auto cache = std::make_unique<RefCache>(plan, type, pages);
    TYTO_TRY(cache->block,
             Runtime::Impl::allocate(runtime_, cache->floats * sizeof(float), "cache"));
    return std::unique_ptr<Cache>(std::move(cache));
  }

  Result<std::unique_ptr<Program>> compile(const Plan& plan, Slice slice, const Weights& weights,
                                           Cache& cache, const Capacity& capacity) override {
    const std::size_t bytes = ref_workspace_floats(plan, slice, capacity) * sizeof(float);
    TYTO_TRY(LargeBlock workspace, Runtime::Impl::allocate(runtime_, bytes, "workspace"));
    return new_ref_program(plan, slice, static_cast<const RefWeights&>(weights),
                           static_cast<RefCache&>(cache), capacity, std::move(workspace));
  }

 private:
  std::shared_ptr<Runtime> runtime_;
};

// Rounds to nearest even on the 16 bits that BF16 keeps.
float round_to_bf16(float value) {
  if (std::isnan(value)) return value;
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  bits += 0x7FFF + ((bits >> 16) & 1);
  bits &= 0xFFFF0000u;
  std::memcpy(&value, &bits, sizeof bits);
  return value;
}

// Rounds to nearest even on the 11 significant bits of IEEE 754 half precision, subnormals
// included; what is too large becomes infinite.
float round_to_f16(float value) {
  const float magnitude = std::fabs(value);
  if (magnitude >= 65520.0f) return std::copysign(HUGE_VALF, value);
  int exponent;
  std::frexp(magnitude, &exponent);
  const float unit = std::ldexp(1.0f, std::max(exponent, -13) - 11);
  return std::copysign(std::nearbyint(magnitude / unit) * unit, value);
}

// Rounds to multiples of one scale: the largest magnitude / 127, or with four bits the value of
// largest magnitude / -8, of which there are 7 on the other side.
void round_group(const float* values, int n, bool four_bits, float* out) {
  float farthest = 0;
  bool finite = true;
  for (int i = 0; i < n; ++i) {
    finite = finite && std::isfinite(values[i]);
    if (std::fabs(values[i]) > std::fabs(farthest)) farthest = values[i];
  }
  const float scale = four_bits ? farthest / -8.0f : std::fabs(farthest) / 127.0f;
  for (int i = 0; i < n; ++i) {
    const float code = scale == 0 ? 0 : std::nearbyint(values[i] / scale);
    out[i] = finite ? (four_bits ? std::min(code, 7.0f) : code) * scale : NAN;
  }
}

}  // namespace

RefCache::RefCache(const Plan& plan, CacheType cache_type, std::span<const int> pages)
    : type(cache_type), specs(plan.caches) {
  for (std::size_t c = 0; c < specs.size(); ++c) {
    first.push_back(floats);
    floats += page_floats(static_cast<int>(c)) * pages[c];
  }
}

std::size_t RefCache::page_floats(int cache) const noexcept {
  const CacheSpec& s = specs[cache];
  return std::size_t{kPageTokens} * s.layers * s.kv_heads * (s.key_dim + s.value_dim);
}

float* RefCache::slot(int cache, PageId page, int layer, int kv_head, int slot) const noexcept {
  const CacheSpec& s = specs[cache];
  float* base = reinterpret_cast<float*>(block.data()) + first[cache] + page_floats(cache) * page;
  const std::size_t head = static_cast<std::size_t>(layer) * s.kv_heads + kv_head;
  return base + (head * kPageTokens + slot) * (s.key_dim + s.value_dim);
}

void RefCache::round(const float* values, int n, float* out) const noexcept {
  switch (type) {
    case CacheType::bf16:
      std::transform(values, values + n, out, round_to_bf16);
      break;
    case CacheType::f16:
      std::transform(values, values + n, out, round_to_f16);
      break;
    case CacheType::f32:
      std::copy_n(values, n, out);
      break;
    case CacheType::f8_e4m3:
      std::transform(values, values + n, out,
                     [](float value) { return to_float(quant::to_e4m3(value)); });
      break;
    case CacheType::q8_0:
    case CacheType::q4_0:
      for (int i = 0; i < n; i += kCacheGroup)
        round_group(values + i, std::min(kCacheGroup, n - i), type == CacheType::q4_0, out + i);
  }
}

Result<> RefCache::copy_page(int cache, PageId from, PageId to) {
  std::copy_n(slot(cache, from, 0, 0, 0), page_floats(cache), slot(cache, to, 0, 0, 0));
  return {};
}

Result<> RefCache::clear_page(int cache, PageId page, int first_slot) {
  const CacheSpec& s = specs[cache];
  for (int layer = 0; layer < s.layers; ++layer)
    for (int head = 0; head < s.kv_heads; ++head)
      std::fill_n(slot(cache, page, layer, head, first_slot),
                  (kPageTokens - first_slot) * (s.key_dim + s.value_dim), 0.0f);
  return {};
}

Result<std::unique_ptr<Backend>> new_reference_backend(std::shared_ptr<Runtime> runtime) {
  return std::unique_ptr<Backend>(std::make_unique<RefBackend>(std::move(runtime)));
}

}  // namespace tyto::cpu
