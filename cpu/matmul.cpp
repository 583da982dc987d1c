#include "cpu/matmul.h"

#include <algorithm>

#include "cpu/streams.h"

namespace tyto::cpu {
namespace {

constexpr int kFewRows = 16;        // up to here a task takes all rows
constexpr int kPanelsAtOnce = 4;    // of which kernels make the most with few rows
constexpr int kTasksPerWorker = 4;  // so that one who is late is helped out

}  // namespace

void Product::multiply(const Factor& of, float* out, std::size_t stride,
                       std::byte* scratch) const noexcept {
  const ActivationLayout& layout = of.record_layout;
  const Activations x{of.records, layout.bytes,
                      layout.slice_stride(static_cast<std::size_t>(all_rows)), one_stream()};
  of.kernel->multiply(of.panels + static_cast<std::size_t>(panel) * of.panel_bytes, panels, of.k,
                      x.from(row), rows, out, stride, scratch);
}

std::size_t task_floats(const LinearKernel& kernel, int rows) noexcept {
  return static_cast<std::size_t>(std::min(rows, kernel.task.rows)) *
         static_cast<std::size_t>(std::max(kernel.task.columns, kernel.panel_rows));
}

int panels_of_task(const LinearKernel& kernel, int panels, int rows, int workers) noexcept {
  if (rows > kFewRows) return std::max(1, kernel.task.columns / kernel.panel_rows);
  const int share = ceil_div(panels, workers * kTasksPerWorker);
  return std::clamp(ceil_div(share, kPanelsAtOnce) * kPanelsAtOnce, 1,
                    std::max(1, static_cast<int>(kFewRowsFloats) / (rows * kernel.panel_rows)));
}

std::uint64_t Matmul::bytes() const noexcept {
  std::uint64_t sum = 0;
  for (const Factor& factor : factors_) sum += factor.bytes();
  return sum;
}

int Matmul::split(int rows, int workers) noexcept {
  if (rows == 0) return 0;
  rows_ = rows;
  const LinearKernel& kernel = *factors_.front().kernel;
  int panels = 0;
  for (const Factor& factor : factors_) panels += factor.panel_count;
  panels_per_task_ = panels_of_task(kernel, panels, rows, workers);
  rows_per_task_ = rows;
  if (rows > kFewRows) {
    rows_per_task_ = std::min(rows, kernel.task.rows);
    while (rows_per_task_ > kFewRows &&
           ceil_div(rows, rows_per_task_) * ceil_div(panels, panels_per_task_) <
               workers * kTasksPerWorker)
      rows_per_task_ = ceil_div(rows_per_task_, 2);
  }
  tasks_per_band_ = 0;
  for (const Factor& factor : factors_)
    tasks_per_band_ += ceil_div(factor.panel_count, panels_per_task_);
  return tasks_per_band_ * ceil_div(rows, rows_per_task_);
}

Product Matmul::product(int task) const noexcept {
  const int row = task / tasks_per_band_ * rows_per_task_;
  int rest = task % tasks_per_band_;
  const Factor* factor = factors_.data();
  for (int tasks; rest >= (tasks = ceil_div(factor->panel_count, panels_per_task_)); ++factor)
    rest -= tasks;
  const int panel = rest * panels_per_task_;
  return {factor,
          panel,
          std::min(panels_per_task_, factor->panel_count - panel),
          row,
          std::min(rows_per_task_, rows_ - row),
          rows_};
}

}  // namespace tyto::cpu
