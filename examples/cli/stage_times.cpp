#include "examples/cli/stage_times.h"

#include <fmt/format.h>

#include <algorithm>

#include "examples/cli/json.h"

namespace cli {

void StageTimes::span(std::string_view name, tyto::Clock::time_point begin,
                      tyto::Clock::time_point end, std::uint64_t bytes) noexcept {
  if (!on) return;
  auto at = std::find_if(totals_.begin(), totals_.end(),
                         [&](const Total& known) { return known.name == name; });
  if (at == totals_.end()) at = totals_.insert(at, {std::string(name)});
  ++at->count;
  at->seconds += std::chrono::duration<double>(end - begin).count();
  at->bytes += static_cast<double>(bytes);
}

std::string stages_table(const StageTimes& times, int steps, double bandwidth) {
  double all = 0;
  for (const StageTimes::Total& stage : times.totals()) all += stage.seconds;
  std::string out = fmt::format("{:<20}{:>8}{:>12}{:>8}{:>10}{:>10}{:>12}\n", "stage", "times",
                                "us a step", "share", "MB", "GB/s", "of reading");
  for (const StageTimes::Total& stage : times.totals()) {
    const double rate = stage.bytes / stage.seconds;
    out += fmt::format("{:<20}{:>8}{:>12.1f}{:>7.1f}%{:>10.2f}", stage.name, stage.count / steps,
                       stage.seconds / steps * 1e6, 100 * stage.seconds / all,
                       stage.bytes / steps / 1e6);
    if (rate > 1.2 * bandwidth)  // faster than memory: from a cache
      out += fmt::format("{:>10.1f}{:>12}", rate / 1e9, "cached");
    else if (stage.bytes > 0)
      out += fmt::format("{:>10.1f}{:>11.0f}%", rate / 1e9, 100 * rate / bandwidth);
    out += '\n';
  }
  return out;
}

std::string stages_json(const StageTimes& times, int steps) {
  JsonArray out;
  for (const StageTimes::Total& stage : times.totals())
    out.raw(JsonObject()
                .text("stage", stage.name)
                .integer("times", stage.count / steps)
                .number("seconds", stage.seconds / steps)
                .number("bytes", stage.bytes / steps)
                .done());
  return out.done();
}

}  // namespace cli
