// The server: an engine behind HTTP, in the words of the OpenAI API. docs/server.md says which.
#pragma once

#include <memory>

#include "server/server_options.h"

namespace longhaul {

class Server {
 public:
  // Listens from now on; until serve() every request is answered with 503. Error: the address cannot
  // be listened at.
  static Result<std::unique_ptr<Server>> listen(const std::string& host, uint16_t port,
                                                const ConnectionLimits& limits);
  // Answers from now on, by an engine that must outlive it; `options` may name another address, which
  // says nothing here. Once. Error: what is to be kept cannot be.
  Status serve(Engine& engine, const ServerOptions& options);
  // Both.
  static Result<std::unique_ptr<Server>> start(Engine& engine, const ServerOptions& options);
  // Ends everything at once.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  uint16_t port() const;  // that it listens at
  // No more requests; texts that run may end within the options' `grace`. The second time
  // everything ends at once.
  void stop();
  // SIGINT and SIGTERM stop it, until it goes.
  void stop_on_signals();
  // Returns when it has stopped.
  void wait();

 private:
  struct Impl;
  class Service;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace longhaul
