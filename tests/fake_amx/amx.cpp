// Stands in for cpu/amx.cpp: permits AMX where there is none. The processor meets its instructions
// with SIGILL, and the handler does what they say: what is tested is the machine code that an
// AMX machine would run.
#include "cpu/amx.h"

#include <dlfcn.h>
#include <signal.h>

#include <atomic>
#include <cstdio>

#include "tests/fake_amx/instructions.h"

#define enable_amx machine_has_amx
#include "cpu/amx.cpp"  // the real answer
#undef enable_amx

#ifndef __THROW
#define __THROW  // glibc alone says that sigaction throws nothing
#endif

namespace {

// The test framework handles SIGILL itself while a test runs, to report it. Here the signal is
// ours: the C library's function, but for that.
std::atomic<bool> ours{false};

int set_action(int signal, const struct sigaction* action, struct sigaction* before) {
  using Function = int(int, const struct sigaction*, struct sigaction*);
  static const auto next = reinterpret_cast<Function*>(dlsym(RTLD_NEXT, "sigaction"));
  return next(signal, action, before);
}

}  // namespace

extern "C" int sigaction(int signal, const struct sigaction* action,
                         struct sigaction* before) __THROW {
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

bool install() {
  if (machine_has_amx()) {
    std::puts("This machine has AMX: tests.amx runs there, and no stand-in.");
    return false;
  }
  struct sigaction action = {};
  action.sa_sigaction = at_illegal_instruction;
  action.sa_flags = SA_SIGINFO;
  ours = set_action(SIGILL, &action, nullptr) == 0;
  return ours;
}

}  // namespace

bool enable_amx() noexcept {
  static const bool installed = install();
  return installed;
}

}  // namespace tyto::cpu
