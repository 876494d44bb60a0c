#include "trainer/distill.h"

#include <ATen/ATen.h>
#include <torch/optim/adamw.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numbers>

#include "trainer/gate_checkpoint.h"
#include "trainer/gate_export.h"
#include "trainer/gate_recall.h"
#include "trainer/import.h"

namespace longhaul::trainer {
namespace {

using nlohmann::json;
using torch::Tensor;

constexpr int64_t kLogEvery = 20;
constexpr int64_t kWarmUpSteps = 20;
constexpr double kLossFactor = 10;
constexpr double kLastRate = 0.01;  // of the learning rate

// What a resumed run must have in common with the one it goes on with.
json run_identity(const DistillOptions& options, const GateConfig& config, const GateBase& base) {
  return {{"model", base.fingerprint},
          {"block-size", config.block_size},
          {"sink-blocks", config.sink_blocks},
          {"target", options.target},
          {"key-length", config.key_length},
          {"qk-norm", config.qk_norm},
          {"steps", options.n_steps},
          {"sequences", options.n_sequences},
          {"learning-rate", options.learning_rate},
          {"length", options.data.length},
          {"tasks", options.data.tasks},
          {"text-bytes", options.data.text.size()},
          {"text-share", options.data.text_share},
          {"seed", options.data.seed}};
}

Result<at::Device> find_device(const std::string& name) {
  if (name == "cpu") return at::Device(at::kCPU);
  if (name != "cuda") return bad_input("--device {}: expected cpu or cuda", name);
  if (at::hasCUDA()) return at::Device(at::kCUDA);
  return unsupported("--device cuda: this build of LibTorch finds no CUDA device");
}

Result<GateTarget> find_target(const std::string& name) {
  if (name == "mass") return GateTarget::kMass;
  if (name == "largest") return GateTarget::kLargest;
  return bad_input("--target {}: expected mass or largest", name);
}

Status check_options(const DistillOptions& options) {
  const auto positive = [](const char* flag, int64_t value) -> Status {
    if (value > 0) return {};
    return bad_input("{} {}: expected at least 1", flag, value);
  };
  LH_RETURN_IF_ERROR(positive("--steps", options.n_steps));
  LH_RETURN_IF_ERROR(positive("--sequences", options.n_sequences));
  LH_RETURN_IF_ERROR(positive("--held-out", options.n_held_out));
  LH_RETURN_IF_ERROR(positive("--recall-every", options.recall_every));
  LH_RETURN_IF_ERROR(positive("--save-every", options.save_every));
  const auto known = {16, 32, 64, 128};
  if (std::find(known.begin(), known.end(), options.block_size) == known.end()) {
    return bad_input("--block-size {}: expected 16, 32, 64 or 128", options.block_size);
  }
  if (options.key_length < 0 || options.key_length > 256 || options.key_length % 32 != 0) {
    return bad_input("--key-length {}: expected 0 or a multiple of 32 up to 256",
                     options.key_length);
  }
  // Sequences are a quarter of the length at least, and queries need blocks to choose from.
  if (options.data.length < 16 * options.block_size) {
    return bad_input("--length {}: expected at least 16 blocks of {} tokens", options.data.length,
                     options.block_size);
  }
  return {};
}

std::vector<Tensor> tensors(const Gates& gates) {
  std::vector<Tensor> result;
  for (const auto& [name, tensor] : named(gates)) result.push_back(tensor);
  return result;
}

class Distiller {
 public:
  // `gates` are on the device of the model's weights.
  Distiller(const DistillOptions& options, const GateConfig& config, GateTarget target,
            Checkpoint model, Sequences sequences, Gates gates, json identity)
      : options_(options),
        config_(config),
        target_(target),
        model_(std::move(model)),
        sequences_(std::move(sequences)),
        gates_(std::move(gates)),
        identity_(std::move(identity)),
        adamw_(tensors(gates_), torch::optim::AdamWOptions(options.learning_rate).weight_decay(0)) {
  }

