// How long the stages of a step take, and how fast they read. For a program in which one thread
// computes.
#pragma once
#include <string>
#include <vector>

#include "tyto/host.h"

namespace cli {

class StageTimes : public tyto::TraceSink {
 public:
  void span(std::string_view name, tyto::Clock::time_point begin, tyto::Clock::time_point end,
            std::uint64_t bytes) noexcept override;
  bool wants_stages() const noexcept override { return on; }

  bool on = false;  // set while no step runs

  struct Total {
    std::string name;
    int count = 0;
    double seconds = 0, bytes = 0;
  };
  const std::vector<Total>& totals() const { return totals_; }  // in the order of their first time

 private:
  std::vector<Total> totals_;
};

// Of so many steps, each stage's part of one.
std::string stages_table(const StageTimes& times, int steps, double bandwidth);
std::string stages_json(const StageTimes& times, int steps);

}  // namespace cli
