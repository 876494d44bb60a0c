#include "trainer/train.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/optim/adamw.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>

#include "trainer/answer_loss.h"
#include "trainer/checkpoint.h"
#include "trainer/import.h"
#include "trainer/mixers.h"
#include "trainer/muon.h"
#include "trainer/plant.h"
#include "trainer/selection.h"

namespace longhaul::trainer {
namespace {

using torch::Tensor;

constexpr int kLogEvery = 20;
constexpr int kSaveEvery = 100;
constexpr int64_t kWarmUpTokens = 100'000;
constexpr int64_t kQueriesPerBatch = 384;  // positions the selection loss looks at

Tensor ids_tensor(const std::vector<int64_t>& ids, const Batch& batch) {
  return at::tensor(at::ArrayRef<int64_t>(ids)).view({batch.n_rows, batch.length});
}

// Random positions of every row that answers are learnt at: [n_rows, n].
Tensor pick_queries(const Batch& batch, TaskRandom& random) {
  const int64_t n = std::max<int64_t>(1, kQueriesPerBatch / batch.n_rows);
  std::vector<int64_t> queries;
  for (int row = 0; row < batch.n_rows; ++row) {
    std::vector<int64_t> learnt;
    for (int64_t i = 0; i < batch.length; ++i) {
      const TargetKind kind = batch.kinds[size_t(row * batch.length + i)];
      if (kind != TargetKind::kNone && kind != TargetKind::kText) learnt.push_back(i);
    }
    if (learnt.empty()) learnt.push_back(0);  // has no earlier block, so it adds nothing
    for (int64_t i = 0; i < n; ++i) queries.push_back(learnt[random.below(learnt.size())]);
  }
  return at::tensor(at::ArrayRef<int64_t>(queries)).view({batch.n_rows, n});
}

// Whether Muon trains a tensor: matrices of layers, but not those that make one number of a row.
bool is_muons(const std::string& name, const Tensor& tensor) {
  return tensor.dim() == 2 && name != "token_embd.weight" &&
         name.find("attn_decay") == std::string::npos &&
         name.find("attn_lambda") == std::string::npos;
}

class Trainer {
 public:
  Trainer(const TrainOptions& options, const Vocabulary& vocabulary, std::vector<int32_t> text,
          Checkpoint start)
      : options_(options),
        config_(start.config),
        state_(start.state),
        weights_(std::move(start.weights)),
        source_(vocabulary, std::move(text), options.mix,
                options.seed + static_cast<uint64_t>(start.state.step)),
        random_(options.seed),
        muon_(layer_matrices(), 0.95, options.weight_decay),
        adamw_(
            groups(),
            torch::optim::AdamWOptions(options.learning_rate).betas({0.9, 0.98}).weight_decay(0)) {}

  Status run() {
    if (!options_.resume.empty())
      LH_RETURN_IF_ERROR(load_optimizers(options_.resume, adamw_, muon_));
    selecting_ = state_.hop_accuracy >= options_.selection_from;
    log_.open(options_.out + "/log.txt", std::ios::app);
    started_ = Clock::now();
    while (state_.n_tokens < options_.n_tokens) {
      step();
      if (state_.step % kLogEvery == 0) report();
      if (state_.step % kSaveEvery == 0) LH_RETURN_IF_ERROR(save());
    }
    return save();
  }

 private:
  using Clock = std::chrono::steady_clock;

  std::vector<Tensor> layer_matrices() const {
    std::vector<Tensor> matrices;
    for (const auto& [name, tensor] : weights_.named()) {
      if (is_muons(name, tensor)) matrices.push_back(tensor);
    }
    return matrices;
  }

  // What AdamW trains: the embedding, the norms, and QK-norm apart, which learns faster because it
  // sets how sharp attention can be.
  std::vector<torch::optim::OptimizerParamGroup> groups() const {
    std::vector<Tensor> slow, fast;
    for (const auto& [name, tensor] : weights_.named()) {
      if (is_muons(name, tensor)) continue;
      const bool qk = name.find("attn_q_norm") != std::string::npos ||
                      name.find("attn_k_norm") != std::string::npos;
      (qk ? fast : slow).push_back(tensor);
    }
    std::vector<torch::optim::OptimizerParamGroup> result;
    result.emplace_back(slow);
    if (!fast.empty()) result.emplace_back(fast);
    return result;
  }

  void update_weights() {
    const auto done = static_cast<double>(state_.n_tokens);
    const double left = 1 - done / static_cast<double>(options_.n_tokens);
    const double share =
        std::min({1.0, (done + 1) / static_cast<double>(kWarmUpTokens), left / 0.3});
    for (size_t i = 0; i < adamw_.param_groups().size(); ++i) {
      const double faster = i == 1 ? 4 : 1;
      adamw_.param_groups()[i].options().set_lr(options_.learning_rate * share * faster);
    }
    adamw_.step();
    muon_.step(options_.matrix_rate * share);
  }

  // Half of the steps at the present length, the others at any length the curriculum went through:
  // short rows carry more tasks, and nothing learnt on them is lost.
  int pick_length() {
    int64_t length = state_.length;
    if (random_.below(2) == 0) {
      int n_halvings = 0;
      while (length >> (n_halvings + 1) >= options_.first_length) ++n_halvings;
      length >>= random_.below(static_cast<uint64_t>(n_halvings) + 1);
    }
    return static_cast<int>(length);
  }