  // Trains to the end, or to the step the options say.
  Status run() {
    if (!options_.resume.empty()) {
      LH_ASSIGN_OR_RETURN(step_, load_gate_checkpoint(options_.resume, identity_, gates_, adamw_));
    }
    log_.open(options_.out + "/log.txt", std::ios::app);
    const int64_t stop = options_.stop_after > 0 ? options_.stop_after : options_.n_steps;
    const int64_t last = std::min(stop, options_.n_steps);
    report_recall();
    started_ = Clock::now();
    while (step_ < last) {
      step();
      if (step_ % kLogEvery == 0) report(last);
      if (step_ % options_.recall_every == 0 || step_ == last) report_recall();
      if (step_ % options_.save_every == 0 || step_ == last) LH_RETURN_IF_ERROR(save());
    }
    return {};
  }

  const Gates& gates() const { return gates_; }

 private:
  using Clock = std::chrono::steady_clock;

  // Runs the frozen model over a sequence and shows what each layer attends with.
  void trace(const std::vector<int64_t>& ids,
             const std::function<void(size_t layer, const LayerTrace&)>& visit) {
    const at::NoGradGuard no_grad;
    LayerTrace layer_trace;
    const Observer before_rope = [&](int64_t, const Tensor& q, const Tensor& k) {
      layer_trace.plain_q = q[0];
      layer_trace.plain_k = k[0];
    };
    const Attention attention = [&](int64_t layer, const Tensor& q, const Tensor& k,
                                    const Tensor& v) {
      layer_trace.q = q[0];
      layer_trace.k = k[0];
      visit(static_cast<size_t>(layer), layer_trace);
      return dense_attention(q, k, v);
    };
    const Tensor row =
        at::tensor(at::ArrayRef<int64_t>(ids)).unsqueeze(0).to(model_.weights.norm.device());
    forward(model_.config, model_.weights, row, attention, before_rope);
  }

  double learning_rate() const {
    if (step_ < kWarmUpSteps) {
      return options_.learning_rate * static_cast<double>(step_ + 1) / kWarmUpSteps;
    }
    const double done = static_cast<double>(step_ - kWarmUpSteps) /
                        static_cast<double>(std::max<int64_t>(1, options_.n_steps - kWarmUpSteps));
    const double wave = 0.5 * (1 + std::cos(std::numbers::pi * done));
    return options_.learning_rate * (kLastRate + (1 - kLastRate) * wave);
  }

  void step() {
    adamw_.zero_grad();
    const auto n = static_cast<double>(options_.n_sequences);
    for (int64_t i = 0; i < options_.n_sequences; ++i) {
      const auto ids = sequences_.training(static_cast<uint64_t>(step_ * options_.n_sequences + i));
      trace(ids, [&](size_t layer, const LayerTrace& layer_trace) {
        loss_ += add_gate_loss(config_, gates_[layer], layer_trace, target_, kLossFactor / n) / n;
      });
      n_tokens_here_ += static_cast<int64_t>(ids.size());
    }
    adamw_.param_groups()[0].options().set_lr(learning_rate());
    adamw_.step();
    ++step_;
  }

  void print(const std::string& line) {
    fmt::print("{}\n", line);
    std::fflush(stdout);
    log_ << line << std::endl;
  }

  // The loss of the last kLogEvery steps, a mean over layers.
  void report(int64_t last) {
    const double seconds = std::chrono::duration<double>(Clock::now() - started_).count();
    n_steps_here_ += kLogEvery;
    print(fmt::format(
        "step {:5} of {} | KL {:.4f} nats | {:.0f} tokens/s | {:.0f} s, {:.0f} s left", step_,
        options_.n_steps, loss_ / static_cast<double>(kLogEvery * config_.n_layers),
        static_cast<double>(n_tokens_here_) / seconds, seconds,
        seconds / static_cast<double>(n_steps_here_) * static_cast<double>(last - step_)));
    loss_ = 0;
  }

