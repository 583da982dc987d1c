// The key-value pairs of a GGUF file. Arrays stay as the file has them, so memory never exceeds the
// header's size by much; the few that are asked for as another type are converted then.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/hash.h"
#include "src/file/gguf_types.h"
#include "src/file/metadata.h"
#include "tyto/result.h"

namespace tyto::file {

struct GgufValue {
  GgufType type = GgufType::u32;
  std::uint64_t integer = 0;        // integers and bool; negative ones in two's complement
  double number = 0;                // f32, f64
  GgufType element = GgufType::u8;  // of an array
  std::uint64_t count = 0;          // of an array
  // A string, or an array's elements: numbers and nested arrays as in the file, strings back to
  // back.
  std::vector<std::byte> bytes;
  std::vector<std::uint64_t> ends;  // of an array's strings in `bytes`
};

struct GgufEntry {
  std::string key;
  GgufValue value;
};

class GgufMetadata : public Metadata {
 public:
  // A key that appears twice is bad_file.
  static Result<std::unique_ptr<GgufMetadata>> create(std::string file,
                                                      std::vector<GgufEntry> entries);

  bool has(std::string_view key) const noexcept override { return find(key) != nullptr; }
  Result<std::uint64_t> integer(std::string_view key) const override;
  Result<double> number(std::string_view key) const override;
  Result<bool> flag(std::string_view key) const override;
  Result<std::string_view> text(std::string_view key) const override;
  Result<TextArray> texts(std::string_view key) const override;
  Result<std::span<const float>> numbers(std::string_view key) const override;
  Result<std::span<const std::int32_t>> integers(std::string_view key) const override;
  std::size_t size() const noexcept override { return entries_.size(); }
  std::string_view key(std::size_t i) const noexcept override { return entries_[i].key; }
  std::string describe(std::size_t i) const override;

  const GgufValue* find(std::string_view key) const noexcept;  // null: absent
  void hash_into(Hash128& hash) const;

 private:
  GgufMetadata() = default;
  Result<const GgufValue*> get(std::string_view key) const;
  Result<const GgufValue*> get_array(std::string_view key, std::string_view expected) const;
  Error mismatch(std::string_view key, const GgufValue& value, std::string_view expected) const;
  template <class To>
  Result<std::span<const To>> converted(std::string_view key, const GgufValue& value,
                                        std::map<const GgufValue*, std::vector<To>>& cache) const;

  std::string file_;
  std::vector<GgufEntry> entries_;     // in file order
  std::vector<std::uint32_t> by_key_;  // indices into entries_, sorted by key
  mutable std::mutex mutex_;           // guards what follows; what is in a map stays where it is
  mutable std::map<const GgufValue*, std::vector<std::int32_t>> as_integers_;
  mutable std::map<const GgufValue*, std::vector<float>> as_numbers_;
};

}  // namespace tyto::file
