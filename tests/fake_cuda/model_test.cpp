// Whole models through the public interface, on the stand-in's device.
#include "cuda_runtime_api.h"
#include "tests/catch.h"
#include "tests/packing_place.h"
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

// Asks for all logits, and leaves them as they are.
struct Onlooker : LogitStage {
  Result<> apply(std::span<float> logits, std::span<const TokenId>) override {
    seen = logits.size();
    return {};
  }
  std::size_t seen = 0;
};

std::vector<TokenId> drawn(Session& session, Sampler& sampler, int count) {
  std::vector<TokenId> ids;
  for (int i = 0; i < count; ++i) {
    const auto token = session.next(sampler).value();
    if (!token) break;
    ids.push_back(token->id);
  }
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

TEST_CASE("auto is a device that serves the model, or else the CPU, and the log says why",
          "[fake_cuda]") {
  const auto lines = std::make_shared<LogLines>();
  ModelOptions options = options_of("auto");
  options.runtime = Runtime::create({.threads = 1, .host = {.log = lines}}).value();
  const auto device = [&] {
    const Model model = load_tiny(options).value();
    const std::string description(model.describe());
    return description.find("cuda:0") != std::string::npos     ? "cuda"
           : description.find(" on cpu ") != std::string::npos ? "cpu"
                                                               : "neither";
  };
  CHECK(device() == std::string("cuda"));
  CHECK(lines->count(LogLevel::info, "is the CPU") == 0);
  const MemoryPlan plan = Model::plan(as_source(tiny_file()), options).value();
  CHECK(plan.devices.at(0).name == "cuda:0");

  const ModelOptions known = options;
  options.cache_type = CacheType::q4_0;
  CHECK(device() == std::string("cpu"));
  CHECK(lines->count(LogLevel::info, "device \"auto\" is the CPU: cuda: a cache of 4 bits") == 1);
  options = known;
  options.isa = Isa::scalar;
  CHECK(device() == std::string("cpu"));
  options = known;
  options.accelerator = {};
  CHECK(device() == std::string("cpu"));
  options = known;
  fake_cuda::machine().driver = cudaErrorInsufficientDriver;
  CHECK(device() == std::string("cpu"));
  fake_cuda::machine().driver = cudaSuccess;
  CHECK(lines->count(LogLevel::info, "has 0 CUDA devices") == 1);
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

TEST_CASE("Samplers that look at the highest logits alone draw what others do", "[fake_cuda]") {
  const Model model = load_tiny(options_of("cuda")).value();
  const TokenId prompt[] = {1, 5, 9, 7};
  const SamplerOptions options = {.temperature = 2, .top_k = 100, .seed = 3, .top_logprobs = 4};
  Session narrow = model.new_session().value(), wide = model.new_session().value();
  narrow.append(prompt).value();
  wide.append(prompt).value();
  Sampler few = Sampler::create(options).value(), all = few.clone().value();
  const auto onlooker = std::make_shared<Onlooker>();
  all.add(onlooker).value();
  for (int i = 0; i < 12; ++i) {
    const auto got = narrow.next(few).value(), want = wide.next(all).value();
    REQUIRE(got.has_value() == want.has_value());
    if (!got) break;
    CHECK(got->id == want->id);
    CHECK(got->logprob == Approx(want->logprob).epsilon(1e-4));
    REQUIRE(got->top.size() == 4);
    for (std::size_t k = 0; k < 4; ++k) CHECK(got->top[k].id == want->top[k].id);
  }
  CHECK(onlooker->seen == 300);

  // One session's samplers may differ from token to token, and its logits can be had any time.
  Session mixed = model.new_session().value();
  mixed.append(prompt).value();
  auto ids = drawn(mixed, few, 3);
  const auto more = drawn(mixed, all, 3);
  ids.insert(ids.end(), more.begin(), more.end());
  Session plain = model.new_session().value();
  plain.append(prompt).value();
  CHECK(ids == drawn(plain, few, 6));
  mixed.prefill().value();
  CHECK(mixed.logits().size() == 300);
}

TEST_CASE("A batch on CUDA may mix samplers of both kinds", "[fake_cuda]") {
  const Model model = load_tiny(options_of("cuda")).value();
  const TokenId prompt[] = {1, 5, 9, 7};
  const SamplerOptions narrow = {.temperature = 1, .top_k = 50, .seed = 5},
                       wide = {.temperature = 1, .top_k = 0, .seed = 5};
  std::vector<TokenId> alone[2], together[2];
  Sampler samplers[] = {Sampler::create(narrow).value(), Sampler::create(wide).value()};
  Session sessions[] = {model.new_session().value(), model.new_session().value()};
  for (int i = 0; i < 2; ++i) {
    Session session = model.new_session().value();
    session.append(prompt).value();
    alone[i] = drawn(session, samplers[i], 5);
    sessions[i].append(prompt).value();
  }
  for (int token = 0; token < 5; ++token) {
    BatchItem items[] = {{&sessions[0], &samplers[0]}, {&sessions[1], &samplers[1]}};
    step(items).value();
    for (int i = 0; i < 2; ++i)
      if (const auto out = std::move(items[i].out).value()) together[i].push_back(out->id);
  }
  CHECK(together[0] == alone[0]);
  CHECK(together[1] == alone[1]);
}

// All logits are equal: the highest of them never decide.
Model load_undecided(const ModelOptions& options) {
  GgufWriter file = tiny_llama(kTinyF32);
  Bytes& weights = file.tensor("output.weight").data;
  std::fill(weights.begin(), weights.end(), std::byte{0});
  return Model::load(as_source(file.file()), options).value();
}

TEST_CASE("Logits that a device kept to itself at the end of a text come by prefill",
          "[fake_cuda]") {
  const auto load = [](const char* device) {
    return Model::load(as_source(tiny_llama(kTinyF32).file()), options_of(device)).value();
  };
  const Model reference = load("reference"), cuda = load("cuda");
  const TokenId prompt[] = {1, 5, 9};
  const auto at = [&](const Model& model) {
    Session session = model.new_session().value();
    session.append(prompt).value();
    return session;
  };
  // A seed with which the text ends at once.
  SamplerOptions options = {.temperature = 50, .top_k = 255, .top_p = 1, .min_p = 0};
  const auto ends = [&] {
    Sampler sampler = Sampler::create(options).value();
    return !at(reference).next(sampler).value();
  };
  while (options.seed < 10000 && !ends()) ++options.seed;
  Sampler sampler = Sampler::create(options).value();
  Session session = at(cuda);
  REQUIRE_FALSE(session.next(sampler).value());
  CHECK(session.stopped() == Stop::end_of_text);
  CHECK(session.logits().empty());
  CHECK_FALSE(session.next(sampler).value());
  session.prefill().value();
  CHECK(session.logits().size() == 300);
  CHECK_FALSE(session.next(sampler).value());
}

TEST_CASE("Where the highest logits do not decide, all of them come", "[fake_cuda]") {
  const Model cuda = load_undecided(options_of("cuda"));
  const Model reference = load_undecided(options_of("reference"));
  const TokenId prompt[] = {1, 5, 9, 7, 3};
  const SamplerOptions options = {.temperature = 1, .top_k = 20, .seed = 10};
  const auto begin = [&](const Model& model) {
    Session session = model.new_session().value();
    session.append(prompt).value();
    return session;
  };
  Sampler sampler = Sampler::create(options).value();
  Session plain = begin(reference);
  const std::vector<TokenId> expected = drawn(plain, sampler, 4);
  REQUIRE(expected.size() == 4);
  Session session = begin(cuda);
  CHECK(drawn(session, sampler, 4) == expected);

  // In batches, beside a prompt that is computed only.
  Session other = begin(cuda), batched = begin(cuda);
  std::vector<TokenId> ids;
  while (ids.size() < 4) {
    BatchItem items[] = {{&batched, &sampler}, {&other, nullptr}};
    step(items).value();
    const auto token = std::move(items[0].out).value();
    REQUIRE(token);  // each step brings one, as where they decide
    ids.push_back(token->id);
  }
  CHECK(ids == expected);

  // By a block at a time.
  Session slow = begin(cuda);
  ids.clear();
  const GenerateOptions wanted = {.max_tokens = 4};
  const auto collect = [&](const Token& token) {
    if (token.id >= 0) ids.push_back(token.id);
    return true;
  };
  int calls = 0;
  while (slow.generate_until(Clock::now(), sampler, wanted, collect).value() == Stop::budget)
    REQUIRE(++calls < 1000);
  CHECK(ids == expected);
}
