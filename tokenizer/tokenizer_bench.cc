// How fast texts become tokens: prose, and a megabyte of one character, the worst case of merging.
// Needs the shared vocabularies: tokenizer_bench <folder with *.gguf> <a text file> [benchmark
// flags].
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>

#include "tokenizer/tokenizer.h"

namespace longhaul {
namespace {

constexpr size_t kBytes = 1 << 20;

std::string repeat(std::string_view bit) {
  std::string text;
  while (text.size() < kBytes) text += bit;
  return text;
}

void encode(benchmark::State& state, const Tokenizer& tokenizer, const std::string& text) {
  size_t n_tokens = 0;
  for (auto _ : state) {
    const auto ids = tokenizer.encode(text);
    if (!ids) return state.SkipWithError(ids.error().message.c_str());
    n_tokens = ids->size();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
  state.counters["tokens"] = static_cast<double>(n_tokens);
}

int run(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s <folder with *.gguf> <text file> [flags]\n", argv[0]);
    return 2;
  }
  std::ifstream in(argv[2], std::ios::binary);
  std::string prose((std::istreambuf_iterator<char>(in)), {});
  prose.resize(std::min(prose.size(), kBytes));
  const std::vector<std::pair<std::string, std::string>> texts = {
      {"prose", prose},           {"letter", repeat("a")},   {"blank", repeat(" ")},
      {"digit", repeat("7")},     {"newline", repeat("\n")}, {"emoji", repeat("\xF0\x9F\x98\x80")},
      {"apostrophe", repeat("'")}};
  std::vector<std::unique_ptr<Tokenizer>> tokenizers;
  for (const std::string name : {"gpt-2", "llama-bpe", "llama-spm", "qwen2", "deepseek-coder",
                                 "deepseek-llm", "starcoder"}) {
    auto file = GgufFile::open(std::string(argv[1]) + "/" + name + ".gguf");
    if (!file) {
      std::fprintf(stderr, "%s\n", file.error().message.c_str());
      return 2;
    }
    auto loaded = Tokenizer::load(*file);
    if (!loaded) {
      std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
      return 2;
    }
    tokenizers.push_back(std::make_unique<Tokenizer>(std::move(*loaded)));
    const Tokenizer* tokenizer = tokenizers.back().get();
    for (const auto& text : texts) {
      benchmark::RegisterBenchmark((name + "/" + text.first).c_str(), [tokenizer, text](
                                                                          benchmark::State& state) {
        encode(state, *tokenizer, text.second);
      })->Unit(benchmark::kMillisecond);
    }
  }
  argc -= 2;
  argv[2] = argv[0];
  benchmark::Initialize(&argc, argv + 2);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace longhaul

int main(int argc, char** argv) { return longhaul::run(argc, argv); }
