// Where weights come from: a directory of named tensors and their bytes. One implementation per
// file format.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/file/metadata.h"
#include "src/quant/format.h"
#include "tyto/host.h"
#include "tyto/result.h"

namespace tyto::file {

struct TensorInfo {
  std::string name;
  // Outermost first: [rows, width]; each row is stored contiguously.
  std::vector<std::int64_t> shape;
  const quant::Format* format = nullptr;  // null: a type this build does not know, type_name tells
  std::string type_name;
  // Checked: what type and shape need, and inside the file; 0: unknown type.
  std::uint64_t bytes = 0;
};

// Immutable after opening; every method may be called from several threads at once.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  virtual std::span<const TensorInfo> tensors() const noexcept = 0;          // in file order
  virtual const TensorInfo* find(std::string_view name) const noexcept = 0;  // null: absent
  // Bytes [offset, offset + into.size()) of a tensor's data. `tensor` is one of tensors().
  virtual Result<> read(const TensorInfo& tensor, std::uint64_t offset,
                        std::span<std::byte> into) const = 0;
};

class PackedFile;  // src/file/packed.h

// A model file: what it says of itself, and its tensors.
class ModelFile : public TensorSource {
 public:
  // One of the files it consists of; its first bytes are metadata and tensor directory.
  struct Part {
    std::shared_ptr<const FileSource> source;
    std::uint64_t header_bytes = 0;
  };
  virtual const Metadata& metadata() const noexcept = 0;
  virtual std::string_view name() const noexcept = 0;  // for messages: the path, or "memory"
  // Of all shards: metadata and tensor directory.
  virtual std::uint64_t header_bytes() const noexcept = 0;
  virtual std::string fingerprint() const = 0;  // 32 hex digits over metadata and tensor directory
  virtual std::span<const Part> parts() const noexcept = 0;
  // Not null: the file has no tensor data, but the weights as some backend packed them.
  virtual std::shared_ptr<const PackedFile> packed() const noexcept { return nullptr; }
};

// Opens a GGUF file, or a packed one (src/file/packed.h).
Result<std::unique_ptr<ModelFile>> open_model(std::shared_ptr<const FileSource> source,
                                              std::string_view name, const FileSystem* files);

// Opens a GGUF file (github.com/ggml-org/ggml, docs/gguf.md), version 2 or 3, single or split,
// checks everything in its headers, and reads no tensor data. `files` opens the other shards; null:
// a split source is `unsupported`.
Result<std::unique_ptr<ModelFile>> open_gguf(std::shared_ptr<const FileSource> source,
                                             std::string_view name, const FileSystem* files);
// The same with all files of a split one at hand, in order.
Result<std::unique_ptr<ModelFile>> open_gguf(
    std::span<const std::shared_ptr<const FileSource>> shards, std::string_view name);

// The operating system's files.
const FileSystem& os_files() noexcept;

}  // namespace tyto::file
