// Which rows go to which expert.
#include "cpu/experts.h"

#include <cmath>
#include <random>
#include <vector>

#include "tests/catch.h"

using namespace tyto::cpu;

namespace {

std::vector<int> chosen(const std::vector<float>& scores, std::size_t active) {
  std::vector<Choice> choices(active);
  choose_experts(scores, choices);
  std::vector<int> experts;
  for (const Choice& choice : choices) {
    experts.push_back(choice.expert);
    const float score = scores.at(static_cast<std::size_t>(choice.expert));
    CHECK((choice.weight == score || (std::isnan(score) && std::isnan(choice.weight))));
  }
  return experts;
}

}  // namespace

TEST_CASE("The experts of the highest scores are chosen, in ascending order", "[experts]") {
  CHECK(chosen({0.5f, 2, -1, 3}, 2) == std::vector{1, 3});
  CHECK(chosen({3, 2, 1}, 1) == std::vector{0});
  CHECK(chosen({-3, -2, -1}, 3) == std::vector{0, 1, 2});
}

TEST_CASE("Of equal scores the first experts are chosen", "[experts]") {
  CHECK(chosen({1, 1, 1, 1}, 2) == std::vector{0, 1});
  CHECK(chosen({0, 1, 1, 2, 1}, 3) == std::vector{1, 2, 3});
}

TEST_CASE("Scores that are no numbers are chosen last, infinite ones are numbers", "[experts]") {
  CHECK(chosen({NAN, 1, NAN, -5}, 2) == std::vector{1, 3});
  CHECK(chosen({NAN, NAN, NAN}, 2) == std::vector{0, 1});
  CHECK(chosen({1, INFINITY, 2, INFINITY}, 2) == std::vector{1, 3});
  CHECK(chosen({-INFINITY, -INFINITY, 4}, 2) == std::vector{0, 2});
}

TEST_CASE("Groups have the rows that chose their expert, each once", "[experts]") {
  std::mt19937 random(3);
  constexpr int kExperts = 9, kActive = 3, kRows = 20;
  std::vector<Choice> choices;
  std::vector<float> scores(kExperts);
  for (int row = 0; row < kRows; ++row) {
    for (float& score : scores) score = static_cast<float>(random() % 5);
    scores[4] = -1;  // nobody's choice
    std::vector<Choice> of_row(kActive);
    choose_experts(scores, of_row);
    choices.insert(choices.end(), of_row.begin(), of_row.end());
  }
  std::vector<Group> groups(kExperts);
  std::vector<std::int32_t> rows(choices.size(), -1), of(choices.size(), -1);
  std::vector<float> weights(choices.size());
  const int count = group_rows(choices, kActive, groups, {rows.data(), weights.data(), of.data()});
  REQUIRE(count <= kExperts - 1);
  std::size_t member = 0;
  for (int g = 0; g < count; ++g) {
    const Group& group = groups[static_cast<std::size_t>(g)];
    CHECK(group.first == static_cast<int>(member));
    CHECK(group.count > 0);
    if (g > 0) CHECK(group.expert > groups[static_cast<std::size_t>(g - 1)].expert);
    for (std::size_t i = 0; i < choices.size(); ++i) {
      if (choices[i].expert != group.expert) continue;
      CHECK(rows.at(member) == static_cast<int>(i) / kActive);
      CHECK(weights.at(member) == choices[i].weight);
      CHECK(of.at(member) == g);
      ++member;
    }
    CHECK(member == static_cast<std::size_t>(group.first + group.count));
  }
  CHECK(member == choices.size());
}
