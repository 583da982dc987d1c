// A mixture of experts as stages: norm, scores, choices of every row, groups of every expert, and
// then the MLP of each group, whose results go to the stream in the order of experts.
#include <algorithm>

#include "cpu/experts.h"
#include "cpu/gather.h"
#include "cpu/step.h"

namespace tyto::cpu {
namespace {

class MoeRun final : public Run {
 public:
  MoeRun(const Step& step, const MoePart& part, const std::vector<int>& rows);
  void add_stages(std::vector<Stage>& stages) override;
  void begin_step(Stage* stages) noexcept override;

 private:
  void normalize(int row, int worker) noexcept;
  void score(int task, int worker) noexcept;
  void choose(int row, int worker) noexcept;
  void group(int, int worker) noexcept;
  void take_records(int number, int worker) noexcept;
  void widen(int task, int worker) noexcept;
  void make_records(int member, int worker) noexcept;
  void narrow(int task, int worker) noexcept;

  void widen_rows(const Product& up, const Factor& gate, int first, int worker) const noexcept;
  void add_rows(const Product& product, const Group& of, int worker) const noexcept;

  const ExpertPlaces& places() const noexcept { return step_.layout.experts; }
  std::span<float> scores(int row) const noexcept {
    const auto experts = static_cast<std::size_t>(part_.experts);
    return {step_.at<float>(places().scores) + static_cast<std::size_t>(row) * experts, experts};
  }
  std::span<Choice> choices(int first, int rows) const noexcept {
    const auto active = static_cast<std::size_t>(part_.active);
    return {step_.at<Choice>(places().choices) + static_cast<std::size_t>(first) * active,
            static_cast<std::size_t>(rows) * active};
  }
  std::span<Group> groups() const noexcept {
    return {step_.at<Group>(places().groups), static_cast<std::size_t>(part_.experts)};
  }
  const Group& group_at(int number) const noexcept {
    return groups()[static_cast<std::size_t>(number)];
  }
  const std::int32_t* rows_of(const Group& group) const noexcept {
    return step_.at<std::int32_t>(places().rows) + group.first;
  }
  float* wide(int member) const noexcept {
    return step_.at<float>(step_.layout.wide) + static_cast<std::size_t>(member) * stride_;
  }
  // Where the records of a group are, for a matrix of `m`'s format and width.
  std::byte* records(const Matrix& m, int number) const noexcept {
    return step_.at<std::byte>(places().records[static_cast<int>(m.kernel->form)]) +
           group_records(activation_layout(m.kernel->form, m.k),
                         static_cast<std::size_t>(group_at(number).first),
                         static_cast<std::size_t>(number));
  }
  // What the members of a group are multiplied by.
  Factor factor(int matrix, int number) const noexcept {
    const Matrix& m = step_.matrix(matrix);
    Factor factor = step_.factor({matrix, kAbsent}, 0);
    factor.panels += static_cast<std::size_t>(group_at(number).expert) * m.bytes();
    factor.records = records(m, number);
    return factor;
  }

  const Step& step_;
  const MoePart& part_;
  const std::vector<int>& rows_;
  const std::size_t stride_;
  const Matrix &gate_, &up_, &down_;
  Records input_;
  Matmul router_;

