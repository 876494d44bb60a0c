// What a server is told when it starts.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "longhaul/engine.h"

namespace longhaul {

// What one client may take.
struct ConnectionLimits {
  size_t max_connections = 256;
  uint32_t max_head_bytes = 32 << 10;
  size_t max_body_bytes = 16 << 20;
  size_t max_unsent_bytes = 64 << 10;  // of a stream: the text waits while more is under way
  std::chrono::milliseconds head_timeout{10'000};   // for the whole head of the first request
  std::chrono::milliseconds idle_timeout{75'000};   // for the next one on a connection that is kept
  std::chrono::milliseconds body_timeout{120'000};  // for a whole body
  std::chrono::milliseconds send_timeout{30'000};   // for one piece of an answer to be taken
  std::chrono::milliseconds ping_every{15'000};     // in a stream that says nothing; 0: never
};

struct ServerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8080;  // 0: any that is free
  ConnectionLimits connections;

  size_t n_parallel = 4;    // texts at once; the engine has room for all of them at full length
  size_t n_kept = 0;        // room for prompts of the past, in texts of full length beside those
  size_t max_waiting = 64;  // texts that may wait; more are refused
  size_t max_choices = 64;  // of one request: prompts times n
  std::chrono::milliseconds grace{10'000};  // for running texts when the server is to stop

  std::vector<std::string> api_keys;  // empty: everybody may
  std::string cors_origin;            // "*", or a page's origin; empty: no page of another origin
  std::string model_id;               // what the API calls the model
  std::string requests_path = {};  // a file of requests with an id; empty: they are in memory alone
  size_t max_request_bytes = 256 << 20;  // kept of them
  std::string prefix_folder = {};  // where kept prompts go, too; empty: they are in memory alone
  size_t max_prefix_bytes = size_t{4} << 30;  // of that folder
  std::string slot_folder = {};               // where slots are saved; empty: nowhere
  std::string program = {};  // names this build and processor: kept prompts have the bits of theirs
  Pooling pooling = Pooling::kMean;  // of embeddings that name none
  bool always_usage = false;         // end every stream with the usage, asked for or not

  GenerateRequest defaults;  // of what a request does not say; its prompt is not read
  bool fixed_seed = false;   // without a seed take that of the defaults, and not one by chance
  std::function<void(std::string_view)> log;  // lines about what happens; called by any thread
};

}  // namespace longhaul
