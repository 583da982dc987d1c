// Compiled by nvcc: what this format is to the kernels of cuda/kernels.
using Matrix = SuperMatrix<quant::q6_k::Block>;
