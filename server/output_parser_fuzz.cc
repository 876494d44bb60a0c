// Whatever a model says, in whatever pieces: the same message as in one piece, and without a format
// the text itself. The first byte chooses the options, the second the pieces.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "server/output_parser.h"

namespace longhaul {
namespace {

OutputOptions options_of(uint8_t bits) {
  OutputOptions options;
  const auto formats = call_formats();
  if (const size_t i = bits % 4; i < formats.size()) options.calls = formats[i];
  options.tools = {"look"};
  options.one_call = (bits & 4) != 0;
  options.hides_marks = (bits & 8) != 0;
  options.has_reasoning = (bits & 16) != 0;
  options.begins_in_reasoning = (bits & 48) == 48;
  return options;
}

}  // namespace
}  // namespace longhaul

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longhaul;
  if (size < 2) return 0;
  const OutputOptions options = options_of(data[0]);
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const OutputMessage whole = read_output(options, text);
  OutputMessage message;
  OutputParser parser(options);
  uint32_t chance = data[1];
  for (size_t at = 0; at < text.size();) {
    chance = chance * 1664525U + 1013904223U;
    const size_t n = 1 + (chance >> 24U) % 16;
    for (const OutputDelta& delta : parser.feed(text.substr(at, n))) {
      LH_CHECK(!delta.text.empty());
      message.add(delta);
    }
    at += n;
  }
  for (const OutputDelta& delta : parser.finish()) message.add(delta);
  LH_CHECK(message == whole);
  if (options.calls == nullptr && !options.has_reasoning) LH_CHECK(whole.content == text);
  return 0;
}
