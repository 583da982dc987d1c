// Writes JSON, one object a line.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace cli {

// Quoted and escaped; what is not UTF-8 becomes U+FFFD.
std::string json_string(std::string_view text);
// As short as possible and exact; null for what JSON cannot say.
std::string json_number(double value);
std::string json_number(float value);

// raw() takes a value that is JSON already.
class JsonArray {
 public:
  JsonArray& integer(std::int64_t value) { return raw(std::to_string(value)); }
  template <class Real>
  JsonArray& number(Real value) {
    return raw(json_number(value));
  }
  JsonArray& text(std::string_view value) { return raw(json_string(value)); }
  JsonArray& raw(std::string_view json);
  std::string done() const { return "[" + body_ + "]"; }

 private:
  std::string body_;
};

class JsonObject {
 public:
  JsonObject() = default;
  explicit JsonObject(std::string_view schema) { text("schema", schema); }

  JsonObject& text(std::string_view key, std::string_view value) {
    return raw(key, json_string(value));
  }
  template <class Real>
  JsonObject& number(std::string_view key, Real value) {
    return raw(key, json_number(value));
  }
  JsonObject& integer(std::string_view key, std::int64_t value) {
    return raw(key, std::to_string(value));
  }
  JsonObject& bytes(std::string_view key, std::uint64_t value) {
    return raw(key, std::to_string(value));
  }
  JsonObject& raw(std::string_view key, std::string_view json);
  std::string done() const { return "{" + body_ + "}"; }

 private:
  std::string body_;
};

}  // namespace cli
