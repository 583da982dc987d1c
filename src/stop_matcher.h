// Finds stop strings in text that arrives piece by piece, and holds back only what could still
// become one.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace tyto {

class StopMatcher {
 public:
  StopMatcher() = default;
  explicit StopMatcher(std::vector<std::string> stops);

  // Takes the next piece and returns the text now certain; valid until the next call. Once found(),
  // the text before the first stop string has been returned and the rest is dropped.
  std::string_view feed(std::string_view piece);
  // What was held back, at the end of the text.
  std::string_view flush();
  bool found() const noexcept { return found_; }

 private:
  std::size_t held_length() const noexcept;

  std::vector<std::string> stops_;  // none is empty
  std::string held_;
  std::string out_;
  bool found_ = false;
};

}  // namespace tyto
