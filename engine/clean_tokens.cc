// Clean tokens as bytes: out of one session, into another.
#include "engine/engine_impl.h"

namespace longhaul {

static_assert(kCleanTokens == kTileTokens);

Status Engine::Impl::check_piecewise() const {
  LH_RETURN_IF_ERROR(check_on_host("clean tokens as bytes"));
  if (states->is_piecewise()) return {};
  return unsupported(
      "clean tokens as bytes: not with {}, whose layers with windows or recurrent states cannot be "
      "put together from stretches of a text",
      info.name);
}

Result<CleanFormat> Engine::clean_format() const {
  LH_RETURN_IF_ERROR(impl_->check_piecewise());
  const EngineOptions& options = impl_->options;
  return CleanFormat{
      .id = fmt::format("{} {} rope {} k {} v {} blocks of {}", impl_->info.architecture,
                        impl_->file->content_hash(), impl_->info.rope, to_string(options.k_type),
                        to_string(options.v_type), options.block_size),
      .token_bytes = impl_->states->tiles_bytes(kTileTokens) / kTileTokens};
}

// Without an Alone: nobody writes pages that this session holds, and the rest is its own.
Result<std::vector<std::byte>> Session::export_clean(size_t first, size_t count) const {
  LH_RETURN_IF_ERROR(impl_->engine->check_piecewise());
  return impl_->text.clean_tiles(first, count);
}

Status Session::import_clean(std::span<const int32_t> tokens,
                             std::span<const std::vector<std::byte>> pieces) {
  Engine::Impl& engine = *impl_->engine;
  LH_RETURN_IF_ERROR(engine.check_piecewise());
  LH_RETURN_IF_ERROR(impl_->check_tokens(tokens));
  if (pieces.empty() || tokens.size() % pieces.size() != 0) {
    return bad_input("clean tokens: expected some pieces of one length, found {} of {} tokens",
                     pieces.size(), tokens.size());
  }
  Text& text = impl_->text;
  const size_t n_before = text.size();
  const size_t n_each = tokens.size() / pieces.size();
  const Scheduler::Alone alone(*engine.scheduler);
  Status status;
  for (size_t i = 0; i < pieces.size() && status; ++i)
    status = text.append_clean(tokens.subspan(i * n_each, n_each), pieces[i]);
  if (status) status = alone.check_promises();
  if (!status && text.size() > n_before) text.cut(n_before);
  return status;
}

}  // namespace longhaul
