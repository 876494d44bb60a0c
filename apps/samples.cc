#include "apps/samples.h"

#include "apps/answer.h"
#include "apps/context.h"
#include "base/result.h"

namespace longhaul {

Result<std::unique_ptr<Engine>> load_for_texts(EngineOptions options, size_t most, size_t n_each) {
  LH_RETURN_IF_ERROR(settle_context(options));
  for (size_t n = most;; n = (n + 1) / 2) {
    options.max_sessions = n * n_each;
    auto engine = Engine::load(options);
    if (engine || engine.error().code != ErrorCode::kOutOfMemory || n == 1) return engine;
  }
}

Result<std::unique_ptr<SharedPrompt>> SharedPrompt::read(Session session,
                                                         const GenerateRequest& request,
                                                         size_t n_samples) {
  auto shared =
      std::unique_ptr<SharedPrompt>(new SharedPrompt(std::move(session), request, n_samples));
  if (n_samples == 1 || request.prompt.size() < 2) return shared;
  GenerateRequest prompt = request;
  prompt.prompt.pop_back();
  prompt.max_tokens = 0;
  prompt.on_text = nullptr;
  LH_ASSIGN_OR_RETURN(const GenerateResult result, finished(shared->session_.generate(prompt)));
  shared->prefill_s_ = result.timings.prefill_s;
  return shared;
}

Result<GenerateResult> SharedPrompt::sample(size_t index) {
  if (n_samples_ == 1) return session_.generate(request_);
  GenerateRequest request = request_;
  if (request.prompt.size() > 1) request.prompt = {request_.prompt.back()};
  request.sampling.seed += index;
  std::unique_lock lock(mutex_);
  LH_ASSIGN_OR_RETURN(Session session, session_.fork());
  lock.unlock();
  LH_ASSIGN_OR_RETURN(GenerateResult result, session.generate(request));
  result.prompt_tokens = request_.prompt.size();
  result.timings.prefill_s += prefill_s_;
  return result;
}

}  // namespace longhaul
