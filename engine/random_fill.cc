#include "engine/random_fill.h"

#include <algorithm>

namespace longhaul {
namespace {

// Tokens at once, no more than what windows have room for beside themselves (Text::kWindowSlack);
// they give pages back in between.
constexpr size_t kPiece = 256;

void fill_recurrent(RecurrentState& recurrent) {
  for (size_t layer = 0; layer < recurrent.config().n_layers; ++layer) {
    const std::span<float> floats = recurrent.layer(layer);
    for (size_t i = 0; i < floats.size(); ++i)
      floats[i] = static_cast<float>((layer + i) % 7) / 3.0F - 1.0F;
  }
}

}  // namespace

Status fill_random(SequenceState& state, Backend& backend, size_t n_new, uint64_t seed) {
  const size_t end = state.n_tokens() + n_new;
  for (size_t first = state.n_tokens(); first < end;) {
    const size_t count = std::min(kPiece, end - first);
    LH_RETURN_IF_ERROR(state.reserve(first, count));
    for (size_t slot = 0; slot < state.n_slots(); ++slot) {
      if (state.is_paged(slot)) {
        backend.fill_random(state.paged(slot), first, count, seed);
      } else {
        state.recurrent(slot).advance(first + count);
        if (first + count == end) fill_recurrent(state.recurrent(slot));
      }
    }
    first += count;
    state.release(first);
  }
  return {};
}

}  // namespace longhaul
