// Reading and writing a part of a cache page (cpu/cache_layout.h), for each type of its elements:
// quant::BF16, quant::F16, float, Quantized<8> (q8_0) and Quantized<4> (q4_0).
TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

template <int kBits>
struct Quantized {};

template <class Element>
constexpr CacheType kCacheType = CacheType::f32;
template <>
inline constexpr CacheType kCacheType<quant::BF16> = CacheType::bf16;
template <>
inline constexpr CacheType kCacheType<quant::F16> = CacheType::f16;
template <>
inline constexpr CacheType kCacheType<Quantized<8>> = CacheType::q8_0;
template <>
inline constexpr CacheType kCacheType<Quantized<4>> = CacheType::q4_0;

// kLanes keys of a page.
template <class Element>
struct Keys {
  const Element* first = nullptr;

  Keys() = default;
  Keys(const std::byte* part, const PartLayout&, int token)
      : first(reinterpret_cast<const Element*>(part) + token) {}
  Floats at(int d) const { return load(first + d * kPageTokens); }
};

// The values of a page.
template <class Element>
struct Values {
  const Element* first = nullptr;
  int dim = 0;

  Values() = default;
  Values(const std::byte* part, const PartLayout& layout, int value_dim)
      : first(reinterpret_cast<const Element*>(part + layout.values)), dim(value_dim) {}
  Floats at(int token, int column) const { return load(first + token * dim + column); }
  Floats at(int token, int column, int lanes) const {
    return load(first + token * dim + column, lanes);
  }
};

template <int kBits>
struct Keys<Quantized<kBits>> {
  const std::byte* codes = nullptr;
  const float* scales = nullptr;

  Keys() = default;
  Keys(const std::byte* part, const PartLayout& layout, int token)
      : codes(part + token),
        scales(reinterpret_cast<const float*>(part + layout.key_scales) + token) {}
  Floats at(int d) const {
    const Floats scale = load(scales + d / kCacheGroup * kPageTokens);
    if constexpr (kBits == 8) return load_codes(codes + d * kPageTokens) * scale;
    return load_nibbles(codes + d / 2 * kPageTokens, d % 2 * 4) * scale;
  }
};

template <int kBits>
struct Values<Quantized<kBits>> {
  const std::byte* codes = nullptr;
  const float* scales = nullptr;
  int groups = 0;

  Values() = default;
  Values(const std::byte* part, const PartLayout& layout, int)
      : codes(part + layout.values),
        scales(reinterpret_cast<const float*>(part + layout.value_scales)),
        groups(static_cast<int>(layout.value_groups)) {}
  Floats at(int token, int column) const {
    const int group = token * groups + column / kCacheGroup, i = column % kCacheGroup;
    const Floats scale = broadcast(scales[group]);
    if constexpr (kBits == 8) return load_codes(codes + group * kCacheGroup + i) * scale;
    return load_nibbles(codes + group * (kCacheGroup / 2) + i % 16, i / 16 * 4) * scale;
  }
  Floats at(int token, int column, int) const { return at(token, column); }  // groups are whole
};

// Codes and scale of a group of n values, the rest zero. 8 bits: scale = absmax / 127, codes from
// -127 to 127. 4 bits: the value of largest magnitude is -8 times the scale, codes from -8 to 7. A
// group with NaN or infinity has the scale NaN; one too small for its reciprocal to be a float is
// zero.
template <int kBits>
float make_cache_codes(const float* x, int n, std::int8_t* codes) {
  float peak = 0, farthest = 0;
  bool finite = true;
  for (int i = 0; i < n; ++i) {
    const float magnitude = x[i] < 0 ? -x[i] : x[i];
    finite = finite && magnitude < std::numeric_limits<float>::infinity();
    if (magnitude > peak) peak = magnitude, farthest = x[i];
  }
  std::memset(codes, 0, kCacheGroup);
  if (!finite) return std::numeric_limits<float>::quiet_NaN();
  if (peak < 0x1p-119f) return 0.0f;
  const float inverse = kBits == 8 ? 127.0f / peak : -8.0f / farthest;
  for (int i = 0; i < n; ++i) {
    // Adding 1.5 * 2^23 rounds to nearest even and leaves the integer in the low bits.
    const float shifted = x[i] * inverse + 0x1.8p23f;
    const std::int32_t code = std::bit_cast<std::int32_t>(shifted) - 0x4b400000;
    codes[i] = static_cast<std::int8_t>(kBits == 4 && code > 7 ? 7 : code);
  }
  return kBits == 8 ? peak / 127.0f : farthest / -8.0f;
}

inline std::byte join_nibbles(std::int8_t low, std::int8_t high) {
  return static_cast<std::byte>((low + 8) | (high + 8) << 4);
}

template <int kBits>
void write_quantized(const float* key, int key_dim, const float* value, int value_dim, int slot,
                     std::byte* part) {
  const PartLayout layout = part_layout(kCacheType<Quantized<kBits>>, key_dim, value_dim);
  auto* key_scales = reinterpret_cast<float*>(part + layout.key_scales) + slot;
  auto* value_scales = reinterpret_cast<float*>(part + layout.value_scales) +
                       static_cast<std::size_t>(slot) * layout.value_groups;
  constexpr std::size_t kGroupBytes = kCacheGroup * kBits / 8;
  std::byte* values =
      part + layout.values + static_cast<std::size_t>(slot) * layout.value_groups * kGroupBytes;
  std::int8_t codes[kCacheGroup];
  for (int d = 0; d < key_dim; d += kCacheGroup) {
    key_scales[d / kCacheGroup * kPageTokens] =
        make_cache_codes<kBits>(key + d, std::min(kCacheGroup, key_dim - d), codes);
    std::byte* const column = part + d * kBits / 8 * kPageTokens + slot;
    for (int i = 0; i < kCacheGroup; i += 8 / kBits)
      column[i * kBits / 8 * kPageTokens] =
          kBits == 8 ? static_cast<std::byte>(codes[i]) : join_nibbles(codes[i], codes[i + 1]);
  }
  for (int d = 0; d < value_dim; d += kCacheGroup, values += kGroupBytes) {
    value_scales[d / kCacheGroup] =
        make_cache_codes<kBits>(value + d, std::min(kCacheGroup, value_dim - d), codes);
    if constexpr (kBits == 8)
      std::memcpy(values, codes, kGroupBytes);
    else
      for (int i = 0; i < 16; ++i) values[i] = join_nibbles(codes[i], codes[i + 16]);
  }
}

template <class Element>
void write_plain(const float* key, int key_dim, const float* value, int value_dim, int slot,
                 std::byte* part) {
  const auto keys = static_cast<std::size_t>(key_dim), values = static_cast<std::size_t>(value_dim);
  auto* key_out = reinterpret_cast<Element*>(part) + slot;
  auto* value_out = reinterpret_cast<Element*>(part) + keys * kPageTokens +
                    static_cast<std::size_t>(slot) * values;
  Element piece[kLanes];
  for (std::size_t i = 0; i < keys; i += kStep) {
    const int lanes = lanes_at(i, keys);
    narrow(load(key + i, lanes), piece);
    for (int j = 0; j < lanes; ++j)
      key_out[(i + static_cast<std::size_t>(j)) * kPageTokens] = piece[j];
  }
  for (std::size_t i = 0; i < values; i += kStep) {
    const int lanes = lanes_at(i, values);
    narrow(load(value + i, lanes), piece);
    std::memcpy(value_out + i, piece, static_cast<std::size_t>(lanes) * sizeof(Element));
  }
}

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
