#include "tyto/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <string>

#include "src/sample/random.h"
#include "src/sample/rank.h"
#include "src/sample/sampler.h"
#include "src/sample/softmax.h"
#include "tests/allocations.h"
#include "tests/catch.h"
#include "tests/logits_kit.h"

using namespace tyto;
using test::random_logits;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

const SamplerOptions kPlain{.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0};

using Distribution = std::map<TokenId, double>;

// The order of a ranking: highest key first, lowest id among equals.
std::vector<TokenId> ranked(const std::map<TokenId, double>& keys) {
  std::vector<TokenId> ids;
  for (const auto& [id, key] : keys) ids.push_back(id);
  std::stable_sort(ids.begin(), ids.end(),
                   [&](TokenId a, TokenId b) { return keys.at(a) > keys.at(b); });
  return ids;
}

Distribution probabilities(const std::map<TokenId, double>& logits) {
  double top = -kInfinity, total = 0;
  for (const auto& [id, logit] : logits) top = std::max(top, logit);
  Distribution out;
  for (const auto& [id, logit] : logits) total += out[id] = std::exp(logit - top);
  for (auto& [id, p] : out) p /= total;
  return out;
}

// Keeps the best by `keys` until they hold `mass`.
void keep_mass(std::map<TokenId, double>& logits, const std::map<TokenId, double>& keys,
               double mass) {
  const Distribution p = probabilities(logits);
  double reached = 0;
  for (const TokenId id : ranked(keys)) {
    if (reached >= mass && reached > 0) logits.erase(id);
    reached += p.at(id);
  }
}

// Every stage in the most obvious way, in double.
Distribution expected(const SamplerOptions& options, const std::vector<float>& input,
                      std::vector<TokenId> history) {
  std::map<TokenId, double> logits;
  for (std::size_t i = 0; i < input.size(); ++i) logits[static_cast<TokenId>(i)] = input[i];
  for (const Bias& bias : options.bias) logits[bias.token] += bias.value;
  const auto window = static_cast<std::size_t>(options.penalty_window);
  if (history.size() > window)
    history.erase(history.begin(), history.end() - options.penalty_window);
  for (auto& [id, logit] : logits) {
    const auto times = std::count(history.begin(), history.end(), id);
    if (times == 0) continue;
    logit = logit > 0 ? logit / options.repeat_penalty : logit * options.repeat_penalty;
    logit -= options.presence_penalty + static_cast<double>(times) * options.frequency_penalty;
  }
  for (auto& [id, logit] : logits) logit /= options.temperature;
  if (options.top_k > 0) {
    const std::vector<TokenId> order = ranked(logits);
    for (std::size_t i = static_cast<std::size_t>(options.top_k); i < order.size(); ++i)
      logits.erase(order[i]);
  }
  if (options.typical_p < 1) {
    std::map<TokenId, double> keys;
    double entropy = 0;
    for (const auto& [id, p] : probabilities(logits)) entropy -= p > 0 ? p * std::log(p) : 0;
    for (const auto& [id, p] : probabilities(logits)) keys[id] = -std::abs(-std::log(p) - entropy);
    keep_mass(logits, keys, options.typical_p);
  }
  if (options.top_p < 1) keep_mass(logits, logits, options.top_p);
  if (options.min_p > 0) {
    const Distribution all = probabilities(logits);
    double top = 0;
    for (const auto& [id, p] : all) top = std::max(top, p);
    for (const auto& [id, p] : all)
      if (p < options.min_p * top) logits.erase(id);
  }
  return probabilities(logits);
}

// What the sampler draws from.
Distribution actual(const SamplerOptions& options, const std::vector<float>& logits,
                    const std::vector<TokenId>& history = {}) {
  Sampler sampler = Sampler::create(options).value();
  (void)sample::choose(*sampler.impl(), logits, history, 0).value();
  sample::Candidates& candidates = sampler.impl()->candidates;
  Distribution out;
  for (std::size_t i = 0; i < candidates.size(); ++i)
    out[candidates.ids()[i]] = double{candidates.weights()[i]} / candidates.total_weight();
  return out;
}

