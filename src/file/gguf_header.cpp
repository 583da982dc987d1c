#include "src/file/gguf_header.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "src/base/bytes.h"
#include "src/base/checked.h"
#include "src/base/error.h"
#include "src/file/gguf_layout.h"
#include "src/file/gguf_value_reader.h"
#include "src/file/quoted.h"

namespace tyto::file {
namespace {

constexpr std::uint32_t kMagic = 0x46554747;         // "GGUF"
constexpr std::uint64_t kMinEntryBytes = 8 + 4 + 1;  // key length, type, value
constexpr std::uint64_t kMinTensorBytes =
    8 + 4 + 8 + 4 + 8;                          // name length, n_dims, one dim, type, offset
constexpr std::uint64_t kMaxNameBytes = 65535;  // the specification's, of keys

class HeaderReader {
 public:
  HeaderReader(const FileSource& source, std::uint64_t size, std::string_view name)
      : reader_(source, size, name) {}

  Result<GgufHeader> read();

 private:
  Result<> check_preamble();
  Result<> check_count(std::uint64_t count, std::string_view what, std::uint64_t min_bytes,
                       std::uint64_t most) const;
  Result<std::string> read_name(std::string_view what);
  Result<GgufEntry> read_entry(std::uint64_t index);
  Result<> read_tensor(std::uint64_t index, GgufHeader& header);
  Result<std::uint64_t> alignment(const GgufMetadata& metadata) const;

  std::string_view file() const noexcept { return reader_.name(); }

  ByteReader reader_;
};

Result<> HeaderReader::check_preamble() {
  reader_.expect("its first 24 bytes");
  TYTO_TRY(const auto magic, reader_.value<std::uint32_t>());
  if (magic != kMagic) {
    const std::string_view bytes(reinterpret_cast<const char*>(&magic), sizeof(magic));
    return fail(ErrorCode::bad_file, "{}: not a GGUF file: starts with {}, expected 'GGUF'", file(),
                quoted(bytes));
  }
  TYTO_TRY(const auto version, reader_.value<std::uint32_t>());
  if (version == 2 || version == 3) return {};
  if (version != 0 && (version & 0xFFFF) == 0)
    return fail(ErrorCode::unsupported,
                "{}: a big-endian GGUF file, only little-endian ones are read", file());
  return fail(ErrorCode::unsupported, "{}: GGUF version {}, only 2 and 3 are read", file(),
              version);
}

Result<> HeaderReader::check_count(std::uint64_t count, std::string_view what,
                                   std::uint64_t min_bytes, std::uint64_t most) const {
  if (count > reader_.remaining() / min_bytes)
    return fail(ErrorCode::bad_file, "{}: {} {}, but the file has only {} bytes left", file(),
                count, what, reader_.remaining());
  if (count > most)
    return fail(ErrorCode::limit, "{}: {} {}, at most {} are read", file(), count, what, most);
  return {};
}

Result<std::string> HeaderReader::read_name(std::string_view what) {
  reader_.expect(std::string(what));
  TYTO_TRY(const auto length, reader_.value<std::uint64_t>());
  if (length == 0 || length > kMaxNameBytes)
    return fail(ErrorCode::bad_file, "{}: {} is {} bytes long, expected 1 to {}", file(), what,
                length, kMaxNameBytes);
  if (length > reader_.remaining()) TYTO_TRY(reader_.skip(length));  // says what is cut off
  std::string result(length, '\0');
  TYTO_TRY(reader_.read(std::as_writable_bytes(std::span(result))));
  return result;
}

Result<GgufEntry> HeaderReader::read_entry(std::uint64_t index) {
  TYTO_TRY(std::string key, read_name(fmt::format("the name of key {}", index)));
  const std::string where = "key " + quoted(key);
  reader_.expect(where);
  TYTO_TRY(GgufValue value, read_gguf_value(reader_, where));
  return GgufEntry{std::move(key), std::move(value)};
}

Result<> HeaderReader::read_tensor(std::uint64_t index, GgufHeader& header) {
  TensorInfo tensor;
  GgufPlace place;
  TYTO_TRY(tensor.name, read_name(fmt::format("the name of tensor {}", index)));
  const std::string where = "tensor " + quoted(tensor.name);
  reader_.expect(where);
  TYTO_TRY(const auto dims, reader_.value<std::uint32_t>());
  if (dims < 1 || dims > 4)
    return fail(ErrorCode::bad_file, "{}: {} has {} dimensions, expected 1 to 4", file(), where,
                dims);
  for (std::uint32_t i = 0; i < dims; ++i) {
    TYTO_TRY(const auto extent, reader_.value<std::uint64_t>());
    if (!std::in_range<std::int64_t>(extent))
      return fail(ErrorCode::bad_file, "{}: {} has a dimension of {}", file(), where, extent);
    tensor.shape.insert(tensor.shape.begin(),
                        static_cast<std::int64_t>(extent));  // GGUF: innermost first
  }
  TYTO_TRY(place.type, reader_.value<std::uint32_t>());
  TYTO_TRY(place.offset, reader_.value<std::uint64_t>());
  TYTO_TRY(size_tensor(file(), place.type, tensor));
  header.tensors.push_back(std::move(tensor));
  header.places.push_back(place);
  return {};
}

// A power of two, 8 to 65536: what general.alignment says, or 32.
Result<std::uint64_t> HeaderReader::alignment(const GgufMetadata& metadata) const {
  constexpr std::string_view kKey = "general.alignment";
  const GgufValue* value = metadata.find(kKey);
  if (!value) return std::uint64_t{32};
  if (value->type != GgufType::u32 && value->type != GgufType::u64)
    return fail(ErrorCode::bad_file, "{}: key '{}' is of type {}, expected u32", file(), kKey,
                name(value->type));
  if (value->integer < 8 || value->integer > 65536 || !std::has_single_bit(value->integer))
    return fail(ErrorCode::bad_file, "{}: key '{}' is {}, expected a power of two from 8 to 65536",
                file(), kKey, value->integer);
  return value->integer;
}

Result<GgufHeader> HeaderReader::read() {
  GgufHeader header;
  TYTO_TRY(check_preamble());
  TYTO_TRY(const auto tensors, reader_.value<std::uint64_t>());
  TYTO_TRY(const auto keys, reader_.value<std::uint64_t>());
  TYTO_TRY(check_count(keys, "keys", kMinEntryBytes, kMaxKeys));
  TYTO_TRY(check_count(tensors, "tensors", kMinTensorBytes, kMaxTensors));
  std::vector<GgufEntry> entries;
  for (std::uint64_t i = 0; i < keys; ++i) {
    TYTO_TRY(GgufEntry entry, read_entry(i));
    entries.push_back(std::move(entry));
  }
  TYTO_TRY(header.metadata, GgufMetadata::create(std::string(file()), std::move(entries)));
  for (std::uint64_t i = 0; i < tensors; ++i) TYTO_TRY(read_tensor(i, header));
  header.bytes = reader_.position();
  TYTO_TRY(const std::uint64_t align, alignment(*header.metadata));
  TYTO_TRY(place_tensors(file(), align, header.bytes, header.bytes + reader_.remaining(), header));
  return header;
}

}  // namespace

Result<GgufHeader> read_gguf_header(const FileSource& source, std::string_view name) {
  const Result<std::uint64_t> size = source.size();
  if (!size) return fail(size.error().code(), "{}: {}", name, size.error().message());
  return HeaderReader(source, *size, name).read();
}

}  // namespace tyto::file
