#include "convert/convert.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <memory>

#include "apps/commands.h"
#include "apps/options.h"
#include "base/result.h"
#include "parallel/cores.h"

namespace longhaul {
namespace {

struct ConvertArguments {
  std::string folder;
  std::string out;
  ConvertOptions options;
};

Result<int> convert(const ConvertArguments& arguments) {
  LH_ASSIGN_OR_RETURN(const ConvertReport report,
                      convert_checkpoint(arguments.folder, arguments.out, arguments.options));
  for (const std::string& note : report.notes) fmt::print(stderr, "longhaul: note: {}\n", note);
  std::error_code ignored;
  const auto n_bytes = std::filesystem::file_size(arguments.out, ignored);
  fmt::print("{}: {}, {} tensors, {:.1f}M weights, {:.1f} MiB\n", arguments.out,
             report.architecture, report.n_tensors, static_cast<double>(report.n_parameters) / 1e6,
             static_cast<double>(n_bytes) / (1 << 20));
  return 0;
}

}  // namespace

void add_convert(CLI::App& app, CommandBody& chosen) {
  CLI::App& command =
      *app.add_subcommand("convert", "a Hugging Face checkpoint folder to a GGUF file");
  const auto arguments = std::make_shared<ConvertArguments>();
  arguments->options.n_threads = usable_cores();
  command
      .add_option(
          "folder", arguments->folder,
          "the checkpoint: config.json, model.safetensors or its shards, tokenizer.json, ...")
      ->required()
      ->check(CLI::ExistingDirectory)
      ->type_name("MODEL_DIR");
  command.add_option("out", arguments->out, "the file to write")->required()->type_name("OUT.gguf");
  auto store = [arguments = arguments.get()](const WeightTypes* types) {
    arguments->options.types = types;
  };
  add_parsed(command, "--type", find_weight_types, store,
             "what matrices become: " + weight_type_names() + " (default: what the checkpoint has)")
      ->type_name("TYPE");
  command.add_option("--name", arguments->options.name,
                     "the model's name (default: that of the folder)");
  add_count(command, "-t,--threads", arguments->options.n_threads, "threads", 1, 1024);
  command.footer("Example: longhaul convert SmolLM2-135M-Instruct smollm2.gguf --type q8_0");
  command.callback([&chosen, arguments] { chosen = [arguments] { return convert(*arguments); }; });
}

}  // namespace longhaul
