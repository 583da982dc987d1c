#include "cpu/step.h"

#include <cmath>

#include "cpu/sincos.h"

namespace tyto::cpu {

const float* Step::normalize(const NormPart& norm, const float* x, float* out) const noexcept {
  const float* weight = values(norm.weight);
  if (weight == nullptr) return x;
  const auto n = static_cast<std::size_t>(norm.width);
  if (norm.center)
    isa.rows->layer_norm(x, weight, values(norm.bias), n, norm.eps, out);
  else
    isa.rows->rms_norm(x, weight, n, norm.eps, out);
  return out;
}

Factor Step::factor(const LinearPart& part, int column) const noexcept {
  const Matrix& m = matrix(part.matrix);
  const ActivationForm form = m.kernel->form;
  return {m.kernel,
          weights + m.offset,
          m.k,
          m.panel_bytes,
          m.panels,
          m.rows,
          at<std::byte>(layout.records[static_cast<int>(form)]),
          activation_layout(form, m.k),
          values(part.bias),
          column};
}

void Records::want(const Step& step, const LinearPart& part) {
  if (part.matrix < 0) return;
  const Matrix& m = step.matrix(part.matrix);
  wanted_[static_cast<int>(m.kernel->form)] = true;
  k_ = m.k;
}

void Records::make(const Step& step, const float* x, int row, std::size_t rows) const noexcept {
  for (int form = 0; form < kActivationForms; ++form) {
    if (!wanted_[form]) continue;
    const ActivationLayout layout = activation_layout(static_cast<ActivationForm>(form), k_);
    std::byte* const record = step.at<std::byte>(step.layout.records[form]) +
                              static_cast<std::size_t>(row) * layout.bytes;
    step.isa.linear.make_activations[form](x, k_, record, layout.slice_stride(rows));
  }
}

void add_to_stream(const Step& step, const Product& product, const std::vector<int>& rows,
                   int worker) noexcept {
  const auto stride = static_cast<std::size_t>(product.columns());
  const auto width = static_cast<std::size_t>(product.width());
  float* const tile = step.tile(worker, 0);
  product.multiply(*product.factor, tile, stride, step.kernel_scratch(worker));
  for (int r = 0; r < product.rows; ++r) {
    float* const x = step.stream(rows[static_cast<std::size_t>(product.row + r)]) + product.first();
    step.isa.rows->add(tile + static_cast<std::size_t>(r) * stride, width, x);
    if (product.factor->bias) step.isa.rows->add(product.factor->bias + product.first(), width, x);
  }
}

namespace {

// Before the first block: embeds tokens, and computes the rotations of all rows once for all
// layers.
class StartRun final : public Run {
 public:
  StartRun(const Step& step, const EmbedPart* part) : step_(step), part_(part) {
    for (std::size_t i = 0; i < step.lowered.ropes.size(); ++i) fill_frequencies(i);
  }

  void add_stages(std::vector<Stage>& stages) override {
    stages.push_back(stage_of<&StartRun::start_row>(this, "embed"));
  }
  void begin_step(Stage* stages) noexcept override {
    stages->tasks = static_cast<int>(step_.rows.size());
  }

 private:
  void fill_frequencies(std::size_t i);
  void rotations(std::size_t i, int row) const noexcept;
  void unpack(int matrix, int row, float* out) const noexcept;

  void start_row(int row, int worker) noexcept {
    const Row& r = step_.rows[static_cast<std::size_t>(row)];
    if (part_ && r.token >= 0) {
      float* const x = step_.stream(row);
      unpack(part_->table, r.token, x);
      if (part_->positions >= 0) {
        unpack(part_->positions, r.position, step_.scratch_row(worker));
        step_.isa.rows->add(step_.scratch_row(worker),
                            static_cast<std::size_t>(step_.lowered.width), x);
      }
    }
    for (std::size_t i = 0; i < step_.lowered.ropes.size(); ++i) rotations(i, row);
  }

  const Step& step_;
  const EmbedPart* const part_;
};

void StartRun::fill_frequencies(std::size_t i) {
  const RopePart& part = step_.lowered.ropes[i];
  const float* factors = step_.values(part.factors);
  auto* out = step_.at<double>(step_.layout.frequencies[i]);
  for (int j = 0; j < part.rope.dims / 2; ++j) {
    out[j] =
        part.rope.scale * std::pow(static_cast<double>(part.rope.theta), -2.0 * j / part.rope.dims);
    if (factors) out[j] /= factors[j];
  }
}

void StartRun::rotations(std::size_t i, int row) const noexcept {
  const RopePart& part = step_.lowered.ropes[i];
  const auto* frequencies = step_.at<double>(step_.layout.frequencies[i]);
  const std::size_t stride = rotation_stride(part);
  float* const cosines =
      step_.at<float>(step_.layout.rotations[i]) + static_cast<std::size_t>(row) * stride;
  float* const sines = cosines + stride / 2;
  const int half = part.rope.dims / 2,
            position = step_.rows[static_cast<std::size_t>(row)].position;
  for (int j = 0; j < half; ++j) {
    const SinCos turn = sin_cos(position * frequencies[j]);
    const int a = part.rope.interleaved ? 2 * j : j, b = part.rope.interleaved ? a + 1 : j + half;
    cosines[a] = cosines[b] = static_cast<float>(turn.cos);
    sines[b] = static_cast<float>(turn.sin);
    sines[a] = -sines[b];
  }
}

void StartRun::unpack(int matrix, int row, float* out) const noexcept {
  const Matrix& m = step_.matrix(matrix);
  const int panel_rows = m.kernel->panel_rows;
  m.kernel->unpack_row(
      step_.weights + m.offset + static_cast<std::size_t>(row / panel_rows) * m.panel_bytes,
      row % panel_rows, m.k, out);
}

class MlpRun final : public Run {
 public:
  MlpRun(const Step& step, const MlpPart& part, const std::vector<int>& rows)
      : step_(step), part_(part), rows_(rows), stride_(wide_stride(step.lowered, part)) {
    for (const LinearPart* l : {&part.gate, &part.up}) input_.want(step, *l);
    inner_.want(step, part.down);
    up_.add(step.factor(part.up, 0));
    if (part.gate.matrix >= 0) gate_ = step.factor(part.gate, 0);
    down_.add(step.factor(part.down, 0));
  }

