// Continues a text with Longhaul's public headers alone.
// usage: embed MODEL.gguf TEXT
#include <iostream>

#include "longhaul/engine.h"

int main(int argc, char** argv) {
  if (argc != 3) return std::cerr << "usage: embed MODEL.gguf TEXT\n", 2;
  const auto engine = longhaul::Engine::load({.model_path = argv[1], .ctx_size = 1024});
  if (!engine) return std::cerr << engine.error().message << '\n', 1;
  auto session = (*engine)->new_session();
  if (!session) return std::cerr << session.error().message << '\n', 1;

  longhaul::GenerateRequest request;
  request.attention.mode =
      longhaul::AttentionMode::kExact;  // dense decoding's text, drafted sparsely
  request.max_tokens = 64;
  request.on_text = [](std::string_view text) { return !!(std::cout << text << std::flush); };
  auto prompt = (*engine)->tokenize(argv[2], /*add_bos=*/true, /*parse_special=*/false);
  if (!prompt) return std::cerr << prompt.error().message << '\n', 1;
  request.prompt = std::move(*prompt);
  const auto result = session->generate(request);
  if (!result) return std::cerr << result.error().message << '\n', 1;
  std::cout << "\n[" << result->timings.decode_tokens_per_s() << " tokens/s]\n";
}
