#include "convert/quantize.h"

#include <fmt/format.h>

#include <memory>

#include "apps/commands.h"
#include "apps/options.h"
#include "apps/table.h"
#include "base/result.h"
#include "parallel/cores.h"

namespace longhaul {
namespace {

struct QuantizeArguments {
  std::string in;
  std::string out;
  const WeightTypes* types = nullptr;
  size_t n_threads = 1;
};

std::string mebibytes(uint64_t n_bytes) {
  return fmt::format("{:.2f}", static_cast<double>(n_bytes) / (1 << 20));
}

std::string_view type_name(TensorType type) { return tensor_type_info(type).name; }

void print_changes(const std::vector<TensorChange>& changes) {
  Table table({"tensor", "from", "to", ">MiB before", ">after", ">relative error"});
  uint64_t before = 0, after = 0;
  for (const TensorChange& change : changes) {
    before += change.bytes_before;
    after += change.bytes_after;
    if (change.from == change.to) continue;  // its bytes are the old ones
    table.add({change.name, std::string(type_name(change.from)), std::string(type_name(change.to)),
               mebibytes(change.bytes_before), mebibytes(change.bytes_after),
               fmt::format("{:.5f}", change.relative_error)});
  }
  table.add({"all tensors", "", "", mebibytes(before), mebibytes(after), ""});
  fmt::print("{}", table.plain());
}

Result<int> quantize(const QuantizeArguments& arguments) {
  LH_ASSIGN_OR_RETURN(
      const std::vector<TensorChange> changes,
      quantize_file(arguments.in, arguments.out, *arguments.types, arguments.n_threads));
  print_changes(changes);
  return 0;
}

}  // namespace

void add_quantize(CLI::App& app, CommandBody& chosen) {
  CLI::App& command =
      *app.add_subcommand("quantize", "a GGUF file with its matrices in other types");
  const auto arguments = std::make_shared<QuantizeArguments>();
  arguments->n_threads = usable_cores();
  command.add_option("in", arguments->in, "the file to read; part 1 of a split one")
      ->required()
      ->check(CLI::ExistingFile)
      ->type_name("IN.gguf");
  command.add_option("out", arguments->out, "the file to write")->required()->type_name("OUT.gguf");
  auto store = [arguments = arguments.get()](const WeightTypes* types) {
    arguments->types = types;
  };
  add_parsed(command, "type", find_weight_types, store, "one of " + weight_type_names())
      ->required()
      ->type_name("TYPE");
  add_count(command, "-t,--threads", arguments->n_threads, "threads", 1, 1024);
  command.footer("Example: longhaul quantize model-f16.gguf model-q4_k_m.gguf q4_k_m");
  command.callback([&chosen, arguments] { chosen = [arguments] { return quantize(*arguments); }; });
}

}  // namespace longhaul
