#include "src/packed_cache.h"

#include <utility>

#include "src/base/error.h"
#include "src/base/hash.h"

namespace tyto {

using file::PackedFile;

Result<std::string> PackedCache::path() const {
  TYTO_TRY(const file::SourceState state, source_state(model_));
  Hash128 key;
  for (const std::string& text : {model_.fingerprint(), form_.table}) {
    key.update(std::uint64_t{text.size()});
    key.update(std::as_bytes(std::span(text)));
  }
  key.update(state.bytes);
  key.update(static_cast<std::uint64_t>(state.modified));
  return fmt::format("{}/{}.tyto", directory_, key.hex());
}

Result<std::shared_ptr<const PackedFile>> PackedCache::open() const {
  TYTO_TRY(const std::string at, path());
  TYTO_TRY(auto source, file::os_files().open(at));
  TYTO_TRY(auto packed, PackedFile::open(std::move(source), at));
  TYTO_TRY(packed->check_form(form_));
  TYTO_TRY(packed->check_source(model_));
  return packed;
}

std::shared_ptr<const PackedFile> PackedCache::look() const {
  auto found = open();
  if (found) return *std::move(found);
  log(LogLevel::info, found.error());
  return nullptr;
}

Result<std::shared_ptr<const PackedFile>> PackedCache::find(bool verify,
                                                            const Progress& progress) const {
  auto found = look();
  if (!found) return found;
  Team& team = *runtime_.team;
  const auto checked = [&]() -> Result<> {
    if (verify || found->header().source_modified == 0)
      TYTO_TRY(found->verify_source(model_, team, progress));
    if (verify) TYTO_TRY(found->verify_weights(team, progress));
    return {};
  }();
  if (checked) return found;
  if (checked.error().code() == ErrorCode::cancelled) return checked.error();
  log(LogLevel::info, checked.error());
  return std::shared_ptr<const PackedFile>();
}

void PackedCache::keep(std::span<const std::byte> weights) const {
  const auto kept = [&]() -> Result<> {
    TYTO_TRY(const std::string at, path());
    const auto fill = [&](file::ByteSink& sink) { return sink.write(0, weights); };
    return write_packed(model_, form_, at, *runtime_.team, fill, {});
  }();
  if (!kept) log(LogLevel::warning, kept.error());
}

void PackedCache::log(LogLevel level, const Error& error) const {
  runtime_.log(level, fmt::format("packed cache: {}", error.message()));
}

}  // namespace tyto
