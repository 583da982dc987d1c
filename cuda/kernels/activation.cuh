// Computes  what an MLP puts between its matrices
#pragma once
#include "cuda/prim.cuh"
#include "src/plan.h"

namespace tyto::cuda {

__device__ inline float activated(Activation act, float x) {
  switch (act) {
    case Activation::silu:
      return x / (1.0f + expf(-x));
    case Activation::gelu:
      return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
    case Activation::gelu_tanh:
      return 0.5f * x * (1.0f + tanhf(0.79788456080286536f * fmaf(0.044715f * x * x, x, x)));
  }
  return x;
}

}  // namespace tyto::cuda
