// The ISA's set of row kernels.
namespace tyto::cpu::TYTO_ISA {
namespace {

constexpr RowKernels kRowKernels = {
    rms_norm,
    layer_norm,
    add,
    add_scaled,
    softmax,
    {activate<silu>, activate<gelu>, activate<gelu_tanh>},
    {gate<silu>, gate<gelu>, gate<gelu_tanh>},
    rotate,
    {write_plain<quant::BF16>, write_plain<quant::F16>, write_plain<float>, write_quantized<8>,
     write_quantized<4>},
    {attend<quant::BF16>, attend<quant::F16>, attend<float>, attend<Quantized<8>>,
     attend<Quantized<4>>},
    attend_bytes,
    merge_splits,
};

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
