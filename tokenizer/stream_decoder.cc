#include "tokenizer/stream_decoder.h"

#include "tokenizer/unicode.h"

namespace longhaul {

std::string StreamDecoder::feed(int32_t id) {
  std::string_view piece = tokenizer_.text_piece(id);
  if (piece.empty()) return {};
  if (drop_blank_ && piece[0] == ' ') piece.remove_prefix(1);
  drop_blank_ = false;
  pending_ += piece;

  std::string text;
  size_t pos = 0;
  while (pos < pending_.size()) {
    const Utf8Char c = decode_utf8(pending_, pos);
    if (c.state == Utf8State::kTruncated) break;
    if (c.state == Utf8State::kValid) {
      text.append(pending_, pos, c.n_bytes);
    } else {
      append_utf8(text, kReplacementChar);
    }
    pos += c.n_bytes;
  }
  pending_.erase(0, pos);
  return text;
}

std::string StreamDecoder::finish() {
  std::string text;
  if (!pending_.empty()) append_utf8(text, kReplacementChar);
  pending_.clear();
  return text;
}

}  // namespace longhaul
