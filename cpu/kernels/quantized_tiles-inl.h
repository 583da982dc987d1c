// Quantized weights by AMX-INT8 tiles. Panels are expanded to tiles, one after the other, and
// records are read where they lie. Few rows, and a rest too small for a tile, go by vectors: the
// same bits.
#pragma once
#include "cpu/kernels/linear-inl.h"
#include "cpu/kernels/simple_tiles-inl.h"
#include "cpu/kernels/super_tiles-inl.h"

TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

template <class ByTiles>
struct TileLinear {
  using Family = typename ByTiles::Family;
  // With fewer rows, and for a rest of so many, vectors alone are faster (decisions/0012).
  static constexpr int kLeastRows = kTileRecords, kMostRest = kTileRecords / 2;

  static int rows_by_vectors(int rows) {
    if (rows < kLeastRows) return rows;
    const int rest = rows % kTileRecords;
    return rest <= kMostRest ? rest : 0;
  }

  static void multiply(const std::byte* weights, int panels, std::size_t k, const Activations& x,
                       int rows, float* out, std::size_t out_stride, std::byte* scratch) {
    const int by_vectors = rows_by_vectors(rows);
    if (by_vectors < rows)
      multiply_tiles(weights, panels, k, x, rows - by_vectors, out, out_stride, scratch);
    if (by_vectors > 0) {
      const int row = rows - by_vectors;
      QuantizedLinear<Family>::multiply(weights, panels, k, x.from(row), by_vectors,
                                        out + static_cast<std::size_t>(row) * out_stride,
                                        out_stride, scratch);
    }
  }

  static void multiply_tiles(const std::byte* weights, int panels, std::size_t k,
                             const Activations& x, int rows, float* out, std::size_t out_stride,
                             std::byte* scratch) {
    const Records a(x, activation_layout(Family::kForm, k));
    for (int r = 0; r < rows; ++r)
      std::memset(out + static_cast<std::size_t>(r) * out_stride, 0,
                  static_cast<std::size_t>(panels * kLanes) * sizeof(float));
    const typename ByTiles::Shapes tiles;
    for (int p = 0; p < panels; p += ByTiles::kPanels)
      multiply_panels(weights + static_cast<std::size_t>(p) * Family::panel_bytes(k),
                      panels - p < ByTiles::kPanels ? panels - p : ByTiles::kPanels, k, a, rows,
                      out + p * kLanes, out_stride, scratch);
  }

  // Expanded weights of kTileWidth k stay in the first-level cache while all records pass by.
  static void multiply_panels(const std::byte* weights, int panels, std::size_t k, const Records& a,
                              int rows, float* out, std::size_t out_stride, std::byte* scratch) {
    const std::size_t all = ByTiles::width(k), bytes = Family::panel_bytes(k);
    for (std::size_t first = 0; first < all; first += kTileWidth) {
      const std::size_t width = all - first < kTileWidth ? all - first : kTileWidth;
      // After the last block of k the next panels begin.
      const std::byte* const next =
          first + width < all ? weights + (first + width) / kTileWidth * ByTiles::kPackedBytes
                              : weights + static_cast<std::size_t>(panels) * bytes;
      ByTiles::multiply_block({weights, bytes}, panels, a, rows, first, width, out, out_stride,
                              scratch, scratch + kPadded, {next, bytes});
    }
  }

  // Where records are put of which some are missing.
  static constexpr std::size_t kPadded = ByTiles::kPanels * ByTiles::kPanelBytes;
  static std::size_t scratch_bytes(std::size_t) {
    static_assert(kExpandRows == 0);  // fewer rows need none
    return kPadded + ByTiles::kRecords * kTileWidth;
  }
};

template <class Block, int kVariant>
requires(kHasTiles<kVariant>) struct Linear<SimpleBlocks<Block>, kVariant> : SimpleBlocks<Block> {
  static constexpr auto multiply = TileLinear<SimpleTiles<Block>>::multiply;
  static constexpr auto scratch_bytes = TileLinear<SimpleTiles<Block>>::scratch_bytes;
};
template <class Block, int kVariant>
requires(kHasTiles<kVariant>) struct Linear<SuperBlocks<Block>, kVariant> : SuperBlocks<Block> {
  static constexpr auto multiply = TileLinear<SuperTiles<Block>>::multiply;
  static constexpr auto scratch_bytes = TileLinear<SuperTiles<Block>>::scratch_bytes;
};

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
