#include "src/file/gguf_value_reader.h"

#include <algorithm>
#include <array>
#include <utility>

#include "src/base/checked.h"
#include "src/base/error.h"

namespace tyto::file {
namespace {

class ValueReader {
 public:
  ValueReader(ByteReader& reader, std::string_view where) noexcept
      : reader_(reader), where_(where) {}

  Result<GgufValue> read();

 private:
  struct ArrayHead {
    GgufType element;
    std::uint64_t count;
  };

  Result<GgufType> read_type();
  Result<ArrayHead> read_array_head();
  Result<std::uint64_t> read_length();
  Result<> read_number(GgufValue& value);
  Result<> read_bytes(std::uint64_t size, GgufValue& value);
  Result<> read_array(GgufValue& value);
  Result<> read_strings(GgufValue& array);
  Result<> skip_strings(std::uint64_t count);
  Result<> read_nested(GgufValue& array);
  Result<> check_bools(std::span<const std::byte> bytes) const;

  std::string_view file() const noexcept { return reader_.name(); }

  ByteReader& reader_;
  std::string_view where_;
};

Result<GgufType> ValueReader::read_type() {
  TYTO_TRY(const auto type, reader_.value<std::uint32_t>());
  if (type >= kGgufTypes)
    return fail(ErrorCode::bad_file, "{}: {} is of unknown value type {}", file(), where_, type);
  return static_cast<GgufType>(type);
}

// A count that the rest of the file cannot hold goes no further than here.
Result<ValueReader::ArrayHead> ValueReader::read_array_head() {
  constexpr std::uint64_t kLengthBytes = 8, kHeadBytes = 4 + 8;
  TYTO_TRY(const GgufType element, read_type());
  TYTO_TRY(const auto count, reader_.value<std::uint64_t>());
  const std::uint64_t least = element == GgufType::string  ? kLengthBytes
                              : element == GgufType::array ? kHeadBytes
                                                           : fixed_size(element);
  if (count > reader_.remaining() / least)
    return fail(ErrorCode::bad_file,
                "{}: {} is an array of {} elements, but the file has only {} bytes left", file(),
                where_, count, reader_.remaining());
  if (count > kMaxArrayElements)
    return fail(ErrorCode::limit, "{}: {} is an array of {} elements, at most {} are read", file(),
                where_, count, kMaxArrayElements);
  return ArrayHead{element, count};
}

Result<std::uint64_t> ValueReader::read_length() {
  TYTO_TRY(const auto length, reader_.value<std::uint64_t>());
  if (length > reader_.remaining())
    return fail(ErrorCode::bad_file,
                "{}: {} has a string of {} bytes, but the file has only {} bytes left", file(),
                where_, length, reader_.remaining());
  return length;
}

Result<> ValueReader::read_number(GgufValue& value) {
  const auto integer = [&]<class T>(T) -> Result<> {
    TYTO_TRY(const T read, reader_.value<T>());
    value.integer = static_cast<std::uint64_t>(read);  // sign-extends
    return {};
  };
  const auto number = [&]<class T>(T) -> Result<> {
    TYTO_TRY(const T read, reader_.value<T>());
    value.number = read;
    return {};
  };
  switch (value.type) {
    case GgufType::u8:
      return integer(std::uint8_t{});
    case GgufType::i8:
      return integer(std::int8_t{});
    case GgufType::u16:
      return integer(std::uint16_t{});
    case GgufType::i16:
      return integer(std::int16_t{});
    case GgufType::u32:
      return integer(std::uint32_t{});
    case GgufType::i32:
      return integer(std::int32_t{});
    case GgufType::u64:
      return integer(std::uint64_t{});
    case GgufType::i64:
      return integer(std::int64_t{});
    case GgufType::f32:
      return number(float{});
    case GgufType::f64:
      return number(double{});
    default:
      break;
  }
  TYTO_TRY(integer(std::uint8_t{}));
  const auto byte = static_cast<std::byte>(value.integer);
  return check_bools({&byte, 1});
}

Result<> ValueReader::check_bools(std::span<const std::byte> bytes) const {
  const auto bad =
      std::find_if(bytes.begin(), bytes.end(), [](std::byte b) { return b > std::byte{1}; });
  if (bad == bytes.end()) return {};
  return fail(ErrorCode::bad_file, "{}: {} has a bool of value {}, expected 0 or 1", file(), where_,
              std::to_integer<int>(*bad));
}

Result<> ValueReader::read_bytes(std::uint64_t size, GgufValue& value) {
  value.bytes.resize(size);
  return reader_.read(value.bytes);
}

Result<> ValueReader::skip_strings(std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    TYTO_TRY(const std::uint64_t length, read_length());
    TYTO_TRY(reader_.skip(length));
  }
  return {};
}

// Walks the strings twice, so that memory is taken only for strings that are there, and exactly
// once.
Result<> ValueReader::read_strings(GgufValue& array) {
  const std::uint64_t begin = reader_.position();
  TYTO_TRY(skip_strings(array.count));
  const std::uint64_t lengths = array.count * sizeof(std::uint64_t);
  array.bytes.resize(reader_.position() - begin - lengths);
  array.ends.reserve(array.count);
  reader_.rewind(begin);
  std::span<std::byte> rest = array.bytes;
  for (std::uint64_t i = 0; i < array.count; ++i) {
    TYTO_TRY(const std::uint64_t length, read_length());
    if (length > rest.size())
      return fail(ErrorCode::io, "{}: {} changed while it was read", file(), where_);
    TYTO_TRY(reader_.read(rest.first(length)));
    rest = rest.subspan(length);
    array.ends.push_back(array.bytes.size() - rest.size());
  }
  return {};
}

// Arrays of arrays: checked by a walk with a stack of its own, then kept as the bytes they are.
Result<> ValueReader::read_nested(GgufValue& array) {
  const std::uint64_t begin = reader_.position();
  std::array<std::uint64_t, kMaxArrayDepth - 1> left{
      array.count};  // arrays still to come, per level
  int level = 0;
  while (level >= 0) {
    if (left[level] == 0) {
      --level;
      continue;
    }
    --left[level];
    TYTO_TRY(const ArrayHead head, read_array_head());
    if (head.element == GgufType::string) {
      TYTO_TRY(skip_strings(head.count));
    } else if (head.element != GgufType::array) {
      TYTO_TRY(reader_.skip(head.count * fixed_size(head.element)));
    } else if (level + 1 < static_cast<int>(left.size())) {
      left[++level] = head.count;
    } else {
      return fail(ErrorCode::limit, "{}: {} nests arrays more than {} deep", file(), where_,
                  kMaxArrayDepth);
    }
  }
  const std::uint64_t end = reader_.position();
  reader_.rewind(begin);
  return read_bytes(end - begin, array);
}

Result<> ValueReader::read_array(GgufValue& value) {
  TYTO_TRY(const ArrayHead head, read_array_head());
  value.element = head.element;
  value.count = head.count;
  if (head.element == GgufType::string) return read_strings(value);
  if (head.element == GgufType::array) return read_nested(value);
  TYTO_TRY(read_bytes(head.count * fixed_size(head.element), value));
  return head.element == GgufType::boolean ? check_bools(value.bytes) : Result<>();
}

Result<GgufValue> ValueReader::read() {
  GgufValue value;
  TYTO_TRY(value.type, read_type());
  if (value.type == GgufType::array) {
    TYTO_TRY(read_array(value));
  } else if (value.type == GgufType::string) {
    TYTO_TRY(const std::uint64_t length, read_length());
    TYTO_TRY(read_bytes(length, value));
  } else {
    TYTO_TRY(read_number(value));
  }
  return value;
}

}  // namespace

Result<GgufValue> read_gguf_value(ByteReader& reader, std::string_view where) {
  return ValueReader(reader, where).read();
}

}  // namespace tyto::file
