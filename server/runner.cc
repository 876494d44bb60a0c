#include "server/runner.h"

#include <algorithm>
#include <cmath>
#include <new>

#include "base/result.h"
#include "sampling/logprobs.h"

namespace longhaul {
namespace {

using Clock = TextJob::Clock;

double seconds_since(Clock::time_point then) {
  return std::chrono::duration<double>(Clock::now() - then).count();
}

Error stopped() { return {ErrorCode::kCancelled, "stopped"}; }

// A prompt that is scored or read is not to be stopped silently.
Status completed(const Result<GenerateResult>& result) {
  if (!result) return tl::unexpected<Error>(result.error());
  if (result->finish_reason == FinishReason::kCancelled) return tl::unexpected<Error>(stopped());
  return {};
}

}  // namespace

Runner::Runner(Engine& engine, PrefixCache& kept, Slots& slots, Metrics& metrics, size_t n_parallel,
               size_t max_waiting)
    : engine_(engine), kept_(kept), slots_(slots), metrics_(metrics), max_waiting_(max_waiting) {
  for (size_t i = 0; i < n_parallel; ++i) threads_.emplace_back([this] { work(); });
}

Runner::~Runner() {
  drain();
  cancel();
  threads_.clear();
}

bool Runner::submit(std::vector<TextJob>& jobs, bool always) {
  std::deque<TextJob> gone;  // their sinks are told without the lock
  bool is_taken = false;
  {
    const std::lock_guard lock(mutex_);
    const auto first_gone =
        std::stable_partition(waiting_.begin(), waiting_.end(),
                              [](const TextJob& job) { return !job.gone.stop_requested(); });
    std::move(first_gone, waiting_.end(), std::back_inserter(gone));
    waiting_.erase(first_gone, waiting_.end());
    const size_t n_idle = threads_.size() - std::min(n_running_, threads_.size());
    // A request finds room if one of its texts does: its others have to wait anyway.
    is_taken = !is_draining_ && (always || waiting_.size() < max_waiting_ + n_idle);
    if (is_taken) std::move(jobs.begin(), jobs.end(), std::back_inserter(waiting_));
    tell();
  }
  changed_.notify_all();
  for (const TextJob& job : gone) job.sink->on_end({tl::unexpected<Error>(stopped())});
  return is_taken;
}

size_t Runner::retry_after_s() const {
  const std::lock_guard lock(mutex_);
  return static_cast<size_t>(std::clamp(std::ceil(mean_s_), 1.0, 60.0));
}

void Runner::drain() {
  std::deque<TextJob> ended;
  {
    const std::lock_guard lock(mutex_);
    is_draining_ = true;
    ended.swap(waiting_);
    tell();
  }
  changed_.notify_all();
  for (const TextJob& job : ended) job.sink->on_end({tl::unexpected<Error>(stopped())});
}

void Runner::cancel() { cancel_.request_stop(); }

bool Runner::is_draining() const {
  const std::lock_guard lock(mutex_);
  return is_draining_;
}

bool Runner::is_idle() const {
  const std::lock_guard lock(mutex_);
  return n_running_ == 0 && waiting_.empty();
}

void Runner::tell() const {
  metrics_.queued(waiting_.size());
  metrics_.running(n_running_);
}

void Runner::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return is_draining_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    TextJob job = std::move(waiting_.front());
    waiting_.pop_front();
    ++n_running_;
    tell();
    lock.unlock();
    const Clock::time_point begun_at = Clock::now();
    run(std::move(job));
    lock.lock();
    --n_running_;
    constexpr double kNew = 0.1;  // weight of the newest text in the mean
    mean_s_ += kNew * (seconds_since(begun_at) - mean_s_);
    tell();
  }
}

