#include "cpu/streams.h"

#include "cpu/features.h"

namespace tyto::cpu {

bool one_stream() noexcept {
  static const bool amd = detect_features().amd;
  return amd;
}

}  // namespace tyto::cpu
