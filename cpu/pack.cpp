#include "cpu/pack.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <span>

#include "src/base/error.h"

namespace tyto::cpu {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
constexpr int kPiecesPerRound = 8;  // per worker, between two calls of the progress callback

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

Result<> load_vector(const Plan& plan, const Vector& v, const Reader& reader, std::byte* block) {
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
  std::memcpy(block + v.offset, values.get() + first, size * sizeof(float));
  return {};
}

struct Piece {
  int matrix, first_panel, panels;
};

// One run of the team over some pieces. The error reported is that of the first piece that failed,
// whichever thread met one first.
class Round {
 public:
  Round(const Lowered& lowered, const Reader& reader, std::span<const Piece> pieces,
        std::span<const std::unique_ptr<std::byte[]>> buffers, std::byte* block)
      : lowered_(lowered), reader_(reader), pieces_(pieces), buffers_(buffers), block_(block) {}

  Result<> run(Team& team) {
    const Stage stage{task, this, static_cast<int>(pieces_.size())};
    team.run({&stage, 1});
    return error_.code() == ErrorCode::ok ? Result<>() : error_;
  }

 private:
  static void task(void* context, int index, int worker) noexcept {
    Round& round = *static_cast<Round*>(context);
    const auto result = guarded([&] { return round.pack(index, worker); });
    if (result) return;
    const std::lock_guard lock(round.mutex_);
    if (index >= round.failed_) return;
    round.failed_ = index;
    round.error_ = result.error();
  }

  Result<> pack(int index, int worker) const {
    const Piece& piece = pieces_[static_cast<std::size_t>(index)];
    const Matrix& m = lowered_.matrices[static_cast<std::size_t>(piece.matrix)];
    const int panel_rows = m.kernel->panel_rows;
    const int first = piece.first_panel * panel_rows;
    const int rows = std::min(piece.panels * panel_rows, m.rows - first);
    const std::size_t bytes = row_bytes(*m.kernel->format, m.k);
    std::byte* const buffer = buffers_[static_cast<std::size_t>(worker)].get();
    TYTO_TRY(reader_.read(m.tensor, static_cast<std::size_t>(m.first_row + first),
                          static_cast<std::size_t>(rows), m.k,
                          {buffer, static_cast<std::size_t>(rows) * bytes}));
    for (int p = 0; p < piece.panels; ++p) {
      const int row = p * panel_rows;
      m.kernel->pack(
          buffer + static_cast<std::size_t>(row) * bytes, std::min(panel_rows, rows - row), m.k,
          block_ + m.offset + static_cast<std::size_t>(piece.first_panel + p) * m.panel_bytes);
    }
    return {};
  }

  const Lowered& lowered_;
  const Reader& reader_;
  const std::span<const Piece> pieces_;
  const std::span<const std::unique_ptr<std::byte[]>> buffers_;
  std::byte* const block_;
  std::mutex mutex_;
  int failed_ = std::numeric_limits<int>::max();
  Error error_;
};

// Panels of a matrix that are read at once: about a megabyte.
std::size_t file_panel_bytes(const Matrix& m) {
  return row_bytes(*m.kernel->format, m.k) * static_cast<std::size_t>(m.kernel->panel_rows);
}
int piece_panels(const Matrix& m) {
  return static_cast<int>(std::max<std::size_t>(1, kPieceBytes / file_panel_bytes(m)));
}
std::size_t largest_piece(const Lowered& lowered) {
  std::size_t largest = 0;
  for (const Matrix& m : lowered.matrices)
    largest = std::max(largest, file_panel_bytes(m) *
                                    static_cast<std::size_t>(std::min(piece_panels(m), m.panels)));
  return largest;
}

}  // namespace

std::uint64_t pack_buffer_bytes(const Lowered& lowered, int workers) {
  return largest_piece(lowered) * static_cast<unsigned>(workers);
}

Result<> pack_weights(const Plan& plan, const Lowered& lowered, const file::TensorSource& source,
                      const PackOptions& options, Team& team, std::byte* block) {
  const Reader reader(plan, source, options.check_weights);
  for (const Vector& v : lowered.vectors) TYTO_TRY(load_vector(plan, v, reader, block));

  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < lowered.matrices.size(); ++i) {
    const int panels = lowered.matrices[i].panels, step = piece_panels(lowered.matrices[i]);
    for (int p = 0; p < panels; p += step)
      pieces.push_back({static_cast<int>(i), p, std::min(step, panels - p)});
  }
  const std::size_t largest = largest_piece(lowered);
  std::vector<std::unique_ptr<std::byte[]>> buffers(static_cast<std::size_t>(team.workers()));
  for (auto& buffer : buffers) buffer = std::make_unique_for_overwrite<std::byte[]>(largest);

  const std::size_t step = static_cast<std::size_t>(team.workers()) * kPiecesPerRound;
  for (std::size_t first = 0; first < pieces.size(); first += step) {
    const auto some = std::span(pieces).subspan(first, std::min(step, pieces.size() - first));
    TYTO_TRY(Round(lowered, reader, some, buffers, block).run(team));
    const auto done = static_cast<float>(first + some.size()) / static_cast<float>(pieces.size());
    if (options.progress && !options.progress(done))
      return Error(ErrorCode::cancelled, "loading was cancelled by its progress callback");
  }
  return {};
}

}  // namespace tyto::cpu
