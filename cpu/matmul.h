// A stage of matrix products: one or more weights times the same rows of activations, split into
// tasks of whole panels. How it is split makes no difference to any result.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/kernel_table.h"

namespace tyto::cpu {

constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }

struct Factor {
  const LinearKernel* kernel;
  const std::byte* panels;
  std::size_t k, panel_bytes;
  int panel_count, rows;     // rows: outputs that are not padding
  const std::byte* records;  // activations of all rows of the stage
  ActivationLayout record_layout;
  const float* bias;  // [rows]; null: none
  int column;         // of the first output in the stage's result

  std::size_t bytes() const noexcept { return static_cast<std::size_t>(panel_count) * panel_bytes; }
};

// What one task computes: rows [row, row + rows) of panels [panel, panel + panels) of a factor.
struct Product {
  const Factor* factor;
  int panel, panels, row, rows;
  int all_rows;  // of the stage

  int first() const noexcept { return panel * factor->kernel->panel_rows; }  // output of the factor
  int columns() const noexcept { return panels * factor->kernel->panel_rows; }  // padded
  int width() const noexcept {                                                  // without padding
    return columns() < factor->rows - first() ? columns() : factor->rows - first();
  }
  // out: [rows, stride]. Of `factor`, or of another one of the same shape.
  void multiply(const Factor& of, float* out, std::size_t stride,
                std::byte* scratch) const noexcept;
};

inline constexpr std::size_t kFewRowsFloats = 16384;
// What a task of a step of up to `rows` rows computes, if not few.
std::size_t task_floats(const LinearKernel& kernel, int rows) noexcept;

// Panels to a task of a product of `rows` rows with so many, on so many workers.
int panels_of_task(const LinearKernel& kernel, int panels, int rows, int workers) noexcept;

class Matmul {
 public:
  void add(const Factor& factor) { factors_.push_back(factor); }
  const std::vector<Factor>& factors() const noexcept { return factors_; }
  std::uint64_t bytes() const noexcept;  // of weights

  // Tasks for a product of `rows` rows on so many workers. No task computes more than the larger of
  // kFewRowsFloats and task_floats() of the first factor's kernel.
  int split(int rows, int workers) noexcept;
  Product product(int task) const noexcept;

 private:
  std::vector<Factor> factors_;
  int rows_ = 0, rows_per_task_ = 1, panels_per_task_ = 1;
  int tasks_per_band_ = 0;  // a band is rows_per_task_ rows
};

}  // namespace tyto::cpu
