// Catch2's main, behind one question: does this machine have the instruction set that the run is
// for?
#include <cstdio>

#include "cpu/isa_table.h"
#include "tests/isa_under_test.h"
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_session.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif

int main(int argc, char** argv) {
  if (!tyto::cpu::find_table(tyto::test::isa_under_test())) {
    std::printf("skipped: %s does not run here\n", std::getenv("TYTO_FORCE_ISA"));
    return 0;
  }
  return Catch::Session().run(argc, argv);
}
