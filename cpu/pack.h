// Loading: every weight is read once, in pieces, straight into its packed place.
#pragma once
#include "cpu/lowered.h"
#include "src/base/team.h"

namespace tyto::cpu {

// Fills `block`, of lowered.weight_bytes zeroed bytes. The team's threads read and pack pieces of
// about a megabyte; the source is read from all of them.
Result<> pack_weights(const Plan& plan, const Lowered& lowered, const file::TensorSource& source,
                      const PackOptions& options, Team& team, std::byte* block);

// What that holds for a while, besides the block.
std::uint64_t pack_buffer_bytes(const Lowered& lowered, int workers);

}  // namespace tyto::cpu
