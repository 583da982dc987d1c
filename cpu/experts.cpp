#include "cpu/experts.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace tyto::cpu {
namespace {

float rank_of(float score) noexcept { return std::isnan(score) ? -HUGE_VALF : score; }

}  // namespace

void choose_experts(std::span<const float> scores, std::span<Choice> chosen) noexcept {
  const int experts = static_cast<int>(scores.size());
  float last_rank = HUGE_VALF;
  int last = -1;
  for (Choice& choice : chosen) {  // each time the best of those behind the last
    int best = -1;
    float best_rank = -HUGE_VALF;
    for (int e = 0; e < experts; ++e) {
      const float rank = rank_of(scores[static_cast<std::size_t>(e)]);
      const bool behind = rank < last_rank || (rank == last_rank && e > last);
      if (behind && (best < 0 || rank > best_rank)) best = e, best_rank = rank;
    }
    choice = {best, scores[static_cast<std::size_t>(best)]};
    last = best;
    last_rank = best_rank;
  }
  std::sort(chosen.begin(), chosen.end(),
            [](const Choice& a, const Choice& b) { return a.expert < b.expert; });
}

int group_rows(std::span<const Choice> choices, int active, std::span<Group> groups,
               const Members& members) noexcept {
  for (std::size_t e = 0; e < groups.size(); ++e) groups[e] = {static_cast<std::int32_t>(e), 0, 0};
  for (const Choice& choice : choices) ++groups[static_cast<std::size_t>(choice.expert)].count;
  std::int32_t first = 0;
  for (Group& group : groups) {
    group.first = first;
    first += std::exchange(group.count, 0);
  }
  for (std::size_t i = 0; i < choices.size(); ++i) {
    Group& group = groups[static_cast<std::size_t>(choices[i].expert)];
    const std::int32_t at = group.first + group.count++;
    members.rows[at] = static_cast<std::int32_t>(i) / active;
    members.weights[at] = choices[i].weight;
  }
  const auto end = std::remove_if(groups.begin(), groups.end(),
                                  [](const Group& group) { return group.count == 0; });
  const int count = static_cast<int>(end - groups.begin());
  for (int g = 0; g < count; ++g) {
    const Group& group = groups[static_cast<std::size_t>(g)];
    std::fill_n(members.group_of + group.first, group.count, g);
  }
  return count;
}

}  // namespace tyto::cpu
