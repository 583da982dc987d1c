// tyto inspect: what a model file says of itself, its tensors, and the memory it would take. Loads
// no weights. The library's public headers do not show metadata and tensors, so this reads them as
// the library does, by src/file.
#include <fmt/format.h>

#include <map>

#include "examples/cli/program.h"
#include "src/file/packed.h"
#include "src/file/quoted.h"
#include "src/file/tensor_source.h"

namespace cli {
namespace {

using tyto::file::ModelFile;
using tyto::file::TensorInfo;

std::string size_text(std::uint64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes < 10000) return fmt::format("{} B", bytes);
  return bytes < 10000000 ? fmt::format("{:.1f} KiB", value / 1024)
                          : fmt::format("{:.1f} MiB", value / (1 << 20));
}

std::string shape_text(const TensorInfo& tensor) {
  std::string text;
  for (const std::int64_t size : tensor.shape)
    text += (text.empty() ? "" : " x ") + std::to_string(size);
  return text;
}

struct Totals {
  std::uint64_t bytes = 0;
  double values = 0;
  std::map<std::string, int> types;
};

Totals totals_of(const ModelFile& file) {
  Totals totals;
  for (const TensorInfo& tensor : file.tensors()) {
    double values = 1;
    for (const std::int64_t size : tensor.shape) values *= static_cast<double>(size);
    totals.values += values;
    totals.bytes += tensor.bytes;
    ++totals.types[tensor.type_name];
  }
  return totals;
}

// A name as the file writes it, unless that would steer a terminal.
std::string shown(std::string_view name) {
  std::string quoted = tyto::file::quoted(name, name.size());
  return quoted.size() == name.size() + 2 ? std::string(name) : quoted;
}

void print_file(const ModelFile& file) {
  std::string out = fmt::format("fingerprint {}\n", file.fingerprint());
  if (const auto packed = file.packed())
    out += fmt::format(
        "packed for {}, layout {}, {} from {} with the content hash {}\n", shown(packed->table()),
        packed->header().layout, size_text(packed->header().weights_bytes),
        size_text(packed->header().source_bytes), tyto::hex(packed->header().source_hash));
  out += "\nmetadata\n";
  const tyto::file::Metadata& metadata = file.metadata();
  std::size_t width = 0;
  for (std::size_t i = 0; i < metadata.size(); ++i) width = std::max(width, metadata.key(i).size());
  for (std::size_t i = 0; i < metadata.size(); ++i)
    out += fmt::format("  {:{}}  {}\n", shown(metadata.key(i)), width, metadata.describe(i));

  const Totals totals = totals_of(file);
  out += fmt::format("\ntensors: {}, {}", file.tensors().size(), size_text(totals.bytes));
  for (const auto& [type, count] : totals.types) out += fmt::format(", {} {}", count, type);
  out += "\n";
  for (const TensorInfo& tensor : file.tensors())
    out += fmt::format("  {:28}  {:5}  {:16}  {}\n", shown(tensor.name), tensor.type_name,
                       shape_text(tensor), size_text(tensor.bytes));
  write_out(out);
}

void print_plan(const tyto::MemoryPlan& plan, const ModelArguments& arguments) {
  std::string out = "\nmemory\n";
  std::uint64_t taken = 0;  // of what --mem limits, which is the host's memory
  for (const tyto::MemoryPlan::Device& device : plan.devices) {
    if (!device.name.starts_with("cuda")) taken += device.weights + device.cache + device.workspace;
    out += fmt::format("  {}: weights {}, mapped {}, cache {} ({} tokens), workspace {}\n",
                       device.name, size_text(device.weights), size_text(device.mapped),
                       size_text(device.cache), context_of(arguments), size_text(device.workspace));
  }
  if (arguments.memory > 0)
    out += fmt::format("  together {}: {} --mem {}\n", size_text(taken),
                       taken <= arguments.memory ? "within" : "more than",
                       size_text(arguments.memory));
  out += fmt::format("  host tables about {}, peak while loading {}\n", size_text(plan.host_tables),
                     size_text(plan.host_peak_during_load));
  write_out(out);
}

std::string packed_json(const ModelFile& file) {
  const auto packed = file.packed();
  if (!packed) return "null";
  JsonObject object;
  object.text("table", shown(packed->table())).integer("layout", packed->header().layout);
  object.bytes("weights", packed->header().weights_bytes);
  object.bytes("source_bytes", packed->header().source_bytes);
  return object.text("source_hash", tyto::hex(packed->header().source_hash)).done();
}

std::string metadata_json(const ModelFile& file) {
  JsonObject out;
  const tyto::file::Metadata& metadata = file.metadata();
  for (std::size_t i = 0; i < metadata.size(); ++i) out.text(metadata.key(i), metadata.describe(i));
  return out.done();
}

std::string tensors_json(const ModelFile& file) {
  JsonArray out;
  for (const TensorInfo& tensor : file.tensors()) {
    JsonArray shape;
    for (const std::int64_t size : tensor.shape) shape.integer(size);
    JsonObject object;
    object.text("name", tensor.name).text("type", tensor.type_name).raw("shape", shape.done());
    out.raw(object.bytes("bytes", tensor.bytes).done());
  }
  return out.done();
}

std::string plan_json(const tyto::MemoryPlan& plan) {
  JsonArray devices;
  for (const tyto::MemoryPlan::Device& device : plan.devices) {
    JsonObject object;
    object.text("name", device.name).bytes("weights", device.weights);
    object.bytes("mapped", device.mapped);
    devices.raw(object.bytes("cache", device.cache).bytes("workspace", device.workspace).done());
  }
  JsonObject object;
  object.raw("devices", devices.done()).bytes("host_tables", plan.host_tables);
  return object.bytes("host_peak_during_load", plan.host_peak_during_load).done();
}

void inspect(const ModelArguments& arguments, Program& program) {
  const tyto::FileSystem& files = tyto::file::os_files();
  const auto source = files.open(arguments.path).value();
  const auto file = tyto::file::open_model(source, arguments.path, &files).value();
  // A file without weights, or of a family that is not known, has no plan: worth saying, and no
  // failure.
  const auto plan =
      tyto::Model::plan(arguments.path, model_options(arguments, program, context_of(arguments)));

  if (program.json) {
    const Totals totals = totals_of(*file);
    JsonObject object("tyto.inspect.v1");
    object.text("file", arguments.path).text("fingerprint", file->fingerprint());
    object.number("parameters", totals.values).bytes("tensor_bytes", totals.bytes);
    object.raw("packed", packed_json(*file))
        .raw("metadata", metadata_json(*file))
        .raw("tensors", tensors_json(*file));
    object.raw("memory", plan ? plan_json(*plan) : "null");
    if (!plan) object.text("memory_error", plan.error().message());
    return write_json(object);
  }
  print_file(*file);
  if (plan) return print_plan(*plan, arguments);
  write_out(fmt::format("\nmemory\n  not known: {}\n", plan.error().message()));
}

}  // namespace

void add_inspect(CLI::App& app, Program& program) {
  CLI::App* command =
      app.add_subcommand("inspect", "Metadata, tensors and memory plan; loads no weights");
  const auto arguments = std::make_shared<ModelArguments>();
  add_model_option(*command, *arguments);
  add_json_option(*command, program);
  add_compute_options(*command, *arguments);
  command->callback([arguments, &program] { inspect(*arguments, program); });
}

}  // namespace cli
