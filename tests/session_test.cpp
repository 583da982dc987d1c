#include <cmath>
#include <limits>
#include <numeric>
#include <thread>
#include <vector>

#include "tests/catch.h"
#include "tests/tiny_model.h"
#include "tyto/tyto.h"

using namespace tyto;
using namespace tyto::test;

namespace {

const std::vector<TokenId> kPrompt = {1,  100, 200, 50, 7,   299, 31, 64, 128, 12,
                                      99, 250, 3,   77, 180, 5,   42, 60, 61,  200};

Model tiny(ModelOptions options = {}) {
  options.isa = isa_under_test();
  return load_tiny(options).value();
}

Sampler greedy() { return Sampler::create({.temperature = 0}).value(); }

Session with_prompt(const Model& model, SessionOptions options = {}) {
  Session session = model.new_session(options).value();
  session.append(kPrompt).value();
  return session;
}

std::vector<TokenId> all(const Session& session) {
  return {session.tokens().begin(), session.tokens().end()};
}
std::vector<float> logits(const Session& session) {
  return {session.logits().begin(), session.logits().end()};
}

// Prompt and `n` greedy tokens.
std::vector<TokenId> continued(const Model& model, int n) {
  Session session = with_prompt(model);
  Sampler sampler = greedy();
  session.generate(sampler, {.max_tokens = n}, {}).value();
  return all(session);
}

}  // namespace

TEST_CASE("append only queues; prefill computes", "[session]") {
  const Model model = tiny();
  Session session = with_prompt(model);
  CHECK(session.tokens().size() == kPrompt.size());
  CHECK(session.logits().empty());
  session.prefill().value();
  CHECK(session.logits().size() == static_cast<std::size_t>(model.vocab_size()));
  CHECK(session.remaining() == session.capacity() - kPrompt.size());
  CHECK(session.capacity() == 128);  // the model's own
}

TEST_CASE(
    "Ids outside the vocabulary and prompts that do not fit are refused before anything changes",
    "[session]") {
  const Model model = tiny();
  Session session = with_prompt(model, {.context = 24});
  for (const TokenId bad : {-1, 300, std::numeric_limits<TokenId>::max()}) {
    const std::vector<TokenId> ids = {5, bad};
    CHECK(session.append(ids).error().code() == ErrorCode::bad_argument);
    CHECK(session.sync(ids).error().code() == ErrorCode::bad_argument);
    CHECK(session.score(ids, {}).error().code() == ErrorCode::bad_argument);
  }
  const std::vector<TokenId> five(5, 9), many(25, 9);
  CHECK(session.append(five).error().code() == ErrorCode::limit);
  CHECK(session.sync(many).error().code() == ErrorCode::limit);
  CHECK(session.score(five, {}).error().code() == ErrorCode::limit);
  CHECK(all(session) == kPrompt);
}

TEST_CASE("A session without tokens cannot compute a next one", "[session]") {
  const Model model = tiny();
  Session session = model.new_session().value();
  Sampler sampler = greedy();
  CHECK(session.next(sampler).error().code() == ErrorCode::bad_argument);
  CHECK(session.generate(sampler, {}, {}).error().code() == ErrorCode::bad_argument);
  CHECK(session.prefill());
  CHECK(session.append({}));
  CHECK(model.new_session({.context = 0}).error().code() == ErrorCode::bad_argument);
}

TEST_CASE("Empty handles answer bad_argument", "[session]") {
  Session session;
  Sampler sampler = greedy(), no_sampler;
  CHECK(session.append({}).error().code() == ErrorCode::bad_argument);
  CHECK(session.next(sampler).error().code() == ErrorCode::bad_argument);
  CHECK(session.fork().error().code() == ErrorCode::bad_argument);
  CHECK(session.tokens().empty());
  CHECK(Model().new_session().error().code() == ErrorCode::bad_argument);
  CHECK(Model().tokenizer().encode("a").error().code() == ErrorCode::bad_argument);
  const Model model = tiny();
  Session good = with_prompt(model);
  CHECK(good.next(no_sampler).error().code() == ErrorCode::bad_argument);
}

