#include "examples/cli/bandwidth.h"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cstdint>
#include <span>
#include <thread>
#include <vector>

#include "examples/cli/program.h"

namespace cli {
namespace {

constexpr int kPasses = 8;

std::uint64_t sum(std::span<const std::uint64_t> words) {
  std::uint64_t lanes[16] = {};  // enough to keep many reads under way
  const std::size_t whole = words.size() / 16 * 16;
  for (std::size_t i = 0; i < whole; i += 16)
    for (std::size_t lane = 0; lane < 16; ++lane) lanes[lane] += words[i + lane];
  std::uint64_t total = 0;
  for (const std::uint64_t lane : lanes) total += lane;
  return total;
}

}  // namespace

double read_bandwidth(int threads, std::uint64_t buffer_bytes) {
  const auto count = static_cast<std::size_t>(threads);
  const std::size_t words = buffer_bytes / sizeof(std::uint64_t) / count;
  std::barrier together(threads + 1);
  std::atomic<std::uint64_t> result{0};  // read, so that no pass is left out
  const auto work = [&](int index) {
    pin_this_thread(index);
    const std::vector<std::uint64_t> own(words, 1);  // touched by the core that reads it
    for (int pass = 0; pass < kPasses; ++pass) {
      together.arrive_and_wait();
      result += sum(own);
      together.arrive_and_wait();
    }
  };
  std::vector<std::thread> team;
  for (int i = 0; i < threads; ++i) team.emplace_back(work, i);

  double best = 1e9;
  for (int pass = 0; pass < kPasses; ++pass) {
    together.arrive_and_wait();
    const auto begin = tyto::Clock::now();
    together.arrive_and_wait();
    best = std::min(best, seconds_since(begin));
  }
  for (std::thread& thread : team) thread.join();
  const bool complete = result == words * count * kPasses;
  return complete ? static_cast<double>(words * count * sizeof(std::uint64_t)) / best : 0;
}

}  // namespace cli
