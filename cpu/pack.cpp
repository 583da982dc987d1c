#include "cpu/pack.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>

#include "src/base/error.h"
#include "src/base/parallel.h"

namespace tyto::cpu {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

// A tensor's blocks, wherever they come from.
class Reader {
 public:
  Reader(const Plan& plan, const file::TensorSource& source, bool check)
      : plan_(plan), source_(source), check_(check) {}

  // Rows [first, first + rows) of `width` values each.
  Result<> read(int index, std::size_t first, std::size_t rows, std::size_t width,
                std::span<std::byte> into) const {
    const Tensor& tensor = plan_.tensors[static_cast<std::size_t>(index)];
    const quant::Format& format = *tensor.format;
    const std::size_t row_blocks = width / static_cast<std::size_t>(format.block_values);
    const std::size_t row_bytes = row_blocks * static_cast<std::size_t>(format.block_bytes);
    if (!tensor.computed.empty()) {
      std::memcpy(into.data(), tensor.computed.data() + first * width, into.size());
      return {};
    }
    const file::TensorInfo* info = source_.find(tensor.name);
    if (info == nullptr || info->format == nullptr || info->format->gguf_type != format.gguf_type)
      return fail(ErrorCode::bad_file, "tensor {}: not in the file as {}", tensor.name,
                  format.name);
    TYTO_TRY(source_.read(*info, first * row_bytes, into));
    if (!check_ || format.finite(into.data(), rows * row_blocks)) return {};
    std::size_t bad = 0;
    while (bad + 1 < rows && format.finite(into.data() + bad * row_bytes, row_blocks)) ++bad;
    return fail(ErrorCode::bad_file, "tensor {}, row {}: a NaN or infinite {}", tensor.name,
                first + bad, format.block_values == 1 ? "weight" : "scale");
  }

 private:
  const Plan& plan_;
  const file::TensorSource& source_;
  const bool check_;
};

std::size_t row_bytes(const quant::Format& format, std::size_t width) {
  return width / static_cast<std::size_t>(format.block_values) *
         static_cast<std::size_t>(format.block_bytes);
}

// Where packed weights go: into a block in memory, or by a buffer of a piece to a sink.
class Target {
 public:
  explicit Target(std::byte* block) noexcept : block_(block) {}
  explicit Target(file::ByteSink& sink) noexcept : sink_(&sink) {}

  bool buffered() const noexcept { return sink_ != nullptr; }
  // Calls make(to) with the place of `bytes` bytes at `offset`.
  template <class Make>
  Result<> put(std::size_t offset, std::size_t bytes, std::byte* buffer, Make make) const {
    std::byte* const to = sink_ != nullptr ? buffer : block_ + offset;
    make(to);
    return sink_ != nullptr ? sink_->write(offset, {to, bytes}) : Result<>();
  }

 private:
  std::byte* const block_ = nullptr;
  file::ByteSink* const sink_ = nullptr;
};

Result<> load_vector(const Plan& plan, const Vector& v, const Reader& reader,
                     const Target& target) {
  const Tensor& tensor = plan.tensors[static_cast<std::size_t>(v.tensor)];
  const quant::Format& format = *tensor.format;
  const auto all = static_cast<std::size_t>(tensor.shape.back());
  const auto first = static_cast<std::size_t>(v.first), size = static_cast<std::size_t>(v.size);
  if (tensor.shape.size() != 1 || first + size > all ||
      all % static_cast<std::size_t>(format.block_values) != 0)
    return fail(ErrorCode::bad_file, "tensor {}: expected a vector of at least {} values",
                tensor.name, first + size);
  const auto bytes = std::make_unique<std::byte[]>(row_bytes(format, all));
  TYTO_TRY(reader.read(v.tensor, 0, 1, all, {bytes.get(), row_bytes(format, all)}));
  const auto values = std::make_unique<float[]>(all);
  format.dequantize(bytes.get(), all / static_cast<std::size_t>(format.block_values), values.get());
  auto* const wanted = reinterpret_cast<std::byte*>(values.get() + first);
  return target.put(v.offset, size * sizeof(float), wanted, [&](std::byte* to) {
    if (to != wanted) std::memcpy(to, wanted, size * sizeof(float));
  });
}

struct Piece {
  int matrix, expert, first_panel, panels;
};

// Panels of a matrix that are read at once: about a megabyte.
std::size_t file_panel_bytes(const Matrix& m) {
  return row_bytes(*m.kernel->format, m.k) * static_cast<std::size_t>(m.kernel->panel_rows);
}
int piece_panels(const Matrix& m) {
  return static_cast<int>(std::max<std::size_t>(1, kPieceBytes / file_panel_bytes(m)));
}
struct Largest {  // piece, as the file has it and packed
  std::size_t file = 0, packed = 0;
};
Largest largest_piece(const Lowered& lowered) {
  Largest largest;
  for (const Matrix& m : lowered.matrices) {
    const auto panels = static_cast<std::size_t>(std::min(piece_panels(m), m.panels));
    largest.file = std::max(largest.file, file_panel_bytes(m) * panels);
    largest.packed = std::max(largest.packed, m.panel_bytes * panels);
  }
  return largest;
}

// All pieces of all matrices, counted and not listed: experts may be many and small.
class Pieces {
 public:
  explicit Pieces(const Lowered& lowered) : matrices_(lowered.matrices) {
    for (const Matrix& m : matrices_) {
      first_.push_back(count_);
      count_ += static_cast<std::uint64_t>(m.experts) * static_cast<unsigned>(of_expert(m));
    }
  }
  std::uint64_t count() const noexcept { return count_; }
  Piece operator[](std::uint64_t index) const noexcept {
    const auto at = std::upper_bound(first_.begin(), first_.end(), index) - 1;
    const auto matrix = static_cast<std::size_t>(at - first_.begin());
    const Matrix& m = matrices_[matrix];
    const auto number = static_cast<int>(index - *at);
    const int panel = number % of_expert(m) * piece_panels(m);
    return {static_cast<int>(matrix), number / of_expert(m), panel,
            std::min(piece_panels(m), m.panels - panel)};
  }

