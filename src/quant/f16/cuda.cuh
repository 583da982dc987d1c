// Compiled by nvcc: what this format is to the kernels of cuda/kernels.
using Matrix = FloatMatrix<quant::f16::Value>;
