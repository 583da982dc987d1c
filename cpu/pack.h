// Loading: every weight is read once, in pieces, straight into its packed place.
#pragma once
#include "cpu/lowered.h"
#include "src/base/team.h"

namespace tyto::cpu {

// Of all tables' packed layouts. Every change of what a kernel's `pack` writes raises it, so that
// packed files of before are refused.
inline constexpr std::uint32_t kLayoutVersion = 1;

// Fills `block`, of lowered.weight_bytes zeroed bytes. The team's threads read and pack pieces of
// about a megabyte; the source is read from all of them.
Result<> pack_weights(const Plan& plan, const Lowered& lowered, const file::TensorSource& source,
                      const PackOptions& options, Team& team, std::byte* block);
// Writes the same bytes to `sink`.
Result<> pack_weights(const Plan& plan, const Lowered& lowered, const file::TensorSource& source,
                      const PackOptions& options, Team& team, file::ByteSink& sink);

// What the first holds for a while, besides the block.
std::uint64_t pack_buffer_bytes(const Lowered& lowered, int workers);

}  // namespace tyto::cpu