TEST_CASE("next and generate give the same tokens", "[session]") {
  const Model model = tiny();
  const std::vector<TokenId> expected = continued(model, 20);
  REQUIRE(expected.size() == kPrompt.size() + 20);
  Session session = with_prompt(model);
  Sampler sampler = greedy();
  for (int i = 0; i < 20; ++i) {
    const auto token = session.next(sampler).value();
    REQUIRE(token);
    CHECK(token->id == expected[kPrompt.size() + i]);
    CHECK(token->logprob < 0);
  }
  CHECK(all(session) == expected);
}

TEST_CASE("Truncating and going on gives the same tokens and bits", "[session][bits]") {
  const Model model = tiny();
  const std::vector<TokenId> expected = continued(model, 24);
  Session session = with_prompt(model);
  Sampler sampler = greedy();
  session.generate(sampler, {.max_tokens = 24}, {}).value();
  session.prefill().value();
  const std::vector<float> last = logits(session);
  for (const std::size_t length :
       {std::size_t{43}, std::size_t{32}, std::size_t{21}, std::size_t{20}, std::size_t{3}}) {
    session.truncate(length).value();
    CHECK(session.tokens().size() == length);
    CHECK(session.logits().empty());
    session.append(std::span(expected).subspan(length)).value();
    session.prefill().value();
    CHECK(logits(session) == last);
  }
  CHECK(session.truncate(1000).error().code() == ErrorCode::bad_argument);
}

TEST_CASE("sync keeps the common prefix", "[session]") {
  const Model model = tiny();
  Session session = with_prompt(model);
  session.prefill().value();
  const std::vector<float> before = logits(session);
  CHECK(session.sync(kPrompt).value() == kPrompt.size());
  CHECK(logits(session) == before);
  std::vector<TokenId> other = kPrompt;
  other[10] = 11;
  CHECK(session.sync(other).value() == 10);
  CHECK(all(session) == other);
  CHECK(session.sync(kPrompt).value() == 10);
  session.prefill().value();
  CHECK(logits(session) == before);
  CHECK(session.sync({}).value() == 0);
  CHECK(session.tokens().empty());
}

TEST_CASE("A fork goes its own way and the original keeps its own", "[session][bits]") {
  const Model model = tiny();
  const std::vector<TokenId> expected = continued(model, 20);
  Session session = with_prompt(model);
  Sampler sampler = greedy();
  session.generate(sampler, {.max_tokens = 5}, {}).value();
  Session fork = session.fork().value();
  const std::vector<TokenId> odd = {9, 8, 7};
  fork.append(odd).value();
  fork.generate(sampler, {.max_tokens = 10}, {}).value();
  session.generate(sampler, {.max_tokens = 15}, {}).value();
  CHECK(all(session) == expected);
  fork.sync(std::span(expected).first(kPrompt.size() + 5)).value();
  fork.generate(sampler, {.max_tokens = 15}, {}).value();
  CHECK(all(fork) == expected);
}

TEST_CASE("A batch gives each session what it gets alone", "[session][bits]") {
  const Model model = tiny({.limits = {.rows = 16, .sequences = 4}});
  const std::vector<TokenId> expected = continued(model, 12);
  std::vector<Session> sessions;
  std::vector<Sampler> samplers;
  for (int i = 0; i < 4; ++i) {
    sessions.push_back(model.new_session().value());
    samplers.push_back(greedy());
  }
  // They start at different times and lengths, so prompts and single tokens mix.
  for (int i = 0; i < 4; ++i)
    sessions[i].append(std::span(expected).first(kPrompt.size() - i)).value();
  std::vector<BatchItem> items;
  for (int i = 0; i < 4; ++i) items.push_back({&sessions[i], &samplers[i]});
  for (int steps = 0; steps < 24; ++steps) step(items).value();
  for (const Session& session : sessions) REQUIRE(session.tokens().size() > kPrompt.size() + 12);
  CHECK(std::equal(expected.begin(), expected.end(), sessions[0].tokens().begin()));
  for (int i = 1; i < 4; ++i) {
    Session alone = model.new_session().value();
    Sampler sampler = greedy();
    alone.append(std::span(kPrompt).first(kPrompt.size() - i)).value();
    const int produced = static_cast<int>(sessions[i].tokens().size() - alone.tokens().size());
    alone.generate(sampler, {.max_tokens = produced}, {}).value();
    CHECK(all(alone) == all(sessions[i]));
  }
}

