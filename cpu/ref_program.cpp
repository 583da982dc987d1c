#include "cpu/ref_program.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "src/base/error.h"

namespace tyto::cpu {
namespace {

// out[o] = sum over i of weight[first_row + o, i] * x[i], plus the bias.
void linear(const Linear& l, int in, const RefWeights& w, const float* x, float* out) {
  const float* weight = w[l.weight] + static_cast<std::size_t>(l.first_row) * in;
  const float* bias = w[l.bias];
  for (int o = 0; o < l.rows; ++o) {
    float sum = 0;
    for (int i = 0; i < in; ++i) sum += weight[static_cast<std::size_t>(o) * in + i] * x[i];
    out[o] = bias ? sum + bias[l.first_row + o] : sum;
  }
}

void normalize(const Norm& norm, int width, const RefWeights& w, const float* x, float* out) {
  if (!norm.weight) {
    std::copy_n(x, width, out);
    return;
  }
  const float* weight = w[norm.weight];
  const float* bias = w[norm.bias];
  float mean = 0, square = 0;
  if (norm.center) {
    for (int i = 0; i < width; ++i) mean += x[i];
    mean /= static_cast<float>(width);
  }
  for (int i = 0; i < width; ++i) square += (x[i] - mean) * (x[i] - mean);
  const float factor = 1.0f / std::sqrt(square / static_cast<float>(width) + norm.eps);
  for (int i = 0; i < width; ++i)
    out[i] = (x[i] - mean) * factor * weight[i] + (bias ? bias[i] : 0.0f);
}

// Rotates one head in place. Angles are computed in double: at long positions float loses them.
void rotate(const Rope& rope, const float* factors, int position, float* head) {
  const int half = rope.dims / 2;
  for (int i = 0; i < half; ++i) {
    double frequency = std::pow(static_cast<double>(rope.theta), -2.0 * i / rope.dims);
    if (factors) frequency /= factors[i];
    const double angle = position * static_cast<double>(rope.scale) * frequency;
    const auto cos = static_cast<float>(std::cos(angle)), sin = static_cast<float>(std::sin(angle));
    float& a = head[rope.interleaved ? 2 * i : i];
    float& b = head[rope.interleaved ? 2 * i + 1 : i + half];
    const float rotated = a * cos - b * sin;
    b = a * sin + b * cos;
    a = rotated;
  }
}

float activate(Activation act, float x) {
  switch (act) {
    case Activation::silu:
      return x / (1.0f + std::exp(-x));
    case Activation::gelu:
      return 0.5f * x * (1.0f + std::erf(x / std::numbers::sqrt2_v<float>));
    case Activation::gelu_tanh: {
      const float inner = std::sqrt(2.0f / std::numbers::pi_v<float>) * (x + 0.044715f * x * x * x);
      return 0.5f * x * (1.0f + std::tanh(inner));
    }
  }
  return x;
}

// The widest rows any block of the slice needs.
struct Widths {
  int q = 0, kv = 0, ff = 0, experts = 0;
  explicit Widths(const Plan& plan, Slice slice) {
    for (int b = slice.first; b < slice.last; ++b) {
      if (const auto* a = std::get_if<Attention>(&plan.blocks[b])) {
        q = std::max(q, a->q.rows);
        kv = std::max(kv, a->k.rows);
      } else if (const auto* m = std::get_if<Mlp>(&plan.blocks[b])) {
        ff = std::max(ff, m->up.rows);
      } else if (const auto* e = std::get_if<Moe>(&plan.blocks[b])) {
        ff = std::max(ff, e->up.rows);
        experts = std::max(experts, e->experts);
      }
    }
  }
};

class RefProgram : public Program {
 public:
  RefProgram(const Plan& plan, Slice slice, const RefWeights& weights, RefCache& cache,
             const Capacity& capacity, LargeBlock workspace)
      : plan_(plan),
        slice_(slice),
        weights_(weights),
        cache_(cache),
        capacity_(capacity),
        workspace_(std::move(workspace)) {
    const Widths widths(plan, slice);
    float* next = reinterpret_cast<float*>(workspace_.data());
    const auto take = [&](std::size_t n) { return std::exchange(next, next + n); };
    stream_ = take(static_cast<std::size_t>(capacity.rows) * plan.width);
    normed_ = take(plan.width);
    q_ = take(widths.q);
    k_ = take(widths.kv);
    v_ = take(widths.kv);
    attended_ = take(widths.q);
    added_ = take(plan.width);
    gate_ = take(widths.ff);
    up_ = take(widths.ff);
    scores_ = take(widths.experts);
    order_.resize(static_cast<std::size_t>(widths.experts));
  }

