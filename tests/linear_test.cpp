#include "cpu/linear.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "cpu/amx.h"
#include "cpu/features.h"
#include "cpu/gather.h"
#include "src/quant/blocks.h"
#include "src/quant/format.h"
#include "tests/catch.h"

namespace cpu = tyto::cpu;
namespace quant = tyto::quant;
using cpu::ActivationForm;
using cpu::LinearKernel;

namespace {

struct Table {
  std::string name;
  cpu::LinearTable linear;
};

// Those that this machine can run; all others are named.
std::vector<Table> tables() {
  std::vector<Table> all{{"scalar", cpu::scalar_linear()}};
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512vnni");
  if (avx2)
    all.push_back({"avx2", cpu::avx2_linear()});
  else
    WARN("skipped: avx2");
  if (avx512)
    all.push_back({"avx512", cpu::avx512_linear(false, false)});
  else
    WARN("skipped: avx512");
  if (avx512 && __builtin_cpu_supports("avx512bf16"))
    all.push_back({"avx512 bf16", cpu::avx512_linear(true, false)});
  else
    WARN("skipped: avx512 with bf16");
  if (avx512 && cpu::enable_amx())
    all.push_back({"avx512 amx", cpu::avx512_linear(false, true)});
  else
    WARN("skipped: avx512 with amx");
#elif defined(__aarch64__)
  const cpu::Features features = cpu::detect_features();
  if (features.neon)
    all.push_back({"neon", cpu::neon_linear(false)});
  else
    WARN("skipped: neon");
  if (features.neon_i8mm)
    all.push_back({"neon i8mm", cpu::neon_linear(true)});
  else
    WARN("skipped: neon with i8mm");
#endif
  return all;
}

// Exactly so many bytes, on a 64-byte border, so that a sanitizer sees every step beyond them.
class Bytes {
 public:
  explicit Bytes(std::size_t size)
      : data_(static_cast<std::byte*>(::operator new (size + !size, std::align_val_t{64}))) {
    std::memset(data_, 0xa5, size);
  }
  Bytes(const Bytes&) = delete;
  ~Bytes() { ::operator delete (data_, std::align_val_t{64}); }
  std::byte* get() const { return data_; }

 private:
  std::byte* data_;
};

// Random blocks whose scales are ordinary numbers: file rows of a [rows, k] matrix.
std::vector<std::byte> random_matrix(const quant::Format& format, std::size_t rows, std::size_t k,
                                     std::mt19937& random) {
  const std::size_t blocks = rows * k / static_cast<std::size_t>(format.block_values);
  const std::size_t size = static_cast<std::size_t>(format.block_bytes);
  std::vector<std::byte> matrix(blocks * size);
  for (std::byte& byte : matrix) byte = static_cast<std::byte>(random());
  const auto put = [&](std::size_t at, auto value) {
    std::memcpy(matrix.data() + at, &value, sizeof(value));
  };
  std::normal_distribution<float> normal;
  for (std::size_t b = 0; b < blocks; ++b) {
    if (format.name == "f32") {
      put(b * size, normal(random));
      continue;
    }
    if (format.name == "bf16") {
      put(b * size, quant::to_bf16(normal(random)));
      continue;
    }
    // Half-precision numbers between 2^-5 and 2^-1, of either sign.
    const auto half = [&] {
      return static_cast<std::uint16_t>((random() & 0x8000) | (0x2800 + random() % 0x1000));
    };
    put(b * size + (format.name == "q6_k" ? 208 : 0), half());
    if (format.name.ends_with("_1") || format.name == "q4_k" || format.name == "q5_k")
      put(b * size + 2, half());
  }
  return matrix;
}

// A weight matrix packed for one kernel, and activations in its form.
struct Case {
  const LinearKernel& kernel;
  std::size_t rows, k, count;  // weight rows, width, activation rows
  std::vector<std::byte> matrix;
  std::vector<float> x;
  int panels;
  cpu::ActivationLayout layout;
  Bytes weights, records;

  Case(const cpu::LinearTable& table, const LinearKernel& linear, std::size_t weight_rows,
       std::size_t width, std::size_t activation_rows, std::mt19937& random)
      : kernel(linear),
        rows(weight_rows),
        k(width),
        count(activation_rows),
        matrix(random_matrix(*linear.format, rows, k, random)),
        x(count * k),
        panels(static_cast<int>((rows + panel_rows() - 1) / panel_rows())),
        layout(cpu::activation_layout(kernel.form, k)),
        weights(static_cast<std::size_t>(panels) * kernel.panel_bytes(k)),
        records(layout.total_bytes(count)) {
    std::normal_distribution<float> normal;
    for (float& value : x) value = normal(random);
    const std::size_t row_bytes = matrix.size() / rows;
    for (std::size_t p = 0; p < static_cast<std::size_t>(panels); ++p) {
      const std::size_t first = p * panel_rows();
      kernel.pack(matrix.data() + first * row_bytes,
                  static_cast<int>(std::min(panel_rows(), rows - first)), k,
                  weights.get() + p * kernel.panel_bytes(k));
    }
    convert(table);
  }

