// The step under way, as all stages of a program see it, and the runs: what a plan's blocks became.
#pragma once
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "cpu/cpu_cache.h"
#include "cpu/lowered.h"
#include "cpu/matmul.h"
#include "cpu/workspace.h"
#include "src/base/team.h"
#include "src/runtime.h"

namespace tyto::cpu {

struct Step {
  // Constant after compiling.
  const IsaTable& isa;
  const Lowered lowered;
  const std::byte* const weights;
  const CpuCache& cache;
  const Capacity capacity;
  const Workspace layout;
  const LargeBlock workspace;
  const int workers;

  // Set by start.
  std::vector<Row> rows;
  std::vector<std::int32_t> begin, end;  // of the keys that each row sees
  std::vector<Output> outputs;
  std::vector<int> logits;  // outputs that want logits
  std::vector<int> all;     // 0, 1, ...: all rows
  std::vector<int> live;    // rows that outputs ask for: after the last attention no other matters

  template <class T>
  T* at(std::size_t offset) const noexcept {
    return reinterpret_cast<T*>(workspace.data() + offset);
  }
  const float* values(std::size_t offset) const noexcept {  // of a vector; null: absent
    return offset == kAbsent ? nullptr : reinterpret_cast<const float*>(weights + offset);
  }
  const Matrix& matrix(int index) const noexcept {
    return lowered.matrices[static_cast<std::size_t>(index)];
  }
  float* stream(int row) const noexcept {
    return at<float>(layout.stream) + static_cast<std::size_t>(row) * layout.stream_stride;
  }
  PageId* table(int sequence, int cache_index) const noexcept {
    const std::size_t i = static_cast<std::size_t>(sequence) * lowered.caches.size() +
                          static_cast<std::size_t>(cache_index);
    return at<PageId>(layout.tables) + i * static_cast<std::size_t>(layout.pages_per_sequence);
  }
  std::byte* scratch(int worker) const noexcept {
    return at<std::byte>(layout.scratch) + static_cast<std::size_t>(worker) * layout.scratch_bytes;
  }
  // Scratch is divided into a row, two tiles, and what a kernel needs.
  float* scratch_row(int worker) const noexcept {
    return reinterpret_cast<float*>(scratch(worker));
  }
  float* tile(int worker, int number) const noexcept {
    return scratch_row(worker) + layout.stream_stride +
           static_cast<std::size_t>(number) * layout.tile_floats;
  }
  std::byte* kernel_scratch(int worker) const noexcept {
    return reinterpret_cast<std::byte*>(tile(worker, 2));
  }

  // x, normalized; `x` itself where the norm is absent.
  const float* normalize(const NormPart& norm, const float* x, float* out) const noexcept;
  Factor factor(const LinearPart& part, int column) const noexcept;
};

// Activations for the products of one stage: one record per row and form that its factors want.
class Records {
 public:
  void want(const Step& step, const LinearPart& part);
  // Of row `row` of so many.
  void make(const Step& step, const float* x, int row, std::size_t rows) const noexcept;

 private:
  bool wanted_[kActivationForms] = {};
  std::size_t k_ = 0;
};

// A block, or what comes before the first: a fixed list of stages, whose task counts each step
// sets.
class Run {
 public:
  virtual ~Run() = default;
  virtual void add_stages(std::vector<Stage>& stages) = 0;
  virtual void begin_step(Stage* stages) noexcept = 0;  // those that it added
};

std::unique_ptr<Run> new_start_run(const Step& step, const EmbedPart* part);  // null: no embedding
std::unique_ptr<Run> new_attention_run(const Step& step, const AttentionPart& part, bool last);
std::unique_ptr<Run> new_mlp_run(const Step& step, const MlpPart& part,
                                 const std::vector<int>& rows);
std::unique_ptr<Run> new_moe_run(const Step& step, const MoePart& part,
                                 const std::vector<int>& rows);
std::unique_ptr<Run> new_head_run(const Step& step, const HeadPart& part);

// A stage whose task is a member function of a run.
template <auto kMember, class T>
Stage stage_of(T* run, const char* name, std::uint64_t bytes = 0) {
  return {[](void* context, int index, int worker) noexcept {
            (static_cast<T*>(context)->*kMember)(index, worker);
          },
          run, 0, name, bytes};
}

// Puts a product with its bias where row_at(row of the product) says that the row's outputs begin.
template <class RowAt>
void put_product(const Step& step, const Product& product, int worker, RowAt row_at) noexcept {
  const auto stride = static_cast<std::size_t>(product.columns());
  const auto width = static_cast<std::size_t>(product.width());
  float* const tile = step.tile(worker, 0);
  product.multiply(*product.factor, tile, stride, step.kernel_scratch(worker));
  for (int r = 0; r < product.rows; ++r) {
    float* const out = row_at(product.row + r) + product.first();
    std::memcpy(out, tile + static_cast<std::size_t>(r) * stride, width * sizeof(float));
    if (product.factor->bias)
      step.isa.rows->add(product.factor->bias + product.first(), width, out);
  }
}

// stream[rows[i]] += product + bias, for the rows of a product: how attention and MLP end.
void add_to_stream(const Step& step, const Product& product, const std::vector<int>& rows,
                   int worker) noexcept;

}  // namespace tyto::cpu