void Runner::run(TextJob job) {
  TextOutcome outcome{tl::unexpected<Error>(stopped())};
  outcome.times.queue_s = seconds_since(job.came_at);
  std::stop_source stop;
  const auto stop_it = [&stop] { stop.request_stop(); };
  const std::stop_callback gone(job.gone, stop_it), cancelled(cancel_.get_token(), stop_it);
  job.request.cancel = stop.get_token();
  try {
    if (!stop.stop_requested())
      outcome.result = job.embed.empty() ? generate(job, outcome) : embed(job, outcome);
    if (!outcome.result && outcome.result.error().code == ErrorCode::kOutOfMemory) {
      kept_.clear();  // what is kept must not keep a text from running
    }
  } catch (const std::bad_alloc&) {
    outcome.result = make_error(ErrorCode::kOutOfMemory, "no memory is left for this text");
  } catch (const std::exception& error) {
    outcome.result = make_error(ErrorCode::kIo, "{}", error.what());
  }
  outcome.times.all_s = seconds_since(job.came_at);
  metrics_.text_over(outcome);
  job.sink->on_end(outcome);
  release(std::move(job.followers));
}

Result<PrefixCache::Start> Runner::begin(const TextJob& job) {
  if (job.use_kept && !job.scores_prompt) return kept_.begin(job.request.prompt, job.owner);
  metrics_.prefix_asked(job.request.prompt.size(), 0, MissReason::kOff);
  LH_ASSIGN_OR_RETURN(Session session, engine_.new_session());
  return PrefixCache::Start{std::move(session), 0};
}

Result<GenerateResult> Runner::generate(TextJob& job, TextOutcome& outcome) {
  const std::vector<int32_t>& prompt = job.request.prompt;
  const size_t slot = slots_.begin(job.slot, prompt, job.owner,
                                   {.request_id = job.request_id,
                                    .mode = job.request.attention.mode,
                                    .n_tokens = prompt.size()});
  std::vector<int32_t> text;
  auto result = generate_in(slot, job, outcome, text);
  slots_.end(slot, std::move(text), job.owner);
  return result;
}

// `whole`: the text with its prompt, once it is over.
Result<GenerateResult> Runner::generate_in(size_t slot, TextJob& job, TextOutcome& outcome,
                                           std::vector<int32_t>& whole) {
  LH_ASSIGN_OR_RETURN(PrefixCache::Start start, begin(job));
  outcome.n_reused = start.n_reused;
  Session session = std::move(start.session);
  GenerateRequest& request = job.request;
  const size_t n_prompt = request.prompt.size();
  request.prompt.insert(request.prompt.end(), job.resumed.begin(), job.resumed.end());
  request.n_resumed = job.resumed.size();
  request.on_mark = job.on_mark;
  LH_RETURN_IF_ERROR(job.scores_prompt ? score(session, job) : read(session, job, outcome));
  if (job.wants_tokens)
    request.on_token = [&](const GeneratedToken& token) {
      return job.sink->on_token(named(token));
    };
  if (job.wants_text)
    request.on_text = [&](std::string_view text) { return job.sink->on_text(text); };
  // A text that nobody is told of meanwhile waits for nobody.
  if (job.wants_tokens || job.wants_text || job.on_mark) {
    request.on_attended = [&](const Attended& attended) { slots_.saw(slot, attended); };
  }
  LH_ASSIGN_OR_RETURN(GenerateResult result, session.generate(request));
  whole.assign(session.tokens().begin(), session.tokens().end());
  result.prompt_tokens = n_prompt;
  if (result.finish_reason == FinishReason::kStop)
    outcome.stop_text = stop_text_of(request.stop, result.tokens);
  outcome.times.prefill_s += result.timings.prefill_s;
  outcome.times.decode_s = result.timings.decode_s;
  outcome.times.first_token_s = seconds_since(job.came_at) - result.timings.decode_s;
  if (job.use_kept) kept_.keep(std::move(session), job.owner);
  return result;
}

