#include "server/server.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <thread>

#include "base/result.h"
#include "server/api.h"
#include "server/kept_requests.h"
#include "server/listener.h"
#include "server/prefix_cache.h"
#include "server/runner.h"

namespace longhaul {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

// How often a server that stops looks whether it has.
constexpr auto kStopCheck = std::chrono::milliseconds(10);
// For answers of texts that were cancelled to reach their clients.
constexpr auto kLastWords = std::chrono::milliseconds(500);

// What a text's tokens depend on beside its request.
std::string name_of_tokens(const Engine& engine) {
  const ModelInfo& info = engine.model_info();
  const EngineOptions& options = engine.options();
  return fmt::format("{} {} {} {} {} {} {} {} {}", info.name, info.n_parameters, info.weight_type,
                     info.weight_bytes, to_string(options.k_type), to_string(options.v_type),
                     options.block_size, options.ctx_size, options.device);
}

// Null without a folder.
Result<std::unique_ptr<DiskTier>> open_disk(Engine& engine, const ServerOptions& options,
                                            Metrics& metrics) {
  if (options.prefix_folder.empty()) return nullptr;
  if (options.n_kept == 0)
    return bad_input("{}: expected kept prompts in memory before those on disk, found none",
                     options.prefix_folder);
  return DiskTier::open(engine,
                        {.folder = options.prefix_folder,
                         .max_bytes = options.max_prefix_bytes,
                         .program = options.program,
                         .keys = options.api_keys,
                         .grace = options.grace,
                         .log = options.log},
                        metrics);
}

}  // namespace

// Members in the order in which they need each other: threads that use the others go first.
struct Server::Impl {
  Impl(Engine& engine, const ServerOptions& its_options, std::unique_ptr<KeptRequests> requests,
       std::unique_ptr<Metrics> its_metrics, std::unique_ptr<DiskTier> disk)
      : options(its_options),
        metrics_owner(std::move(its_metrics)),
        kept(engine, options.n_kept * engine.options().ctx_size, metrics, options.log,
             std::move(disk)),
        kept_requests(std::move(requests)),
        chat_format(read_chat_format(engine)),
        signals(io),
        stop_timer(io),
        runner(engine, kept, metrics, options.n_parallel, options.max_waiting),
        api({engine, options, runner, metrics, *kept_requests, chat_format}) {}

  // By the thread of the connections.
  void run();
  void begin_stop();
  void check_stop();
  void await_signal();

  const ServerOptions options;
  const std::unique_ptr<Metrics> metrics_owner;
  Metrics& metrics = *metrics_owner;
  PrefixCache kept;
  std::unique_ptr<KeptRequests> kept_requests;
  const ChatFormat chat_format;
  asio::io_context io;
  asio::signal_set signals;
  asio::steady_timer stop_timer;
  Runner runner;
  Api api;
  std::unique_ptr<Listener> listener;
  int n_stops = 0;
  Clock::time_point ends_at;  // what runs is cancelled then
  std::jthread thread;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() {
  stop();
  stop();
  wait();
}

Result<std::unique_ptr<Server>> Server::start(Engine& engine, const ServerOptions& options) {
  KeptRequests::Options requests_options;
  requests_options.path = options.requests_path;
  requests_options.max_bytes = options.max_request_bytes;
  requests_options.model = name_of_tokens(engine);
  requests_options.keys = options.api_keys;
  requests_options.log = options.log;
  LH_ASSIGN_OR_RETURN(auto requests, KeptRequests::open(requests_options));
  auto metrics = std::make_unique<Metrics>();
  LH_ASSIGN_OR_RETURN(auto disk, open_disk(engine, options, *metrics));
  auto impl = std::make_unique<Impl>(engine, options, std::move(requests), std::move(metrics),
                                     std::move(disk));
  LH_ASSIGN_OR_RETURN(impl->listener,
                      Listener::open(impl->io, impl->options.host, impl->options.port,
                                     impl->options.connections, impl->api));
  impl->api.resume();
  impl->listener->start();
  impl->thread = std::jthread([raw = impl.get()] { raw->run(); });
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

// What an exception of a handler takes away is that handler's connection.
void Server::Impl::run() {
  while (true) {
    try {
      io.run();
      return;
    } catch (const std::exception& error) {
      if (options.log) options.log(fmt::format("a connection was dropped: {}", error.what()));
    }
  }
}

uint16_t Server::port() const { return impl_->listener->port(); }

void Server::stop() {
  asio::post(impl_->io, [impl = impl_.get()] { impl->begin_stop(); });
}

void Server::stop_on_signals() {
  asio::post(impl_->io, [impl = impl_.get()] {
    impl->signals.add(SIGINT);
    impl->signals.add(SIGTERM);
    impl->await_signal();
  });
}

void Server::wait() {
  if (impl_->thread.joinable()) impl_->thread.join();
}

void Server::Impl::await_signal() {
  signals.async_wait([this](boost::system::error_code error, int) {
    if (error) return;
    await_signal();  // before the stop, which may be over at once and then ends all waiting
    begin_stop();
  });
}

void Server::Impl::begin_stop() {
  ++n_stops;
  ends_at = Clock::now() + (n_stops == 1 ? options.grace : std::chrono::milliseconds(0));
  if (n_stops > 1) return;
  api.drain();
  kept_requests->stop();
  listener->stop();
  runner.drain();
  check_stop();
}

void Server::Impl::check_stop() {
  const bool is_over = runner.is_idle() && listener->n_connections() == 0;
  const auto now = Clock::now();
  if (now >= ends_at) runner.cancel();
  if (is_over || now >= ends_at + kLastWords) {
    listener->close_all();
    signals.cancel();
    return;  // nothing is left for the io_context, and its thread ends
  }
  stop_timer.expires_after(kStopCheck);
  stop_timer.async_wait([this](boost::system::error_code error) {
    if (!error) check_stop();
  });
}

}  // namespace longhaul
