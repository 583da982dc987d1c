#include "cpu/cpu_program.h"

#include <algorithm>
#include <cstring>

#include "cpu/step.h"
#include "src/base/error.h"

namespace tyto::cpu {
namespace {

class CpuProgram final : public Program {
 public:
  CpuProgram(std::shared_ptr<Runtime> runtime, const IsaTable& isa, Lowered lowered,
             const std::byte* weights, const CpuCache& cache, StepLimits limits, Workspace layout,
             LargeBlock workspace)
      : runtime_(std::move(runtime)),
        limits_(std::move(limits)),
        step_{isa,
              std::move(lowered),
              weights,
              cache,
              limits_.capacity,
              std::move(layout),
              std::move(workspace),
              runtime_->impl().team->workers(),
              {},
              {},
              {},
              {},
              {},
              {},
              {}} {
    reserve();
    bind();
  }

  std::uint64_t bytes() const noexcept override { return step_.workspace.size(); }
  Result<> start(const StepInput& input, std::span<const Output> outputs) override;
  Result<bool> work(Clock::time_point until) override;
  Result<> finish() override;

 private:
  void reserve();
  void bind();
  void copy(const StepInput& input, std::span<const Output> outputs) noexcept;
  void run_traced(std::span<const Stage> stages) const noexcept;

  const std::shared_ptr<Runtime> runtime_;
  const StepLimits limits_;
  Step step_;

  std::vector<std::unique_ptr<Run>> runs_;
  std::vector<Stage> stages_;             // of all runs
  std::vector<std::size_t> first_stage_;  // per run, and the end
  std::size_t next_ = 0;                  // run to do
};

void CpuProgram::reserve() {
  const auto rows = static_cast<std::size_t>(step_.capacity.rows);
  const auto outputs = static_cast<std::size_t>(step_.capacity.outputs);
  step_.rows.reserve(rows);
  step_.begin.reserve(rows);
  step_.end.reserve(rows);
  step_.all.reserve(rows);
  step_.live.reserve(rows);
  step_.outputs.reserve(outputs);
  step_.logits.reserve(outputs);
}

void CpuProgram::bind() {
  const std::vector<Part>& parts = step_.lowered.parts;
  std::size_t last_attention = 0;
  for (std::size_t i = 0; i < parts.size(); ++i)
    if (std::holds_alternative<AttentionPart>(parts[i])) last_attention = i;
  const EmbedPart* embed = parts.empty() ? nullptr : std::get_if<EmbedPart>(&parts.front());
  runs_.push_back(new_start_run(step_, embed));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::vector<int>& going_on = i < last_attention ? step_.all : step_.live;
    if (const auto* a = std::get_if<AttentionPart>(&parts[i])) {
      runs_.push_back(new_attention_run(step_, *a, i == last_attention));
    } else if (const auto* m = std::get_if<MlpPart>(&parts[i])) {
      runs_.push_back(new_mlp_run(step_, *m, going_on));
    } else if (const auto* e = std::get_if<MoePart>(&parts[i])) {
      runs_.push_back(new_moe_run(step_, *e, going_on));
    } else if (const auto* h = std::get_if<HeadPart>(&parts[i])) {
      runs_.push_back(new_head_run(step_, *h));
    }
  }
  for (const auto& run : runs_) {
    first_stage_.push_back(stages_.size());
    run->add_stages(stages_);
  }
  first_stage_.push_back(stages_.size());
  next_ = runs_.size();
}

Result<> CpuProgram::start(const StepInput& input, std::span<const Output> outputs) {
  next_ = runs_.size();
  TYTO_TRY(limits_.check(input, outputs));
  copy(input, outputs);
  for (std::size_t i = 0; i < runs_.size(); ++i)
    runs_[i]->begin_step(stages_.data() + first_stage_[i]);
  next_ = 0;
  return {};
}

void CpuProgram::copy(const StepInput& input, std::span<const Output> outputs) noexcept {
  step_.rows.assign(input.rows.begin(), input.rows.end());
  step_.begin.clear();
  step_.end.clear();
  step_.all.clear();
  const float* hidden = input.hidden.data();
  const auto width = static_cast<std::size_t>(step_.lowered.width);
  for (std::size_t r = 0; r < step_.rows.size(); ++r) {
    const Row& row = step_.rows[r];
    step_.begin.push_back(row.begin);
    step_.end.push_back(row.end);
    step_.all.push_back(static_cast<int>(r));
    if (row.token >= 0) continue;
    std::memcpy(step_.stream(static_cast<int>(r)), hidden, width * sizeof(float));
    hidden += width;
  }
  for (std::size_t s = 0; s < input.sequences.size(); ++s) {
    for (std::size_t c = 0; c < step_.lowered.caches.size(); ++c) {
      const auto pages = input.sequences[s].pages[c];
      std::copy(pages.begin(), pages.end(), step_.table(static_cast<int>(s), static_cast<int>(c)));
    }
  }
  step_.outputs.assign(outputs.begin(), outputs.end());
  step_.logits.clear();
  step_.live.clear();
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].want == Want::logits) step_.logits.push_back(static_cast<int>(i));
    if (step_.live.empty() || step_.live.back() != outputs[i].row)
      step_.live.push_back(outputs[i].row);
  }
}

Result<bool> CpuProgram::work(Clock::time_point until) {
  Team& team = *runtime_->impl().team;
  const std::span<const Stage> all = stages_;
  const TraceSink* const sink = runtime_->impl().options.host.trace.get();
  const bool traced = sink != nullptr && sink->wants_stages();
  while (next_ < runs_.size()) {
    const bool whole = until == Clock::time_point::max();
    const std::size_t last = whole ? runs_.size() : next_ + 1, first = first_stage_[next_];
    const auto stages = all.subspan(first, first_stage_[last] - first);
    if (traced)
      run_traced(stages);
    else
      team.run(stages);
    next_ = last;
    if (!whole && next_ < runs_.size() && Clock::now() >= until) return false;
  }
  return true;
}

void CpuProgram::run_traced(std::span<const Stage> stages) const noexcept {
  const Runtime::Impl& runtime = runtime_->impl();
  for (const Stage& stage : stages) {
    if (stage.tasks == 0) continue;
    const auto begin = Clock::now();
    runtime.team->run({&stage, 1});
    runtime.trace(stage.name, begin, stage.bytes);
  }
}

Result<> CpuProgram::finish() {
  for (const Output& output : step_.outputs)
    if (output.want == Want::hidden)
      std::memcpy(output.values.data(), step_.stream(output.row),
                  output.values.size() * sizeof(float));
  return {};
}

}  // namespace

std::unique_ptr<Program> new_cpu_program(std::shared_ptr<Runtime> runtime, const IsaTable& isa,
                                         Lowered lowered, const std::byte* weights,
                                         const CpuCache& cache, StepLimits limits, Workspace layout,
                                         LargeBlock workspace) {
  return std::make_unique<CpuProgram>(std::move(runtime), isa, std::move(lowered), weights, cache,
                                      std::move(limits), std::move(layout), std::move(workspace));
}

}  // namespace tyto::cpu
