#include "src/base/pool_cores.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <system_error>

#include "src/base/team.h"

#if defined(__linux__)
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>
#endif
#if !defined(_WIN32)
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#endif

namespace tyto {
namespace {

// Reads the number at the front of `text` and moves past it.
std::optional<std::int64_t> take_integer(std::string_view& text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\n')) text.remove_prefix(1);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

std::optional<int> whole_cores(std::int64_t quota, std::int64_t period) noexcept {
  if (quota <= 0 || period <= 0) return std::nullopt;
  return static_cast<int>(std::clamp<std::int64_t>(quota / period, 1, 1 << 20));
}

}  // namespace

std::optional<int> quota_of_cpu_max(std::string_view text) noexcept {
  const auto quota = take_integer(text);
  if (!quota) return std::nullopt;  // "max"
  const auto period = take_integer(text);
  return whole_cores(*quota, period.value_or(100000));
}

std::optional<int> quota_of_cfs(std::string_view quota, std::string_view period) noexcept {
  const auto q = take_integer(quota), p = take_integer(period);
  return q && p ? whole_cores(*q, *p) : std::nullopt;
}

#if defined(__linux__)

namespace {

// A small file's text; empty if it cannot be read.
std::string small_file(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  std::string text(4096, '\0');
  const ssize_t got = ::read(file, text.data(), text.size());
  ::close(file);
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}

// The path of this process in the hierarchy whose line of /proc/self/cgroup is
// "id:controllers:path".
std::optional<std::string> cgroup_path(std::string_view lines, std::string_view controller) {
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(lines.size(), line.size() + 1));
    const std::size_t first = line.find(':');
    const std::size_t second = first == line.npos ? line.npos : line.find(':', first + 1);
    if (second == line.npos) continue;
    std::string_view names = line.substr(first + 1, second - first - 1);
    bool found = names == controller;
    while (!found && !names.empty()) {
      const std::string_view name = names.substr(0, names.find(','));
      names.remove_prefix(std::min(names.size(), name.size() + 1));
      found = name == controller;
    }
    if (found) return std::string(line.substr(second + 1));
  }
  return std::nullopt;
}

// The tightest quota of this process's cgroup and the groups above it. Inside a container the path
// may name a directory that is not mounted; its parents up to the root still are.
std::optional<int> cgroup_quota() {
  const std::string groups = small_file("/proc/self/cgroup");
  std::optional<int> least;
  const auto narrow = [&](std::optional<int> quota) {
    if (quota) least = std::min(least.value_or(*quota), *quota);
  };
  const auto each_level = [](std::optional<std::string> path, auto&& visit) {
    while (path) {
      while (!path->empty() && path->back() == '/') path->pop_back();
      visit(*path);
      if (path->empty()) break;
      path->erase(path->rfind('/'));
    }
  };
  each_level(cgroup_path(groups, ""), [&](const std::string& path) {
    narrow(quota_of_cpu_max(small_file("/sys/fs/cgroup" + path + "/cpu.max")));
  });
  each_level(cgroup_path(groups, "cpu"), [&](const std::string& path) {
    const std::string folder = "/sys/fs/cgroup/cpu" + path;
    narrow(quota_of_cfs(small_file(folder + "/cpu.cfs_quota_us"),
                        small_file(folder + "/cpu.cfs_period_us")));
  });
  return least;
}

}  // namespace

std::vector<int> allowed_cpus() {
  // The kernel refuses a mask smaller than its own; its size is not told, so try growing ones.
  for (int count = CPU_SETSIZE; count <= (1 << 16); count *= 2) {
    cpu_set_t* set = CPU_ALLOC(count);
    if (set == nullptr) return {};
    const std::size_t bytes = CPU_ALLOC_SIZE(count);
    const bool known = sched_getaffinity(0, bytes, set) == 0;
    std::vector<int> cpus;
    for (int cpu = 0; known && cpu < count; ++cpu)
      if (CPU_ISSET_S(cpu, bytes, set)) cpus.push_back(cpu);
    CPU_FREE(set);
    if (known) return cpus;
  }
  return {};
}

int current_cpu() noexcept { return sched_getcpu(); }

void pin_to_cpu(std::thread& thread, int cpu) noexcept {
  if (cpu < 0) return;
  cpu_set_t* set = CPU_ALLOC(cpu + 1);
  if (set == nullptr) return;
  const std::size_t bytes = CPU_ALLOC_SIZE(cpu + 1);
  CPU_ZERO_S(bytes, set);
  CPU_SET_S(cpu, bytes, set);
  pthread_setaffinity_np(thread.native_handle(), bytes, set);
  CPU_FREE(set);
}

#else

namespace {
std::optional<int> cgroup_quota() { return std::nullopt; }
}  // namespace

std::vector<int> allowed_cpus() { return {}; }
int current_cpu() noexcept { return -1; }
void pin_to_cpu(std::thread&, int) noexcept {}

#endif

int usable_cores() noexcept {
  int cores = static_cast<int>(std::thread::hardware_concurrency());
  try {
    if (const auto allowed = allowed_cpus(); !allowed.empty())
      cores = static_cast<int>(allowed.size());
    if (const auto quota = cgroup_quota()) cores = std::min(cores, *quota);
  } catch (...) {
    // No memory for the question: what is known so far.
  }
  return std::max(cores, 1);
}

#if defined(_WIN32)
int process_id() noexcept { return 1; }  // there is no fork
#else
int process_id() noexcept { return static_cast<int>(::getpid()); }
#endif

std::thread start_quiet_thread(void (*body)(void* context, int index) noexcept, void* context,
                               int index) noexcept {
#if !defined(_WIN32)
  sigset_t others, before;
  sigfillset(&others);
  // A fault is the thread's own: blocked, it would end the process past the host's crash handler.
  for (const int fault : {SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS})
    sigdelset(&others, fault);
  pthread_sigmask(SIG_BLOCK, &others, &before);  // inherited by the new thread
#endif
  std::thread thread;
  try {
    thread = std::thread(body, context, index);
  } catch (...) {
    // No thread: the caller does with fewer.
  }
#if !defined(_WIN32)
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
#endif
  return thread;
}

}  // namespace tyto