 private:
  static int of_expert(const Matrix& m) {
    return (m.panels + piece_panels(m) - 1) / piece_panels(m);
  }

  const std::vector<Matrix>& matrices_;
  std::vector<std::uint64_t> first_;  // per matrix
  std::uint64_t count_ = 0;
};

struct Buffers {  // one worker's
  std::unique_ptr<std::byte[]> file, packed;
};

Result<> pack_piece(const Lowered& lowered, const Piece& piece, const Reader& reader,
                    const Buffers& buffers, const Target& target) {
  const Matrix& m = lowered.matrices[static_cast<std::size_t>(piece.matrix)];
  const int panel_rows = m.kernel->panel_rows;
  const int first = piece.first_panel * panel_rows;
  const int rows = std::min(piece.panels * panel_rows, m.rows - first);
  const std::size_t bytes = row_bytes(*m.kernel->format, m.k);
  std::byte* const file = buffers.file.get();
  TYTO_TRY(reader.read(
      m.tensor, static_cast<std::size_t>(m.first_row + piece.expert * m.rows + first),
      static_cast<std::size_t>(rows), m.k, {file, static_cast<std::size_t>(rows) * bytes}));
  const auto pack = [&](std::byte* to) {
    for (int row = 0; row < rows; row += panel_rows, to += m.panel_bytes)
      m.kernel->pack(file + static_cast<std::size_t>(row) * bytes, std::min(panel_rows, rows - row),
                     m.k, to);
  };
  return target.put(m.offset + static_cast<std::size_t>(piece.expert) * m.bytes() +
                        static_cast<std::size_t>(piece.first_panel) * m.panel_bytes,
                    static_cast<std::size_t>(piece.panels) * m.panel_bytes, buffers.packed.get(),
                    pack);
}

Result<> pack_to_target(const Plan& plan, const Lowered& lowered, const file::TensorSource& source,
                        const PackOptions& options, Team& team, const Target& target) {
  const Reader reader(plan, source, options.check_weights);
  for (const Vector& v : lowered.vectors) TYTO_TRY(load_vector(plan, v, reader, target));
  const Pieces pieces(lowered);
  const Largest largest = largest_piece(lowered);
  std::vector<Buffers> buffers(static_cast<std::size_t>(team.workers()));
  for (Buffers& b : buffers) {
    b.file = std::make_unique_for_overwrite<std::byte[]>(largest.file);
    if (target.buffered()) b.packed = std::make_unique_for_overwrite<std::byte[]>(largest.packed);
  }
  const auto pack_one = [&](std::uint64_t index, int worker) {
    return pack_piece(lowered, pieces[index], reader, buffers[static_cast<std::size_t>(worker)],
                      target);
  };
  return run_rounds(team, pieces.count(), pack_one, options.progress);
}

}  // namespace

std::uint64_t pack_buffer_bytes(const Lowered& lowered, int workers) {
  return largest_piece(lowered).file * static_cast<unsigned>(workers);
}

Result<> pack_weights(const Plan& plan, const Lowered& lowered, const file::TensorSource& source,
                      const PackOptions& options, Team& team, std::byte* block) {
  return pack_to_target(plan, lowered, source, options, team, Target(block));
}

Result<> pack_weights(const Plan& plan, const Lowered& lowered, const file::TensorSource& source,
                      const PackOptions& options, Team& team, file::ByteSink& sink) {
  return pack_to_target(plan, lowered, source, options, team, Target(sink));
}

}  // namespace tyto::cpu
