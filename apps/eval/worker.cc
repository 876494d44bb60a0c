#include "apps/eval/worker.h"

#include <algorithm>

#include "apps/answer.h"
#include "apps/eval/statistics.h"
#include "base/result.h"

namespace longhaul::eval {
namespace {

constexpr size_t kPiece = 32;  // tokens whose reference logits are held at once

EngineOptions options_for(const Plan& plan, const EngineKey& key, size_t n_sessions) {
  EngineOptions options = plan.engine;
  options.k_type = options.v_type = key.kv_type;
  options.block_size = key.block_size;
  options.gates_path = plan.gates_for(key.block_size);
  options.selectors = plan.selectors;
  options.max_sessions = n_sessions;
  return options;
}

Result<Engines> try_load(const Plan& plan, const EngineKey& key, size_t n_jobs, size_t n_prefixes,
                         bool needs_reference) {
  Engines engines;
  engines.n_jobs = n_jobs;
  // Of a job the one that is tested and its reference.
  const size_t n_sessions = 2 * n_jobs + n_prefixes;
  LH_ASSIGN_OR_RETURN(engines.tested, Engine::load(options_for(plan, key, n_sessions)));
  if (!needs_reference) return engines;
  engines.reference = engines.tested.get();
  if (key.kv_type == plan.kv_types.front()) return engines;
  const EngineKey first{plan.kv_types.front(), key.block_size};
  LH_ASSIGN_OR_RETURN(engines.other, Engine::load(options_for(plan, first, n_sessions)));
  engines.reference = engines.other.get();
  return engines;
}

}  // namespace

Result<Engines> load_engines(const Plan& plan, const EngineKey& key, size_t n_jobs,
                             size_t n_prefixes, bool needs_reference) {
  for (;; n_jobs = (n_jobs + 1) / 2) {
    auto engines = try_load(plan, key, n_jobs, n_prefixes, needs_reference);
    if (engines || engines.error().code != ErrorCode::kOutOfMemory || n_jobs == 1) return engines;
  }
}

// All of the prompt but its last token, which each setting adds itself: its pass gives the logits
// of the first token of an answer.
Result<Session> Worker::read_context(Engine& engine) {
  LH_ASSIGN_OR_RETURN(Session session, item_->n_shared > 0 ? prefixes_.fork(engine, *item_, go_on_)
                                                           : engine.new_session());
  if (item_->n_shared + 1 == item_->context.size()) return session;
  GenerateRequest request;
  request.prompt.assign(item_->context.begin() + static_cast<std::ptrdiff_t>(item_->n_shared),
                        item_->context.end() - 1);
  request.max_tokens = 0;
  request.on_progress = [this](size_t, size_t, size_t) { return go_on_(); };
  LH_RETURN_IF_ERROR(finished(session.generate(request)));
  return session;
}

Status Worker::begin(const Item& item) {
  item_ = &item;
  session_.reset();
  reference_.reset();
  LH_ASSIGN_OR_RETURN(Session session, read_context(*engines_.tested));
  session_.emplace(std::move(session));
  if (engines_.reference == nullptr) return {};
  if (engines_.other == nullptr) {
    LH_ASSIGN_OR_RETURN(Session copy, session_->fork());
    reference_.emplace(std::move(copy));
  } else {
    LH_ASSIGN_OR_RETURN(Session other, read_context(*engines_.reference));
    reference_.emplace(std::move(other));
  }
  return {};
}

Record Worker::record_of(Measure measure, const std::string& setting) const {
  Record record;
  record.measure = measure;
  record.setting = setting;
  record.task = item_->task;
  record.length = item_->length;
  record.item = item_->index;
  record.depth = item_->depth;
  record.n_context = item_->context.size();
  return record;
}

Result<Record> Worker::answer(const Setting& setting) {
  session_->truncate(item_->context.size() - 1);
  GenerateRequest request;
  request.prompt = {item_->context.back()};
  request.max_tokens = item_->max_tokens;
  request.attention = setting.attention;
  request.stop = item_->stop;
  request.on_progress = [this](size_t, size_t, size_t) { return go_on_(); };
  LH_ASSIGN_OR_RETURN(const GenerateResult result, finished(session_->generate(request)));
  const TaskScore score = item_->score(result.text);
  Record record = record_of(Measure::kAnswers, setting.name);
  record.answer = AnswerRecord{
      .right = score.exact,
      .n_steps = static_cast<size_t>(score.n_steps),
      .n_right_steps = static_cast<size_t>(score.n_right_steps),
      .n_tokens = result.tokens.size(),
      .hit_limit = result.finish_reason == FinishReason::kLength,
      .decode_s = result.timings.decode_s,
      .n_decoded = result.timings.decoded_tokens,
      .blocks_read = result.attention.blocks_read,
      .blocks_total = result.attention.blocks_total,
      .n_drafted = result.attention.drafted,
      .n_accepted = result.attention.accepted,
      .text = result.text,
  };
  return record;
}

// A generated answer's first token comes out of the prompt's dense pass, so that a fixed one is
// scored from its second on. A text has no such border: its scored part begins with its target.
size_t Worker::n_known() const { return item_->score ? 1 : 0; }

std::vector<int32_t> Worker::scored_tokens() const {
  std::vector<int32_t> tokens(item_->target.begin() + static_cast<std::ptrdiff_t>(std::min(
                                                          n_known(), item_->target.size())),
                              item_->target.end());
  if (item_->score && tokens.size() > plan_.n_score) tokens.resize(plan_.n_score);
  return tokens;
}

Status Worker::rewind(Session& session) const {
  session.truncate(item_->context.size() - 1);
  GenerateRequest request;
  request.prompt = {item_->context.back()};
  if (n_known() > 0) request.prompt.push_back(item_->target.front());
  request.max_tokens = 0;
  LH_RETURN_IF_ERROR(session.generate(request));
  return {};
}

Result<Record> Worker::forced(const Setting& setting) {
  const std::vector<int32_t> tokens = scored_tokens();
  const size_t vocab_size = engines_.tested->model_info().vocab_size;
  LH_RETURN_IF_ERROR(rewind(*session_));
  LH_RETURN_IF_ERROR(rewind(*reference_));
  Record record = record_of(Measure::kForced, setting.name);
  ForcedRecord& forced = record.forced.emplace();
  std::vector<float> logits(kPiece * vocab_size);  // of the reference
  for (size_t first = 0; first < tokens.size(); first += kPiece) {
    const size_t n = std::min(kPiece, tokens.size() - first);
    ScoreRequest request;
    request.tokens.assign(tokens.begin() + static_cast<std::ptrdiff_t>(first),
                          tokens.begin() + static_cast<std::ptrdiff_t>(first + n));
    request.on_token = [&](const ScoredToken& token) {
      std::copy(token.logits.begin(), token.logits.end(),
                logits.begin() + static_cast<std::ptrdiff_t>(token.index * vocab_size));
      return go_on_();
    };
    LH_RETURN_IF_ERROR(reference_->score(request));
    request.attention = setting.attention;
    request.on_token = [&](const ScoredToken& token) {
      const LogitsCompared compared = compare_logits(
          std::span<const float>(logits).subspan(token.index * vocab_size, vocab_size),
          token.logits, static_cast<size_t>(request.tokens[token.index]));
      forced.kl.push_back(compared.kl);
      forced.nll.push_back(compared.nll);
      forced.same_top.push_back(compared.same_top ? 1 : 0);
      forced.stale.push_back(token.n_stale);
      return go_on_();
    };
    LH_RETURN_IF_ERROR(session_->score(request));
  }
  LH_RETURN_IF_ERROR(compare_caches(setting, forced));
  return record;
}

// Over the scored tokens that the mode will not touch again: all but those waiting for the next
// rectification.
Status Worker::compare_caches(const Setting& setting, ForcedRecord& forced) const {
  const size_t first = item_->context.size() + n_known();
  size_t end = session_->tokens().size() - 1;  // the newest token is not in the cache
  if (setting.attention.mode == AttentionMode::kResa) end -= std::min(end, forced.stale.back() + 1);
  if (first >= end) return {};
  LH_ASSIGN_OR_RETURN(const CacheError error, session_->cache_error(*reference_, first, end));
  forced.key_error = error.keys;
  forced.value_error = error.values;
  return {};
}

Result<Record> Worker::recall(const RecallSetting& setting) {
  Record record = record_of(Measure::kRecall, setting.name);
  RecallRecord& recall = record.recall.emplace();
  recall.selectors = recall_selectors(plan_);
  recall.recall.resize(recall.selectors.size());
  LH_RETURN_IF_ERROR(rewind(*session_));
  ScoreRequest request;
  request.tokens = scored_tokens();
  request.attention = setting.attention;
  request.recall_of = recall.selectors;
  request.on_token = [&](const ScoredToken& token) {
    for (size_t s = 0; s < token.recall.size(); ++s) {
      recall.recall[s] += static_cast<double>(token.recall[s]);
    }
    ++recall.n_tokens;
    return go_on_();
  };
  LH_RETURN_IF_ERROR(session_->score(request));
  for (double& sum : recall.recall) {
    sum /= static_cast<double>(std::max<size_t>(1, recall.n_tokens));
  }
  return record;
}

}  // namespace longhaul::eval
