// Every way this machine can compute: the reference backend, and the CPU backend by each
// instruction set.
#pragma once
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "tests/catch.h"
#include "tests/runtime_of.h"
#include "tyto/tyto.h"

namespace tyto::test {

struct Device {
  const char* name;
  const char* device;
  Isa isa;

  ModelOptions options(CacheType cache = CacheType::f32, int threads = 1) const {
    ModelOptions options;
    options.device = device;
    options.isa = isa;
    options.cache_type = cache;
    options.cache_tokens = 1024;
    options.runtime = runtime_of(threads);
    return options;
  }
};

inline const char* example_model() { return TYTO_TEST_FILES "/../../examples/models/story.gguf"; }
inline std::string tiny_model_path(std::string_view name) {
  return TYTO_TEST_FILES "/models/" + std::string(name) + ".gguf";
}

// A path below the shared test data; empty, and a note, where there is none.
inline std::string shared_data(std::string_view path) {
  const char* folder = std::getenv("TYTO_TEST_DATA");
  if (!folder || !*folder) {
    WARN("skipped: TYTO_TEST_DATA is not set, no " << path);
    return {};
  }
  return std::string(folder) + "/" + std::string(path);
}

// TYTO_FORCE_ISA leaves one instruction set. What this machine lacks is left out; the scalar code
// never is.
inline std::vector<Device> cpu_devices() {
  const char* forced = std::getenv("TYTO_FORCE_ISA");
  std::vector<Device> found;
  for (const Device& device :
       {Device{"cpu scalar", "cpu", Isa::scalar}, Device{"cpu avx2", "cpu", Isa::avx2},
        Device{"cpu avx512", "cpu", Isa::avx512}, Device{"cpu amx", "cpu", Isa::amx},
        Device{"cpu neon", "cpu", Isa::neon}}) {
    if (forced && *forced && std::string("cpu ") + forced != device.name) continue;
    const auto plan = Model::plan(tiny_model_path("llama"), device.options());
    if (device.isa == Isa::scalar || plan) found.push_back(device);
  }
  return found;
}

inline std::vector<Device> all_devices() {
  std::vector<Device> found = cpu_devices();
  found.insert(found.begin(), {"reference", "reference", Isa::best});
  return found;
}

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace tyto::test
