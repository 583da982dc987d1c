// Links the CUDA component without a CUDA compiler, and runs with or without a device.
#include <tyto/cuda.h>

#include <cstdio>

int main() {
  const auto devices = tyto::cuda_devices();
  if (devices) std::printf("%zu CUDA devices\n", devices->size());
  return !devices;
}
