// longhaul-train: vocab | run | eval | export | distill | import-gates. See docs/training.md.
#include <CLI/CLI.hpp>
#include <fstream>
#include <sstream>

#include "trainer/distill.h"
#include "trainer/evaluate.h"
#include "trainer/export.h"
#include "trainer/import_gates.h"
#include "trainer/train.h"

namespace longhaul::trainer {
namespace {

constexpr int kBadUsage = 2;

Result<std::string> read_texts(const std::vector<std::string>& paths) {
  std::string text;
  for (const std::string& path : paths) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return make_error(ErrorCode::kIo, "{}: cannot read", path);
    std::stringstream buffer;
    buffer << file.rdbuf();
    text += buffer.str();
  }
  return text;
}

struct Arguments {
  std::vector<std::string> texts;
  std::string vocabulary;
  int n_merges = 1000;
  TrainOptions train;
  EvaluateOptions evaluate;
  ExportOptions gguf;
  DistillOptions distill;
  ImportGatesOptions gates;
};

Status run_vocab(const Arguments& arguments) {
  LH_ASSIGN_OR_RETURN(const std::string text, read_texts(arguments.texts));
  return make_vocabulary(text, arguments.n_merges).save(arguments.vocabulary);
}

Status run_train(const Arguments& arguments) {
  LH_ASSIGN_OR_RETURN(const Vocabulary vocabulary, Vocabulary::load(arguments.vocabulary));
  LH_ASSIGN_OR_RETURN(const std::string text, read_texts(arguments.texts));
  return train(arguments.train, vocabulary, vocabulary.encode(text));
}

Status run_eval(const Arguments& arguments) {
  LH_ASSIGN_OR_RETURN(const Vocabulary vocabulary, Vocabulary::load(arguments.vocabulary));
  LH_ASSIGN_OR_RETURN(const std::string text, read_texts(arguments.texts));
  return evaluate(arguments.evaluate, vocabulary, vocabulary.encode(text));
}

Status run_export(const Arguments& arguments) {
  LH_ASSIGN_OR_RETURN(const Vocabulary vocabulary, Vocabulary::load(arguments.vocabulary));
  return export_gguf(arguments.gguf, vocabulary);
}

Status run_distill(Arguments& arguments) {
  LH_ASSIGN_OR_RETURN(arguments.distill.data.text, read_texts(arguments.texts));
  return distill(arguments.distill);
}

void add_distill_flags(CLI::App& app, DistillOptions& options) {
  app.add_option("--model", options.model, "GGUF file, stays as it is")->required();
  app.add_option("--out", options.out, "Folder of the run; gates.gguf goes there")->required();
  app.add_option("--resume", options.resume, "Checkpoint to go on from");
  app.add_option("--device", options.device, "cpu or cuda");
  app.add_option("--type", options.type, "Type of the gates' matrices: F16 or F32");
  app.add_option("--block-size", options.block_size, "16, 32, 64 or 128 tokens");
  app.add_option("--target", options.target,
                 "What gates learn of a block: mass, its share of attention, or largest, its "
                 "largest probability, as published");
  app.add_option("--key-length", options.key_length,
                 "Dimensions of gate keys; 0: 128, or the model's head size if smaller");
  app.add_option("--qk-norm", options.qk_norm);
  app.add_option("--steps", options.n_steps);
  app.add_option("--sequences", options.n_sequences, "Sequences a step");
  app.add_option("--length", options.data.length, "Tokens of the longest sequences");
  app.add_option("--tasks", options.data.tasks, "Generated tasks: path, sum, recall, ...")
      ->delimiter(',');
  app.add_option("--text-share", options.data.text_share, "Share of text beside tasks");
  app.add_option("--learning-rate", options.learning_rate);
  app.add_option("--recall-every", options.recall_every, "Steps between measurements");
  app.add_option("--recall-budget", options.recall_budget, "Tokens; 0: a tenth of --length");
  app.add_option("--held-out", options.n_held_out, "Sequences recall is measured on");
  app.add_option("--save-every", options.save_every, "Steps between checkpoints");
  app.add_option("--stop-after", options.stop_after, "Leave the run at this step, to be resumed");
  app.add_option("--seed", options.data.seed);
}

void add_train_flags(CLI::App& app, TrainOptions& options) {
  app.add_option("--out", options.out, "Folder of the run")->required();
  CLI::Option* resume =
      app.add_option("--resume", options.resume,
                     "Checkpoint to go on from, with its counters and its optimisers' moments");
  CLI::Option* from_gguf = app.add_option("--from-gguf", options.from_gguf,
                                          "Model whose weights a fresh run starts from");
  resume->excludes(from_gguf);
  app.add_option("--tokens", options.n_tokens);
  app.add_option("--batch-tokens", options.batch_tokens);
  app.add_option("--first-length", options.first_length);
  app.add_option("--max-length", options.max_length);
  app.add_option("--promote-at", options.promote_at);
  app.add_option("--learning-rate", options.learning_rate);
  app.add_option("--matrix-rate", options.matrix_rate);
  app.add_option("--weight-decay", options.weight_decay);
  app.add_option("--text-weight", options.text_weight);
  app.add_option("--selection-weight", options.selection_weight);
  app.add_option("--selection-from", options.selection_from);
  app.add_option("--mix-path", options.mix.path);
  app.add_option("--mix-sum", options.mix.sum);
  app.add_option("--mix-recall", options.mix.recall);
  app.add_option("--seed", options.seed);

  // A loaded model brings its own shape.
  const auto shape = [&](const char* name, auto& field) {
    return app.add_option(name, field)->excludes(resume)->excludes(from_gguf);
  };
  shape("--arch", options.model.arch)
      ->description(
          "transformer, retnet, yoco, yoco-window, diff, diff2 or lex (docs/architectures.md)");
  shape("--value-dim", options.model.value_dim)->description("retnet: of a head; 0: as its key");
  shape("--self-heads", options.model.n_self_heads)->description("yoco: of the lower layers");
  shape("--shared-layers", options.model.n_shared)->description("yoco: upper layers; 0: half");
  shape("--window", options.model.window)->description("yoco-window: tokens a lower layer sees");
  shape("--layers", options.model.n_layers);
  shape("--d-model", options.model.d_model);
  shape("--heads", options.model.n_heads);
  shape("--kv-heads", options.model.n_kv_heads);
  shape("--head-dim", options.model.head_dim);
  shape("--d-ff", options.model.d_ff);
  shape("--rope-theta", options.model.rope_theta);
  shape("--qk-norm", options.model.qk_norm);
  shape("--planted", options.model.planted);
  shape("--qk-scale", options.model.qk_scale);
}

int main_with_status(int argc, char** argv) {
  CLI::App app("Trains the bundled model");
  app.require_subcommand(1);
  app.set_config("--recipe", "", "A TOML file with flags, in a section named as the subcommand");
  app.allow_config_extras(false);
  Arguments arguments;
  Status status;

  CLI::App* vocab = app.add_subcommand("vocab", "Learn the vocabulary from text");
  vocab->add_option("--text", arguments.texts)->required();
  vocab->add_option("--vocab", arguments.vocabulary, "File to write")->required();
  vocab->add_option("--merges", arguments.n_merges);
  vocab->callback([&] { status = run_vocab(arguments); });

  CLI::App* run = app.add_subcommand("run", "Train");
  run->add_option("--text", arguments.texts)->required();
  run->add_option("--vocab", arguments.vocabulary)->required();
  add_train_flags(*run, arguments.train);
  run->callback([&] { status = run_train(arguments); });

  CLI::App* eval = app.add_subcommand("eval", "Accuracy by task, length and selection");
  eval->add_option("--vocab", arguments.vocabulary)->required();
  eval->add_option("--checkpoint", arguments.evaluate.checkpoint, "Folder of a run, or a GGUF file")
      ->required();
  eval->add_option("--text", arguments.texts, "Text whose loss to measure");
  eval->add_option("--lengths", arguments.evaluate.lengths)->delimiter(',');
  eval->add_option("--ratios", arguments.evaluate.ratios)->delimiter(',');
  eval->add_option("--examples", arguments.evaluate.n_examples);
  eval->add_flag("--oracle", arguments.evaluate.oracle, "Measure the oracle selector too");
  eval->callback([&] { status = run_eval(arguments); });

  CLI::App* gguf = app.add_subcommand("export", "Write a checkpoint as a GGUF file");
  gguf->add_option("--vocab", arguments.vocabulary)->required();
  gguf->add_option("--checkpoint", arguments.gguf.checkpoint)->required();
  gguf->add_option("--out", arguments.gguf.path, "File to write")->required();
  gguf->add_option("--type", arguments.gguf.type, "Type of the matrices: Q8_0, F16 or F32");
  gguf->add_option("--context-length", arguments.gguf.context_length);
  gguf->add_option("--name", arguments.gguf.name);
  gguf->add_option("--license", arguments.gguf.license);
  gguf->callback([&] { status = run_export(arguments); });

  CLI::App* distill = app.add_subcommand("distill", "Train attention gates for a frozen model");
  distill->add_option("--text", arguments.texts, "Texts; the last tenth is held out");
  add_distill_flags(*distill, arguments.distill);
  distill->callback([&] { status = run_distill(arguments); });

  CLI::App* gates = app.add_subcommand("import-gates", "Write published gates as a gate file");
  gates->add_option("--from", arguments.gates.folder, "attn_gate_weights.pth and config.json")
      ->required();
  gates->add_option("--model", arguments.gates.model, "GGUF file they are for")->required();
  gates->add_option("--out", arguments.gates.path, "File to write")->required();
  gates->add_option("--type", arguments.gates.type, "Type of the matrices: F16 or F32");
  gates->callback([&] { status = import_gates(arguments.gates); });

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    fmt::print(stderr, "longhaul-train: {} (see longhaul-train --help)\n", error.what());
    return kBadUsage;
  }
  if (status) return 0;
  fmt::print(stderr, "longhaul-train: {}\n", status.error().message);
  const bool usage =
      status.error().code == ErrorCode::kBadInput || status.error().code == ErrorCode::kUnsupported;
  return usage ? kBadUsage : 1;
}

}  // namespace
}  // namespace longhaul::trainer

int main(int argc, char** argv) { return longhaul::trainer::main_with_status(argc, argv); }
