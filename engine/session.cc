// Sessions: what changes a text without decoding it.
#include <algorithm>

#include "engine/engine_impl.h"

namespace longhaul {
namespace {

// Reads all that is not clean, and nothing else.
class CleaningRun : public Run {
 public:
  CleaningRun(Text& text, const AttentionOptions& dense, Sampler sampler, size_t max_rows)
      : Run(text, dense, make_mode(dense), std::move(sampler), max_rows, text.size()) {
    read_first(text.size(), false, false);
  }
  Status append(std::span<const float>) override { return {}; }
  bool has_news() const override { return false; }
  void deliver() override {}
  void settle() override {}
  bool has_callbacks() const override { return false; }
  void cancel() override { stop_at(text().size()); }
};

}  // namespace

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Session::Impl::~Impl() {
  const Scheduler::Alone alone(*engine->scheduler);
  const Text gone = std::move(text);
}

std::span<const int32_t> Session::tokens() const { return impl_->text.tokens(); }

size_t Session::n_clean() const { return std::min(impl_->text.n_clean(), impl_->text.size()); }

void Session::truncate(size_t n_tokens) {
  const Scheduler::Alone alone(*impl_->engine->scheduler);
  impl_->text.cut(n_tokens);
}

Result<Session> Session::fork() const {
  const Scheduler::Alone alone(*impl_->engine->scheduler);
  LH_ASSIGN_OR_RETURN(Text copy, impl_->text.fork());
  LH_RETURN_IF_ERROR(alone.check_promises());
  return Session(std::make_unique<Impl>(*impl_->engine, std::move(copy)));
}

Status Session::Impl::check_tokens(std::span<const int32_t> tokens) const {
  const size_t vocab_size = engine->info.vocab_size;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || static_cast<size_t>(tokens[i]) >= vocab_size) {
      return bad_input("prompt token {}: expected 0 to {}, found {}", i, vocab_size - 1, tokens[i]);
    }
  }
  if (text.size() + tokens.size() > engine->options.ctx_size) {
    return bad_input(
        "a prompt of {} tokens after {} in the session does not fit in the context of {} tokens",
        tokens.size(), text.size(), engine->options.ctx_size);
  }
  return {};
}

// A file holds exactly the dense cache of all its tokens, so that a restore has nothing to guess.
Status Session::save(const std::string& path) {
  Text& text = impl_->text;
  Engine::Impl& engine = *impl_->engine;
  if (text.size() == 0) return bad_input("{}: the session is empty: nothing to save", path);
  LH_RETURN_IF_ERROR(engine.check_on_host("saving a state"));
  LH_RETURN_IF_ERROR(text.check_saveable(path));
  const AttentionOptions dense;
  CleaningRun run(text, dense, engine.no_sampler(), engine.model->max_rows());
  LH_RETURN_IF_ERROR(engine.scheduler->run(run));
  const Scheduler::Alone alone(*engine.scheduler);
  return text.save(path, engine.model_id());
}

Status Session::fill_random(size_t n_tokens, uint64_t seed) {
  Text& text = impl_->text;
  const Engine::Impl& engine = *impl_->engine;
  const size_t first = text.size();
  if (n_tokens <= first || n_tokens > engine.options.ctx_size) {
    return bad_input("fill: expected {} to {} tokens, found {}", first + 1, engine.options.ctx_size,
                     n_tokens);
  }
  const Scheduler::Alone alone(*engine.scheduler);
  LH_RETURN_IF_ERROR(
      text.fill_random(engine.info.vocab_size, engine.model->backend(), n_tokens, seed));
  Status status = alone.check_promises();
  if (!status) text.cut(first);
  return status;
}

Result<size_t> Session::restore(const std::string& path) {
  LH_RETURN_IF_ERROR(impl_->engine->check_on_host("restoring a state"));
  Engine::Impl& engine = *impl_->engine;
  const Scheduler::Alone alone(*engine.scheduler);
  Text restored(engine.states->new_sequence());
  LH_RETURN_IF_ERROR(restored.restore(path, engine.model_id()));
  LH_RETURN_IF_ERROR(alone.check_promises());
  impl_->text = std::move(restored);
  return impl_->text.size();
}

}  // namespace longhaul