  void convert(const cpu::LinearTable& table) {
    for (std::size_t r = 0; r < count; ++r)
      table.make_activations[static_cast<int>(kernel.form)](
          x.data() + r * k, k, records.get() + r * layout.bytes, layout.slice_stride(count));
  }

  std::size_t panel_rows() const { return static_cast<std::size_t>(kernel.panel_rows); }
  std::size_t width() const {
    return static_cast<std::size_t>(panels) * panel_rows();
  }  // of the output

  // Activation rows [first, first + n) times panels [panel, panel + m); the output is [n, m *
  // panel_rows].
  std::vector<float> multiply(std::size_t first, std::size_t n, int panel, int m) const {
    return multiply(activations().from(static_cast<int>(first)), n, panel, m);
  }
  cpu::Activations activations() const {
    return {records.get(), layout.bytes, layout.slice_stride(count)};
  }
  std::vector<float> multiply(const cpu::Activations& activation_rows, std::size_t n, int panel,
                              int m) const {
    const std::size_t columns = static_cast<std::size_t>(m) * panel_rows(), stride = columns + 3;
    const Bytes scratch(kernel.scratch_bytes(k));
    const auto product = [&](bool one_stream) {
      std::vector<float> out(n * stride, -12345.0f);
      cpu::Activations from = activation_rows;
      from.one_stream = one_stream;
      kernel.multiply(weights.get() + static_cast<std::size_t>(panel) * kernel.panel_bytes(k), m, k,
                      from, static_cast<int>(n), out.data(), stride, scratch.get());
      return out;
    };
    const std::vector<float> out = product(false);
    REQUIRE(std::memcmp(out.data(), product(true).data(), out.size() * sizeof(float)) == 0);
    std::vector<float> dense;
    for (std::size_t r = 0; r < n; ++r) {
      dense.insert(dense.end(), out.begin() + static_cast<std::ptrdiff_t>(r * stride),
                   out.begin() + static_cast<std::ptrdiff_t>(r * stride + columns));
      for (std::size_t i = columns; i < stride; ++i) REQUIRE(out[r * stride + i] == -12345.0f);
    }
    return dense;
  }

  std::vector<float> dequantized_row(std::size_t row) const {
    std::vector<float> values(k);
    const std::size_t row_bytes = matrix.size() / rows;
    kernel.format->dequantize(matrix.data() + row * row_bytes,
                              k / static_cast<std::size_t>(kernel.format->block_values),
                              values.data());
    return values;
  }