void check_equal(const Distribution& got, const Distribution& want) {
  REQUIRE(got.size() == want.size());
  for (const auto& [id, p] : want) {
    REQUIRE(got.count(id) == 1);
    CHECK(got.at(id) == Approx(p).epsilon(1e-4).margin(1e-9));
  }
}

TokenId draw(Sampler& sampler, const std::vector<float>& logits, std::uint64_t position) {
  return sample::choose(*sampler.impl(), logits, {}, position).value().id;
}

TokenId draw(const SamplerOptions& options, const std::vector<float>& logits,
             std::uint64_t position = 0) {
  Sampler sampler = Sampler::create(options).value();
  return draw(sampler, logits, position);
}

ErrorCode code_of(Sampler& sampler, const std::vector<float>& logits) {
  const auto choice = sample::choose(*sampler.impl(), logits, {}, 0);
  return choice ? ErrorCode::ok : choice.error().code();
}

struct FunctionStage : LogitStage {
  using Function = std::function<Result<>(std::span<float>, std::span<const TokenId>)>;
  explicit FunctionStage(Function f) : function(std::move(f)) {}
  Result<> apply(std::span<float> logits, std::span<const TokenId> history) override {
    return function(logits, history);
  }
  Function function;
};

Sampler with_stage(const SamplerOptions& options, FunctionStage::Function function) {
  Sampler sampler = Sampler::create(options).value();
  sampler.add(std::make_shared<FunctionStage>(std::move(function))).value();
  return sampler;
}

}  // namespace

