// The highest logits of a row, as a device finds them, against a sort.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include "cuda/blocks/blocks.h"
#include "cuda/device.h"
#include "tests/catch.h"
#include "tests/logits_kit.h"
#include "tyto/cuda.h"

using namespace tyto;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The caller's values, in device memory.
template <class T>
cuda::DeviceMemory on_device(const std::vector<T>& values) {
  auto memory = cuda::DeviceMemory::allocate(0, values.size() * sizeof(T), "a test").value();
  REQUIRE(cudaMemcpyAsync(memory.data(), values.data(), values.size() * sizeof(T),
                          cudaMemcpyHostToDevice, nullptr) == cudaSuccess);
  REQUIRE(cudaStreamSynchronize(nullptr) == cudaSuccess);
  return memory;
}

// logits: of all outputs, one after the other. Outputs that are not ranked keep what `before` says.
std::vector<TopLogits> rank(const std::vector<float>& logits, const std::vector<int>& ranked,
                            const TopLogits& before = {}) {
  const auto outputs = static_cast<int>(ranked.size());
  const int vocab = static_cast<int>(logits.size()) / outputs;
  const int chunks = cuda::rank_chunks_of(vocab);
  const auto all = static_cast<std::size_t>(outputs * chunks);
  std::vector<TopLogits> found(ranked.size(), before);
  const auto logits_there = on_device(logits);
  const auto ranked_there = on_device(ranked);
  const auto counts_there = on_device(std::vector<cuda::StepCounts>{{outputs, outputs}});
  const auto keys = on_device(std::vector<cuda::RankKey>(all * kTopLogits));
  const auto sums = on_device(std::vector<float2>(all));
  const auto found_there = on_device(found);

  const cuda::Rank wanted{reinterpret_cast<const float*>(logits_there.data()),
                          vocab,
                          chunks,
                          reinterpret_cast<cuda::RankKey*>(keys.data()),
                          reinterpret_cast<float2*>(sums.data()),
                          reinterpret_cast<TopLogits*>(found_there.data())};
  cuda::StepView step{};
  step.counts = reinterpret_cast<const cuda::StepCounts*>(counts_there.data());
  step.ranked = reinterpret_cast<const std::int32_t*>(ranked_there.data());
  REQUIRE(cuda::rank_chunks(wanted, step, outputs, nullptr) == cudaSuccess);
  REQUIRE(cuda::rank_rows(wanted, step, outputs, nullptr) == cudaSuccess);
  REQUIRE(cudaMemcpyAsync(found.data(), found_there.data(), found.size() * sizeof(TopLogits),
                          cudaMemcpyDeviceToHost, nullptr) == cudaSuccess);
  REQUIRE(cudaStreamSynchronize(nullptr) == cudaSuccess);
  return found;
}

void check_against_sort(const TopLogits& found, std::span<const float> logits) {
  const TopLogits expected = test::top_of(logits);
  REQUIRE(found.count == expected.count);
  int wrong = 0;
  for (int i = 0; i < expected.count; ++i)
    wrong += found.best[i].token != expected.best[i].token ||
             found.best[i].logit != expected.best[i].logit;
  CHECK(wrong == 0);
  CHECK(found.log_sum == Approx(expected.log_sum).epsilon(1e-5).margin(1e-5));
}

bool no_device(const char* name) {
  if (!cuda_devices().value().empty()) return false;
  std::printf("skipped: %s (no CUDA device)\n", name);
  return true;
}

}  // namespace

TEST_CASE("CUDA finds the highest logits of a row", "[cuda][gpu]") {
  if (no_device("the highest logits by CUDA")) return;
  std::mt19937 random(7);
  for (const int vocab : {1, 3, 255, 256, 257, 300, 4096, 4097, 4096 + 256, 20000}) {
    // Of few different values, so that many are equal; and of many.
    for (const float step : {1.0f, 1e-6f}) {
      CAPTURE(vocab, step);
      std::normal_distribution<float> normal(0, 3);
      std::vector<float> logits(2 * static_cast<std::size_t>(vocab));
      for (float& logit : logits) logit = std::round(normal(random) / step) * step;
      const auto found = rank(logits, {1, 1});
      const std::span all(logits);
      check_against_sort(found[0], all.first(all.size() / 2));
      check_against_sort(found[1], all.last(all.size() / 2));
    }
  }
}

TEST_CASE("CUDA ranks equal logits by their tokens, and passes over outputs that want all",
          "[cuda][gpu]") {
  if (no_device("equal logits by CUDA")) return;
  const std::vector<float> logits(2 * 5000, -1.5f);
  const auto found = rank(logits, {1, 0}, {.count = -7, .log_sum = 0, .best = {}});
  check_against_sort(found[0], std::span(logits).first(5000));
  CHECK(found[1].count == -7);
}

TEST_CASE("CUDA ranks no logits that are not finite", "[cuda][gpu]") {
  if (no_device("logits that are not finite, by CUDA")) return;
  constexpr std::size_t kVocab = 4500;
  std::vector<float> logits(5 * kVocab, 0.0f);
  logits[4400] = std::numeric_limits<float>::quiet_NaN();
  logits[kVocab + 3] = kInfinity;
  std::fill_n(logits.begin() + 2 * kVocab, kVocab, -kInfinity);
  // Tokens that cannot be drawn are no fault: a whole chunk of them, or all but one.
  std::fill_n(logits.begin() + 3 * kVocab, 4200, -kInfinity);
  std::fill_n(logits.begin() + 4 * kVocab, kVocab - 1, -kInfinity);
  const auto found = rank(logits, {1, 1, 1, 1, 1});
  CHECK(found[0].count == 0);
  CHECK(found[1].count == 0);
  CHECK(found[2].count == 0);
  check_against_sort(found[3], std::span(logits).subspan(3 * kVocab, kVocab));
  check_against_sort(found[4], std::span(logits).subspan(4 * kVocab, kVocab));
}
