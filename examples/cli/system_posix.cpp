#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "examples/cli/exit_code.h"
#include "examples/cli/system.h"

namespace cli {
namespace {

tyto::Cancel* interrupted = nullptr;  // what the handler requests

extern "C" void on_interrupt(int) {
  if (interrupted->requested()) _exit(kInterrupted);
  interrupted->request();
}

[[noreturn]] void throw_io(const std::string& path, const char* reason) {
  throw tyto::Exception(tyto::Error(tyto::ErrorCode::io, path + ": " + reason));
}

std::string read_all(int file, const std::string& path) {
  std::string text;
  constexpr std::size_t kPart = 1 << 16;
  for (;;) {
    const std::size_t size = text.size();
    text.resize(size + kPart);
    const ssize_t got = ::read(file, text.data() + size, kPart);
    text.resize(size + (got > 0 ? static_cast<std::size_t>(got) : 0));
    if (got == 0) return text;
    if (got < 0 && errno != EINTR) throw_io(path, std::strerror(errno));
    if (got < 0 && interrupted != nullptr && interrupted->requested())
      throw tyto::Exception(tyto::Error(tyto::ErrorCode::cancelled));
  }
}

}  // namespace

bool stdin_is_terminal() noexcept { return isatty(STDIN_FILENO) != 0; }
bool stdout_is_terminal() noexcept { return isatty(STDOUT_FILENO) != 0; }
bool stderr_is_terminal() noexcept { return isatty(STDERR_FILENO) != 0; }

std::string read_file(const std::string& path) {
  if (path == "-") return read_all(STDIN_FILENO, "stdin");
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw_io(path, std::strerror(errno));
  struct Closer {
    int file;
    ~Closer() { ::close(file); }
  } closer{file};
  return read_all(file, path);
}

void write_out(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno != EINTR) throw OutputError{"stdout", errno};
    if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
  }
}

std::uint64_t peak_resident_bytes() noexcept {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
#if defined(__APPLE__)
  return static_cast<std::uint64_t>(usage.ru_maxrss);
#else
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
#endif
}

void pin_this_thread([[maybe_unused]] int index) noexcept {
#if defined(__linux__)
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) == 0) return;
  int skip = index % CPU_COUNT(&allowed);
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &allowed) || skip-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    sched_setaffinity(0, sizeof one, &one);
    return;
  }
#endif
}

void handle_signals(tyto::Cancel& cancel) noexcept {
  interrupted = &cancel;
  struct sigaction action {};
  action.sa_handler = on_interrupt;  // without SA_RESTART, so that a read from a terminal ends
  sigaction(SIGINT, &action, nullptr);
  std::signal(SIGPIPE, SIG_DFL);
}

}  // namespace cli
