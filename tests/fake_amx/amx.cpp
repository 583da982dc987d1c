// Stands in for cpu/amx.cpp: permits AMX where there is none. The processor meets its instructions
// with SIGILL, and the handler does what they say: what is tested is the machine code that an
// AMX machine would run.
#include "cpu/amx.h"

#include <cpuid.h>
#include <dlfcn.h>
#include <signal.h>

#include <cstdio>

#include "tests/fake_amx/instructions.h"

namespace {

// The test framework handles SIGILL itself while a test runs, to report it. Here the signal is
// ours: the C library's function, but for that.
bool ours = false;

int set_action(int signal, const struct sigaction* action, struct sigaction* before) {
  using Function = int(int, const struct sigaction*, struct sigaction*);
  static const auto next = reinterpret_cast<Function*>(dlsym(RTLD_NEXT, "sigaction"));
  return next(signal, action, before);
}

}  // namespace

extern "C" int sigaction(int signal, const struct sigaction* action,
                         struct sigaction* before) noexcept {
  if (signal != SIGILL || !ours) return set_action(signal, action, before);
  if (before) *before = {};
  return 0;
}

namespace tyto::cpu {
namespace {

thread_local fake_amx::Tiles tiles;

void at_illegal_instruction(int, siginfo_t*, void* context) {
  auto& at = *static_cast<ucontext_t*>(context);
  if (!fake_amx::execute(at, tiles)) {
    ours = false;
    signal(SIGILL, SIG_DFL);  // somebody else's fault: it happens again, and ends the program
    return;
  }
  while (fake_amx::execute(at, tiles)) {  // the next ones, without a signal for each
  }
}

bool machine_has_tiles() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 24 & 1) != 0;
}

bool install() {
  if (machine_has_tiles()) {
    std::puts("skipped: this machine has AMX itself");
    return false;
  }
  struct sigaction action = {};
  action.sa_sigaction = at_illegal_instruction;
  action.sa_flags = SA_SIGINFO;
  return ours = set_action(SIGILL, &action, nullptr) == 0;
}

}  // namespace

bool enable_amx() noexcept {
  static const bool installed = install();
  return installed;
}

}  // namespace tyto::cpu