TEST_CASE("A batch names what is wrong with it", "[session]") {
  const Model model = tiny({.limits = {.rows = 16, .sequences = 2}}), other = tiny();
  Session a = with_prompt(model), b = with_prompt(model), c = with_prompt(model),
          d = with_prompt(other);
  Session empty = model.new_session().value();
  const auto code_of = [](std::vector<BatchItem> items) { return step(items).error().code(); };
  CHECK(code_of({{&a, nullptr}, {&a, nullptr}}) == ErrorCode::bad_argument);
  CHECK(code_of({{&a, nullptr}, {nullptr, nullptr}}) == ErrorCode::bad_argument);
  CHECK(code_of({{&a, nullptr}, {&d, nullptr}}) == ErrorCode::bad_argument);
  CHECK(code_of({{&a, nullptr}, {&empty, nullptr}}) == ErrorCode::bad_argument);
  CHECK(code_of({{&a, nullptr}, {&b, nullptr}, {&c, nullptr}}) == ErrorCode::limit);
  CHECK(step({}));
  CHECK(a.prefill());  // a refused batch leaves no session entered
}

TEST_CASE("A deadline that has passed stops inside a token, and the next call goes on",
          "[session][deadline]") {
  const Model model = tiny();
  const std::vector<TokenId> expected = continued(model, 8);
  Session session = with_prompt(model);
  Sampler sampler = greedy();
  std::vector<TokenId> streamed;
  int calls = 0;
  Stop stop = Stop::budget;
  for (; stop == Stop::budget && calls < 10000; ++calls)
    stop = session
               .generate_until(Clock::now(), sampler, {.max_tokens = 8},
                               [&](const Token& token) {
                                 if (token.id >= 0)
                                   streamed.push_back(token.id);  // -1: the rest of the text
                                 return true;
                               })
               .value();
  CHECK(stop == Stop::max_tokens);
  CHECK(calls > 8);  // no token fits in no time
  CHECK(all(session) == expected);
  CHECK(streamed == std::vector<TokenId>(expected.end() - 8, expected.end()));
}

TEST_CASE("Sessions with no time each still both finish", "[session][deadline]") {
  const Model model = tiny();
  const std::vector<TokenId> expected = continued(model, 6);
  Session a = with_prompt(model), b = with_prompt(model);
  Sampler sampler_a = greedy(), sampler_b = greedy();
  Stop stop_a = Stop::budget, stop_b = Stop::budget;
  for (int i = 0; i < 10000 && (stop_a == Stop::budget || stop_b == Stop::budget); ++i) {
    if (stop_a == Stop::budget)
      stop_a = a.generate_until(Clock::now(), sampler_a, {.max_tokens = 6}, {}).value();
    if (stop_b == Stop::budget)
      stop_b = b.generate_until(Clock::now(), sampler_b, {.max_tokens = 6}, {}).value();
  }
  CHECK(all(a) == expected);
  CHECK(all(b) == expected);
}

TEST_CASE("A session that goes away inside a token harms no other", "[session][deadline]") {
  const Model model = tiny();
  const std::vector<TokenId> expected = continued(model, 6);
  Session stays = with_prompt(model);
  Sampler sampler = greedy();
  for (int i = 0; i < 3; ++i) {
    Session leaves = with_prompt(model);
    CHECK(leaves.generate_until(Clock::now(), sampler, {.max_tokens = 6}, {}).value() ==
          Stop::budget);
    if (i == 1) CHECK(leaves.truncate(3));
    if (i == 2) CHECK(leaves.fork());
  }
  stays.generate(sampler, {.max_tokens = 6}, {}).value();
  CHECK(all(stays) == expected);
}

