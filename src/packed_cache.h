// Packed files that Model::load keeps in a directory of the host's: one for each source
// (fingerprint, size and time of change; not its path) and table. A file's name is only where to
// look; what it says of itself decides whether it is used.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "src/base/parallel.h"
#include "src/file/packed.h"
#include "src/file/tensor_source.h"
#include "src/runtime.h"

namespace tyto {

class TYTO_LOCAL PackedCache {
 public:
  // What it is made of must outlive it.
  PackedCache(std::string_view directory, const file::ModelFile& model,
              const file::PackedForm& form, const Runtime::Impl& runtime) noexcept
      : directory_(directory), model_(model), form_(form), runtime_(runtime) {}

  // What is there and fits by its header. Null: nothing; why goes to the log.
  std::shared_ptr<const file::PackedFile> look() const;
  // The same for use. Compares the content of the source where nobody knows when it last changed,
  // or, with `verify`, of source and packed file. A `progress` that answers false cancels.
  Result<std::shared_ptr<const file::PackedFile>> find(bool verify, const Progress& progress) const;
  // Writes one. Failing is a line in the log, no more.
  void keep(std::span<const std::byte> weights) const;

 private:
  Result<std::string> path() const;
  Result<std::shared_ptr<const file::PackedFile>> open() const;
  void log(LogLevel level, const Error& error) const;

  const std::string_view directory_;
  const file::ModelFile& model_;
  const file::PackedForm& form_;
  const Runtime::Impl& runtime_;
};

}  // namespace tyto
