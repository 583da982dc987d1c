// Whole models through the public interface, on the stand-in's device.
#include "tests/catch.h"
#include "tests/runtime_of.h"
#include "tests/scratch_folder.h"
#include "tests/tiny_model.h"
#include "tyto/cuda.h"

using namespace tyto;
using namespace tyto::test;

namespace {

ModelOptions options_of(const char* device) {
  ModelOptions options;
  options.device = device;
  options.accelerator = cuda_accelerator();
  options.cache_type = CacheType::f32;
  options.cache_tokens = 256;
  options.limits = {.rows = 8, .sequences = 2};
  options.runtime = runtime_of(1);
  return options;
}

std::vector<TokenId> greedy(const Model& model) {
  Session session = model.new_session().value();
  Sampler sampler = Sampler::create({.temperature = 0}).value();
  const TokenId prompt[] = {1, 5, 9, 7, 3, 8, 6, 4, 2, 11};  // two chunks
  session.append(prompt).value();
  std::vector<TokenId> ids;
  session
      .generate(sampler, {.max_tokens = 10},
                [&](const Token& token) {
                  ids.push_back(token.id);
                  return true;
                })
      .value();
  return ids;
}

}  // namespace

TEST_CASE("A model generates on CUDA what it does by the reference", "[fake_cuda]") {
  const Model cuda = load_tiny(options_of("cuda")).value();
  const Model reference = load_tiny(options_of("reference")).value();
  CHECK(std::string(cuda.describe()).find("cuda:0") != std::string::npos);
  CHECK(greedy(cuda) == greedy(reference));

  ModelOptions careful = options_of("cuda");
  careful.accelerator = cuda_accelerator({.reproducible = true, .high_priority = true});
  CHECK(greedy(load_tiny(careful).value()) == greedy(reference));
}

TEST_CASE("A model's plan for CUDA keeps device and host apart", "[fake_cuda]") {
  const MemoryPlan plan = Model::plan(as_source(tiny_file()), options_of("cuda:0")).value();
  REQUIRE(plan.devices.size() == 1);
  CHECK(plan.devices[0].name == "cuda:0");
  CHECK(plan.devices[0].weights > 0);
  const ModelOptions cpu = options_of("cpu");
  const MemoryPlan host = Model::plan(as_source(tiny_file()), cpu).value();
  CHECK(host.host_peak_during_load > host.devices[0].weights);
}

TEST_CASE("Devices that are not there, or no devices, are refused by name", "[fake_cuda]") {
  const auto code = [](const char* device, bool accelerator = true) {
    ModelOptions options = options_of(device);
    if (!accelerator) options.accelerator = {};
    const auto model = load_tiny(options);
    return model ? ErrorCode::ok : model.error().code();
  };
  CHECK(code("cuda:1") == ErrorCode::unsupported);
  CHECK(code("cuda", false) == ErrorCode::unsupported);
  for (const char* device : {"cuda:", "cuda:x", "cuda:-1", "cuda:1x", "gpu", "cudax", ""}) {
    CAPTURE(device);
    CHECK(code(device) == ErrorCode::bad_argument);
  }
}

TEST_CASE("A packed file of the CPU is no file for CUDA", "[fake_cuda]") {
  const ScratchFolder folder;
  const std::string packed = folder.path("tiny.tyto");
  const Bytes file = tiny_file();
  const std::string content(reinterpret_cast<const char*>(file.data()), file.size());
  const std::string path = folder.write("tiny.gguf", content);
  Model::pack(path, packed, options_of("cpu")).value();
  const auto model = Model::load(packed, options_of("cuda"));
  REQUIRE_FALSE(model);
  CHECK(model.error().code() == ErrorCode::mismatch);
}
