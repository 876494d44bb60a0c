// Hostile vocabularies and hostile texts. The first byte chooses: a fixed small vocabulary with the
// rest as text, or a vocabulary made from the bytes. Whatever happens must be an Error or a right
// answer.
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "tokenizer/stop_matcher.h"
#include "tokenizer/stream_decoder.h"
#include "tokenizer/test_vocabulary.h"
#include "tokenizer/tokenizer.h"

namespace longhaul {
namespace {

// Takes the input apart, in order; at its end everything is zero and empty.
class Input {
 public:
  explicit Input(std::string_view bytes) : bytes_(bytes) {}
  bool empty() const { return bytes_.empty(); }
  uint8_t byte() { return bytes_.empty() ? uint8_t{0} : static_cast<uint8_t>(take(1)[0]); }
  std::string_view take(size_t n) {
    const std::string_view head = bytes_.substr(0, n);
    bytes_.remove_prefix(head.size());
    return head;
  }
  std::string text() { return std::string(take(byte() % 24)); }
  std::string_view rest() { return take(bytes_.size()); }

 private:
  std::string_view bytes_;
};

constexpr std::string_view kNames[] = {"gpt-2",        "llama-bpe", "qwen2",
                                       "deepseek-llm", "starcoder", "deepseek-coder",
                                       "tekken",       "default",   "not a name"};

Vocabulary fixed_vocabulary(uint8_t choice) {
  if (choice % 8 == 7) {
    Vocabulary v = sentence_piece_vocabulary({"▁a", "ab", "▁▁", "▁", "a", "b", "é", "▁▁▁▁", "<s"});
    add_token(v, "<user>", TokenType::kUserDefined);
    return v;
  }
  Vocabulary v =
      byte_level_vocabulary(std::string(kNames[choice % 8]),
                            {{"a", "a"}, {"aa", "aa"}, {"Ġ", "a"}, {"Ġ", "Ġ"}, {"Ã", "©"}});
  add_token(v, "<|end|>", TokenType::kControl);
  add_token(v, "<user>", TokenType::kUserDefined);
  return v;
}

// Built once: a run is then about the text.
const Tokenizer& fixed_tokenizer(uint8_t choice) {
  static const std::vector<Tokenizer> kTokenizers = [] {
    std::vector<Tokenizer> all;
    for (uint8_t i = 0; i < 8; ++i) {
      auto tokenizer = Tokenizer::build(fixed_vocabulary(i));
      LH_CHECK(tokenizer.has_value());
      all.push_back(std::move(*tokenizer));
    }
    return all;
  }();
  return kTokenizers[choice % 8];
}

Vocabulary random_vocabulary(Input& in) {
  const uint8_t flags = in.byte();
  Vocabulary v = (flags & 1) != 0   ? byte_level_vocabulary(std::string(kNames[in.byte() % 9]))
                 : (flags & 2) != 0 ? sentence_piece_vocabulary({"▁"})
                                    : Vocabulary();
  if (v.model.empty()) v.model = (flags & 4) != 0 ? "gpt2" : "llama";
  for (size_t n = in.byte() % 32; n > 0; --n) {
    v.tokens.push_back(in.text());
    v.types.push_back(in.byte() % 8);
    if (v.model == "llama") v.scores.push_back(static_cast<float>(in.byte()) - 128.0f);
  }
  for (size_t n = in.byte() % 32; n > 0; --n) v.merges.push_back(in.text());
  if ((flags & 8) != 0) v.bos = in.byte();
  if ((flags & 16) != 0) v.eos = int64_t{in.byte()} - 1;
  if ((flags & 32) != 0) v.unknown = in.byte();
  if ((flags & 64) != 0 && !v.types.empty()) v.types.pop_back();
  return v;
}

void check_text(const Tokenizer& tokenizer, std::string_view text, bool must_encode) {
  for (const bool parse_special : {false, true}) {
    Tokenizer::EncodeOptions options;
    options.add_bos = false;
    options.parse_special = parse_special;
    const auto ids = tokenizer.encode(text, options);
    LH_CHECK(ids || !must_encode);
    if (!ids) continue;
    const std::string decoded = tokenizer.decode(*ids, true);
    // A written-out blank of SentencePiece comes back as one.
    const bool is_reversible = !tokenizer.adds_space_prefix() ||
                               (!parse_special && text.find("▁") == std::string_view::npos);
    if (must_encode && is_reversible) LH_CHECK(decoded == text);
    StreamDecoder decoder(tokenizer);
    StopMatcher matcher({"ab", "\n\n"});
    for (const int32_t id : *ids) {
      const std::string part = decoder.feed(id);
      for (size_t pos = 0; pos < part.size();) {
        const Utf8Char c = decode_utf8(part, pos);
        LH_CHECK(c.state == Utf8State::kValid);
        pos += c.n_bytes;
      }
      LH_CHECK(matcher.feed(part).find("\n\n") == std::string::npos);
    }
  }
}

void fuzz(std::string_view bytes) {
  Input in(bytes);
  const uint8_t choice = in.byte();
  if (choice < 128) {
    check_text(fixed_tokenizer(choice), in.rest(), true);
    return;
  }
  const Vocabulary vocabulary = random_vocabulary(in);
  const auto tokenizer = Tokenizer::build(vocabulary);
  if (!tokenizer) {
    LH_CHECK(!tokenizer.error().message.empty());
    return;
  }
  check_text(*tokenizer, in.rest(), false);
}

}  // namespace
}  // namespace longhaul

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  longhaul::fuzz({reinterpret_cast<const char*>(data), size});
  return 0;
}
