// Attention as stages: norm, q k v, rotations and the cache, scores and sums, records, out.
#include <algorithm>

#include "cpu/step.h"

namespace tyto::cpu {
namespace {

// Rows of one sequence whose query heads attend together, to some splits of the keys.
struct Unit {
  int row, rows;  // of the step
  int out;        // of the first of them among the rows that go on
  int sequence;
  int first_split, last_split;
  int partial;  // of the first of them among the rows with partials; -1: none, the unit has all
                // splits
};

class AttentionRun final : public Run {
 public:
  AttentionRun(const Step& step, const AttentionPart& part, bool last);
  void add_stages(std::vector<Stage>& stages) override;
  void begin_step(Stage* stages) noexcept override;

 private:
  void normalize(int row, int worker) noexcept;
  void project(int task, int worker) noexcept;
  void write_cache(int row, int worker) noexcept;
  void attend(int task, int worker) noexcept;
  void make_records(int i, int worker) noexcept;
  void add_out(int task, int worker) noexcept;

  void make_units() noexcept;
  std::uint64_t cached_bytes() const noexcept;  // that units read
  void add_unit(int out, int rows, int& partials) noexcept;
  float* wide(int row) const noexcept {
    return step_.at<float>(step_.layout.wide) + static_cast<std::size_t>(row) * wide_stride_;
  }
  float* attended(int i) const noexcept {
    return step_.at<float>(step_.layout.attended) + static_cast<std::size_t>(i) * attended_stride_;
  }
  // Partials of one row and head.
  float* partials(int partial_row, int head) const noexcept {
    const std::size_t index =
        static_cast<std::size_t>(partial_row) * static_cast<std::size_t>(part_.heads) +
        static_cast<std::size_t>(head);
    return step_.at<float>(step_.layout.partials) +
           index * static_cast<std::size_t>(step_.layout.splits) * partial_floats(part_.head_dim);
  }

  const Step& step_;
  const AttentionPart& part_;
  const std::vector<int>& rows_;  // that go on
  const std::size_t wide_stride_, attended_stride_;
  const int group_;
  int key_column_ = 0, value_column_ = 0;
  Records input_, inner_;
  Matmul qkv_, out_;

