// Work that may fail, split among the threads of a team.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>

#include "src/base/team.h"
#include "tyto/result.h"

namespace tyto {

// Runs task(index, worker) for every index from 0 to tasks - 1, in any order. The error reported is
// that of the first index that failed, whichever thread met one first.
Result<> run_all(Team& team, int tasks, const std::function<Result<>(int index, int worker)>& task);

// Called from the thread that loads; false cancels.
using Progress = std::function<bool(float fraction)>;

// `tasks` times the same, in rounds of a few tasks per worker with a call of `progress` after each.
Result<> run_rounds(Team& team, std::uint64_t tasks,
                    const std::function<Result<>(std::uint64_t index, int worker)>& task,
                    const Progress& progress);

}  // namespace tyto
