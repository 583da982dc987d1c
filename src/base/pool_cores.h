// What the operating system lets this process use: cores, and where a thread runs.
#pragma once
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

namespace tyto {

// Processors in this process's affinity mask, ascending; empty where the system does not tell.
std::vector<int> allowed_cpus();

// Whole processors that a cgroup quota pays for, at least 1; empty: no limit.
// Text of cgroup v2's cpu.max ("max 100000", "150000 100000").
std::optional<int> quota_of_cpu_max(std::string_view text) noexcept;
// cgroup v1's cpu.cfs_quota_us (-1: none) and cpu.cfs_period_us.
std::optional<int> quota_of_cfs(std::string_view quota, std::string_view period) noexcept;

int current_cpu() noexcept;  // -1 where the system does not tell
// A failure is ignored: an unpinned thread is slower, not wrong.
void pin_to_cpu(std::thread& thread, int cpu) noexcept;
// Starts a thread that takes no signals but those of faults, and these as the caller does. Not
// joinable: the system refused.
std::thread start_quiet_thread(void (*body)(void* context, int index) noexcept, void* context,
                               int index) noexcept;
int process_id() noexcept;

}  // namespace tyto
