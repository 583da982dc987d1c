#include "src/sample/candidates.h"

#include <algorithm>
#include <numeric>

#include "src/sample/softmax.h"

namespace tyto::sample {

void Candidates::make_room(std::size_t size) {
  ids_.resize(size);
  logits_.resize(size);
  weights_.resize(size);
  weights_known_ = false;
  resize(size);
}

void Candidates::assign(std::span<const float> logits) {
  make_room(logits.size());
  std::iota(ids_.begin(), ids_.end(), 0);
  std::copy(logits.begin(), logits.end(), logits_.begin());
}

void Candidates::assign(std::span<const TopLogit> part) {
  make_room(part.size());
  for (std::size_t i = 0; i < part.size(); ++i) {
    ids_[i] = part[i].token;
    logits_[i] = part[i].logit;
  }
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