  void add_stages(std::vector<Stage>& stages) override {
    stages.push_back(stage_of<&MlpRun::normalize>(this, "mlp.norm"));
    const std::uint64_t gate_bytes = gate_.kernel ? gate_.bytes() : 0;
    stages.push_back(stage_of<&MlpRun::widen>(this, "mlp.up", up_.bytes() + gate_bytes));
    stages.push_back(stage_of<&MlpRun::make_records>(this, "mlp.records"));
    stages.push_back(stage_of<&MlpRun::narrow>(this, "mlp.down", down_.bytes()));
  }

  void begin_step(Stage* stages) noexcept override {
    const int rows = static_cast<int>(rows_.size());
    stages[0].tasks = stages[2].tasks = rows;
    stages[1].tasks = up_.split(rows, step_.workers);
    stages[3].tasks = down_.split(rows, step_.workers);
  }

 private:
  float* wide(int row) const noexcept {
    return step_.at<float>(step_.layout.wide) + static_cast<std::size_t>(row) * stride_;
  }

  void normalize(int row, int worker) noexcept {
    const float* x = step_.stream(rows_[static_cast<std::size_t>(row)]);
    input_.make(step_, step_.normalize(part_.norm, x, step_.scratch_row(worker)), row,
                rows_.size());
  }

  // act(gate) * up, or act(up), on compact tiles.
  void widen(int task, int worker) noexcept {
    const Product product = up_.product(task);
    const auto stride = static_cast<std::size_t>(product.columns());
    const auto width = static_cast<std::size_t>(product.width());
    float* const up = step_.tile(worker, 0);
    float* const gate = step_.tile(worker, 1);
    const bool gated = gate_.kernel != nullptr;
    product.multiply(*product.factor, up, stride, step_.kernel_scratch(worker));
    if (gated) product.multiply(gate_, gate, stride, step_.kernel_scratch(worker));
    const RowKernels& rows = *step_.isa.rows;
    const auto act = static_cast<std::size_t>(part_.act);
    for (int r = 0; r < product.rows; ++r) {
      float* const u = up + static_cast<std::size_t>(r) * stride;
      float* const g = gate + static_cast<std::size_t>(r) * stride;
      float* const out = wide(product.row + r) + product.first();
      if (product.factor->bias) rows.add(product.factor->bias + product.first(), width, u);
      if (gated && gate_.bias) rows.add(gate_.bias + product.first(), width, g);
      if (gated)
        rows.gate[act](g, u, width, out);
      else
        rows.activate[act](u, width, out);
    }
  }

  void make_records(int row, int) noexcept { inner_.make(step_, wide(row), row, rows_.size()); }

  void narrow(int task, int worker) noexcept {
    add_to_stream(step_, down_.product(task), rows_, worker);
  }

  const Step& step_;
  const MlpPart& part_;
  const std::vector<int>& rows_;
  const std::size_t stride_;
  Records input_, inner_;
  Matmul up_, down_;
  Factor gate_{};  // split as up_ is
};

class HeadRun final : public Run {
 public:
  HeadRun(const Step& step, const HeadPart& part) : step_(step), part_(part) {
    input_.want(step, part.logits);
    logits_.add(step.factor(part.logits, 0));
  }

  void add_stages(std::vector<Stage>& stages) override {
    stages.push_back(stage_of<&HeadRun::normalize>(this, "head.norm"));
    stages.push_back(stage_of<&HeadRun::multiply>(this, "head.logits", logits_.bytes()));
  }

  void begin_step(Stage* stages) noexcept override {
    stages[0].tasks = static_cast<int>(step_.logits.size());
    stages[1].tasks = logits_.split(stages[0].tasks, step_.workers);
  }

 private:
  const Output& output(int i) const noexcept {
    return step_.outputs[static_cast<std::size_t>(step_.logits[static_cast<std::size_t>(i)])];
  }

  void normalize(int i, int worker) noexcept {
    const float* x = step_.stream(output(i).row);
    input_.make(step_, step_.normalize(part_.norm, x, step_.scratch_row(worker)), i,
                step_.logits.size());
  }

  void multiply(int task, int worker) noexcept {
    put_product(step_, logits_.product(task), worker,
                [this](int i) { return output(i).values.data(); });
  }

  const Step& step_;
  const HeadPart& part_;
  Records input_;
  Matmul logits_;
};

}  // namespace

std::unique_ptr<Run> new_start_run(const Step& step, const EmbedPart* part) {
  return std::make_unique<StartRun>(step, part);
}
std::unique_ptr<Run> new_mlp_run(const Step& step, const MlpPart& part,
                                 const std::vector<int>& rows) {
  return std::make_unique<MlpRun>(step, part, rows);
}
std::unique_ptr<Run> new_head_run(const Step& step, const HeadPart& part) {
  return std::make_unique<HeadRun>(step, part);
}

}  // namespace tyto::cpu