  // What activation row r is after conversion: the numbers that its record stands for.
  std::vector<double> converted_row(std::size_t r) const {
    const std::byte* record = records.get() + r * layout.bytes;
    std::vector<double> values(k);
    for (std::size_t i = 0; i < k; ++i) {
      if (kernel.form == ActivationForm::f32) {
        values[i] = quant::load_block<float>(record, i);
      } else if (kernel.form == ActivationForm::bf16) {
        values[i] = quant::to_float(quant::load_block<quant::BF16>(
            record + i / cpu::kSliceK * layout.slice_stride(count), i % cpu::kSliceK));
      } else {
        const std::size_t group = kernel.form == ActivationForm::a32 ? 32 : 256;
        values[i] =
            static_cast<double>(quant::load_block<float>(record + layout.scales, i / group)) *
            quant::load_block<std::int8_t>(record, i);
      }
    }
    return values;
  }
};

std::vector<std::size_t> widths(const quant::Format& format) {
  if (format.block_values == 1) return {1, 2, 7, 33, 100, 256, 301};
  if (format.block_values == 32) return {32, 64, 96, 544};
  return {256, 768};
}

template <class Check>
void for_each_kernel(Check check) {
  for (const Table& table : tables())
    for (std::size_t f = 0; f < quant::formats().size(); ++f) {
      const LinearKernel& kernel = *table.linear.kernels[f];
      REQUIRE(kernel.format == quant::formats()[f]);
      INFO(table.name << " " << kernel.format->name);
      check(table.linear, kernel);
    }
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("Every kernel computes its definition, and nearly the exact product", "[cpu][linear]") {
  for_each_kernel([](const cpu::LinearTable& table, const LinearKernel& kernel) {
    std::mt19937 random(7);
    for (const std::size_t k : widths(*kernel.format))
      for (const std::size_t rows : {1, 16, 37, 70})
        for (const std::size_t count : {1, 5, 31}) {
          INFO("k " << k << ", rows " << rows << ", activation rows " << count);
          const Case c(table, kernel, rows, k, count, random);
          const std::vector<float> out = c.multiply(0, count, 0, c.panels);
          double error = 0, power = 0, worst = 0;
          for (std::size_t i = 0; i < rows; ++i) {
            const std::vector<float> weights = c.dequantized_row(i);
            for (std::size_t r = 0; r < count; ++r) {
              const std::vector<double> converted = c.converted_row(r);
              double exact = 0, defined = 0, magnitude = 0;
              for (std::size_t j = 0; j < k; ++j) {
                exact += static_cast<double>(weights[j]) * c.x[r * k + j];
                defined += weights[j] * converted[j];
                magnitude += std::abs(weights[j] * converted[j]);
              }
              const double got = out[r * c.width() + i];
              worst = std::max(worst, std::abs(got - defined) / (magnitude + 1e-30));
              error += (got - exact) * (got - exact);
              power += exact * exact;
            }
          }
          CHECK(worst < 1e-6);
          const double tolerance = kernel.form == ActivationForm::f32    ? 1e-7
                                   : kernel.form == ActivationForm::bf16 ? 1e-4
                                                                         : 5e-4;
          if (rows * count * k > 10000) CHECK(error / power < tolerance);
        }
  });
}

TEST_CASE("A row's result does not depend on its company or on how panels are grouped",
          "[cpu][linear][bits]") {
  for_each_kernel([](const cpu::LinearTable& table, const LinearKernel& kernel) {
    std::mt19937 random(11);
    for (const std::size_t k : widths(*kernel.format)) {
      const std::size_t most = kernel.panel_rows == 16 ? 118 : 50;  // AMX tiles begin at 16 or 32
      const Case c(table, kernel, 70, k, most, random);             // 5 panels of 16, 9 of 8
      std::vector<float> singles;
      for (std::size_t r = 0; r < c.count; ++r) {
        const std::vector<float> single = c.multiply(r, 1, 0, c.panels);
        singles.insert(singles.end(), single.begin(), single.end());
      }
      std::vector<std::size_t> counts(33);
      std::iota(counts.begin(), counts.end(), std::size_t{1});
      for (const std::size_t n : {48, 50, 95, 96, 112, 118})
        if (n <= most) counts.push_back(n);
      for (const std::size_t n : counts) {
        INFO("k " << k << ", activation rows " << n);
        const auto end = singles.begin() + static_cast<std::ptrdiff_t>(n * c.width());
        CHECK(same_bits(c.multiply(0, n, 0, c.panels), std::vector<float>(singles.begin(), end)));
      }
      for (int panel = 0; panel < c.panels; ++panel) {
        const std::vector<float> one = c.multiply(0, c.count, panel, 1);
        for (std::size_t r = 0; r < c.count; ++r)
          CHECK(std::memcmp(one.data() + r * c.panel_rows(),
                            singles.data() + r * c.width() +
                                static_cast<std::size_t>(panel) * c.panel_rows(),
                            c.panel_rows() * sizeof(float)) == 0);
      }
    }
  });
}

TEST_CASE("Gathered rows have the bits of the rows they are", "[cpu][linear]") {
  for_each_kernel([](const cpu::LinearTable& table, const LinearKernel& kernel) {
    std::mt19937 random(12);
    for (const std::size_t k : widths(*kernel.format)) {
      const Case c(table, kernel, 37, k, 40, random);
      const std::vector<float> all = c.multiply(0, c.count, 0, c.panels);
      for (const std::size_t count : {1, 6, 19, 35}) {
        std::vector<std::int32_t> rows(count);
        for (std::int32_t& row : rows)
          row = static_cast<std::int32_t>(random() % c.count);  // some more than once
        const Bytes gathered(c.layout.total_bytes(count));
        const std::vector<float> out = c.multiply(
            cpu::gather(c.activations(), c.layout, rows, gathered.get()), count, 0, c.panels);
        for (std::size_t i = 0; i < count; ++i)
          CHECK(std::memcmp(out.data() + i * c.width(),
                            all.data() + static_cast<std::size_t>(rows[i]) * c.width(),
                            c.width() * sizeof(float)) == 0);
      }
    }
  });
}

TEST_CASE("A row comes out of its panel as the format defines it", "[cpu][linear]") {
  for_each_kernel([](const cpu::LinearTable& table, const LinearKernel& kernel) {
    std::mt19937 random(13);
    for (const std::size_t k : widths(*kernel.format)) {
      const Case c(table, kernel, 19, k, 1, random);
      for (std::size_t row = 0; row < c.rows; ++row) {
        std::vector<float> values(k);
        kernel.unpack_row(c.weights.get() + row / c.panel_rows() * kernel.panel_bytes(k),
                          static_cast<int>(row % c.panel_rows()), k, values.data());
        CHECK(same_bits(values, c.dequantized_row(row)));
      }
    }
  });
}

TEST_CASE("NaN and infinity in an activation row make that row's results NaN and no other's",
          "[cpu][linear]") {
  for_each_kernel([](const cpu::LinearTable& table, const LinearKernel& kernel) {
    std::mt19937 random(17);
    for (const std::size_t count : {3, 32, 96}) {
      Case c(table, kernel, 20, 256, count, random);
      const std::vector<float> before = c.multiply(0, count, 0, c.panels);
      c.x[256 + 77] = std::numeric_limits<float>::quiet_NaN();
      c.x[2 * 256 + 5] = std::numeric_limits<float>::infinity();
      c.convert(table);
      const std::vector<float> after = c.multiply(0, count, 0, c.panels);
      for (std::size_t i = 0; i < c.rows; ++i) {
        CHECK(std::isnan(after[c.width() + i]));
        CHECK_FALSE(std::isfinite(after[2 * c.width() + i]));
        for (std::size_t r = 0; r < count; ++r)
          if (r != 1 && r != 2) CHECK(after[r * c.width() + i] == before[r * c.width() + i]);
      }
    }
  });
}

TEST_CASE("Every table makes the same activation records", "[cpu][linear]") {
  std::mt19937 random(19);
  std::normal_distribution<float> normal;
  for (const std::size_t k : {1, 31, 32, 100, 256, 700}) {
    std::vector<float> x(k);
    for (float& value : x)
      value = normal(random) * std::ldexp(1.0f, static_cast<int>(random() % 40) - 20);
    for (int form = 0; form < cpu::kActivationForms; ++form) {
      const cpu::ActivationLayout layout =
          cpu::activation_layout(static_cast<ActivationForm>(form), k);
      const std::size_t bytes = layout.total_bytes(1), stride = layout.slice_stride(1);
      const Bytes expected(bytes);
      cpu::scalar_linear().make_activations[form](x.data(), k, expected.get(), stride);
      for (const Table& table : tables()) {
        INFO(table.name << ", form " << form << ", k " << k);
        const Bytes record(bytes);
        table.linear.make_activations[form](x.data(), k, record.get(), stride);
        CHECK(std::memcmp(record.get(), expected.get(), bytes) == 0);
      }
    }
  }
}

TEST_CASE("Activation codes round to nearest even, and tiny groups are zero", "[cpu][linear]") {
  std::vector<float> x(32, 0.0f);
  const float inputs[] = {127.0f, 0.5f, 1.5f, -2.5f, 126.5f, -127.0f};
  const int codes[] = {127, 0, 2, -2, 126, -127};
  std::copy(std::begin(inputs), std::end(inputs), x.begin());
  const cpu::ActivationLayout layout = cpu::activation_layout(ActivationForm::a32, 32);
  for (const Table& table : tables()) {
    INFO(table.name);
    const Bytes record(layout.total_bytes(1));
    const auto convert = [&](const float* row) {
      table.linear.make_activations[static_cast<int>(ActivationForm::a32)](row, 32, record.get(),
                                                                           layout.slice_stride(1));
    };
    convert(x.data());
    int sum = 0;
    for (std::size_t i = 0; i < 6; ++i) {
      CHECK(quant::load_block<std::int8_t>(record.get(), i) == codes[i]);
      sum += codes[i];
    }
    CHECK(quant::load_block<float>(record.get() + layout.scales, 0) == 1.0f);
    CHECK(quant::load_block<std::int16_t>(record.get() + layout.sums, 0) == sum);
    std::vector<float> tiny(32, 1e-40f);
    convert(tiny.data());
    CHECK(quant::load_block<float>(record.get() + layout.scales, 0) == 0.0f);
    CHECK(quant::load_block<std::int8_t>(record.get(), 0) == 0);
  }
}
