// The ISA's set of row kernels.
namespace tyto::cpu::TYTO_ISA {
namespace {

constexpr RowKernels kRowKernels = {
    rms_norm,
    layer_norm,
    add,
    {activate<silu>, activate<gelu>, activate<gelu_tanh>},
    {gate<silu>, gate<gelu>, gate<gelu_tanh>},
    rotate,
    {write_cache<quant::BF16>, write_cache<quant::F16>, write_cache<float>},
    {attend<quant::BF16>, attend<quant::F16>, attend<float>},
    merge_splits,
};

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
