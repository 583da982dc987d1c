// A mixture of experts takes the rows of a step apart by the experts they chose, so that each
// expert's weights are read once, and multiplied by all rows that want them.
#pragma once
#include <cstdint>
#include <span>

namespace tyto::cpu {

struct Choice {
  std::int32_t expert;
  float weight;
};

// The experts of the highest scores, ascending, each with its score for a weight. Of equal scores
// the first counts as higher, and what is no number as -infinity.
void choose_experts(std::span<const float> scores, std::span<Choice> chosen) noexcept;

struct Group {  // the members of one expert: rows that chose it
  std::int32_t expert, first, count;
};

// Of every member, group by group: its row, its weight, its group.
struct Members {
  std::int32_t* rows;
  float* weights;
  std::int32_t* group_of;
};

// Groups of the experts that any row chose, in ascending order, their rows ascending too. choices:
// [rows, active]. groups: room for every expert. Answers how many there are.
int group_rows(std::span<const Choice> choices, int active, std::span<Group> groups,
               const Members& members) noexcept;

}  // namespace tyto::cpu
