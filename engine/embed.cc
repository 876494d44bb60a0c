// Session::embed: what the model makes of a text.
#include <algorithm>

#include "engine/engine_impl.h"

namespace longhaul {
namespace {

constexpr size_t kMostRows = 32;  // of a step: their logits come with them

// Reads the text up to its end and adds up the states of its tokens, in their order.
class EmbedMode : public DecodeMode {
 public:
  EmbedMode(size_t d_model, Pooling pooling, size_t n_rows)
      : pooling_(pooling), n_rows_(n_rows), states_(n_rows * d_model), sum_(d_model) {}

  size_t clean_from(const Text& text, bool) const override { return text.n_clean(); }
  bool owes(const Run& run) const override { return run.text().n_cached() < run.text().size(); }
  Planned plan(Run& run) override {
    Text& text = run.text();
    const auto rest = text.tokens().subspan(text.n_cached());
    const size_t n = pooling_ == Pooling::kMean ? std::min(rest.size(), n_rows_) : rest.size();
    Step step = text.step(rest.first(n), pooling_ == Pooling::kMean ? n : 1);
    step.states_out = states_.data();
    return {step, Work::kPrompt};
  }
  Status take(Run&, const Step& step, MatrixView<const float>) override {
    for (size_t r = 0; r < step.n_logits; ++r) {
      for (size_t i = 0; i < sum_.size(); ++i) sum_[i] += states_[r * sum_.size() + i];
    }
    n_states_ += step.n_logits;
    return {};
  }

  std::vector<float> result() const {
    std::vector<float> mean(sum_.size());
    for (size_t i = 0; i < sum_.size(); ++i)
      mean[i] = static_cast<float>(sum_[i] / static_cast<double>(n_states_));
    return mean;
  }

 private:
  const Pooling pooling_;
  const size_t n_rows_;
  std::vector<float> states_;  // [n_rows, d_model], of the last step
  std::vector<double> sum_;    // [d_model]
  size_t n_states_ = 0;
};

class EmbedRun : public Run {
 public:
  EmbedRun(Text& text, const AttentionOptions& dense, std::unique_ptr<DecodeMode> its_mode,
           Sampler sampler, size_t max_rows, const std::stop_token& cancel)
      : Run(text, dense, std::move(its_mode), std::move(sampler), max_rows, text.size()),
        cancel_(cancel) {}

  Status append(std::span<const float>) override { return {}; }
  bool has_news() const override { return false; }
  void deliver() override {}
  void settle() override {}
  bool has_callbacks() const override { return false; }
  bool wants_cancel() const override { return cancel_.stop_requested(); }
  bool waits_for_room() const override { return true; }
  void cancel() override { fail({ErrorCode::kCancelled, "stopped by the caller"}); }

 private:
  const std::stop_token cancel_;
};

}  // namespace

Result<std::vector<float>> Session::embed(std::span<const int32_t> tokens, Pooling pooling,
                                          std::stop_token cancel) {
  Engine::Impl& engine = *impl_->engine;
  Text& text = impl_->text;
  if (tokens.empty()) return bad_input("embed: expected at least one token, found none");
  LH_RETURN_IF_ERROR(impl_->check_tokens(tokens));
  if (text.size() > 0)
    return bad_input("embed: expected an empty session, found one of {} tokens", text.size());
  text.append(tokens);
  const AttentionOptions dense;
  const size_t max_rows = engine.model->max_rows();
  auto its_mode =
      std::make_unique<EmbedMode>(engine.info.d_model, pooling, std::min(kMostRows, max_rows));
  const EmbedMode& mode = *its_mode;
  EmbedRun run(text, dense, std::move(its_mode), engine.no_sampler(), max_rows, cancel);
  const std::stop_callback wake(cancel, [&] { engine.scheduler->wake(); });
  LH_RETURN_IF_ERROR(engine.scheduler->run(run));
  return mode.result();
}

}  // namespace longhaul
