#include <algorithm>

#include "cuda/matrix.h"

namespace tyto::cuda {

const MatrixFormat* find_matrix_format(const quant::Format* format) noexcept {
  const auto formats = matrix_formats();
  const auto found = std::find_if(formats.begin(), formats.end(), [format](const auto* known) {
    return format && known->format->gguf_type == format->gguf_type;
  });
  return found == formats.end() ? nullptr : *found;
}

}  // namespace tyto::cuda
