#include "server/block_shape.h"

namespace longhaul {

using Kind = OutputDelta::Kind;

std::string BlockShape::piece(size_t, const OutputDelta& delta, const Tokens*, size_t) {
  const bool is_begun = !blocks_.empty();
  const bool is_call = delta.kind == Kind::kCall;
  const Kind kind = delta.kind == Kind::kArguments ? Kind::kCall : delta.kind;
  std::string events;
  if (is_call || !is_begun || block().kind != kind) {
    if (!is_call && delta.text.empty()) return {};
    if (is_begun) events += end_block();
    blocks_.push_back({.kind = kind, .name = is_call ? delta.text : "", .call = delta.call});
    events += begin_block();
    if (is_call) return events;
  }
  blocks_.back().text += delta.text;
  return events + extend_block(delta.text);
}

std::string BlockShape::close(size_t, const Ending& ending) {
  ending_ = ending;
  return blocks_.empty() ? std::string() : end_block();
}

nlohmann::ordered_json BlockShape::whole(const std::vector<AnswerChoice>& choices,
                                         const Usage& usage, bool) {
  for (const OutputDelta& delta : choices.front().deltas) piece(0, delta, nullptr, 0);
  close(0, choices.front().ending);
  return document_of(usage);
}

}  // namespace longhaul
