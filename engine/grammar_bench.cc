// What a mask costs over the vocabulary of a published model: of every token of a text in turn,
// with what is known of the grammar from earlier texts (warm) and without (cold).
// LONGHAUL_TOKENIZERS names the folder of the *.gguf files.
#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>

#include "grammar/matcher.h"
#include "io/gguf.h"
#include "tokenizer/tokenizer.h"

namespace longhaul::grammar {
namespace {

struct Case {
  const char* name;
  const char* schema;  // null: `gbnf`
  const char* gbnf;
  const char* text;
};

constexpr const char* kText =
    R"({"title": "A long day in Paris", "summary": "We walked from the river to the hill, and there )"
    R"(we saw \"everything\" \u2014 twice. Das Wetter war schön.", "rating": 4, "tags": ["travel", )"
    R"("europe", "food"], "places": [{"name": "Louvre", "visited": true, "cost": 17.5, "notes": )"
    R"("crowded, but worth it"}, {"name": "Montmartre", "visited": false, "cost": 0, "notes": )"
    R"("next time"}]})";
constexpr const char* kSchema =
    R"({"type": "object", "additionalProperties": false,
        "required": ["title", "summary", "rating", "tags", "places"],
        "properties": {"title": {"type": "string"}, "summary": {"type": "string"},
          "rating": {"type": "integer", "minimum": 1, "maximum": 5},
          "tags": {"type": "array", "items": {"type": "string"}},
          "places": {"type": "array", "items": {"type": "object", "additionalProperties": false,
             "required": ["name", "visited", "cost", "notes"],
             "properties": {"name": {"type": "string"}, "visited": {"type": "boolean"},
                            "cost": {"type": "number"}, "notes": {"type": "string"}}}}}})";
constexpr const char* kLengths =
    R"({"type": "object", "additionalProperties": false, "required": ["summary"],
        "properties": {"summary": {"type": "string", "minLength": 20, "maxLength": 200}}})";
constexpr const char* kOneText =
    R"({"summary": "We walked from the river to the hill, and there we saw everything twice. The )"
    R"(weather was fine, the food was good, and nobody was in a hurry to go home again."})";
constexpr const char* kGbnf = R"(root ::= object
value ::= object | array | string | number | "true" | "false" | "null"
object ::= "{" ws (string ":" ws value ("," ws string ":" ws value)*)? ws "}"
array ::= "[" ws (value ("," ws value)*)? ws "]"
string ::= "\"" ([^"\\\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}))* "\""
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)?
ws ::= [ \t\n]*)";

constexpr Case kCases[] = {{"json_object", R"({"type": "object"})", nullptr, kText},
                           {"schema", kSchema, nullptr, kText},
                           {"lengths", kLengths, nullptr, kOneText},
                           {"gbnf_json", nullptr, kGbnf, kText}};

struct Model {
  std::shared_ptr<const TokenTrie> trie;
  std::vector<std::vector<int32_t>> texts;  // of each case
};

std::optional<Model> load(const char* name) {
  const char* folder = std::getenv("LONGHAUL_TOKENIZERS");
  if (folder == nullptr) return {};
  const std::string path = std::string(folder) + "/" + name + ".gguf";
  const auto file = GgufFile::open(path);
  if (!file) return {};
  const auto tokenizer = Tokenizer::load(*file);
  if (!tokenizer) return {};
  std::vector<std::string_view> texts(tokenizer->vocab_size());
  for (size_t i = 0; i < texts.size(); ++i)
    texts[i] = tokenizer->text_piece(static_cast<int32_t>(i));
  Model model{std::make_shared<const TokenTrie>(texts, tokenizer->end_of_generation()), {}};
  for (const Case& one : kCases)
    model.texts.push_back(*tokenizer->encode(one.text, {.add_bos = false}));
  return model;
}

// Of this thread: other programs on the machine do not count.
double cpu_ms() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) * 1e-6;
}

// Milliseconds for each token of the text.
std::vector<double> run(const std::shared_ptr<TokenMasks>& masks, std::span<const int32_t> tokens) {
  std::vector<double> times;
  Matcher matcher(masks);
  TextState state = matcher.start();
  for (const int32_t token : tokens) {
    const double begin = cpu_ms();
    benchmark::DoNotOptimize(matcher.mask(state).data());
    state = matcher.accept(state, token);
    times.push_back(cpu_ms() - begin);
  }
  if (!matcher.is_complete(state)) std::abort();
  return times;
}

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1))];
}

void masks(benchmark::State& state, const char* model_name, size_t index, bool is_warm) {
  static std::map<std::string, std::optional<Model>> models;
  const auto [known, is_new] = models.try_emplace(model_name);
  if (is_new) known->second = load(model_name);
  const std::optional<Model>& model = known->second;
  if (!model)
    return state.SkipWithError("LONGHAUL_TOKENIZERS: expected a folder with this vocabulary");
  const Case& one = kCases[index];
  const auto grammar = one.schema != nullptr ? grammar_of_schema(one.schema) : parse_gbnf(one.gbnf);
  if (!grammar) std::abort();
  auto known_masks = std::make_shared<TokenMasks>(*grammar, model->trie);
  if (is_warm) run(known_masks, model->texts[index]);
  std::vector<double> times;
  for ([[maybe_unused]] auto iteration : state) {
    if (!is_warm) known_masks = std::make_shared<TokenMasks>(*grammar, model->trie);
    const auto some = run(known_masks, model->texts[index]);
    times.insert(times.end(), some.begin(), some.end());
  }
  double sum = 0;
  for (const double time : times) sum += time;
  state.counters["mean_ms"] = sum / static_cast<double>(times.size());
  state.counters["median_ms"] = quantile(times, 0.5);
  state.counters["p99_ms"] = quantile(times, 0.99);
  state.counters["max_ms"] = quantile(times, 1);
}

const int kRegistered = [] {
  for (const char* model : {"gpt-2", "llama-bpe", "qwen2"}) {
    for (size_t i = 0; i < std::size(kCases); ++i) {
      for (const bool is_warm : {false, true}) {
        const std::string name =
            std::string(model) + "/" + kCases[i].name + (is_warm ? "/warm" : "/cold");
        benchmark::RegisterBenchmark(name.c_str(), masks, model, i, is_warm)
            ->Unit(benchmark::kMillisecond)
            ->UseRealTime();
      }
    }
  }
  return 0;
}();

}  // namespace
}  // namespace longhaul::grammar
