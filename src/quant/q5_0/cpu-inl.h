// Compiled once per ISA, inside its namespace: the kernels of cpu/kernels that serve this format.
using Panels = SimpleBlocks<quant::q5_0::Block>;
