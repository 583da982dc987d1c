#include <vector>

#include "tests/allocations.h"
#include "tests/catch.h"
#include "tests/tiny_model.h"

using namespace tyto;
using namespace tyto::test;

namespace {

const std::vector<TokenId> kPrompt = {1, 100, 200, 50, 7, 299, 31, 64, 128, 12};

}  // namespace

TEST_CASE("Generating, batching and prefilling allocate nothing",
          "[session][memory][allocations]") {
  const Model model = load_tiny({.isa = isa_under_test()}).value();
  Session session = model.new_session().value(), other = model.new_session().value();
  Sampler sampler = Sampler::create({.seed = 1}).value(),
          second = Sampler::create({.seed = 2}).value();
  session.append(kPrompt).value();
  other.append(kPrompt).value();
  // The first tokens may size what depends on the vocabulary, and start threads.
  session.next(sampler).value();
  other.next(second).value();
  std::vector<BatchItem> items = {{&session, &sampler}, {&other, &second}};
  step(items).value();

  const AllocationWatch watch;
  for (int i = 0; i < 40; ++i) session.next(sampler).value();  // over page borders too
  CHECK(watch.count() == 0);
  for (int i = 0; i < 40; ++i) step(items).value();
  CHECK(watch.count() == 0);
  session.truncate(5).value();
  session.append(kPrompt).value();
  session.prefill().value();
  CHECK(watch.count() == 0);
}
