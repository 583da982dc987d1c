// Compiled by nvcc: what this format is to the kernels of cuda/kernels.
using Matrix = SimpleMatrix<quant::q4_1::Block>;
