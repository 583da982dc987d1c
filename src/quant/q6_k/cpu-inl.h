// Compiled once per ISA, inside its namespace: the kernels of cpu/kernels that serve this format.
using Panels = SuperBlocks<quant::q6_k::Block>;
