#include "examples/cli/bandwidth.h"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <span>
#include <thread>
#include <vector>

#include "examples/cli/system.h"
#include "src/runtime.h"

namespace cli {
namespace {

constexpr int kPasses = 8;

// Four streams, asked for ahead, or one, of which the core asks for more by itself: which of the
// two is half as fast again as the other depends on the processor.
template <std::size_t kStreams>
std::uint64_t sum(std::span<const std::uint64_t> words) {
  constexpr std::size_t kLine = 8, kAhead = 512;
  const std::size_t stream = words.size() / kStreams;
  std::uint64_t lanes[2 * kLine] = {};  // enough to keep many reads under way
  for (std::size_t i = 0; i < stream; i += kLine)
    for (std::size_t s = 0; s < kStreams; ++s) {
      const std::uint64_t* const line = words.data() + s * stream + i;
      if constexpr (kStreams > 1) __builtin_prefetch(line + kAhead);
      for (std::size_t lane = 0; lane < kLine; ++lane) lanes[s % 2 * kLine + lane] += line[lane];
    }
  std::uint64_t total = 0;
  for (const std::uint64_t lane : lanes) total += lane;
  return total;
}

}  // namespace

double read_bandwidth(int threads, std::uint64_t buffer_bytes) {
  const auto count = static_cast<std::size_t>(threads);
  const std::size_t words = buffer_bytes / sizeof(std::uint64_t) / count / 32 * 32;
  const auto runtime = tyto::Runtime::create({.threads = 1}).value();
  std::vector<tyto::LargeBlock> blocks;  // such as weights lie in
  for (std::size_t i = 0; i < count; ++i)
    blocks.push_back(
        tyto::Runtime::Impl::allocate(runtime, words * sizeof(std::uint64_t), "buffer").value());
  std::barrier together(threads + 1);
  std::atomic<std::uint64_t> result{0};  // read, so that no pass is left out
  // Stamped by those who read: who only waits for them may be late.
  std::vector<tyto::Clock::time_point> begins(count), ends(count);
  const auto work = [&](std::size_t index) {
    pin_this_thread(static_cast<int>(index));
    const std::span own(reinterpret_cast<std::uint64_t*>(blocks[index].data()), words);
    std::ranges::fill(own, 1);  // touched first by the core that reads it
    for (int pass = 0; pass < kPasses; ++pass) {
      together.arrive_and_wait();
      begins[index] = tyto::Clock::now();
      result += pass % 2 == 0 ? sum<4>(own) : sum<1>(own);
      ends[index] = tyto::Clock::now();
      together.arrive_and_wait();
    }
  };
  std::vector<std::thread> team;
  for (std::size_t i = 0; i < count; ++i) team.emplace_back(work, i);

  using Seconds = std::chrono::duration<double>;
  double best = 1e9;
  for (int pass = 0; pass < kPasses; ++pass) {
    together.arrive_and_wait();
    together.arrive_and_wait();
    best = std::min(best, Seconds(std::ranges::max(ends) - std::ranges::min(begins)).count());
  }
  for (std::thread& thread : team) thread.join();
  const bool complete = result == words * count * kPasses;
  return complete ? static_cast<double>(words * count * sizeof(std::uint64_t)) / best : 0;
}

}  // namespace cli
