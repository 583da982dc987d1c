// Compiled by nvcc: what this format is to the kernels of cuda/kernels.
using Matrix = FloatMatrix<quant::bf16::Value>;
