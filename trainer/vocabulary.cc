#include "trainer/vocabulary.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "tasks/sum.h"
#include "tasks/task.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/pretokenizer.h"
#include "tokenizer/unicode.h"

namespace longhaul::trainer {
namespace {

constexpr const char* kPreTokenizer = "gpt-2";  // keeps " 42" in one piece

uint64_t pair_key(int32_t left, int32_t right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

// `bytes` written in GPT-2's alphabet.
std::string in_alphabet(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) append_utf8(text, alphabet_char(static_cast<uint8_t>(byte)));
  return text;
}

// Replaces every left-right pair of `symbols` by `merged`, from the left.
void apply_merge(std::vector<int32_t>& symbols, int32_t left, int32_t right, int32_t merged) {
  size_t out = 0;
  for (size_t i = 0; i < symbols.size(); ++i) {
    const bool hit = symbols[i] == left && i + 1 < symbols.size() && symbols[i + 1] == right;
    symbols[out++] = hit ? merged : symbols[i];
    i += hit ? 1 : 0;
  }
  symbols.resize(out);
}

std::vector<std::string_view> split_pieces(std::string_view text) {
  const PreTokenizer* pre = find_pretokenizer(kPreTokenizer);
  LH_CHECK(pre != nullptr);
  return pretokenize(*pre, text);
}

}  // namespace

Vocabulary::Vocabulary() {
  for (int byte = 0; byte < 256; ++byte) tokens_.push_back(std::string(1, static_cast<char>(byte)));
}

void Vocabulary::add_merge(int32_t left, int32_t right) {
  ranks_.emplace(pair_key(left, right), static_cast<int32_t>(merges_.size()));
  merges_.emplace_back(left, right);
  tokens_.push_back(tokens_[size_t(left)] + tokens_[size_t(right)]);
}

std::vector<int32_t> Vocabulary::encode_piece(std::string_view piece) const {
  std::vector<int32_t> symbols;
  for (const char c : piece) symbols.push_back(static_cast<unsigned char>(c));
  while (symbols.size() > 1) {
    int32_t best = INT32_MAX;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto found = ranks_.find(pair_key(symbols[i], symbols[i + 1]));
      if (found != ranks_.end()) best = std::min(best, found->second);
    }
    if (best == INT32_MAX) break;
    apply_merge(symbols, merges_[size_t(best)].first, merges_[size_t(best)].second, 256 + best);
  }
  return symbols;
}

void Vocabulary::add_piece(std::string_view piece) {
  for (auto symbols = encode_piece(piece); symbols.size() > 1; symbols = encode_piece(piece)) {
    add_merge(symbols[0], symbols[1]);
  }
}

void Vocabulary::learn(std::string_view text, int n_merges) {
  std::map<std::string_view, int64_t> counts;
  for (const std::string_view piece : split_pieces(text)) ++counts[piece];
  std::vector<std::pair<std::vector<int32_t>, int64_t>> words;
  for (const auto& [piece, count] : counts) words.emplace_back(encode_piece(piece), count);

  for (int i = 0; i < n_merges; ++i) {
    std::unordered_map<uint64_t, int64_t> pairs;
    for (const auto& [symbols, count] : words) {
      for (size_t j = 0; j + 1 < symbols.size(); ++j) {
        pairs[pair_key(symbols[j], symbols[j + 1])] += count;
      }
    }
    const auto best = std::max_element(pairs.begin(), pairs.end(), [](auto& a, auto& b) {
      return a.second != b.second ? a.second < b.second : a.first > b.first;
    });
    if (best == pairs.end() || best->second < 2) return;
    const auto left = static_cast<int32_t>(best->first >> 32);
    const auto right = static_cast<int32_t>(best->first & 0xffffffffU);
    const auto merged = static_cast<int32_t>(tokens_.size());
    add_merge(left, right);
    for (auto& word : words) apply_merge(word.first, left, right, merged);
  }
}