TEST_CASE("Philox gives the numbers of its authors", "[sampler]") {
  using sample::philox;
  CHECK(philox({0, 0, 0, 0}, {0, 0}) ==
        sample::PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) ==
        sample::PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        sample::PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("The uniform numbers are in [0, 1) and differ by seed and by position", "[sampler]") {
  double total = 0;
  for (std::uint64_t position = 0; position < 10000; ++position) {
    const double u = sample::uniform(42, position);
    REQUIRE(u >= 0);
    REQUIRE(u < 1);
    total += u;
  }
  CHECK(total / 10000 == Approx(0.5).margin(0.01));
  CHECK(sample::uniform(1, 2) != sample::uniform(2, 1));
  CHECK(sample::uniform(1, 0) != sample::uniform(std::uint64_t{1} << 32, 0));
  CHECK(sample::uniform(0, 1) != sample::uniform(0, std::uint64_t{1} << 32));
}

TEST_CASE("Exponentials are accurate and vanish far below", "[sampler]") {
  std::vector<float> x, y;
  for (float value = 0; value > -95; value -= 0.0137f) x.push_back(value);
  x.push_back(-1e30f);
  x.push_back(-kInfinity);
  y.resize(x.size());
  sample::exp_below(x, 0, y);
  double worst = 0;  // error against what is promised
  for (std::size_t i = 0; i < x.size() && x[i] > -70; ++i) {
    const double exact = std::exp(double{x[i]});
    worst = std::max(worst, std::abs(double{y[i]} / exact - 1) / (3e-7 + 1e-7 * std::abs(x[i])));
  }
  CHECK(worst < 1);
  CHECK(std::is_sorted(y.rbegin(), y.rend()));
  CHECK(y.front() == 1);
  CHECK(y.back() == 0);
}

TEST_CASE("The logarithm of a sum of exponentials does not overflow", "[sampler]") {
  const std::vector<float> large{1000, 1000, -kInfinity}, small{-3e38f, -3e38f};
  CHECK(sample::log_sum_exp(large, 1000) == Approx(1000 + std::log(2.0)));
  CHECK(sample::log_sum_exp(small, -3e38f) == Approx(-3e38));
  const std::vector<float> many = random_logits(5000, 1);
  double total = 0;
  for (const float value : many) total += std::exp(double{value});
  CHECK(sample::log_sum_exp(many, sample::highest(many)) == Approx(std::log(total)).epsilon(1e-7));
}

TEST_CASE("Selecting the best equals sorting", "[sampler]") {
  std::vector<float> keys = random_logits(3000, 7);
  for (float& key : keys) key = std::round(key * 20) / 20;  // with ties
  std::vector<float> up = keys, down = keys;
  std::sort(up.begin(), up.end());
  std::sort(down.rbegin(), down.rend());
  for (const std::vector<float>& in :
       {keys, up, down, std::vector<float>(500, 1.0f), std::vector<float>{}}) {
    std::vector<sample::Ranked> sorted;
    for (std::size_t i = 0; i < in.size(); ++i)
      sorted.push_back({in[i], static_cast<std::uint32_t>(i)});
    std::sort(sorted.begin(), sorted.end(), sample::better);
    for (const std::size_t count : {0, 1, 2, 40, 700, 2999, 3000, 4000}) {
      std::vector<sample::Ranked> best;
      sample::select_best(in, count, best);
      REQUIRE(best.size() == std::min(count, in.size()));
      std::sort(best.begin(), best.end(), sample::better);
      for (std::size_t i = 0; i < best.size(); ++i) REQUIRE(best[i].index == sorted[i].index);
    }
  }
}

TEST_CASE("Cutting by mass equals sorting and adding up", "[sampler]") {
  std::vector<float> keys = random_logits(2000, 3);
  for (float& key : keys) key = std::round(key * 10) / 10;
  std::vector<float> weights(keys.size());
  for (std::size_t i = 0; i < weights.size(); ++i)
    weights[i] = static_cast<float>(i % 17);  // exact sums, some 0
  std::vector<sample::Ranked> sorted, room;
  for (std::size_t i = 0; i < keys.size(); ++i)
    sorted.push_back({keys[i], static_cast<std::uint32_t>(i)});
  std::sort(sorted.begin(), sorted.end(), sample::better);
  const double total = sample::sum(weights);
  for (const double mass : {0.0, 1.0, 17.0, 500.0, total / 2, total - 1, total, total + 1}) {
    double reached = 0;
    std::uint32_t last = 0;
    for (const sample::Ranked& entry : sorted) {
      if (reached > 0 && reached >= mass) break;
      reached += double{weights[entry.index]};
      if (weights[entry.index] > 0) last = entry.index;
    }
    const sample::Ranked cut = sample::mass_cut(keys, weights, mass, room);
    if (mass <= total) {
      CHECK(cut.index == last);
    } else {
      CHECK_FALSE(sample::better(cut, {keys[last], last}));
    }
  }
}

TEST_CASE("Each stage draws from the distribution of its definition", "[sampler]") {
  const auto with = [](auto change) {
    SamplerOptions options = kPlain;
    change(options);
    return options;
  };
  std::vector<SamplerOptions> cases{kPlain, SamplerOptions{}};
  for (const float t : {0.3f, 0.8f, 1.7f, 10.0f})
    cases.push_back(with([=](auto& o) { o.temperature = t; }));
  for (const int k : {1, 2, 40, 299, 300, 1000})
    cases.push_back(with([=](auto& o) { o.top_k = k; }));
  for (const float p : {0.01f, 0.3f, 0.77f, 0.95f, 0.999f}) {
    cases.push_back(with([=](auto& o) { o.top_p = p; }));
    cases.push_back(with([=](auto& o) { o.typical_p = p; }));
    cases.push_back(with([=](auto& o) { o.min_p = p; }));
    cases.push_back(
        with([=](auto& o) { o.typical_p = 0.6f, o.top_p = p, o.min_p = 0.3f, o.top_k = 50; }));
  }
  for (const float penalty : {0.7f, 1.3f, 2.0f}) {
    cases.push_back(with([=](auto& o) { o.repeat_penalty = penalty; }));
    cases.push_back(with([=](auto& o) { o.presence_penalty = penalty, o.penalty_window = 3; }));
    cases.push_back(with([=](auto& o) { o.frequency_penalty = -penalty, o.penalty_window = 0; }));
    cases.push_back(with([=](auto& o) { o.frequency_penalty = penalty, o.presence_penalty = -1; }));
  }
  cases.push_back(with([](auto& o) { o.bias = {{5, 2.5f}, {7, -kInfinity}, {5, -1}}; }));

  const std::vector<TokenId> history{1, 2, 3, 2, 299, 2, 0, 1};
  for (unsigned seed = 0; seed < 3; ++seed) {
    const std::vector<float> logits = random_logits(300, seed, seed == 2 ? 0.5f : 3);
    for (std::size_t i = 0; i < cases.size(); ++i) {
      INFO("case " << i << ", seed " << seed);
      Distribution got = actual(cases[i], logits, history);
      check_equal(got, expected(cases[i], logits, history));
    }
  }
}

TEST_CASE("Draws follow the probabilities", "[sampler]") {
  const std::vector<float> logits{0, 1, 2, -kInfinity, 0.5f};
  const Distribution p = expected(kPlain, logits, {});
  Sampler sampler = Sampler::create(kPlain).value();
  std::map<TokenId, int> times;
  constexpr int kDraws = 20000;
  for (std::uint64_t position = 0; position < kDraws; ++position)
    ++times[draw(sampler, logits, position)];
  CHECK(times.count(3) == 0);
  double chi_squared = 0;
  for (const auto& [id, probability] : p)
    if (id != 3)
      chi_squared += std::pow(times[id] - probability * kDraws, 2) / (probability * kDraws);
  CHECK(chi_squared < 16.3);  // 3 degrees of freedom, one chance in a thousand
}

TEST_CASE("A draw depends on seed and position alone", "[sampler]") {
  const std::vector<float> logits = random_logits(500, 9), other = random_logits(500, 10);
  Sampler forward = Sampler::create({.seed = 5}).value(),
          backward = Sampler::create({.seed = 5}).value();
  std::vector<TokenId> there, back;
  for (std::uint64_t position = 0; position < 50; ++position)
    there.push_back(draw(forward, logits, position));
  for (std::uint64_t position = 50; position-- > 0;) {
    back.push_back(draw(backward, logits, position));
    draw(backward, other, position);
  }
  std::reverse(back.begin(), back.end());
  CHECK(there == back);
  CHECK(std::count(there.begin(), there.end(), there[0]) < 50);

  Sampler seed_6 = Sampler::create({.seed = 6}).value();
  std::vector<TokenId> differently;
  for (std::uint64_t position = 0; position < 50; ++position)
    differently.push_back(draw(seed_6, logits, position));
  CHECK(there != differently);
}

TEST_CASE("A clone draws the same, with the host's stages", "[sampler]") {
  const std::vector<float> logits = random_logits(100, 4);
  Sampler sampler = with_stage({.seed = 3}, [](std::span<float> all, auto) -> Result<> {
    all[17] = 100;
    return {};
  });
  Sampler copy = sampler.clone().value();
  CHECK(draw(copy, logits, 8) == 17);
  CHECK(draw(sampler, logits, 8) == 17);
}

TEST_CASE("Greedy takes the highest logit, the lowest id among equals", "[sampler]") {
  CHECK(draw({.temperature = 0}, {1, 5, 3, 5}) == 1);
  CHECK(draw({.temperature = 0}, {-kInfinity, -8, -3}) == 2);
  CHECK(draw({.temperature = 0, .bias = {{1, -kInfinity}}}, {1, 5, 3, 5}) == 3);
}

TEST_CASE("Extreme options leave a distribution to draw from", "[sampler]") {
  const std::vector<float> logits{1, 3, -200, 2.5f, 3};
  for (std::uint64_t position = 0; position < 20; ++position) {
    for (const float temperature : {1e-45f, 1e-30f, 1e-6f}) {
      const TokenId id =
          draw({.temperature = temperature, .top_k = 0, .top_p = 1, .min_p = 0}, logits, position);
      CHECK((id == 1 || id == 4));
    }
    CHECK(draw({.temperature = 1, .top_k = 1}, logits, position) == 1);
    CHECK(draw({.temperature = 1, .top_p = 0}, logits, position) == 1);
    CHECK(draw({.temperature = 1, .top_p = 1e-30f}, logits, position) == 1);
    const TokenId certain =
        draw({.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 1}, logits, position);
    CHECK((certain == 1 || certain == 4));
  }
  check_equal(actual({.temperature = 3e38f, .top_k = 0, .top_p = 1, .min_p = 0}, logits),
              {{0, 0.2}, {1, 0.2}, {2, 0.2}, {3, 0.2}, {4, 0.2}});
  CHECK(actual({.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0, .typical_p = 0}, logits)
            .size() == 1);
  CHECK(actual({.temperature = 1, .top_k = 0, .top_p = 0.5f}, {3e38f, -3e38f, 0}).size() == 1);
  CHECK(draw(SamplerOptions{}, {7}) == 0);
}

TEST_CASE("Logits that are not numbers are refused and leave the sampler usable", "[sampler]") {
  for (const SamplerOptions& options : {SamplerOptions{}, SamplerOptions{.temperature = 0}}) {
    Sampler sampler = Sampler::create(options).value();
    CHECK(code_of(sampler, {1, kNan, 2}) == ErrorCode::numeric);
    CHECK(code_of(sampler, {1, kInfinity, 2}) == ErrorCode::numeric);
    CHECK(code_of(sampler, {-kInfinity, -kInfinity}) == ErrorCode::numeric);
    CHECK(code_of(sampler, {-kInfinity, kNan}) == ErrorCode::numeric);
    CHECK(code_of(sampler, {}) == ErrorCode::numeric);
    CHECK(code_of(sampler, {-kInfinity, 1}) == ErrorCode::ok);
  }
  Sampler forbidding = Sampler::create({.bias = {{0, -kInfinity}, {1, -kInfinity}}}).value();
  CHECK(code_of(forbidding, {1, 2}) == ErrorCode::numeric);
  const auto error = sample::choose(*forbidding.impl(), std::vector<float>{0, kNan}, {}, 0).error();
  CHECK(error.message() == "the model: the logit of token 1 is nan");
}

TEST_CASE("Log probabilities are of the model's own distribution", "[sampler]") {
  const std::vector<float> logits = random_logits(1000, 2);
  SamplerOptions options{.temperature = 0.1f,
                         .top_k = 3,
                         .repeat_penalty = 5,
                         .top_logprobs = 10,
                         .bias = {{900, 50}}};
  Sampler sampler = Sampler::create(options).value();
  const std::vector<TokenId> history{1, 2, 3};
  const sample::Choice choice = sample::choose(*sampler.impl(), logits, history, 0).value();
  const Distribution p = expected(kPlain, logits, {});
  const std::vector<TokenId> order = ranked(p);
  CHECK(choice.id == 900);
  CHECK(choice.logprob == Approx(std::log(p.at(900))).epsilon(1e-5));
  REQUIRE(choice.top.size() == 10);
  for (std::size_t i = 0; i < 10; ++i) {
    CHECK(choice.top[i].id == order[i]);
    CHECK(choice.top[i].value == Approx(std::log(p.at(order[i]))).epsilon(1e-5));
  }
  Sampler all = Sampler::create({.top_logprobs = 5000}).value();
  CHECK(sample::choose(*all.impl(), logits, {}, 0).value().top.size() == 1000);
}

TEST_CASE("Only the first draw allocates", "[sampler][allocations]") {
  const SamplerOptions many[] = {
      {},
      {.temperature = 0, .top_logprobs = 5},
      {.top_k = 0, .typical_p = 0.7f, .repeat_penalty = 1.2f, .bias = {{3, 1}}},
  };
  for (const SamplerOptions& options : many) {
    Sampler sampler = Sampler::create(options).value();
    const std::vector<TokenId> history(40, 7);
    const std::vector<float> first = random_logits(3000, 1, 20),
                             later = random_logits(3000, 2, 0.1f);
    (void)sample::choose(*sampler.impl(), first, history, 0).value();
    const test::AllocationWatch watch;
    for (std::uint64_t position = 1; position < 20; ++position)
      (void)sample::choose(*sampler.impl(), position % 2 == 0 ? first : later, history, position)
          .value();
    CHECK(watch.count() == 0);
  }
}

TEST_CASE("A host's stage changes a copy, after bias and before temperature", "[sampler]") {
  const std::vector<float> logits{1, 2, 3};
  std::vector<float> seen;
  std::vector<TokenId> past;
  Sampler sampler =
      with_stage({.temperature = 0, .bias = {{2, -1.5f}}}, [&](auto all, auto history) -> Result<> {
        seen.assign(all.begin(), all.end());
        past.assign(history.begin(), history.end());
        all[0] = 9;
        return {};
      });
  const std::vector<TokenId> history{2, 1};
  const sample::Choice choice = sample::choose(*sampler.impl(), logits, history, 0).value();
  CHECK(seen == std::vector<float>{1, 2, 1.5f});
  CHECK(past == history);
  CHECK(choice.id == 0);
  CHECK(logits == std::vector<float>{1, 2, 3});
}

TEST_CASE("A host's stage that fails ends the draw with its error", "[sampler]") {
  bool fail = true;
  Sampler sampler = with_stage({}, [&](auto all, auto) -> Result<> {
    all[0] = kNan;
    if (fail) return Error(ErrorCode::bad_grammar, "no");
    return {};
  });
  CHECK(code_of(sampler, {1, 2}) == ErrorCode::bad_grammar);
  fail = false;
  CHECK(code_of(sampler, {1, 2}) == ErrorCode::numeric);
}

TEST_CASE("A sampler in use answers busy", "[sampler]") {
  const std::vector<float> logits{1, 2};
  Sampler* self = nullptr;
  std::vector<ErrorCode> codes;
  Sampler sampler = with_stage({}, [&](auto, auto) -> Result<> {
    codes = {code_of(*self, logits), self->clone().error().code(),
             self->add(std::make_shared<FunctionStage>(nullptr)).error().code()};
    return {};
  });
  self = &sampler;
  CHECK(code_of(sampler, logits) == ErrorCode::ok);
  CHECK(codes == std::vector<ErrorCode>(3, ErrorCode::busy));
}

TEST_CASE("An empty sampler answers bad_argument", "[sampler]") {
  Sampler sampler;
  CHECK(sampler.clone().error().code() == ErrorCode::bad_argument);
  CHECK(sampler.add(std::make_shared<FunctionStage>(nullptr)).error().code() ==
        ErrorCode::bad_argument);
  Sampler good = Sampler::create().value();
  CHECK(good.add(nullptr).error().code() == ErrorCode::bad_argument);
}

TEST_CASE("An option out of range is named", "[sampler]") {
  const std::pair<SamplerOptions, std::string> cases[] = {
      {{.temperature = kNan}, "temperature"},
      {{.temperature = -1}, "temperature"},
      {{.temperature = kInfinity}, "temperature"},
      {{.top_k = -1}, "top_k"},
      {{.top_p = -0.1f}, "top_p"},
      {{.top_p = 1.1f}, "top_p"},
      {{.top_p = kNan}, "top_p"},
      {{.min_p = -1}, "min_p"},
      {{.min_p = kNan}, "min_p"},
      {{.typical_p = 2}, "typical_p"},
      {{.typical_p = kNan}, "typical_p"},
      {{.repeat_penalty = 0}, "repeat_penalty"},
      {{.repeat_penalty = kNan}, "repeat_penalty"},
      {{.presence_penalty = kInfinity}, "presence_penalty"},
      {{.frequency_penalty = kNan}, "frequency_penalty"},
      {{.penalty_window = -1}, "penalty_window"},
      {{.top_logprobs = -1}, "top_logprobs"},
      {{.bias = {{-1, 0}}}, "bias"},
      {{.bias = {{4, kNan}}}, "bias of token 4"},
      {{.bias = {{4, kInfinity}}}, "bias of token 4"},
  };
  for (const auto& [options, name] : cases) {
    const auto sampler = Sampler::create(options);
    INFO(name);
    REQUIRE_FALSE(sampler.has_value());
    CHECK(sampler.error().code() == ErrorCode::bad_argument);
    CHECK(std::string(sampler.error().message()).find(name) == 0);
  }
  Sampler sampler = Sampler::create({.bias = {{2, 1}}}).value();
  CHECK(code_of(sampler, {1, 2}) == ErrorCode::bad_argument);
}

TEST_CASE("Stages run in the documented order", "[sampler]") {
  std::map<int, std::string> order;
  for (const sample::Stage* stage : sample::stages()) order[stage->order] = stage->name;
  CHECK(order == std::map<int, std::string>{{10, "bias"},
                                            {20, "penalties"},
                                            {30, "host"},
                                            {40, "temperature"},
                                            {50, "top_k"},
                                            {60, "typical"},
                                            {70, "top_p"},
                                            {80, "min_p"}});
  CHECK(order.size() == sample::stages().size());
}