  // Set by begin_step, with room for the largest step.
  std::vector<Unit> units_;
  std::vector<int> partial_of_;  // per row that goes on: its row of partials, -1: none
};

AttentionRun::AttentionRun(const Step& step, const AttentionPart& part, bool last)
    : step_(step),
      part_(part),
      rows_(last ? step.live : step.all),
      wide_stride_(wide_stride(step.lowered, part)),
      attended_stride_(attended_stride(part)),
      group_(part.heads / part.kv_heads) {
  key_column_ = step.matrix(part.q.matrix).columns();
  value_column_ = key_column_ + step.matrix(part.k.matrix).columns();
  qkv_.add(step.factor(part.q, 0));
  qkv_.add(step.factor(part.k, key_column_));
  qkv_.add(step.factor(part.v, value_column_));
  out_.add(step.factor(part.out, 0));
  for (const LinearPart* l : {&part.q, &part.k, &part.v}) input_.want(step, *l);
  inner_.want(step, part.out);
  const auto rows = static_cast<std::size_t>(step.capacity.rows);
  const std::size_t pieces = static_cast<std::size_t>(step.layout.partial_rows) *
                             static_cast<std::size_t>(step.layout.splits);
  units_.reserve(rows + pieces);
  partial_of_.reserve(rows);
}

void AttentionRun::add_stages(std::vector<Stage>& stages) {
  stages.push_back(stage_of<&AttentionRun::normalize>(this, "attention.norm"));
  stages.push_back(stage_of<&AttentionRun::project>(this, "attention.qkv", qkv_.bytes()));
  stages.push_back(stage_of<&AttentionRun::write_cache>(this, "attention.store"));
  stages.push_back(stage_of<&AttentionRun::attend>(this, "attention.attend"));
  stages.push_back(stage_of<&AttentionRun::make_records>(this, "attention.records"));
  stages.push_back(stage_of<&AttentionRun::add_out>(this, "attention.out", out_.bytes()));
}

void AttentionRun::begin_step(Stage* stages) noexcept {
  const int rows = static_cast<int>(step_.rows.size()), going_on = static_cast<int>(rows_.size());
  make_units();
  stages[0].tasks = stages[2].tasks = rows;
  stages[1].tasks = qkv_.split(rows, step_.workers);
  stages[3].tasks = static_cast<int>(units_.size()) * part_.kv_heads;
  stages[3].bytes = cached_bytes();
  stages[4].tasks = going_on;
  stages[5].tasks = out_.split(going_on, step_.workers);
}

// Units of adjacent rows. Where there are too few to keep all workers busy, and the rows are few
// enough to have partials, units are cut between splits of their keys; the result is the same.
void AttentionRun::make_units() noexcept {
  units_.clear();
  partial_of_.assign(rows_.size(), -1);
  const int most = std::max(1, kQueryTile / group_), count = static_cast<int>(rows_.size());
  int partials = 0;
  for (int out = 0, next; out < count; out = next) {
    const auto row_at = [&](int i) { return rows_[static_cast<std::size_t>(i)]; };
    const auto sequence_at = [&](int i) {
      return step_.rows[static_cast<std::size_t>(row_at(i))].sequence;
    };
    next = out + 1;
    while (next < count && next - out < most && row_at(next) == row_at(next - 1) + 1 &&
           sequence_at(next) == sequence_at(out))
      ++next;
    add_unit(out, next - out, partials);
  }
}

std::uint64_t AttentionRun::cached_bytes() const noexcept {
  std::uint64_t keys = 0;
  for (const Unit& unit : units_) {
    const auto row = static_cast<std::size_t>(unit.row),
               last = row + static_cast<std::size_t>(unit.rows) - 1;
    const int from = std::max(step_.begin[row], unit.first_split * kSplitKeys);
    const int to = std::min(step_.end[last], unit.last_split * kSplitKeys);
    keys += static_cast<std::uint64_t>(std::max(0, to - from));
  }
  const std::size_t page = part_layout(step_.cache.type(), part_.head_dim, part_.head_dim).bytes;
  return keys * page / kPageTokens * static_cast<std::uint64_t>(part_.kv_heads);
}

void AttentionRun::add_unit(int out, int rows, int& partials) noexcept {
  const int row = rows_[static_cast<std::size_t>(out)];
  int first = step_.begin[static_cast<std::size_t>(row)], last = 0;
  for (int r = row; r < row + rows; ++r) {
    first = std::min(first, step_.begin[static_cast<std::size_t>(r)]);
    last = std::max(last, step_.end[static_cast<std::size_t>(r)]);
  }
  first /= kSplitKeys;
  last = (last + kSplitKeys - 1) / kSplitKeys;
  Unit unit{row, rows, out, step_.rows[static_cast<std::size_t>(row)].sequence, first, last, -1};
  const int tasks = static_cast<int>(rows_.size()) * part_.kv_heads;  // at most, without cutting
  const int pieces = std::min(last - first, (2 * step_.workers + tasks - 1) / tasks);
  if (pieces < 2 || partials + rows > step_.layout.partial_rows) {
    units_.push_back(unit);
    return;
  }
  unit.partial = partials;
  for (int r = 0; r < rows; ++r) partial_of_[static_cast<std::size_t>(out + r)] = partials++;
  for (int i = 0; i < pieces; ++i) {
    unit.first_split = first + (last - first) * i / pieces;
    unit.last_split = first + (last - first) * (i + 1) / pieces;
    units_.push_back(unit);
  }
}

void AttentionRun::normalize(int row, int worker) noexcept {
  input_.make(step_, step_.normalize(part_.norm, step_.stream(row), step_.scratch_row(worker)), row,
              step_.rows.size());
}

void AttentionRun::project(int task, int worker) noexcept {
  const Product product = qkv_.product(task);
  float* const out = wide(product.row) + product.factor->column + product.first();
  product.multiply(*product.factor, out, wide_stride_, step_.kernel_scratch(worker));
  if (product.factor->bias == nullptr) return;
  for (int r = 0; r < product.rows; ++r)
    step_.isa.rows->add(product.factor->bias + product.first(),
                        static_cast<std::size_t>(product.width()),
                        out + static_cast<std::size_t>(r) * wide_stride_);
}

// Norms and rotations of q and k in place; k and v to the row's slot.
void AttentionRun::write_cache(int row, int) noexcept {
  const RowKernels& kernels = *step_.isa.rows;
  const float *cosines = nullptr, *sines = nullptr;
  const Rope* rope = nullptr;
  if (part_.rope >= 0) {
    const auto index = static_cast<std::size_t>(part_.rope);
    const std::size_t stride = rotation_stride(step_.lowered.ropes[index]);
    rope = &step_.lowered.ropes[index].rope;
    cosines =
        step_.at<float>(step_.layout.rotations[index]) + static_cast<std::size_t>(row) * stride;
    sines = cosines + stride / 2;
  }
  const auto prepare = [&](const NormPart& norm, float* head) {
    step_.normalize(norm, head, head);
    if (rope) kernels.rotate(head, cosines, sines, rope->dims, rope->interleaved);
  };
  float* const q = wide(row);
  for (int h = 0; h < part_.heads; ++h) prepare(part_.q_norm, q + h * part_.head_dim);
  const Row& r = step_.rows[static_cast<std::size_t>(row)];
  const PageId page = step_.table(r.sequence, part_.cache)[r.slot / kPageTokens];
  const auto write = kernels.write_cache[static_cast<int>(step_.cache.type())];
  for (int h = 0; h < part_.kv_heads; ++h) {
    float* const key = q + key_column_ + h * part_.head_dim;
    prepare(part_.k_norm, key);
    write(
        key, part_.head_dim, q + value_column_ + h * part_.head_dim, part_.head_dim,
        r.slot % kPageTokens,
        step_.cache.parts(part_.cache, part_.layer, h) + page * step_.cache.part_size(part_.cache));
  }
}

void AttentionRun::attend(int task, int worker) noexcept {
  const Unit& unit = units_[static_cast<std::size_t>(task / part_.kv_heads)];
  const int kv_head = task % part_.kv_heads, head = kv_head * group_;
  const std::size_t head_stride =
      static_cast<std::size_t>(step_.layout.splits) * partial_floats(part_.head_dim);
  AttendArgs args;
  args.q = wide(unit.row) + head * part_.head_dim;
  args.q_row_stride = wide_stride_;
  args.out = attended(unit.out) + head * part_.head_dim;
  args.out_row_stride = attended_stride_;
  args.rows = unit.rows;
  args.group = group_;
  args.key_dim = args.value_dim = part_.head_dim;
  args.scale = part_.scale;
  args.begin = step_.begin.data() + unit.row;
  args.end = step_.end.data() + unit.row;
  args.pages = step_.cache.parts(part_.cache, part_.layer, kv_head);
  args.page_stride = step_.cache.part_size(part_.cache);
  args.table = step_.table(unit.sequence, part_.cache);
  args.first_split = unit.first_split;
  args.last_split = unit.last_split;
  args.partials = unit.partial < 0 ? nullptr : partials(unit.partial, head);
  args.partial_row_stride = static_cast<std::size_t>(part_.heads) * head_stride;
  args.partial_head_stride = head_stride;
  args.scratch = step_.scratch(worker);
  step_.isa.rows->attend[static_cast<int>(step_.cache.type())](args);
}

void AttentionRun::make_records(int i, int) noexcept {
  const int partial_row = partial_of_[static_cast<std::size_t>(i)];
  if (partial_row >= 0) {
    const auto row = static_cast<std::size_t>(rows_[static_cast<std::size_t>(i)]);
    const int first = step_.begin[row] / kSplitKeys,
              last = (step_.end[row] + kSplitKeys - 1) / kSplitKeys;
    for (int h = 0; h < part_.heads; ++h)
      step_.isa.rows->merge_splits(partials(partial_row, h) + static_cast<std::size_t>(first) *
                                                                  partial_floats(part_.head_dim),
                                   last - first, part_.head_dim, attended(i) + h * part_.head_dim);
  }
  inner_.make(step_, attended(i), i, rows_.size());
}

void AttentionRun::add_out(int task, int worker) noexcept {
  add_to_stream(step_, out_.product(task), rows_, worker);
}

}  // namespace

std::unique_ptr<Run> new_attention_run(const Step& step, const AttentionPart& part, bool last) {
  return std::make_unique<AttentionRun>(step, part, last);
}

}  // namespace tyto::cpu
