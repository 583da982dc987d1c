#include "src/sample/candidates.h"

#include <algorithm>
#include <numeric>

#include "src/sample/softmax.h"

namespace tyto::sample {

void Candidates::assign(std::span<const float> logits) {
  ids_.resize(logits.size());
  weights_.resize(logits.size());
  std::iota(ids_.begin(), ids_.end(), 0);
  logits_.assign(logits.begin(), logits.end());
  weights_known_ = false;
  resize(logits.size());
}

std::span<float> Candidates::mutable_logits() noexcept {
  weights_known_ = total_known_ = false;
  return {logits_.data(), size_};
}

std::span<const float> Candidates::weights() {
  const std::span<float> weights(weights_.data(), size_);
  if (!weights_known_) exp_below(logits(), highest(logits()), weights);
  weights_known_ = true;
  return weights;
}

double Candidates::total_weight() {
  if (!total_known_) total_ = sum(weights());
  total_known_ = true;
  return total_;
}

void Candidates::keep(std::span<Ranked> chosen) {
  std::sort(chosen.begin(), chosen.end(),
            [](const Ranked& a, const Ranked& b) { return a.index < b.index; });
  for (std::size_t i = 0; i < chosen.size(); ++i) move(chosen[i].index, i);
  resize(chosen.size());
}

std::span<float> Candidates::scratch() {
  scratch_.resize(std::max(scratch_.size(), size_));
  return {scratch_.data(), size_};
}

}  // namespace tyto::sample
