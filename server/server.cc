#include "server/server.h"

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <thread>

#include "base/check.h"
#include "base/result.h"
#include "server/api.h"
#include "server/door.h"
#include "server/kept_requests.h"
#include "server/listener.h"
#include "server/prefix_cache.h"
#include "server/runner.h"
#include "server/slots.h"

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

// Who answers once there is an engine. Members in the order in which they need each other: threads
// that use the others go first.
class Server::Service {
 public:
  Service(Engine& engine, const ServerOptions& its_options, std::unique_ptr<KeptRequests> requests,
          std::unique_ptr<Metrics> its_metrics, std::unique_ptr<DiskTier> disk)
      : options(its_options),
        metrics(std::move(its_metrics)),
        prefixes(engine, options.n_kept * engine.options().ctx_size, *metrics, options.log,
                 std::move(disk)),
        slots(options.n_parallel),
        kept_requests(std::move(requests)),
        chat_format(read_chat_format(engine)),
        runner(engine, prefixes, slots, *metrics, options.n_parallel, options.max_waiting),
        api({engine, options, runner, *metrics, *kept_requests, chat_format, prefixes, slots}) {}

  const ServerOptions options;
  const std::unique_ptr<Metrics> metrics;
  PrefixCache prefixes;
  Slots slots;
  const std::unique_ptr<KeptRequests> kept_requests;
  const ChatFormat chat_format;
  Runner runner;
  Api api;
};

// The connections.
struct Server::Impl {
  explicit Impl(const ConnectionLimits& its_limits)
      : limits(its_limits), signals(io), stop_timer(io) {}

  // By the thread of the connections.
  void run();
  void begin_stop();
  void check_stop();
  void await_signal();

  const ConnectionLimits limits;
  asio::io_context io;
  asio::signal_set signals;
  asio::steady_timer stop_timer;
  Door door;
  std::unique_ptr<Service> service_owner;
  std::atomic<Service*> service = nullptr;  // null: the model is still being loaded
  std::unique_ptr<Listener> listener;
  int n_stops = 0;
  Clock::time_point ends_at;  // what runs is cancelled then
  std::jthread thread;        // the last one: it uses the others
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() {
  stop();
  stop();
  wait();
}

Result<std::unique_ptr<Server>> Server::listen(const std::string& host, uint16_t port,
                                               const ConnectionLimits& limits) {
  auto impl = std::make_unique<Impl>(limits);
  LH_ASSIGN_OR_RETURN(impl->listener,
                      Listener::open(impl->io, host, port, impl->limits, impl->door));
  impl->listener->start();
  impl->thread = std::jthread([raw = impl.get()] { raw->run(); });
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Status Server::serve(Engine& engine, const ServerOptions& options) {
  LH_CHECK(impl_->service == nullptr);
  KeptRequests::Options requests_options;
  requests_options.path = options.requests_path;
  requests_options.max_bytes = options.max_request_bytes;
  requests_options.model = name_of_tokens(engine);
  requests_options.keys = options.api_keys;
  requests_options.log = options.log;
  LH_ASSIGN_OR_RETURN(auto requests, KeptRequests::open(requests_options));
  auto metrics = std::make_unique<Metrics>();
  LH_ASSIGN_OR_RETURN(auto disk, open_disk(engine, options, *metrics));
  impl_->service_owner = std::make_unique<Service>(engine, options, std::move(requests),
                                                   std::move(metrics), std::move(disk));
  Service& service = *impl_->service_owner;
  service.api.resume();
  impl_->service = &service;
  impl_->door.open(service.api);
  return {};
}

Result<std::unique_ptr<Server>> Server::start(Engine& engine, const ServerOptions& options) {
  LH_ASSIGN_OR_RETURN(auto server, listen(options.host, options.port, options.connections));
  LH_RETURN_IF_ERROR(server->serve(engine, options));
  return server;
}

// What an exception of a handler takes away is that handler's connection.
void Server::Impl::run() {
  while (true) {
    try {
      io.run();
      return;
    } catch (const std::exception& error) {
      const Service* const its_service = service;
      if (its_service != nullptr && its_service->options.log)
        its_service->options.log(fmt::format("a connection was dropped: {}", error.what()));
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
  Service* const its_service = service;
  const auto grace =
      n_stops == 0 && its_service != nullptr ? its_service->options.grace : Clock::duration(0);
  ends_at = Clock::now() + grace;
  if (++n_stops > 1) return;
  if (its_service != nullptr) {
    its_service->api.drain();
    its_service->kept_requests->stop();
  }
  listener->stop();
  if (its_service != nullptr) its_service->runner.drain();
  check_stop();
}

void Server::Impl::check_stop() {
  Service* const its_service = service;
  const bool is_idle = its_service == nullptr || its_service->runner.is_idle();
  const auto now = Clock::now();
  if (now >= ends_at && its_service != nullptr) its_service->runner.cancel();
  const bool is_over = is_idle && listener->n_connections() == 0;
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