  void report_recall() {
    const int64_t budget =
        options_.recall_budget > 0 ? options_.recall_budget : options_.data.length / 10;
    std::vector<GateRecall> layers(gates_.size());
    for (int64_t i = 0; i < options_.n_held_out; ++i) {
      trace(sequences_.held_out(static_cast<uint64_t>(i)),
            [&](size_t layer, const LayerTrace& layer_trace) {
              add_recall(config_, gates_[layer], layer_trace, budget, layers[layer]);
            });
    }
    std::string line = fmt::format("step {:5} recall of attention at {} tokens", step_, budget);
    for (size_t ranking = 0; ranking < kRankings.size(); ++ranking) {
      line += fmt::format(" | {}", kRankings[ranking]);
      for (const GateRecall& layer : layers) line += fmt::format(" {:.4f}", layer.of(ranking));
    }
    print(line);
  }

  Status save() {
    return save_gate_checkpoint(options_.out + "/checkpoint", step_, identity_, gates_, adamw_);
  }

  const DistillOptions& options_;
  const GateConfig config_;
  const GateTarget target_;
  const Checkpoint model_;
  const Sequences sequences_;
  const Gates gates_;
  const json identity_;
  torch::optim::AdamW adamw_;
  std::ofstream log_;
  Clock::time_point started_;
  int64_t step_ = 0;
  int64_t n_steps_here_ = 0;
  int64_t n_tokens_here_ = 0;
  double loss_ = 0;
};

// The frozen model, without what the gates do not see.
Result<Checkpoint> load_frozen(const std::string& path, at::Device device) {
  LH_ASSIGN_OR_RETURN(Checkpoint model, import_gguf(path));
  model.weights.output = Tensor();
  model.weights.for_each(
      [&](const std::string&, Tensor& weight) { weight = weight.detach().to(device); });
  return model;
}

Gates fresh_gates(const GateConfig& config, uint64_t seed, at::Device device) {
  at::manual_seed(seed);
  Gates gates = init_gates(config);
  for (GateLayer& gate : gates) {
    for (Tensor* tensor : {&gate.wq, &gate.wk, &gate.q_norm, &gate.k_norm}) {
      if (tensor->defined()) *tensor = tensor->detach().to(device).set_requires_grad(true);
    }
  }
  return gates;
}

}  // namespace

Status distill(const DistillOptions& options) {
  LH_RETURN_IF_ERROR(check_options(options));
  LH_ASSIGN_OR_RETURN(const TensorType type, gate_type(options.type));
  LH_ASSIGN_OR_RETURN(const GateTarget target, find_target(options.target));
  LH_ASSIGN_OR_RETURN(const at::Device device, find_device(options.device));
  LH_ASSIGN_OR_RETURN(const GateModel model, GateModel::open(options.model));
  GateConfig config = gate_config(model.plan);
  config.block_size = options.block_size;
  config.sink_blocks = 1;
  config.qk_norm = options.qk_norm;
  config.key_length =
      options.key_length > 0 ? options.key_length : std::min(kPublishedKeyLength, config.head_dim);
  Gates gates = fresh_gates(config, options.data.seed, device);
  LH_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::load(model.file));
  LH_ASSIGN_OR_RETURN(Sequences sequences, Sequences::make(tokenizer, options.data));
  LH_ASSIGN_OR_RETURN(Checkpoint frozen, load_frozen(options.model, device));
  std::error_code error;
  std::filesystem::create_directories(options.out, error);
  if (error) return make_error(ErrorCode::kIo, "{}: {}", options.out, error.message());

  Distiller distiller(options, config, target, std::move(frozen), std::move(sequences),
                      std::move(gates), run_identity(options, config, model.base));
  LH_RETURN_IF_ERROR(distiller.run());
  return write_gate_file(to_gate_weights(config, distiller.gates(), model, ""),
                         options.out + "/gates.gguf", type);
}

}  // namespace longhaul::trainer
