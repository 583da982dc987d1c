#include "src/stop_matcher.h"

#include <algorithm>

namespace tyto {

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase(stops_, std::string());
}

std::string_view StopMatcher::feed(std::string_view piece) {
  if (found_) return {};
  if (stops_.empty()) return piece;
  held_.append(piece);
  std::size_t first = std::string::npos;
  for (const std::string& stop : stops_) first = std::min(first, held_.find(stop));
  found_ = first != std::string::npos;
  const std::size_t certain = found_ ? first : held_.size() - held_length();
  out_.assign(held_, 0, certain);
  held_.erase(0, found_ ? held_.size() : certain);
  return out_;
}

std::string_view StopMatcher::flush() {
  out_.swap(held_);
  held_.clear();
  return out_;
}

// The longest end of held_ that begins a stop string.
std::size_t StopMatcher::held_length() const noexcept {
  const std::string_view held = held_;
  std::size_t longest = 0;
  for (const std::string& stop : stops_)
    for (std::size_t n = std::min(stop.size() - 1, held.size()); n > longest; --n)
      if (held.ends_with(std::string_view(stop).substr(0, n))) longest = n;
  return longest;
}

}  // namespace tyto