TEST_CASE("step_until can be cut short and gives the same", "[session][deadline]") {
  const Model model = tiny();
  const std::vector<TokenId> expected = continued(model, 6);
  Session a = with_prompt(model), b = with_prompt(model);
  Sampler sampler_a = greedy(), sampler_b = greedy();
  std::vector<BatchItem> items = {{&a, &sampler_a}, {&b, &sampler_b}};
  bool cut = false;
  for (int steps = 0; steps < 6;) {
    const bool done = step_until(Clock::now(), items).value();
    cut |= !done;
    steps += done;
  }
  CHECK(cut);
  CHECK(all(a) == expected);
  CHECK(all(b) == expected);
}

TEST_CASE("A cancelled call keeps whole chunks and the session is usable at once",
          "[session][cancel]") {
  const Model model = tiny({.limits = {.rows = 4, .sequences = 2}});
  const std::vector<TokenId> expected = continued(model, 4);
  Cancel cancel;
  Session session = with_prompt(model, {.context = 64, .cancel = &cancel});
  Sampler sampler = greedy();
  cancel.request();
  CHECK(session.prefill().error().code() == ErrorCode::cancelled);
  CHECK(session.next(sampler).error().code() == ErrorCode::cancelled);
  CHECK(session.generate(sampler, {}, {}).value() == Stop::cancelled);
  CHECK(session.stopped() == Stop::cancelled);
  CHECK(all(session) == kPrompt);
  cancel.reset();
  session.generate(sampler, {.max_tokens = 4}, {}).value();
  CHECK(all(session) == expected);
}

TEST_CASE("Cancelling from another thread ends a generation", "[session][cancel]") {
  const Model model = tiny();
  Cancel cancel;
  Session session = with_prompt(model, {.context = 128, .cancel = &cancel});
  Sampler sampler = greedy();
  std::thread canceller;
  const Stop stop = session
                        .generate(sampler, {.max_tokens = 1000},
                                  [&](const Token&) {
                                    if (!canceller.joinable())
                                      canceller = std::thread([&] { cancel.request(); });
                                    if (session.tokens().size() == 100) canceller.join();
                                    return true;
                                  })
                        .value();
  if (canceller.joinable()) canceller.join();
  CHECK(stop == Stop::cancelled);
}

TEST_CASE("A full context is a result", "[session]") {
  const Model model = tiny();
  Session session = with_prompt(model, {.context = 24});
  Sampler sampler = greedy();
  CHECK(session.generate(sampler, {.max_tokens = 100}, {}).value() == Stop::context_full);
  CHECK(session.tokens().size() == 24);
  CHECK_FALSE(session.next(sampler).value());
  CHECK(session.stopped() == Stop::context_full);
  session.truncate(22).value();
  CHECK(session.next(sampler).value());
}

TEST_CASE("A spent cache is `limit`, and other sessions go on", "[session]") {
  const Model model = tiny({.cache_tokens = 48});
  Session a = with_prompt(model, {.context = 32});
  a.prefill().value();  // two pages
  Session b = model.new_session({.context = 32}).value();
  b.append(kPrompt).value();
  CHECK(b.prefill().error().code() == ErrorCode::limit);
  CHECK(all(b) == kPrompt);
  Session third = a.fork().value();  // one page shared, one copied
  CHECK(a.fork().error().code() == ErrorCode::limit);
  Sampler sampler = greedy();
  CHECK(a.next(sampler));
  a = Session();
  third = Session();
  CHECK(b.prefill());
}

TEST_CASE("Logits without a finite value are `numeric` and leave the session as it was",
          "[session]") {
  class Poison : public LogitStage {
   public:
    Result<> apply(std::span<float> values, std::span<const TokenId>) override {
      std::fill(values.begin(), values.end(), value);
      return {};
    }
    float value = std::numeric_limits<float>::quiet_NaN();
  };
  const Model model = tiny();
  Session session = with_prompt(model);
  auto stage = std::make_shared<Poison>();
  Sampler poisoned = greedy(), sampler = greedy();
  poisoned.add(stage).value();
  CHECK(session.next(poisoned).error().code() == ErrorCode::numeric);
  stage->value = -std::numeric_limits<float>::infinity();
  CHECK(session.generate(poisoned, {}, {}).error().code() == ErrorCode::numeric);
  CHECK(all(session) == kPrompt);
  session.generate(sampler, {.max_tokens = 5}, {}).value();
  CHECK(all(session) == continued(model, 5));
}