std::vector<int32_t> Vocabulary::encode(std::string_view text) const {
  std::vector<int32_t> ids;
  std::unordered_map<std::string_view, std::vector<int32_t>> cache;
  for (const std::string_view piece : split_pieces(text)) {
    auto [entry, fresh] = cache.try_emplace(piece);
    if (fresh) entry->second = encode_piece(piece);
    ids.insert(ids.end(), entry->second.begin(), entry->second.end());
  }
  return ids;
}

std::string Vocabulary::decode(const std::vector<int32_t>& ids) const {
  std::string text;
  for (const int32_t id : ids) {
    if (id >= 0 && id < bos()) text += tokens_[size_t(id)];
  }
  return text;
}

longhaul::Vocabulary Vocabulary::to_gguf() const {
  longhaul::Vocabulary gguf;
  gguf.model = "gpt2";
  gguf.pre = kPreTokenizer;
  for (const std::string& token : tokens_) gguf.tokens.push_back(in_alphabet(token));
  for (const auto& [left, right] : merges_) {
    gguf.merges.push_back(in_alphabet(tokens_[size_t(left)]) + " " +
                          in_alphabet(tokens_[size_t(right)]));
  }
  gguf.types.assign(tokens_.size(), static_cast<int32_t>(TokenType::kNormal));
  for (const char* control : {"<|bos|>", "<|eos|>"}) {
    gguf.tokens.push_back(control);
    gguf.types.push_back(static_cast<int32_t>(TokenType::kControl));
  }
  while (gguf.tokens.size() < size_t(size())) {
    gguf.tokens.push_back(fmt::format("<|unused{}|>", gguf.tokens.size()));
    gguf.types.push_back(static_cast<int32_t>(TokenType::kUnused));
  }
  gguf.bos = bos();
  gguf.eos = eos();
  gguf.add_bos = true;
  return gguf;
}

Status Vocabulary::save(const std::string& path) const {
  std::ofstream file(path);
  file << nlohmann::json(merges_).dump();
  if (!file.flush()) return make_error(ErrorCode::kIo, "{}: cannot write", path);
  return {};
}

Result<Vocabulary> Vocabulary::load(const std::string& path) {
  std::ifstream file(path);
  if (!file) return make_error(ErrorCode::kIo, "{}: cannot read", path);
  const auto json = nlohmann::json::parse(file, nullptr, false);
  if (!json.is_array()) return bad_input("{}: expected an array of merges", path);
  Vocabulary vocabulary;
  for (const auto& merge : json) {
    const bool pair = merge.is_array() && merge.size() == 2 && merge[0].is_number_unsigned() &&
                      merge[1].is_number_unsigned();
    const auto limit = vocabulary.tokens_.size();
    if (!pair || merge[0].get<size_t>() >= limit || merge[1].get<size_t>() >= limit) {
      return bad_input("{}: merge {}: expected two ids below {}, found {}", path,
                       vocabulary.merges_.size(), limit, merge.dump());
    }
    vocabulary.add_merge(merge[0].get<int32_t>(), merge[1].get<int32_t>());
  }
  return vocabulary;
}

Vocabulary make_vocabulary(std::string_view text, int n_merges) {
  Vocabulary vocabulary;
  // Halves of names first, so that 1,024 names need 56 + 70 merges before their own, not thousands.
  for (const std::string& name : task_names()) {
    vocabulary.add_piece(name.substr(0, 2));
    vocabulary.add_piece(name.substr(2));
  }
  for (const std::string& name : task_names()) vocabulary.add_piece(" " + name);
  for (int n = 0; n < kSumModulus; ++n) vocabulary.add_piece(" " + std::to_string(n));
  for (const char* piece : {" ;", " :", " end", " from", " total", "path", "sum"}) {
    vocabulary.add_piece(piece);
  }
  vocabulary.learn(text, n_merges);
  return vocabulary;
}

}  // namespace longhaul::trainer
