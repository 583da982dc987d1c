// What becomes of the CUDA backend when calls of the runtime fail, one after the other.
#include "cuda/buckets.h"
#include "cuda/cuda_backend.h"
#include "cuda_runtime_api.h"
#include "src/base/error.h"
#include "tests/block_comparison.h"
#include "tests/random_plan.h"
#include "tyto/cuda.h"

using namespace tyto;
using namespace tyto::test;

namespace {

constexpr Capacity kCapacity{.rows = 8, .sequences = 2, .outputs = 8};
constexpr Capacity kLargeCapacity{.rows = 128, .sequences = 1, .outputs = 1};  // for cuBLASLt

// Gives the machine back as it was.
struct Restored {
  fake_cuda::Machine before = fake_cuda::machine();
  ~Restored() { fake_cuda::machine() = before; }
};

// A model loaded, two steps, everything freed: the error of the first call that failed.
ErrorCode live(const RandomModel& model, const Capacity& capacity) {
  const auto all = [&]() -> Result<> {
    const Plan& plan = model.plan;
    const Slice slice{0, static_cast<int>(plan.blocks.size())};
    TYTO_TRY(const auto backend, cuda::new_cuda_backend(0));
    TYTO_TRY(const auto weights, backend->pack(plan, slice, model.tensors, {}));
    const int pages[] = {4};
    TYTO_TRY(const auto cache, backend->new_cache(plan, slice, CacheType::f16, pages));
    TYTO_TRY(const auto program, backend->compile(plan, slice, *weights, *cache, capacity));
    const PageId page = 1;
    const std::span<const PageId> table(&page, 1);
    const Sequence sequence{{&table, 1}};
    for (int i = 0; i < 2; ++i) {
      TYTO_TRY(cache->clear_page(0, 1, i));
      const Row row{3, 0, i, 0, i + 1, i};
      std::vector<float> logits(static_cast<std::size_t>(plan.vocab));
      TopLogits top{};
      const Output output =
          i == 0 ? Output{0, Want::logits, logits} : Output{0, Want::top, {}, &top};
      TYTO_TRY(program->start({{&row, 1}, {&sequence, 1}, {}}, {&output, 1}));
      const auto until = i == 0 ? Clock::time_point::max() : Clock::time_point::min();
      for (bool done = false; !done;) {
        TYTO_TRY(done, program->work(until));
      }
      TYTO_TRY(program->finish());
      for (const float value : logits) CHECK(std::isfinite(value));
      CHECK(top.count == (i == 0 ? 0 : std::min(plan.vocab, kTopLogits)));
    }
    return {};
  };
  const Result<> result = all();
  return result ? ErrorCode::ok : result.error().code();
}

}  // namespace

TEST_CASE("Every call of the CUDA runtime may fail: an error of its kind, and nothing leaks",
          "[fake_cuda]") {
  const Restored restored;
  fake_cuda::Machine& machine = fake_cuda::machine();
  const cudaError_t failure = GENERATE(cudaErrorMemoryAllocation, cudaErrorIllegalAddress);
  const bool large = GENERATE(false, true);
  const Capacity& capacity = large ? kLargeCapacity : kCapacity;
  PlanShape shape;
  shape.layers = 1;
  shape.context = 64;
  if (large) shape.format = "bf16";
  const auto model = PlanMaker::make(shape);
  machine = {};
  REQUIRE(live(*model, capacity) == ErrorCode::ok);
  const int calls = machine.calls;
  REQUIRE(calls > 50);
  for (int call = 0; call < calls; ++call) {
    CAPTURE(call, failure, large);
    machine = {};
    machine.fail_at = call;
    machine.failure = failure;
    const ErrorCode code = live(*model, capacity);
    const bool freeing = call == calls - 1;  // the wait of the program's destructor
    if (freeing)
      CHECK(code == ErrorCode::ok);
    else if (failure == cudaErrorMemoryAllocation)  // no_memory: pinned memory is the host's
      CHECK((code == ErrorCode::device_memory || code == ErrorCode::no_memory));
    else
      CHECK(code == ErrorCode::device_lost);
    CHECK(machine.allocated == 0);
    CHECK(machine.streams + machine.graphs + machine.events + machine.blas == 0);
  }
}

TEST_CASE("Too little device memory is an error that tells how much was asked", "[fake_cuda]") {
  const Restored restored;
  PlanShape shape;
  const auto model = PlanMaker::make(shape);
  const Slice slice{0, static_cast<int>(model->plan.blocks.size())};
  const auto backend = cuda::new_cuda_backend(0).value();
  const auto footprint = backend->footprint(model->plan, slice, CacheType::f16, kCapacity).value();
  fake_cuda::machine().memory = footprint.weights - 1;
  const auto weights = backend->pack(model->plan, slice, model->tensors, {});
  REQUIRE_FALSE(weights);
  CHECK(weights.error().code() == ErrorCode::device_memory);
  CHECK(std::string(weights.error().message()).find(std::to_string(footprint.weights)) !=
        std::string::npos);
}

TEST_CASE("Without cuBLASLt products of many rows are computed all the same", "[fake_cuda]") {
  const Restored restored;
  PlanShape shape;
  shape.layers = 1;
  shape.format = "bf16";
  constexpr Capacity capacity{.rows = 130, .sequences = 1, .outputs = 130};
  const auto model = PlanMaker::make(shape);
  const auto tokens = random_tokens(130, shape.vocab);
  const auto logits = [&](bool has_blas) {
    fake_cuda::machine().has_blas = has_blas;
    Rig rig(cuda::new_cuda_backend(0).value(), *model, CacheType::f16, capacity);
    return rig.run(tokens, {{0, 0, 130}});
  };
  const auto with = logits(true), without = logits(false);
  CHECK(with != without);  // not the same sums
  CHECK(square_difference(with, without) < 1e-5f);
}

TEST_CASE("No driver, an old one and no device are no devices", "[fake_cuda]") {
  const Restored restored;
  for (const cudaError_t found : {cudaErrorNoDevice, cudaErrorInsufficientDriver}) {
    fake_cuda::machine().driver = found;
    const auto devices = cuda_devices();
    REQUIRE(devices);
    CHECK(devices->empty());
  }
  fake_cuda::machine().driver = cudaErrorLaunchFailure;
  CHECK(cuda_devices().error().code() == ErrorCode::device_lost);
}

TEST_CASE("A step runs in the smallest bucket that holds it", "[fake_cuda]") {
  const Capacity capacity{.rows = 96, .sequences = 4, .outputs = 40};
  const auto buckets = cuda::all_buckets(capacity);
  for (int rows = 1; rows <= capacity.rows; ++rows)
    for (int outputs = 0; outputs <= std::min(rows, capacity.outputs); ++outputs) {
      CAPTURE(rows, outputs);
      const cuda::Bucket bucket = cuda::bucket_of(rows, outputs, capacity);
      CHECK(bucket.rows >= rows);
      CHECK(bucket.rows < 2 * rows);
      CHECK(bucket.outputs >= outputs);
      CHECK(std::count(buckets.begin(), buckets.end(), bucket) == 1);
    }
}
