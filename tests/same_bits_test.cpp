// A row's logits depend on that row alone: not on threads, chunking, batch companions, forks or
// history.
#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/catch.h"
#include "tests/devices.h"
#include "tyto/tyto.h"

using namespace tyto;
using namespace tyto::test;

namespace {

using Ids = std::vector<TokenId>;
using Logits = std::vector<std::vector<float>>;  // of each position

struct Case {
  std::string path;
  CacheType cache;
};

std::vector<Case> cases(const Device& device) {
  const bool reference = std::string_view(device.device) == "reference";
  std::vector<Case> all;
  for (const CacheType cache :
       {CacheType::bf16, CacheType::f16, CacheType::f32, CacheType::q8_0, CacheType::q4_0}) {
    if (reference && cache != CacheType::f32) continue;
    for (const char* name : {"llama", "qwen2", "gpt2", "mixtral"})
      all.push_back({tiny_model_path(name), cache});
  }
  if (!reference) all.push_back({example_model(), CacheType::bf16});  // Q8_0
  return all;
}

Ids some_ids(int seed, int count) {
  Ids ids;
  for (int i = 0; i < count; ++i) ids.push_back((seed * 31 + i * (17 + seed)) % 259);
  return ids;
}

const Ids kIds = some_ids(1, 45);  // over two page borders

bool same(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && !a.empty() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

void score(Session& session, std::span<const TokenId> ids, Logits& out) {
  session
      .score(ids,
             [&](std::size_t, std::span<const float> logits) {
               out.emplace_back(logits.begin(), logits.end());
               return true;
             })
      .value();
}

Logits scored(const Model& model, const Ids& ids = kIds) {
  Session session = model.new_session({.context = 64}).value();
  Logits logits;
  score(session, ids, logits);
  REQUIRE(logits.size() == ids.size());
  return logits;
}

bool same(const Logits& a, const Logits& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return same(x, y); });
}

// Runs tasks on three threads that it starts anew, whatever the machine has.
class ThreeThreads : public Executor {
 public:
  int concurrency() const noexcept override { return 3; }
  void run(int tasks, void (*task)(void*, int) noexcept, void* context) noexcept override {
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t)
      threads.emplace_back([=] {
        for (int i = t; i < tasks; i += 3) task(context, i);
      });
    for (std::thread& thread : threads) thread.join();
  }
};

template <class Body>
void on_every_model(Body body) {
  for (const Device& device : all_devices()) {
    for (const Case& which : cases(device)) {
      INFO(which.path << " on " << device.name << ", cache type " << static_cast<int>(which.cache));
      body(which, device);
    }
  }
}

Model load(const Case& which, const Device& device) {
  return Model::load(which.path, device.options(which.cache)).value();
}

}  // namespace

TEST_CASE("Any number of threads gives the same bits", "[same-bits]") {
  on_every_model([](const Case& which, const Device& device) {
    const Logits expected = scored(load(which, device));
    for (const int threads : {2, 3}) {
      INFO(threads << " threads");
      CHECK(same(scored(Model::load(which.path, device.options(which.cache, threads)).value()),
                 expected));
    }
  });
}

TEST_CASE("A host's executor gives the same bits", "[same-bits]") {
  for (const Device& device : cpu_devices()) {
    const Case which{example_model(), CacheType::bf16};
    ModelOptions options = device.options(which.cache);
    RuntimeOptions runtime;
    runtime.host.executor = std::make_shared<ThreeThreads>();
    options.runtime = Runtime::create(runtime).value();
    INFO(device.name);
    CHECK(same(scored(Model::load(which.path, options).value()), scored(load(which, device))));
  }
}

TEST_CASE("Any chunking of a prompt gives the same bits", "[same-bits]") {
  on_every_model([](const Case& which, const Device& device) {
    const Logits expected = scored(load(which, device));
    for (const int rows : {1, 7, 32}) {
      INFO("chunks of " << rows);
      ModelOptions options = device.options(which.cache);
      options.limits.rows = rows;
      CHECK(same(scored(Model::load(which.path, options).value()), expected));
    }
  });
}

TEST_CASE("Company in a step changes no bit", "[same-bits]") {
  on_every_model([](const Case& which, const Device& device) {
    const Model model = load(which, device);
    const std::vector<Ids> prompts = {kIds, some_ids(2, 1), some_ids(3, 16), some_ids(4, 33),
                                      some_ids(5, 7)};
    const Ids next = {5, 77, 200};
    std::vector<Session> sessions;
    std::vector<BatchItem> items;
    for (const Ids& ids : prompts) {
      sessions.push_back(model.new_session({.context = 64}).value());
      sessions.back().append(ids).value();
    }
    for (Session& session : sessions) items.push_back({.session = &session});
    step(items).value();
    for (const TokenId id : next) {
      for (Session& session : sessions) session.append({&id, 1}).value();
      step(items).value();
    }
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      INFO("sequence " << i);
      REQUIRE(items[i].out);
      Ids alone = prompts[i];
      alone.insert(alone.end(), next.begin(), next.end());
      CHECK(same(sessions[i].logits(), scored(model, alone).back()));
    }
  });
}

TEST_CASE("A fork and its origin go on as if each were alone", "[same-bits]") {
  on_every_model([](const Case& which, const Device& device) {
    const Model model = load(which, device);
    for (const std::size_t at : {1u, 16u, 21u, 32u}) {
      INFO("forked at " << at);
      Session origin = model.new_session({.context = 64}).value();
      origin.append(std::span(kIds).first(at)).value();
      origin.prefill().value();
      Session fork = origin.fork().value();
      Ids other(kIds.begin(), kIds.begin() + at);
      const Ids rest = some_ids(6, 20);
      other.insert(other.end(), rest.begin(), rest.end());
      fork.append(rest).value();
      fork.prefill().value();
      origin.append(std::span(kIds).subspan(at)).value();
      origin.prefill().value();
      CHECK(same(origin.logits(), scored(model).back()));
      CHECK(same(fork.logits(), scored(model, other).back()));
    }
  });
}

TEST_CASE("What was rolled back leaves no trace", "[same-bits]") {
  on_every_model([](const Case& which, const Device& device) {
    const Model model = load(which, device);
    const Logits expected = scored(model);
    Session session = model.new_session({.context = 64}).value();
    for (const std::size_t at : {0u, 1u, 16u, 30u, 44u}) {
      INFO("truncated to " << at);
      session.append(some_ids(7, static_cast<int>(64 - session.tokens().size()))).value();
      session.prefill().value();
      session.truncate(std::min<std::size_t>(at, session.tokens().size())).value();
      session.sync(std::span(kIds).first(at)).value();
      Logits logits;
      score(session, std::span(kIds).subspan(at), logits);
      CHECK(same(logits, Logits(expected.begin() + at, expected.end())));
    }
  });
}

TEST_CASE("Single steps and a whole prompt give the same bits", "[same-bits]") {
  on_every_model([](const Case& which, const Device& device) {
    const Model model = load(which, device);
    const Logits expected = scored(model);
    Session session = model.new_session({.context = 64}).value();
    std::size_t differ = 0;
    for (std::size_t i = 0; i < kIds.size(); ++i) {
      session.append(std::span(kIds).subspan(i, 1)).value();
      session.prefill().value();
      differ += !same(session.logits(), expected[i]);
    }
    CHECK(differ == 0);
  });
}
