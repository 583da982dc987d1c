// Weight codes as the vector ISAs pack them. A vector's lane is one of kLanes rows of a panel, and
// its four bytes are four k. Of 32 k of a panel, vector v of 8 holds the codes of k = 4v + i in
// byte i; in memory:
//   4 bits  4 vectors: vector j holds v = j in the low nibbles and v = 4 + j in the high ones
//   5 bits  the same, and a vector whose bit t of byte i is the fifth bit of k = 4t + i
//   6 bits  the same, and two vectors h: bits 2t and 2t + 1 of byte i top k = 16h + 4t + i
//   8 bits  8 vectors; two's complement where the ISA multiplies signed bytes (kSignedBytes), else
//           128 is zero
// Below, a word is one lane: 4 bytes.
#pragma once
TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

constexpr std::size_t kVector = kLanes * 4;  // bytes

template <int kBits>
struct Codes {
  static constexpr std::size_t kBytes = kBits * kVector;  // of 32 k
  static constexpr std::uint32_t kSign = kSignedBytes ? 0x80808080u : 0;

  static std::uint32_t load_word(const void* from, std::size_t word) {
    std::uint32_t value;
    std::memcpy(&value, static_cast<const std::byte*>(from) + word * 4, 4);
    return value;
  }
  static void store_word(std::uint32_t value, std::byte* to, int vector, int lane) {
    std::memcpy(
        to + static_cast<std::size_t>(vector) * kVector + static_cast<std::size_t>(lane) * 4,
        &value, 4);
  }

  // The 32 codes of one row to its lane.
  static void pack(const std::uint8_t* codes, int lane, std::byte* to) {
    std::uint32_t words[8], high[2] = {0, 0};
    std::memcpy(words, codes, 32);
    if constexpr (kBits == 8) {
      for (int v = 0; v < 8; ++v) store_word(words[v] ^ kSign, to, v, lane);
      return;
    }
    for (int j = 0; j < 4; ++j)
      store_word((words[j] & 0x0f0f0f0fu) | (words[4 + j] & 0x0f0f0f0fu) << 4, to, j, lane);
    for (int v = 0; v < 8; ++v) {
      if constexpr (kBits == 5) high[0] |= (words[v] >> 4 & 0x01010101u) << v;
      if constexpr (kBits == 6) high[v / 4] |= (words[v] >> 4 & 0x03030303u) << v % 4 * 2;
    }
    for (int h = 0; h < kBits - 4; ++h) store_word(high[h], to, 4 + h, lane);
  }

  // The reverse.
  static void unpack(const std::byte* from, int lane, std::uint8_t* codes) {
    std::uint32_t words[8];
    for (int v = 0; v < 8; ++v) {
      const std::size_t at = static_cast<std::size_t>(lane);
      if constexpr (kBits == 8) {
        words[v] = load_word(from, static_cast<std::size_t>(v * kLanes) + at) ^ kSign;
        continue;
      }
      words[v] =
          load_word(from, static_cast<std::size_t>(v % 4 * kLanes) + at) >> v / 4 * 4 & 0x0f0f0f0fu;
      if constexpr (kBits == 5)
        words[v] |= (load_word(from, 4 * kLanes + at) >> v & 0x01010101u) << 4;
      if constexpr (kBits == 6)
        words[v] |=
            (load_word(from, static_cast<std::size_t>((4 + v / 4) * kLanes) + at) >> v % 4 * 2 &
             0x03030303u)
            << 4;
    }
    std::memcpy(codes, words, 32);
  }

  // Vector v of 8, a code to a byte.
  template <int v>
  TYTO_INLINE static Bytes get(const std::byte* from) {
    if constexpr (kBits == 8) {
      return load_bytes(from + v * kVector);
    } else {
      Bytes low = load_bytes(from + v % 4 * kVector);
      if constexpr (v >= 4) low = shift_right<4>(low);
      low = low & 0x0f;
      if constexpr (kBits == 5) return low | move_to_bit_4<v>(load_bytes(from + 4 * kVector), 0x10);
      if constexpr (kBits == 6)
        return low | move_to_bit_4<v % 4 * 2>(load_bytes(from + (4 + v / 4) * kVector), 0x30);
      return low;
    }
  }

 private:
  template <int kFrom>
  TYTO_INLINE static Bytes move_to_bit_4(Bytes bits, std::uint8_t mask) {
    if constexpr (kFrom < 4)
      return shift_left<4 - kFrom>(bits) & mask;
    else
      return shift_right<kFrom - 4>(bits) & mask;
  }
};

// Adds the products of 4 * kCount k of one panel with those of kRows activation rows.
template <int kCount, int v = 0, int kFirst = 0, int kBits, int kRows>
TYTO_INLINE void add_products(Dot<kBits> (&dots)[kRows], const std::byte* codes,
                              const std::byte* activations, std::size_t stride) {
  if constexpr (v < kCount) {
    const Bytes weights = Codes<kBits>::template get<kFirst + v>(codes);
    TYTO_UNROLL
    for (int r = 0; r < kRows; ++r)
      dots[r].template add<v>(
          weights, broadcast_bytes(activations + static_cast<std::size_t>(r) * stride + 4 * v));
    add_products<kCount, v + 1, kFirst>(dots, codes, activations, stride);
  }
}

// The same from expanded codes [kCount][kPanels][lane].
template <int kCount, int v = 0, int kBits, int kRows, int kPanels>
TYTO_INLINE void add_expanded(Dot<kBits> (&dots)[kRows][kPanels], const std::byte* codes,
                              const std::byte* activations, std::size_t stride) {
  if constexpr (v < kCount) {
    Bytes weights[kPanels];
    TYTO_UNROLL
    for (int p = 0; p < kPanels; ++p)
      weights[p] = load_bytes(codes + static_cast<std::size_t>(v * kPanels + p) * kVector);
    TYTO_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const Bytes activation =
          broadcast_bytes(activations + static_cast<std::size_t>(r) * stride + 4 * v);
      TYTO_UNROLL
      for (int p = 0; p < kPanels; ++p) dots[r][p].template add<v>(weights[p], activation);
    }
    add_expanded<kCount, v + 1>(dots, codes, activations, stride);
  }
}

// Writes the codes of 32 k, a byte each, `step` bytes from vector to vector.
template <int kBits, int v = 0>
TYTO_INLINE void expand_codes(const std::byte* codes, std::byte* to, std::size_t step) {
  if constexpr (v < 8) {
    store(Codes<kBits>::template get<v>(codes), to + v * step);
    expand_codes<kBits, v + 1>(codes, to, step);
  }
}

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
