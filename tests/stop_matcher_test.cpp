#include "src/stop_matcher.h"

#include <string>

#include "tests/catch.h"

using tyto::StopMatcher;

namespace {

// What a matcher lets through when `text` arrives in pieces of `size` bytes.
std::string through(StopMatcher matcher, std::string_view text, std::size_t size) {
  std::string out;
  for (std::size_t i = 0; i < text.size() && !matcher.found(); i += size)
    out += matcher.feed(text.substr(i, size));
  if (!matcher.found()) out += matcher.flush();
  return out;
}

}  // namespace

TEST_CASE("Text ends before the first stop string, however it is cut into pieces", "[session]") {
  const std::string text = "one two three END four STOP";
  for (std::size_t size = 1; size <= text.size(); ++size) {
    CHECK(through(StopMatcher({"STOP", "END"}), text, size) == "one two three ");
    CHECK(through(StopMatcher({"absent", "four S!"}), text, size) == text);
    CHECK(through(StopMatcher({"one"}), text, size).empty());
  }
}

TEST_CASE("A stop string that begins like itself is still found", "[session]") {
  for (std::size_t size = 1; size <= 7; ++size)
    CHECK(through(StopMatcher({"aab"}), "xaaabyy", size) == "xa");
}

TEST_CASE("Only what could become a stop string is held back", "[session]") {
  StopMatcher matcher({"<end>"});
  CHECK(matcher.feed("text <") == "text ");
  CHECK(matcher.feed("e") == "");
  CHECK(matcher.feed("!") == "<e!");
  CHECK(matcher.flush() == "");
}

TEST_CASE("Empty stop strings never match", "[session]") {
  StopMatcher matcher({"", ""});
  CHECK(matcher.feed("abc") == "abc");
  CHECK_FALSE(matcher.found());
}