  std::uint64_t bytes() const noexcept override { return workspace_.size(); }

  Result<> start(const StepInput& input, std::span<const Output> outputs) override {
    if (input.rows.empty() || static_cast<int>(input.rows.size()) > capacity_.rows)
      return fail(ErrorCode::internal, "a step of {} rows, capacity {}", input.rows.size(),
                  capacity_.rows);
    rows_.assign(input.rows.begin(), input.rows.end());
    outputs_.assign(outputs.begin(), outputs.end());
    tables_.resize(input.sequences.size());
    for (std::size_t s = 0; s < tables_.size(); ++s) {
      tables_[s].resize(plan_.caches.size());
      for (std::size_t c = 0; c < tables_[s].size(); ++c)
        tables_[s][c].assign(input.sequences[s].pages[c].begin(),
                             input.sequences[s].pages[c].end());
    }
    const float* hidden = input.hidden.data();
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      if (rows_[r].token >= 0) continue;
      std::copy_n(hidden, plan_.width, row(r));
      hidden += plan_.width;
    }
    next_ = slice_.first;
    layers_done_.assign(plan_.caches.size(), 0);
    return {};
  }

  Result<bool> work(Clock::time_point until) override {
    while (next_ < slice_.last) {
      std::visit([this](const auto& block) { run(block); }, plan_.blocks[next_++]);
      if (Clock::now() >= until && next_ < slice_.last) return false;
    }
    return true;
  }

  Result<> finish() override {
    for (const Output& output : outputs_)
      if (output.want == Want::hidden)
        std::copy_n(row(output.row), plan_.width, output.values.data());
    return {};
  }

 private:
  float* row(std::size_t r) { return stream_ + r * plan_.width; }

  void run(const Embed& embed) {
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      if (rows_[r].token < 0) continue;
      const float* token =
          weights_[embed.table] + static_cast<std::size_t>(rows_[r].token) * plan_.width;
      std::copy_n(token, plan_.width, row(r));
      if (!embed.positions) continue;
      const float* position =
          weights_[embed.positions] + static_cast<std::size_t>(rows_[r].position) * plan_.width;
      for (int i = 0; i < plan_.width; ++i) row(r)[i] += position[i];
    }
  }

