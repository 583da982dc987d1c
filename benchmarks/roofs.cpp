// tyto_bench_roofs [THREADS]: the read bandwidth and the arithmetic peaks of this machine, of one
// thread and of THREADS (2, if not given), as JSON: bytes and multiply-accumulates per second.
#include <cstdio>
#include <cstdlib>

#include "benchmarks/peaks.h"
#include "examples/cli/bandwidth.h"

namespace {

void print(int threads) {
  std::printf("\"%d\": {\"read\": %.4g", threads,
              cli::read_bandwidth(threads, std::uint64_t{1} << 29));
  for (const tyto::bench::Unit& unit : tyto::bench::arithmetic_units())
    std::printf(", \"%s\": %.4g", unit.name.data(),
                tyto::bench::arithmetic_peak(unit.name, threads));
  std::printf("}");
}

}  // namespace

int main(int count, char** arguments) {
  const int threads = count > 1 ? std::atoi(arguments[1]) : 2;
  if (threads < 1) {
    std::fprintf(stderr, "usage: tyto_bench_roofs [THREADS]\n");
    return 2;
  }
  std::printf("{\"schema\": \"tyto.roofs.v1\", ");
  print(1);
  if (threads > 1) std::printf(", "), print(threads);
  std::printf("}\n");
}