TEST_CASE("A second caller of a session in use gets busy", "[session]") {
  const Model model = tiny();
  Session session = with_prompt(model);
  Sampler sampler = greedy(), second = greedy();
  int calls = 0;
  session
      .generate(sampler, {.max_tokens = 3},
                [&](const Token&) {
                  CHECK(session.next(second).error().code() == ErrorCode::busy);
                  CHECK(session.truncate(0).error().code() == ErrorCode::busy);
                  CHECK(session.fork().error().code() == ErrorCode::busy);
                  std::vector<BatchItem> items = {{&session, &second}};
                  CHECK(step(items).error().code() == ErrorCode::busy);
                  ++calls;
                  return true;
                })
      .value();
  CHECK(calls == 3);
}

TEST_CASE("Scored logits are those of single steps", "[session][bits]") {
  const Model model = tiny();
  std::vector<std::vector<float>> steps;
  Session single = model.new_session().value();
  for (const TokenId id : kPrompt) {
    single.append({&id, 1}).value();
    single.prefill().value();
    steps.push_back(logits(single));
  }
  Session session = model.new_session().value();
  session.append(std::span(kPrompt).first(2)).value();
  std::size_t next = 2;
  session
      .score(std::span(kPrompt).subspan(2),
             [&](std::size_t position, std::span<const float> values) {
               CHECK(position == next);
               CHECK(std::vector<float>(values.begin(), values.end()) == steps[next++]);
               return true;
             })
      .value();
  CHECK(next == kPrompt.size());
  CHECK(logits(session) == steps.back());
}

TEST_CASE("A callback ends scoring and what was computed is kept", "[session]") {
  const Model model = tiny();
  Session session = model.new_session().value();
  const std::vector<TokenId> many(100, 17);
  session.score(many, [](std::size_t position, std::span<const float>) { return position < 20; })
      .value();
  CHECK(session.tokens().size() > 20);
  CHECK(session.tokens().size() < 100);
  CHECK_FALSE(session.logits().empty());
}

TEST_CASE("max_tokens, callbacks and stop strings end a generation", "[session]") {
  const Model model = tiny();
  Session session = with_prompt(model);
  Sampler sampler = greedy();
  CHECK(session.generate(sampler, {.max_tokens = 0}, {}).value() == Stop::max_tokens);
  CHECK(session.generate(sampler, {.max_tokens = -1}, {}).error().code() ==
        ErrorCode::bad_argument);
  CHECK(session.generate(sampler, {}, [](const Token&) { return false; }).value() ==
        Stop::callback);
  CHECK(session.tokens().size() == kPrompt.size() + 1);

  session.truncate(kPrompt.size()).value();
  std::string text;
  const auto collect = [&](const Token& token) {
    text += token.text;
    return true;
  };
  session.generate(sampler, {.max_tokens = 30}, collect).value();
  const std::string whole = text;
  REQUIRE(whole.size() > 8);
  const std::string stop = whole.substr(whole.size() / 2, 3);
  text.clear();
  session.truncate(kPrompt.size()).value();
  CHECK(session.generate(sampler, {.max_tokens = 30, .stop = {stop}}, collect).value() ==
        Stop::stop_string);
  CHECK(text == whole.substr(0, whole.find(stop)));
}

TEST_CASE("Two threads may run two sessions of one model", "[session][threads]") {
  const Model model = tiny();
  const std::vector<TokenId> expected = continued(model, 10);
  std::vector<std::vector<TokenId>> results(3);
  std::vector<std::thread> threads;
  for (auto& result : results)
    threads.emplace_back([&] {
      for (int i = 0; i < 3; ++i) result = continued(model, 10);
    });
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : results) CHECK(result == expected);
}