  void run(const Attention& a) {
    const int layer = layers_done_[a.cache]++;
    // All rows write their keys and values before any row attends: rows see each other through the
    // cache.
    for (std::size_t r = 0; r < rows_.size(); ++r) write_cache(a, layer, r);
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      normalize(a.norm, plan_.width, weights_, row(r), normed_);
      linear(a.q, plan_.width, weights_, normed_, q_);
      for (int h = 0; h < a.heads; ++h) {
        float* head = q_ + h * a.head_dim;
        normalize(a.q_norm, a.head_dim, weights_, head, head);
        if (a.rope.theta > 0) rotate(a.rope, weights_[a.rope.factors], rows_[r].position, head);
        attend(a, layer, h, rows_[r]);
      }
      linear(a.out, a.q.rows, weights_, attended_, added_);
      for (int i = 0; i < plan_.width; ++i) row(r)[i] += added_[i];
    }
  }

  void write_cache(const Attention& a, int layer, std::size_t r) {
    normalize(a.norm, plan_.width, weights_, row(r), normed_);
    linear(a.k, plan_.width, weights_, normed_, k_);
    linear(a.v, plan_.width, weights_, normed_, v_);
    for (int h = 0; h < a.kv_heads; ++h) {
      float* key = k_ + h * a.head_dim;
      normalize(a.k_norm, a.head_dim, weights_, key, key);
      if (a.rope.theta > 0) rotate(a.rope, weights_[a.rope.factors], rows_[r].position, key);
      float* out = cached(a, layer, h, rows_[r], rows_[r].slot);
      cache_.round(key, a.head_dim, out);
      cache_.round(v_ + h * a.head_dim, a.head_dim, out + a.head_dim);
    }
  }

  float* cached(const Attention& a, int layer, int kv_head, const Row& row, int slot) {
    const PageId page = tables_[row.sequence][a.cache][slot / kPageTokens];
    return cache_.slot(a.cache, page, layer, kv_head, slot % kPageTokens);
  }

  float score(const Attention& a, const float* q, const float* key) {
    float sum = 0;
    for (int i = 0; i < a.head_dim; ++i) sum += q[i] * key[i];
    return sum * a.scale;
  }

  // Softmax over the keys seen, in two passes: the largest score, then the weighted sum of the
  // values.
  void attend(const Attention& a, int layer, int h, const Row& row) {
    const int kv_head = h / (a.heads / a.kv_heads);
    const float* q = q_ + h * a.head_dim;
    float* out = attended_ + h * a.head_dim;
    float largest = -HUGE_VALF, total = 0;
    for (int s = row.begin; s < row.end; ++s)
      largest = std::max(largest, score(a, q, cached(a, layer, kv_head, row, s)));
    std::fill_n(out, a.head_dim, 0.0f);
    for (int s = row.begin; s < row.end; ++s) {
      const float* key = cached(a, layer, kv_head, row, s);
      const float weight = std::exp(score(a, q, key) - largest);
      total += weight;
      for (int i = 0; i < a.head_dim; ++i) out[i] += weight * key[a.head_dim + i];
    }
    for (int i = 0; i < a.head_dim; ++i) out[i] /= total;
  }

  void run(const Mlp& m) {
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      normalize(m.norm, plan_.width, weights_, row(r), normed_);
      linear(m.up, plan_.width, weights_, normed_, up_);
      if (m.gate.weight) {
        linear(m.gate, plan_.width, weights_, normed_, gate_);
        for (int i = 0; i < m.up.rows; ++i) up_[i] *= activate(m.act, gate_[i]);
      } else {
        for (int i = 0; i < m.up.rows; ++i) up_[i] = activate(m.act, up_[i]);
      }
      linear(m.down, m.up.rows, weights_, up_, added_);
      for (int i = 0; i < plan_.width; ++i) row(r)[i] += added_[i];
    }
  }

  void run(const Moe& m) {
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      normalize(m.norm, plan_.width, weights_, row(r), normed_);
      linear(m.router, plan_.width, weights_, normed_, scores_);
      const std::span<const int> chosen = choose(m);
      float total = 0;
      for (const int e : chosen) total += std::exp(scores_[e] - scores_[chosen[0]]);
      for (int e = 0; e < m.experts; ++e) {
        if (std::find(chosen.begin(), chosen.end(), e) == chosen.end()) continue;
        const float weight = std::exp(scores_[e] - scores_[chosen[0]]) / total;
        linear(of_expert(m.gate, e), plan_.width, weights_, normed_, gate_);
        linear(of_expert(m.up, e), plan_.width, weights_, normed_, up_);
        for (int i = 0; i < m.up.rows; ++i) up_[i] *= activate(m.act, gate_[i]);
        linear(of_expert(m.down, e), m.up.rows, weights_, up_, added_);
        for (int i = 0; i < plan_.width; ++i) row(r)[i] += weight * added_[i];
      }
    }
  }

  static Linear of_expert(Linear first, int expert) {
    first.first_row += expert * first.rows;
    return first;
  }

  // The experts of the highest scores, in that order.
  std::span<const int> choose(const Moe& m) {
    const auto score = [this](int e) { return std::isnan(scores_[e]) ? -HUGE_VALF : scores_[e]; };
    const std::span<int> order(order_.data(), static_cast<std::size_t>(m.experts));
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(),
              [&](int a, int b) { return score(a) > score(b) || (score(a) == score(b) && a < b); });
    return order.first(static_cast<std::size_t>(m.active));
  }

  void run(const Head& head) {
    for (const Output& output : outputs_) {
      if (output.want != Want::logits) continue;
      normalize(head.norm, plan_.width, weights_, row(output.row), normed_);
      linear(head.logits, plan_.width, weights_, normed_, output.values.data());
    }
  }

  const Plan plan_;
  const Slice slice_;
  const RefWeights& weights_;
  RefCache& cache_;
  const Capacity capacity_;
  LargeBlock workspace_;
  float *stream_, *normed_, *q_, *k_, *v_, *attended_, *added_, *gate_, *up_,
      *scores_;  // stream_: [rows, width]

  std::vector<int> order_;  // of experts

  // The step under way.
  std::vector<Row> rows_;
  std::vector<Output> outputs_;
  std::vector<std::vector<std::vector<PageId>>> tables_;  // [sequence][cache][page]
  int next_ = 0;
  std::vector<int> layers_done_;  // per cache
};

}  // namespace

std::size_t ref_workspace_floats(const Plan& plan, Slice slice, const Capacity& capacity) {
  const Widths widths(plan, slice);
  const std::size_t width = plan.width;
  return capacity.rows * width + 2 * width +
         2 * (static_cast<std::size_t>(widths.q) + widths.kv + widths.ff) + widths.experts;
}

std::unique_ptr<Program> new_ref_program(const Plan& plan, Slice slice, const RefWeights& weights,
                                         RefCache& cache, const Capacity& capacity,
                                         LargeBlock workspace) {
  return std::make_unique<RefProgram>(plan, slice, weights, cache, capacity, std::move(workspace));
}

}  // namespace tyto::cpu
