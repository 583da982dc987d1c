// Attention in pairs (attention_pairs-inl.h) by AMX tiles (bf16_tiles-inl.h).
TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

struct AmxTiles {
  struct Scope {
    explicit Scope(int vectors) : tiles(std::min(vectors, kTileRecords)) {}
    Tiles<kLine> tiles;
  };

  using Few = FewByVectors;

  template <int kTiles, int kPanels>
  static void add(const TilePanels& panels, const Activations& rows, int, std::size_t steps,
                  bool begin, float* out, std::size_t out_stride) {
    add_tiles<kTiles, kPanels>(panels, rows, 0, steps, begin, NothingAhead(), out, out_stride);
  }
};

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
