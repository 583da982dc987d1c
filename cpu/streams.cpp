#include "cpu/streams.h"

#include "cpu/features.h"

namespace tyto::cpu {

const bool one_stream = detect_features().amd;

}  // namespace tyto::cpu
