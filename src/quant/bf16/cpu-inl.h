// Compiled once per ISA, inside its namespace: the kernels of cpu/kernels that serve this format.
using Panels = FloatRows<quant::bf16::Value>;
