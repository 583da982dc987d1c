// How fast are the matrix kernels? One thread, every table of this machine, every weight format:
//   multiply/<table>/<format>/<rows>  a [4096, 4096] matrix times so many rows of activations; as
//                                     many copies of it in turn as no cache holds
//   activations/<table>/<form>        conversion of a row of 4096 floats
// Counters: GMAC/s; GB/s of weights; of_read, their fraction of the read bandwidth; of_peak, the
// products' fraction of the arithmetic peak (of 8-bit integers in vectors, or of floats, as the
// format has it). Both roofs are measured in the same run.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "benchmarks/peaks.h"
#include "cpu/isa_table.h"
#include "cpu/streams.h"
#include "examples/cli/bandwidth.h"
#include "examples/cli/system.h"
#include "src/runtime.h"

namespace {

using namespace tyto::cpu;

constexpr std::size_t kSize = 4096, kManyBytes = std::size_t{256} << 20;

tyto::LargeBlock allocate(std::size_t bytes) {
  static const auto runtime = tyto::Runtime::create({.threads = 1}).value();
  return tyto::Runtime::Impl::allocate(runtime, bytes, "benchmark").value();
}

double read_roof() {
  static const double roof = cli::read_bandwidth(1, kManyBytes);
  return roof;
}

double product_roof(ActivationForm form) {
  static const double f32 = tyto::bench::arithmetic_peak("f32", 1),
                      bf16 = tyto::bench::arithmetic_peak("bf16", 1),
                      int8 = tyto::bench::arithmetic_peak("int8_vnni", 1);
  return form == ActivationForm::f32 ? f32 : form == ActivationForm::bf16 ? bf16 : int8;
}

// Copies of one packed matrix of random weights.
struct Weights {
  explicit Weights(const LinearKernel& of) : kernel(of) {
    const auto rows = static_cast<std::size_t>(kernel.panel_rows);
    const std::size_t panels = kSize / rows, panel_bytes = kernel.panel_bytes(kSize);
    const std::size_t row_bytes = kSize / static_cast<std::size_t>(kernel.format->block_values) *
                                  static_cast<std::size_t>(kernel.format->block_bytes);
    bytes = panels * panel_bytes;
    copies = kManyBytes / bytes + 1;
    block = allocate(copies * bytes);
    std::mt19937 random(1);
    std::vector<std::byte> file(rows * row_bytes);
    for (std::size_t panel = 0; panel < panels; ++panel) {
      for (std::byte& byte : file) byte = static_cast<std::byte>(random() & 0x3f);  // no NaN
      kernel.pack(file.data(), kernel.panel_rows, kSize, block.data() + panel * panel_bytes);
    }
    for (std::size_t i = 1; i < copies; ++i)
      std::memcpy(block.data() + i * bytes, block.data(), bytes);
  }

  const LinearKernel& kernel;
  std::size_t bytes = 0, copies = 0;  // of one; how many
  tyto::LargeBlock block;
};

std::vector<float> random_row() {
  std::vector<float> row(kSize);
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  for (float& value : row) value = normal(random);
  return row;
}

void multiply(benchmark::State& state, const LinearTable& table, const LinearKernel& kernel,
              int rows) {
  const Weights weights(kernel);
  const ActivationLayout layout = activation_layout(kernel.form, kSize);
  const auto count = static_cast<std::size_t>(rows);
  const tyto::LargeBlock records = allocate(layout.total_bytes(count));
  const Activations activations{records.data(), layout.bytes, layout.slice_stride(count),
                                one_stream()};
  const tyto::LargeBlock scratch = allocate(std::max<std::size_t>(kernel.scratch_bytes(kSize), 64));
  const std::vector<float> x = random_row();
  for (std::size_t r = 0; r < count; ++r)
    table.make_activations[static_cast<int>(kernel.form)](
        x.data(), kSize, records.data() + r * layout.bytes, activations.slice_stride);
  // Of one call; what it writes is compact, as in the backend.
  const auto columns = static_cast<std::size_t>(kernel.task.columns);
  std::vector<float> out(count * columns);

  const auto panel_rows = static_cast<std::size_t>(kernel.panel_rows);
  std::size_t copy = 0;
  for (auto _ : state) {
    const std::byte* matrix = weights.block.data() + copy++ % weights.copies * weights.bytes;
    for (std::size_t column = 0; column < kSize; column += columns)
      kernel.multiply(matrix + column / panel_rows * kernel.panel_bytes(kSize),
                      static_cast<int>(columns / panel_rows), kSize, activations, rows, out.data(),
                      columns, scratch.data());
  }

  const auto runs = static_cast<double>(state.iterations());
  const double products = runs * static_cast<double>(count * kSize * kSize);
  const double bytes = runs * static_cast<double>(weights.bytes);
  using benchmark::Counter;
  state.counters["GMAC/s"] = Counter(products * 1e-9, Counter::kIsRate);
  state.counters["GB/s"] = Counter(bytes * 1e-9, Counter::kIsRate);
  state.counters["of_read"] = Counter(bytes / read_roof(), Counter::kIsRate);
  if (product_roof(kernel.form) > 0)
    state.counters["of_peak"] = Counter(products / product_roof(kernel.form), Counter::kIsRate);
}

void activations(benchmark::State& state, MakeActivations make, ActivationForm form) {
  const std::vector<float> x = random_row();
  const ActivationLayout layout = activation_layout(form, kSize);
  const tyto::LargeBlock record = allocate(layout.total_bytes(1));
  for (auto _ : state) {
    make(x.data(), kSize, record.data(), layout.slice_stride(1));
    benchmark::ClobberMemory();
  }
  state.counters["Gfloat/s"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * kSize * 1e-9, benchmark::Counter::kIsRate);
}

void add_table(const IsaTable& isa) {
  const LinearTable& table = isa.linear;
  const std::string name(isa.name);
  for (std::size_t f = 0; f < tyto::quant::formats().size(); ++f)
    for (const int rows : {1, 2, 4, 8, 16, 32, 64, 128, 256, 512}) {
      const LinearKernel& kernel = *table.kernels[f];
      const std::string full =
          "multiply/" + name + "/" + std::string(kernel.format->name) + "/" + std::to_string(rows);
      benchmark::RegisterBenchmark(full.c_str(), [&table, &kernel, rows](benchmark::State& state) {
        multiply(state, table, kernel, rows);
      })->Unit(benchmark::kMillisecond);
    }
  constexpr const char* kForms[kActivationForms] = {"f32", "bf16", "a32", "a256"};
  for (int form = 0; form < kActivationForms; ++form)
    benchmark::RegisterBenchmark(("activations/" + name + "/" + kForms[form]).c_str(), activations,
                                 table.make_activations[form], static_cast<ActivationForm>(form));
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  cli::pin_this_thread(0);
  using tyto::Isa;
  for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512, Isa::amx})
    if (const IsaTable* table = find_table(isa)) add_table(*table);
  benchmark::RunSpecifiedBenchmarks();
}