  void step() {
    const int length = pick_length();
    const int n_rows = std::max(1, static_cast<int>(options_.batch_tokens) / length);
    const Batch batch = source_.next(n_rows, length);
    const bool select = options_.selection_weight > 0 && selecting_;
    const Tensor queries = select ? pick_queries(batch, random_) : Tensor();
    Tensor selection = at::zeros({});
    const Attention attention = [&](int64_t, const Tensor& q, const Tensor& k, const Tensor& v) {
      if (select) selection = selection + selection_loss(q, k, queries);
      return dense_attention(q, k, v);
    };
    const Tensor hidden = forward(config_, weights_, ids_tensor(batch.ids, batch), attention);
    Totals step_totals{};
    Tensor loss = answer_loss(batch, hidden, weights_.embedding, options_.text_weight, step_totals);
    selection = selection / static_cast<double>(config_.n_layers);
    if (select) loss = loss + options_.selection_weight * selection;
    for (const auto& [name, tensor] : weights_.named()) tensor.mutable_grad().reset();
    loss.backward();
    update_weights();

    selection_total_ += selection.item<double>();
    ++state_.step;
    state_.n_tokens += batch.n_rows * batch.length;
    n_tokens_here_ += batch.n_rows * batch.length;
    for (size_t i = 0; i < totals_.size(); ++i) {
      totals_[i].n += step_totals[i].n;
      totals_[i].loss += step_totals[i].loss;
      totals_[i].n_right += step_totals[i].n_right;
    }
  }

  // Prints what the last kLogEvery steps did, and doubles the length when they did well.
  void report() {
    const KindTotals& hop = totals_[size_t(TargetKind::kPathHop)];
    const KindTotals& sum = totals_[size_t(TargetKind::kSumTotal)];
    const KindTotals& sum_other = totals_[size_t(TargetKind::kSumOther)];
    const KindTotals& recall = totals_[size_t(TargetKind::kRecallValue)];
    const double seconds = std::chrono::duration<double>(Clock::now() - started_).count();
    const std::string line = fmt::format(
        "step {:6} tokens {:6.2f}M length {:5} | hop {:.3f} {:.4f} other {:.4f} | sum {:.3f} "
        "{:.4f} "
        "label {:.4f} | recall {:.3f} {:.4f} other {:.4f} | text {:.3f} | select {:.3f} | {:.0f} "
        "tok/s {:.0f} s",
        state_.step, static_cast<double>(state_.n_tokens) / 1e6, state_.length, hop.mean_loss(),
        hop.accuracy(), totals_[size_t(TargetKind::kPathOther)].accuracy(), sum.mean_loss(),
        sum.accuracy(), sum_other.accuracy(), recall.mean_loss(), recall.accuracy(),
        totals_[size_t(TargetKind::kRecallOther)].accuracy(),
        totals_[size_t(TargetKind::kText)].mean_loss(), selection_total_ / kLogEvery,
        static_cast<double>(n_tokens_here_) / seconds, seconds);
    fmt::print("{}\n", line);
    std::fflush(stdout);
    log_ << line << std::endl;
    state_.hop_accuracy = hop.accuracy();
    state_.sum_accuracy = sum.accuracy();
    selecting_ = selecting_ || state_.hop_accuracy >= options_.selection_from;
    double worst = std::min(hop.accuracy(), sum_other.accuracy());
    if (options_.mix.recall > 0) worst = std::min(worst, recall.accuracy());
    if (worst >= options_.promote_at && state_.length < options_.max_length) {
      state_.length = std::min(state_.length * 2, options_.max_length);
    }
    totals_ = {};
    selection_total_ = 0;
  }

  Status save() {
    return save_checkpoint(options_.out + "/checkpoint", config_, state_, weights_, adamw_, muon_);
  }

  const TrainOptions& options_;
  ModelConfig config_;
  TrainState state_;
  ModelWeights weights_;
  BatchSource source_;
  TaskRandom random_;
  Muon muon_;
  torch::optim::AdamW adamw_;
  std::ofstream log_;
  Clock::time_point started_;
  Totals totals_{};
  double selection_total_ = 0;
  bool selecting_ = false;
  int64_t n_tokens_here_ = 0;
};

// What training starts from: a checkpoint, a GGUF file's weights, or fresh ones.
Result<Checkpoint> first_state(const TrainOptions& options, const Vocabulary& vocabulary) {
  if (!options.resume.empty()) return load_checkpoint(options.resume);
  Checkpoint start;
  if (!options.from_gguf.empty()) {
    LH_ASSIGN_OR_RETURN(start, import_gguf(options.from_gguf));
    LH_RETURN_IF_ERROR(check_writable(start, options.from_gguf));
  } else {
    start.config = options.model;
    settle(start.config);
    LH_RETURN_IF_ERROR(validate(start.config));
    start.config.vocab_size = vocabulary.size();
    start.weights = init_weights(start.config);
    if (start.config.planted) {
      LH_RETURN_IF_ERROR(plant_lookup(start.config, vocabulary, start.weights));
    }
  }
  start.state.length = options.first_length;
  return start;
}

}  // namespace

Status train(const TrainOptions& options, const Vocabulary& vocabulary, std::vector<int32_t> text) {
  std::error_code error;
  std::filesystem::create_directories(options.out, error);
  if (error) return make_error(ErrorCode::kIo, "{}: {}", options.out, error.message());
  at::manual_seed(options.seed);
  LH_ASSIGN_OR_RETURN(Checkpoint start, first_state(options, vocabulary));
  if (start.config.vocab_size != vocabulary.size()) {
    return bad_input("{}{}: a model of {} tokens, but the vocabulary has {}", options.resume,
                     options.from_gguf, start.config.vocab_size, vocabulary.size());
  }
  return Trainer(options, vocabulary, std::move(text), std::move(start)).run();
}

}  // namespace longhaul::trainer
