// The trainer's byte-level BPE vocabulary: learnt from text, with words that must be one token.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "tokenizer/vocabulary.h"

namespace longhaul::trainer {

// Tokens are byte strings (not yet in GPT-2's printable alphabet). Ids: the 256 bytes, then one per
// merge in order of rank, then the control tokens <|bos|> and <|eos|>. Encoding follows the "gpt-2"
// pre-tokenizer: pieces first, then merges by rank inside each piece.
class Vocabulary {
 public:
  Vocabulary();

  // Adds merges until `piece` is one token. Pieces added earlier stay one token: merges added later
  // rank lower and never apply before theirs.
  void add_piece(std::string_view piece);
  // Adds the `n_merges` most frequent pairs of `text`, one after the other; a tie goes to the
  // smaller ids.
  void learn(std::string_view text, int n_merges);

  std::vector<int32_t> encode(std::string_view text) const;
  std::string decode(const std::vector<int32_t>& ids) const;

  int32_t bos() const { return static_cast<int32_t>(tokens_.size()); }
  int32_t eos() const { return bos() + 1; }
  // Rounded up to a multiple of 32, the block of Q8_0; the last ids are unused.
  int32_t size() const { return (eos() + 1 + 31) / 32 * 32; }
  const std::vector<std::string>& tokens() const { return tokens_; }
  const std::vector<std::pair<int32_t, int32_t>>& merges() const { return merges_; }

  // The same vocabulary as a GGUF file states it.
  longhaul::Vocabulary to_gguf() const;

  Status save(const std::string& path) const;
  static Result<Vocabulary> load(const std::string& path);

 private:
  void add_merge(int32_t left, int32_t right);
  std::vector<int32_t> encode_piece(std::string_view piece) const;

  std::vector<std::string> tokens_;                  // [256 + n_merges]
  std::vector<std::pair<int32_t, int32_t>> merges_;  // rank to pair of ids
  std::unordered_map<uint64_t, int32_t> ranks_;      // pair of ids to rank
};

// The vocabulary of the bundled model: the names, numbers and marks of tasks/ as single tokens,
// then `n_merges` learnt from `text`.
Vocabulary make_vocabulary(std::string_view text, int n_merges);

}  // namespace longhaul::trainer
