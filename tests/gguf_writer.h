// Writes GGUF files in memory, for tests: valid ones by default, and ones that lie where a field is
// overridden.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tyto/host.h"

namespace tyto::test {

using Bytes = std::vector<std::byte>;

inline void append(Bytes& bytes, const void* from, std::size_t size) {
  const std::size_t end = bytes.size();
  bytes.resize(end + size);
  if (size != 0) std::memcpy(bytes.data() + end, from, size);
}

template <class T>
void put(Bytes& bytes, T value) {
  static_assert(std::is_arithmetic_v<T>);
  append(bytes, &value, sizeof(T));
}

inline void put_text(Bytes& bytes, std::string_view text) {
  put(bytes, std::uint64_t{text.size()});
  append(bytes, text.data(), text.size());
}

// GGUF's numbers of value types.
inline constexpr std::uint32_t kBool = 7, kString = 8, kArray = 9;
template <class T>
constexpr std::uint32_t value_type() {
  if constexpr (std::is_same_v<T, std::uint8_t>) return 0;
  if constexpr (std::is_same_v<T, std::int8_t>) return 1;
  if constexpr (std::is_same_v<T, std::uint16_t>) return 2;
  if constexpr (std::is_same_v<T, std::int16_t>) return 3;
  if constexpr (std::is_same_v<T, std::uint32_t>) return 4;
  if constexpr (std::is_same_v<T, std::int32_t>) return 5;
  if constexpr (std::is_same_v<T, float>) return 6;
  if constexpr (std::is_same_v<T, bool>) return kBool;
  if constexpr (std::is_same_v<T, std::uint64_t>) return 10;
  if constexpr (std::is_same_v<T, std::int64_t>) return 11;
  if constexpr (std::is_same_v<T, double>) return 12;
}

struct GgufKey {
  std::string key;
  std::uint32_t type = 0;
  Bytes value;
};

// GGUF's numbers of tensor types.
inline constexpr std::uint32_t kF32 = 0, kF16 = 1, kQ4_0 = 2, kQ8_0 = 8, kQ6_K = 14;

struct GgufTensor {
  std::string name;
  std::vector<std::uint64_t> shape;  // outermost first: [rows, width]
  std::uint32_t type = kF32;
  Bytes data;
  std::optional<std::uint32_t> dims = {};  // what the directory says, where it is not shape.size()
  std::optional<std::uint64_t> offset =
      {};  // what the directory says, where it is not the true one
};

class GgufWriter {
 public:
  // The header, to be changed at will.
  std::uint32_t magic = 0x46554747, version = 3, alignment = 32;
  std::optional<std::uint64_t> key_count = {}, tensor_count = {};
  std::vector<GgufKey> keys;
  std::vector<GgufTensor> tensors;

  // Sets a key, in its old place if it is there already: a number or bool, text, or a vector of one
  // of them.
  template <class T>
  requires std::is_arithmetic_v<T>
  void set(std::string_view key, T value) {
    Bytes bytes;
    put(bytes, value);
    set_raw(key, value_type<T>(), std::move(bytes));
  }
  void set(std::string_view key, std::string_view text) {
    Bytes bytes;
    put_text(bytes, text);
    set_raw(key, kString, std::move(bytes));
  }
  void set(std::string_view key, const char* text) { set(key, std::string_view(text)); }
  void set(std::string_view key, const std::vector<std::string>& texts) {
    Bytes bytes;
    put(bytes, kString);
    put(bytes, std::uint64_t{texts.size()});
    for (const std::string& text : texts) put_text(bytes, text);
    set_raw(key, kArray, std::move(bytes));
  }
  template <class T>
  requires std::is_arithmetic_v<T>
  void set(std::string_view key, const std::vector<T>& values) {
    Bytes bytes;
    put(bytes, value_type<T>());
    put(bytes, std::uint64_t{values.size()});
    for (const T value : values) put(bytes, value);
    set_raw(key, kArray, std::move(bytes));
  }
  void set_raw(std::string_view key, std::uint32_t type, Bytes value) {
    for (GgufKey& old : keys)
      if (old.key == key) {
        old.type = type;
        old.value = std::move(value);
        return;
      }
    keys.push_back({std::string(key), type, std::move(value)});
  }
  void remove_key(std::string_view key) {
    std::erase_if(keys, [&](const GgufKey& k) { return k.key == key; });
  }

  void add_tensor(std::string_view name, std::vector<std::uint64_t> shape, std::uint32_t type,
                  Bytes data) {
    tensors.push_back({std::string(name), std::move(shape), type, std::move(data)});
  }
  GgufTensor& tensor(std::string_view name) {  // must be there
    return *std::find_if(tensors.begin(), tensors.end(),
                         [&](const GgufTensor& t) { return t.name == name; });
  }

  // Everything up to the end of the tensor directory.
  Bytes header() const {
    Bytes bytes;
    put(bytes, magic);
    put(bytes, version);
    put(bytes, tensor_count.value_or(tensors.size()));
    put(bytes, key_count.value_or(keys.size()));
    for (const GgufKey& key : keys) {
      put_text(bytes, key.key);
      put(bytes, key.type);
      append(bytes, key.value.data(), key.value.size());
    }
    std::uint64_t offset = 0;
    for (const GgufTensor& t : tensors) {
      put_text(bytes, t.name);
      put(bytes, t.dims.value_or(static_cast<std::uint32_t>(t.shape.size())));
      for (std::size_t i = t.shape.size(); i-- > 0;) put(bytes, t.shape[i]);
      put(bytes, t.type);
      put(bytes, t.offset.value_or(offset));
      offset = padded(offset + t.data.size());
    }
    return bytes;
  }
  // The whole file.
  Bytes file() const {
    Bytes bytes = header();
    for (const GgufTensor& t : tensors) {
      bytes.resize(padded(bytes.size()));
      append(bytes, t.data.data(), t.data.size());
    }
    return bytes;
  }

 private:
  std::uint64_t padded(std::uint64_t size) const {
    return (size + alignment - 1) / alignment * alignment;
  }
};

// A FileSource that owns its bytes.
class OwnedBytes : public FileSource {
 public:
  explicit OwnedBytes(Bytes bytes) : bytes_(std::move(bytes)) {}
  Result<std::uint64_t> size() const override { return bytes_.size(); }
  Result<> read(std::uint64_t offset, std::span<std::byte> into) const override {
    if (offset > bytes_.size() || into.size() > bytes_.size() - offset)
      return Error(ErrorCode::io, "past the end");
    std::memcpy(into.data(), bytes_.data() + offset, into.size());
    return {};
  }

 private:
  Bytes bytes_;
};

inline std::shared_ptr<const FileSource> as_source(Bytes bytes) {
  return std::make_shared<OwnedBytes>(std::move(bytes));
}

}  // namespace tyto::test
