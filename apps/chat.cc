#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <optional>

#include "apps/calibration_cache.h"
#include "apps/chat_loop.h"
#include "apps/commands.h"
#include "apps/context.h"
#include "apps/options.h"
#include "apps/output.h"
#include "base/result.h"
#include "io/gguf.h"

namespace longhaul {
namespace {

struct ChatArguments {
  EngineOptions engine;
  ChatSettings settings;
  std::string system, load;
  bool has_system = false;
  bool calibrate = false;
  // Sampling options that the command line names.
  bool has_temp = false, has_top_k = false, has_top_p = false, has_min_p = false, has_seed = false;
};

// What a model's file says about how to sample from it, where the user says nothing. True if it
// says anything.
Result<bool> take_model_sampling(const ChatArguments& arguments, SamplingOptions& sampling) {
  LH_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(arguments.engine.model_path));
  bool any = false;
  const auto take = [&](const char* key, bool is_given, double least, double most, auto& target) {
    const GgufValue* value = file.find(fmt::format("general.sampling.{}", key));
    const auto number = value != nullptr ? value->to_f64() : std::nullopt;
    if (is_given || !number || !(*number >= least && *number <= most)) return;
    target = static_cast<std::remove_reference_t<decltype(target)>>(*number);
    any = true;
  };
  take("temp", arguments.has_temp, 0, 100, sampling.temperature);
  take("top_k", arguments.has_top_k, 0, 1 << 20, sampling.top_k);
  take("top_p", arguments.has_top_p, 0, 1, sampling.top_p);
  take("min_p", arguments.has_min_p, 0, 1, sampling.min_p);
  return any;
}

Result<int> chat(ChatArguments& arguments) {
  GenerateRequest& request = arguments.settings.request;
  LH_RETURN_IF_ERROR(settle_block_size(arguments.engine));
  LH_RETURN_IF_ERROR(validate(request.attention, arguments.engine.block_size));
  LH_ASSIGN_OR_RETURN(const bool is_models_own, take_model_sampling(arguments, request.sampling));
  if (!arguments.has_seed) request.sampling.seed = random_seed();
  LH_ASSIGN_OR_RETURN(const auto engine, load_engine(arguments.engine));
  if (needs_calibration(request.attention))
    LH_RETURN_IF_ERROR(prepare_calibration(*engine, arguments.calibrate, false));
  std::optional<std::string> system;
  if (arguments.has_system) system = arguments.system;
  LH_ASSIGN_OR_RETURN(Conversation conversation, Conversation::start(*engine, std::move(system)));
  fmt::print(stderr, "{}, context {} tokens; {}{}. /help lists the commands.\n",
             printable(engine->model_info().name), engine->options().ctx_size,
             describe(request.sampling), is_models_own ? " (some by the model's file)" : "");
  ChatLoop loop(*engine, std::move(conversation), arguments.settings);
  if (!arguments.load.empty() && !loop.load(arguments.load))
    return exit_status(ErrorCode::kBadInput);
  loop.run();
  return 0;
}

void add_chat_options(CLI::App& command, ChatArguments& arguments) {
  GenerateRequest& request = arguments.settings.request;
  request.max_tokens = 4096;
  request.sampling.temperature = 0.8F;
  request.sampling.top_p = 0.95F;
  request.sampling.min_p = 0.05F;
  add_engine_options(command, arguments.engine);
  {
    const OptionGroup group(command, "Conversation");
    add_chat_template_option(command, arguments.engine);
    command
        .add_option("--system", arguments.system,
                    "the system message; \"\": none, nor the template's own")
        ->type_name("TEXT");
    command.add_option("--load", arguments.load, "go on from a chat that /save kept")
        ->check(CLI::ExistingFile)
        ->type_name("FILE");
    add_max_tokens(command, request.max_tokens,
                   "longest answer; -1: until it ends or the context is full", 1);
    command
        .add_option_function<std::string>(
            "--on-full",
            [&arguments](const std::string& what) {
              arguments.settings.drops_oldest = what == "drop";
            },
            "when the context is full: stop, or drop the oldest turns")
        ->check(CLI::IsMember({"stop", "drop"}))
        ->default_str("stop")
        ->type_name("WHAT");
  }
  add_mode_option(command, request.attention.mode);
  add_selection_options(command, arguments.engine, request.attention);
  add_calibrate_flag(command, arguments.calibrate);
  add_sampling_options(command, request.sampling);
  command.get_option("--seed")->default_str("-1");
  put_first(command, {"--model", "--system", "--ctx-size", "--max-tokens", "--attention", "--temp",
                      "--top-p", "--seed", "--load", "--on-full"});
  command.footer("Example:\n  longhaul chat -m model.gguf --system \"Be brief.\" --on-full drop\n");
}

}  // namespace

void add_chat(CLI::App& app, CommandBody& chosen) {
  CLI::App& command = *app.add_subcommand("chat", "talk with a model");
  const auto arguments = std::make_shared<ChatArguments>();
  add_chat_options(command, *arguments);
  command.callback([&chosen, &command, arguments] {
    arguments->has_system = command.count("--system") > 0;
    arguments->has_temp = command.count("--temp") > 0;
    arguments->has_top_k = command.count("--top-k") > 0;
    arguments->has_top_p = command.count("--top-p") > 0;
    arguments->has_min_p = command.count("--min-p") > 0;
    arguments->has_seed = command.count("--seed") > 0;
    chosen = [arguments] { return chat(*arguments); };
  });
}

}  // namespace longhaul
