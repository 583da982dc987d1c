#include "tyto/cuda.h"

#include <cmath>
#include <cstdio>
#include <cstring>

#include "cpu/ref_backend.h"
#include "cuda/cuda_backend.h"
#include "src/quant/f32/format.h"
#include "src/quant/q8_0/format.h"
#include "tests/catch.h"

using namespace tyto;

namespace {

constexpr int kWidth = 64, kVocab = 37, kRows = 3;

// Two tensors in memory: "norm", F32, and "logits", Q8_0.
class TwoTensors : public file::TensorSource {
 public:
  TwoTensors() {
    std::vector<float> norm(kWidth);
    for (int i = 0; i < kWidth; ++i) norm[i] = 0.5f + 0.01f * static_cast<float>(i);
    bytes_[0].resize(norm.size() * sizeof(float));
    std::memcpy(bytes_[0].data(), norm.data(), bytes_[0].size());
    bytes_[1].resize(kVocab * kWidth / 32 * sizeof(quant::q8_0::Block));
    for (std::size_t b = 0; b < bytes_[1].size() / sizeof(quant::q8_0::Block); ++b) {
      quant::q8_0::Block block{{0x2000}, {}};  // 2^-7
      for (int i = 0; i < 32; ++i)
        block.codes[i] = static_cast<std::int8_t>((b * 89 + i * 37) % 255 - 127);
      std::memcpy(bytes_[1].data() + b * sizeof block, &block, sizeof block);
    }
    infos_ = {{"norm", {kWidth}, &quant::f32::format, "F32", bytes_[0].size()},
              {"logits", {kVocab, kWidth}, &quant::q8_0::format, "Q8_0", bytes_[1].size()}};
  }
  std::span<const file::TensorInfo> tensors() const noexcept override { return infos_; }
  const file::TensorInfo* find(std::string_view name) const noexcept override {
    for (const auto& info : infos_)
      if (info.name == name) return &info;
    return nullptr;
  }
  Result<> read(const file::TensorInfo& tensor, std::uint64_t offset,
                std::span<std::byte> into) const override {
    std::memcpy(into.data(), bytes_[&tensor - infos_.data()].data() + offset, into.size());
    return {};
  }

 private:
  std::vector<std::byte> bytes_[2];
  std::vector<file::TensorInfo> infos_;
};

Plan head_plan() {
  Plan plan;
  plan.width = kWidth;
  plan.vocab = kVocab;
  plan.tensors = {{"norm", {kWidth}, &quant::f32::format, {}},
                  {"logits", {kVocab, kWidth}, &quant::q8_0::format, {}}};
  Head head;
  head.norm.weight = {0};
  head.logits.weight = {1};
  head.logits.rows = kVocab;
  plan.blocks = {head};
  return plan;
}

// The logits of kRows hidden rows.
std::vector<float> logits_by(Backend& backend) {
  const Plan plan = head_plan();
  const Slice all{0, 1};
  const Capacity capacity{kRows, 1, kRows};
  const TwoTensors source;
  const auto footprint = backend.footprint(plan, all, CacheType::f32, capacity).value();
  const auto weights = backend.pack(plan, all, source, {}).value();
  const auto cache = backend.new_cache(plan, all, CacheType::f32, {}).value();
  const auto program = backend.compile(plan, all, *weights, *cache, capacity).value();
  CHECK(weights->bytes() == footprint.weights);
  CHECK(program->bytes() == footprint.workspace);

  std::vector<float> hidden(kRows * kWidth), logits(kRows * kVocab);
  for (std::size_t i = 0; i < hidden.size(); ++i) hidden[i] = std::sin(static_cast<float>(i));
  std::vector<Row> rows;
  std::vector<Output> outputs;
  for (int r = 0; r < kRows; ++r) {
    rows.push_back({-1, 0, r, 0, r + 1, r});
    outputs.push_back({r, Want::logits, std::span(logits).subspan(r * kVocab, kVocab)});
  }
  const Sequence sequence{};
  (void)program->start({rows, std::span(&sequence, 1), hidden}, outputs).value();
  CHECK(program->work(Clock::time_point::max()).value());
  (void)program->finish().value();
  return logits;
}

}  // namespace

TEST_CASE("A CUDA device that is not there is refused by name", "[cuda]") {
  const auto devices = cuda_devices();
  REQUIRE(devices);
  const auto backend = cuda::new_cuda_backend(static_cast<int>(devices->size()));
  REQUIRE_FALSE(backend);
  CHECK(backend.error().code() == ErrorCode::unsupported);
  CHECK(std::string(backend.error().message()).find("cuda:") == 0);
}

TEST_CASE("The CUDA head agrees with the reference backend", "[cuda][gpu]") {
  if (cuda_devices().value().empty()) {
    std::puts("skipped: The CUDA head agrees with the reference backend (no CUDA device)");
    return;
  }
  const auto cuda = cuda::new_cuda_backend(0).value();
  const auto reference = cpu::new_reference_backend(Runtime::create().value()).value();
  const auto got = logits_by(*cuda), expected = logits_by(*reference);
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i] == Approx(expected[i]).margin(1e-4));
}