  // Set by begin_step.
  int up_panels_ = 1, up_tasks_ = 1;  // of a task, of a group
  int down_panels_ = 1;               // of a task
  int group_count_ = 0;               // set by group()
};

MoeRun::MoeRun(const Step& step, const MoePart& part, const std::vector<int>& rows)
    : step_(step),
      part_(part),
      rows_(rows),
      stride_(wide_stride(step.lowered, part)),
      gate_(step.matrix(part.gate)),
      up_(step.matrix(part.up)),
      down_(step.matrix(part.down)) {
  for (const LinearPart& l : {part.router, LinearPart{part.gate}, LinearPart{part.up}})
    input_.want(step, l);
  router_.add(step.factor(part.router, 0));
}

void MoeRun::add_stages(std::vector<Stage>& stages) {
  stages.push_back(stage_of<&MoeRun::normalize>(this, "experts.norm"));
  stages.push_back(stage_of<&MoeRun::score>(this, "experts.scores", router_.bytes()));
  stages.push_back(stage_of<&MoeRun::choose>(this, "experts.choose"));
  stages.push_back(stage_of<&MoeRun::group>(this, "experts.group"));
  stages.push_back(stage_of<&MoeRun::take_records>(this, "experts.gather"));
  stages.push_back(stage_of<&MoeRun::widen>(this, "experts.up"));
  stages.push_back(stage_of<&MoeRun::make_records>(this, "experts.records"));
  stages.push_back(stage_of<&MoeRun::narrow>(this, "experts.down"));
}

// How many groups there will be is not known before rows have chosen: tasks of those that do not
// come about have nothing to do.
void MoeRun::begin_step(Stage* stages) noexcept {
  const int rows = static_cast<int>(rows_.size()), members = rows * part_.active;
  const int most_groups = std::min(part_.experts, members);
  group_count_ = 0;
  stages[0].tasks = stages[2].tasks = rows;
  stages[1].tasks = router_.split(rows, step_.workers);
  stages[3].tasks = std::min(rows, 1);
  stages[4].tasks = most_groups;
  stages[5].tasks = stages[7].tasks = 0;
  stages[6].tasks = members;
  if (rows == 0) return;
  up_panels_ = std::min(up_.panels,
                        panels_of_task(*up_.kernel, up_.panels * most_groups, rows, step_.workers));
  up_tasks_ = ceil_div(up_.panels, up_panels_);
  down_panels_ = panels_of_task(*down_.kernel, down_.panels, rows, step_.workers);
  stages[5].tasks = most_groups * up_tasks_;
  stages[7].tasks = ceil_div(down_.panels, down_panels_);
  const auto experts = static_cast<std::uint64_t>(most_groups);
  stages[5].bytes = experts * (up_.bytes() + gate_.bytes());
  stages[7].bytes = experts * down_.bytes();
}

void MoeRun::normalize(int row, int worker) noexcept {
  const float* x = step_.stream(rows_[static_cast<std::size_t>(row)]);
  input_.make(step_, step_.normalize(part_.norm, x, step_.scratch_row(worker)), row, rows_.size());
}

void MoeRun::score(int task, int worker) noexcept {
  put_product(step_, router_.product(task), worker, [this](int row) { return scores(row).data(); });
}

void MoeRun::choose(int row, int worker) noexcept {
  const std::span<Choice> chosen = choices(row, 1);
  choose_experts(scores(row), chosen);
  float* const weights = step_.tile(worker, 0);
  std::transform(chosen.begin(), chosen.end(), weights, [](const Choice& c) { return c.weight; });
  step_.isa.rows->softmax(weights, chosen.size());
  for (std::size_t i = 0; i < chosen.size(); ++i) chosen[i].weight = weights[i];
}

void MoeRun::group(int, int) noexcept {
  const Members members{step_.at<std::int32_t>(places().rows), step_.at<float>(places().weights),
                        step_.at<std::int32_t>(places().group_of)};
  group_count_ =
      group_rows(choices(0, static_cast<int>(rows_.size())), part_.active, groups(), members);
}

void MoeRun::take_records(int number, int) noexcept {
  if (number >= group_count_) return;
  const auto count = static_cast<std::size_t>(group_at(number).count);
  const auto take = [&](const Matrix& m) {
    const ActivationLayout layout = activation_layout(m.kernel->form, m.k);
    const std::byte* all =
        step_.at<std::byte>(step_.layout.records[static_cast<int>(m.kernel->form)]);
    gather({all, layout.bytes, layout.slice_stride(rows_.size())}, layout,
           {rows_of(group_at(number)), count}, records(m, number));
  };
  take(up_);
  if (gate_.kernel->form != up_.kernel->form) take(gate_);
}

void MoeRun::widen(int task, int worker) noexcept {
  const int number = task / up_tasks_;
  if (number >= group_count_) return;
  const Group& group = group_at(number);
  const Factor up = factor(part_.up, number), gate = factor(part_.gate, number);
  const int panel = task % up_tasks_ * up_panels_;
  const int panels = std::min(up_panels_, up.panel_count - panel);
  for (int row = 0; row < group.count; row += up.kernel->task.rows)
    widen_rows(
        {&up, panel, panels, row, std::min(up.kernel->task.rows, group.count - row), group.count},
        gate, group.first, worker);
}

// first: the group's first member.
void MoeRun::widen_rows(const Product& up, const Factor& gate, int first,
                        int worker) const noexcept {
  const auto stride = static_cast<std::size_t>(up.columns());
  float *const ups = step_.tile(worker, 0), *const gates = step_.tile(worker, 1);
  up.multiply(*up.factor, ups, stride, step_.kernel_scratch(worker));
  up.multiply(gate, gates, stride, step_.kernel_scratch(worker));
  for (int r = 0; r < up.rows; ++r) {
    const std::size_t at = static_cast<std::size_t>(r) * stride;
    step_.isa.rows->gate[static_cast<std::size_t>(part_.act)](
        gates + at, ups + at, static_cast<std::size_t>(up.width()),
        wide(first + up.row + r) + up.first());
  }
}

void MoeRun::make_records(int member, int) noexcept {
  const int number = step_.at<std::int32_t>(places().group_of)[member];
  const Group& group = group_at(number);
  const ActivationLayout layout = activation_layout(down_.kernel->form, down_.k);
  step_.isa.linear.make_activations[static_cast<int>(down_.kernel->form)](
      wide(member), down_.k,
      records(down_, number) + static_cast<std::size_t>(member - group.first) * layout.bytes,
      layout.slice_stride(static_cast<std::size_t>(group.count)));
}

// Some columns of every expert, one after the other.
void MoeRun::narrow(int task, int worker) noexcept {
  const int panel = task * down_panels_;
  for (int number = 0; number < group_count_; ++number) {
    const Group& group = group_at(number);
    const Factor down = factor(part_.down, number);
    const int panels = std::min(down_panels_, down.panel_count - panel);
    for (int row = 0; row < group.count; row += down.kernel->task.rows)
      add_rows({&down, panel, panels, row, std::min(down.kernel->task.rows, group.count - row),
                group.count},
               group, worker);
  }
}

void MoeRun::add_rows(const Product& product, const Group& of, int worker) const noexcept {
  const auto stride = static_cast<std::size_t>(product.columns());
  float* const tile = step_.tile(worker, 0);
  product.multiply(*product.factor, tile, stride, step_.kernel_scratch(worker));
  const float* const weights = step_.at<float>(places().weights) + of.first + product.row;
  const std::int32_t* const rows = rows_of(of) + product.row;
  for (int r = 0; r < product.rows; ++r)
    step_.isa.rows->add_scaled(
        tile + static_cast<std::size_t>(r) * stride, weights[r],
        static_cast<std::size_t>(product.width()),
        step_.stream(rows_[static_cast<std::size_t>(rows[r])]) + product.first());
}

}  // namespace

std::unique_ptr<Run> new_moe_run(const Step& step, const MoePart& part,
                                 const std::vector<int>& rows) {
  return std::make_unique<MoeRun>(step, part, rows);
}

}  // namespace tyto::cpu