// Reads all of the prompt but its last token, and shares it: from then on others can build on it.
// What is left of the request is its last token.
Status Runner::read(Session& session, TextJob& job, TextOutcome& outcome) {
  std::vector<int32_t>& prompt = job.request.prompt;
  const auto n_held = static_cast<std::ptrdiff_t>(session.tokens().size());
  if (session.tokens().size() + 1 < prompt.size()) {
    GenerateRequest rest = job.request;
    rest.max_tokens = 0;
    rest.n_resumed = 0;
    rest.on_mark = nullptr;
    rest.prompt.assign(prompt.begin() + n_held, prompt.end() - 1);
    const Result<GenerateResult> read = session.generate(rest);
    if (Status status = completed(read); !status) {
      if (job.use_kept) kept_.keep(std::move(session), job.owner);  // for who asks again
      return status;
    }
    outcome.times.prefill_s = read->timings.prefill_s;
    if (job.use_kept) kept_.keep_copy(session, job.owner);
  }
  prompt.assign(1, prompt.back());
  release(std::exchange(job.followers, {}));
  return {};
}

// The same, and says how likely each token was. Nothing is left of the prompt.
Status Runner::score(Session& session, TextJob& job) {
  std::vector<int32_t> prompt = std::exchange(job.request.prompt, {});
  GenerateRequest first = job.request;
  first.max_tokens = 0;
  first.prompt.assign(1, prompt.front());
  LH_RETURN_IF_ERROR(completed(session.generate(first)));
  ScoreRequest rest;
  rest.tokens.assign(prompt.begin() + 1, prompt.end());
  NamedToken first_token = named({{prompt.front(), 0}, {}});
  first_token.has_logprob = false;
  job.sink->on_prompt_token(std::move(first_token));
  if (!rest.tokens.empty()) {
    rest.on_token = [&](const ScoredToken& scored) {
      if (job.request.cancel.stop_requested()) return false;
      job.sink->on_prompt_token(named(
          with_logprobs(scored.logits, rest.tokens[scored.index], job.request.n_top_logprobs)));
      return true;
    };
    const auto scored = session.score(rest);
    if (!scored) return tl::unexpected<Error>(scored.error());
  }
  release(std::exchange(job.followers, {}));
  return {};
}

// A stop text ends within the last token; a token that ends texts by itself is none.
std::string Runner::stop_text_of(const std::vector<std::string>& stops,
                                 const std::vector<int32_t>& tokens) const {
  size_t n_longest = 0;
  for (const std::string& stop : stops) n_longest = std::max(n_longest, stop.size());
  if (n_longest == 0 || tokens.empty()) return {};
  const size_t n_last = engine_.token_text(tokens.back()).size();
  std::string end;
  for (size_t i = tokens.size(); i > 0 && end.size() < n_longest + n_last; --i)
    end.insert(0, engine_.token_text(tokens[i - 1]));
  for (const std::string& stop : stops) {
    const size_t at = end.rfind(stop);
    if (at != std::string::npos && at + stop.size() + n_last > end.size()) return stop;
  }
  return {};
}

// One after the other, each in a session of its own.
Result<GenerateResult> Runner::embed(const TextJob& job, TextOutcome& outcome) {
  GenerateResult result;
  for (const std::vector<int32_t>& tokens : job.embed) {
    LH_ASSIGN_OR_RETURN(Session session, engine_.new_session());
    LH_ASSIGN_OR_RETURN(outcome.embeddings.emplace_back(),
                        session.embed(tokens, job.pooling, job.request.cancel));
    result.prompt_tokens += tokens.size();
  }
  result.finish_reason = FinishReason::kStop;
  return result;
}

NamedToken Runner::named(GeneratedToken token) const {
  NamedToken named{.token = std::move(token), .text = {}};
  named.text = engine_.token_text(named.token.chosen.token);
  for (const TokenLogprob& top : named.token.top)
    named.top.push_back(engine_.token_text(top.token));
  return named;
}

void Runner::release(std::vector<TextJob> followers) {
  if (followers.empty()) return;
  bool is_over = false;
  {
    const std::lock_guard lock(mutex_);
    is_over = is_draining_;
    if (!is_over) {
      waiting_.insert(waiting_.begin(), std::make_move_iterator(followers.begin()),
                      std::make_move_iterator(followers.end()));
      tell();
    }
  }
  changed_.notify_all();
  if (!is_over) return;
  for (const TextJob& job : followers) job.sink->on_end({tl::unexpected<Error>(stopped())});
}

}  // namespace longhaul
