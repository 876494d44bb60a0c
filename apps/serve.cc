#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>

#include "apps/bench_machine.h"
#include "apps/calibration_cache.h"
#include "apps/commands.h"
#include "apps/options.h"
#include "apps/output.h"
#include "apps/samples.h"
#include "base/result.h"
#include "server/server.h"

namespace longhaul {
namespace {

// Texts at once, if the cache of so many fits in memory.
constexpr size_t kMostTexts = 16;

struct ServeArguments {
  EngineOptions engine;
  ServerOptions server;
  size_t n_parallel = 0;
  size_t port = 8080;
  size_t max_tokens = 0;
  size_t grace_s = 10, ping_s = 15, body_bytes = 16 << 20;
  std::string key_file;
  bool no_prefixes = false;
  bool calibrate = false;
  bool quiet = false;
};

// Keys of --api-key, of the lines of --api-key-file and of the environment, which no list of
// processes shows.
Result<std::vector<std::string>> read_keys(const ServeArguments& arguments) {
  std::vector<std::string> keys = arguments.server.api_keys;
  if (const char* key = std::getenv("LONGHAUL_API_KEY"); key != nullptr) keys.emplace_back(key);
  if (!arguments.key_file.empty()) {
    LH_ASSIGN_OR_RETURN(const std::string text, read_text_file(arguments.key_file));
    for (size_t first = 0; first < text.size();) {
      const size_t end = std::min(text.find_first_of("\r\n", first), text.size());
      if (end > first) keys.push_back(text.substr(first, end - first));
      first = end + 1;
    }
  }
  for (const std::string& key : keys) {
    if (key.empty()) return bad_input("API key: expected one that is not empty");
  }
  return keys;
}

// Half of the cache for texts that run, half for what is kept of others.
void fill_in(ServeArguments& arguments, const Engine& engine, size_t n_each) {
  ServerOptions& server = arguments.server;
  server.n_parallel = engine.options().max_sessions / n_each;
  server.n_kept = engine.options().max_sessions - server.n_parallel;
  server.grace = std::chrono::seconds(arguments.grace_s);
  server.program = program_and_processor() + "; " + cpu_features();
  server.defaults.max_tokens =
      arguments.max_tokens > 0 ? arguments.max_tokens : engine.options().ctx_size;
  if (server.model_id.empty())
    server.model_id = std::filesystem::path(arguments.engine.model_path).stem().string();
  if (!arguments.quiet) {
    server.log = [mutex = std::make_shared<std::mutex>()](std::string_view line) {
      const std::lock_guard lock(*mutex);
      fmt::print(stderr, "longhaul: {}\n", line);
    };
  }
}

Result<int> serve(ServeArguments& arguments) {
  ServerOptions& server = arguments.server;
  LH_RETURN_IF_ERROR(settle_block_size(arguments.engine));
  LH_RETURN_IF_ERROR(validate(server.defaults.attention, arguments.engine.block_size));
  LH_ASSIGN_OR_RETURN(server.api_keys, read_keys(arguments));
  server.connections.max_body_bytes = arguments.body_bytes;
  server.connections.ping_every = std::chrono::seconds(arguments.ping_s);
  std::unique_ptr<Engine> engine;  // outlives the server
  // Who asks while the model is being loaded is told so.
  LH_ASSIGN_OR_RETURN(
      const auto running,
      Server::listen(server.host, static_cast<uint16_t>(arguments.port), server.connections));
  const size_t n_each = arguments.no_prefixes ? 1 : 2;
  const size_t n_wanted = arguments.n_parallel > 0 ? arguments.n_parallel : kMostTexts;
  LH_ASSIGN_OR_RETURN(engine, load_for_texts(arguments.engine, n_wanted, n_each));
  print_warnings(*engine);
  // A request may name any mode, and should not wait for measurements.
  LH_RETURN_IF_ERROR(prepare_calibration(*engine, arguments.calibrate, /*quiet=*/true));
  fill_in(arguments, *engine, n_each);
  if (server.n_parallel < arguments.n_parallel) {
    fmt::print(stderr, "longhaul: warning: memory has room for {} texts at once, not {}\n",
               server.n_parallel, arguments.n_parallel);
  }
  LH_RETURN_IF_ERROR(running->serve(*engine, server));
  running->stop_on_signals();
  fmt::print("longhaul: {} at http://{}:{}, {} texts of {} tokens at once\n", server.model_id,
             server.host, running->port(), server.n_parallel, engine->options().ctx_size);
  std::fflush(stdout);
  running->wait();
  return 0;
}

void add_server_options(CLI::App& command, ServeArguments& arguments) {
  ServerOptions& server = arguments.server;
  command.add_option("--host", server.host, "address to listen at; 0.0.0.0: every one there is")
      ->type_name("ADDRESS")
      ->capture_default_str();
  add_count(command, "--port", arguments.port, "port to listen at; 0: any that is free", 0, 65535);
  add_count(command, "--parallel", arguments.n_parallel,
            "texts at once; 0: up to 16, as many as the cache fits in memory for", 0, 1024);
  add_count(command, "--queue", server.max_waiting, "texts that may wait; more are refused", 1);
  command.add_flag("--no-prefix-cache", arguments.no_prefixes,
                   "keep no prompts; their half of the cache is not taken either");
  command.add_option("--alias", server.model_id, "what the API calls the model")->type_name("NAME");
  command.add_option("--api-key", server.api_keys, "a key that clients must have; repeatable")
      ->type_name("KEY");
  command.add_option("--api-key-file", arguments.key_file, "keys, one a line")->type_name("FILE");
  command
      .add_option("--cors", server.cors_origin,
                  "pages of this origin may ask, * any; without it no page of another origin")
      ->type_name("ORIGIN");
  command
      .add_option("--requests", server.requests_path,
                  "file for requests with an id, which go on after a restart; without it they are "
                  "kept as long as the server runs")
      ->type_name("FILE");
  add_count(command, "--requests-bytes", server.max_request_bytes,
            "bytes kept of such requests and their answers; the oldest that are over go first", 1);
  command
      .add_option(
          "--prefix-dir", server.prefix_folder,
          "folder for kept prompts, this server's own: they are there after a restart; without "
          "it they are in memory alone")
      ->type_name("FOLDER");
  add_count(command, "--prefix-disk-bytes", server.max_prefix_bytes,
            "bytes of that folder; the least recently used go first", 1);
  command
      .add_option("--slot-save-path", server.slot_folder,
                  "folder where clients may save the texts of slots; without it they may not")
      ->type_name("FOLDER");
  add_count(command, "--max-connections", server.connections.max_connections,
            "connections at once; more wait", 1);
  add_count(command, "--max-body", arguments.body_bytes, "bytes of a request", 1);
  add_count(command, "--ping", arguments.ping_s,
            "seconds until a silent stream says that it is alive; 0: never", 0, 1 << 20);
  add_count(command, "--grace", arguments.grace_s,
            "seconds that running texts have to end on Ctrl-C or SIGTERM", 0, 1 << 20);
  add_parsed(
      command, "--pooling", parse_pooling, [&server](Pooling pooling) { server.pooling = pooling; },
      "of embeddings that name none: mean, of the states of a text's tokens, or last");
  command.add_flag("--always-usage", server.always_usage,
                   "end every stream with the usage, asked for or not");
  command.add_flag("--quiet", arguments.quiet, "say nothing about requests");
}

}  // namespace

void add_serve(CLI::App& app, CommandBody& chosen) {
  CLI::App& command = *app.add_subcommand("serve", "the OpenAI API over HTTP, many texts at once");
  const auto arguments = std::make_shared<ServeArguments>();
  GenerateRequest& defaults = arguments->server.defaults;
  defaults.sampling.temperature = 1.0F;  // as the API has it
  add_server_options(command, *arguments);
  add_engine_options(command, arguments->engine);
  add_count(command, "-n,--max-tokens", arguments->max_tokens,
            "tokens of an answer where the request does not say; 0: until the context is full");
  add_mode_option(command, defaults.attention.mode);
  add_selection_options(command, arguments->engine, defaults.attention);
  add_calibrate_flag(command, arguments->calibrate);
  add_sampling_options(command, defaults.sampling);
  command.callback([&chosen, &command, arguments] {
    arguments->server.fixed_seed = command.get_option("--seed")->count() > 0;
    chosen = [arguments] { return serve(*arguments); };
  });
}

}  // namespace longhaul
