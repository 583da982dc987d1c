// Choosing the next token. Stages run in a fixed order: bias, penalties, the host's own,
// temperature, top-k, typical, top-p, min-p, the draw.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "tyto/export.h"
#include "tyto/result.h"
#include "tyto/tokenizer.h"

namespace tyto {
inline namespace v1 {

struct Bias {
  TokenId token;
  float value;  // added to the logit; -infinity forbids the token
};

struct SamplerOptions {
  float temperature = 0.8f;        // 0: greedy, the lowest id among equals
  int top_k = 40;                  // 0: off
  float top_p = 0.95f;             // 1: off. Nucleus sampling, Holtzman et al. 2019
  float min_p = 0.05f;             // 0: off. Nguyen et al. 2024
  float typical_p = 1.0f;          // 1: off. Locally typical sampling, Meister et al. 2022
  float repeat_penalty = 1.0f;     // 1: off. CTRL, Keskar et al. 2019
  float presence_penalty = 0.0f;   // subtracted once from each token of the window
  float frequency_penalty = 0.0f;  // subtracted once for each time a token stands in the window
  int penalty_window = 64;         // how many of the last tokens the penalties look at; 0: none
  std::uint64_t seed = 0;
  int top_logprobs = 0;  // alternatives reported with each token, of the model's own distribution
  std::vector<Bias> bias = {};
};

// A stage of the host's own: changes the logits of all tokens before temperature and truncation.
class TYTO_EXPORT LogitStage {
 public:
  virtual ~LogitStage() = default;
  // logits: [vocab], to be changed in place. history: the sequence so far. An error ends the call
  // that samples, and leaves the session as it was.
  virtual Result<> apply(std::span<float> logits, std::span<const TokenId> history) = 0;
};

// One per generation; one thread at a time, a second one gets `busy`. A draw depends on (seed,
// position) alone, never on what was drawn before, so fork, truncate and a repeated run give the
// same text.
class TYTO_EXPORT Sampler {
 public:
  // bad_argument names the option that is out of range.
  static Result<Sampler> create(const SamplerOptions& options = {});
  Result<> add(std::shared_ptr<LogitStage> stage);
  Result<Sampler> clone() const;

  Sampler() noexcept;
  Sampler(Sampler&&) noexcept;
  Sampler& operator=(Sampler&&) noexcept;
  ~Sampler();

  struct Impl;
  Impl* impl() const noexcept { return impl_.get(); }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace v1
}  // namespace tyto
