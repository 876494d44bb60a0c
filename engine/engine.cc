#include "longhaul/engine.h"

#include <algorithm>
#include <map>

#include "attention/gate/load.h"
#include "attention/gate/summary.h"
#include "base/check.h"
#include "engine/calibrate.h"
#include "engine/chat.h"
#include "engine/device.h"
#include "engine/engine_impl.h"
#include "engine/memory_check.h"
#include "model/random_model.h"
#include "model/tensors.h"
#include "parallel/cores.h"
#include "state/memory_plan.h"

namespace longhaul {
namespace {

ModelInfo describe_model(const Model& model, const GgufFile& file) {
  const ModelPlan& plan = model.plan();
  const AttentionSpec* attention = main_attention(plan);
  ModelInfo info;
  info.name = plan.name;
  info.architecture = plan.architecture;
  info.n_layers = plan.layers.size();
  if (attention != nullptr) {
    info.n_heads = attention->n_heads;
    info.n_kv_heads = attention->n_kv_heads;
    info.head_dim = attention->key_dim;
  }
  info.d_model = plan.d_model;
  info.d_ff = main_d_ff(plan);
  info.vocab_size = plan.vocab_size;
  for (const LayerSpec& layer : plan.layers) {
    const auto* mixer = std::get_if<AttentionSpec>(&layer.mixer);
    if (mixer != nullptr && mixer->window > 0) {
      info.window = mixer->window;
      ++info.n_window_layers;
    }
    if (const auto* retention = std::get_if<RetentionSpec>(&layer.mixer)) {
      if (attention == nullptr) {
        info.n_heads = info.n_kv_heads = retention->n_heads;
        info.head_dim = retention->key_dim;
        if (retention->rope) info.rope = describe(plan.ropes[*retention->rope], retention->key_dim);
      }
    }
    if (const auto* experts = std::get_if<ExpertsSpec>(&layer.ffn)) {
      info.n_experts = experts->n_experts;
      info.n_active_experts = experts->n_active;
    }
  }
  info.context_length = plan.context_length;
  info.n_parameters = model.weights().n_parameters;
  std::map<std::string_view, size_t> bytes_by_type;
  for (const GgufTensor& tensor : file.tensors()) {
    info.weight_bytes += tensor.data.size();
    bytes_by_type[tensor_type_info(tensor.type()).name] += tensor.data.size();
  }
  const auto most = std::max_element(bytes_by_type.begin(), bytes_by_type.end(),
                                     [](auto& a, auto& b) { return a.second < b.second; });
  info.weight_type = most == bytes_by_type.end() ? "" : most->first;
  info.packed_bytes = weight_bytes(plan, file).per_token;
  if (attention != nullptr && attention->rope)
    info.rope = describe(plan.ropes[*attention->rope], attention->part_dim());
  return info;
}

size_t weight_bytes_of(const std::vector<SummaryPlan>& summaries) {
  size_t n_bytes = 0;
  for (const SummaryPlan& plan : summaries) n_bytes += plan.weight_bytes;
  return n_bytes;
}

// The plan of a shape, from its sizes alone; `options` with its block size filled in.
Result<LoadPlan> plan_shape(const RandomModelSpec& spec, const EngineOptions& options) {
  LH_ASSIGN_OR_RETURN(const RandomModelPlan random, plan_random_model(spec));
  EngineOptions effective = options;
  if (effective.ctx_size == 0) effective.ctx_size = spec.context_length;
  LH_ASSIGN_OR_RETURN(const auto summaries, plan_summaries(setup_for(random.plan, effective)));
  return LoadPlan{fmt::format("shape {} in {}", options.shape, options.shape_type),
                  random.weights.packed + weight_bytes_of(summaries), random.file_bytes,
                  Model::buffer_bytes(random.plan, options.prefill_chunk),
                  slots_for(random.plan, effective, specs_of(summaries))};
}

// Opens the model file, or makes one in memory for a shape, if it will fit.
Result<GgufFile> open_model(const EngineOptions& options, Backend& backend,
                            std::vector<std::byte>& shape_bytes) {
  if (options.shape.empty()) return GgufFile::open(options.model_path);
  LH_ASSIGN_OR_RETURN(const RandomModelSpec spec, find_shape(options.shape, options.shape_type));
  LH_ASSIGN_OR_RETURN(const LoadPlan plan, plan_shape(spec, options));
  LH_RETURN_IF_ERROR(check_fits(plan, backend));
  LH_ASSIGN_OR_RETURN(shape_bytes, make_random_model(spec));
  return GgufFile::parse(shape_bytes, options.shape);
}

// The same check for a file, whose matrices are interleaved one after another.
Status check_file_fits(const GgufFile& file, const ModelPlan& model, const EngineOptions& options,
                       const std::vector<SummaryPlan>& summaries, Backend& backend) {
  EngineOptions effective = options;
  if (effective.ctx_size == 0) effective.ctx_size = model.context_length;
  const LoadPlan plan{options.model_path,
                      weight_bytes(model, file).packed + weight_bytes_of(summaries), 0,
                      Model::buffer_bytes(model, options.prefill_chunk),
                      slots_for(model, effective, specs_of(summaries))};
  for (const SlotConfig& slot : plan.slots) {
    LH_RETURN_IF_ERROR(
        std::visit([](const auto& slot_config) { return validate(slot_config); }, slot));
  }
  return check_fits(plan, backend);
}

Status check_options(const EngineOptions& options) {
  if (options.shape.empty() == options.model_path.empty()) {
    return bad_input("model: expected either a path or a shape");
  }
  if (options.random_gates && (options.shape.empty() || !options.gates_path.empty())) {
    return bad_input("random gates: expected a shape and no gate file");
  }
  if (options.prefill_chunk == 0)
    return bad_input("prefill chunk: expected at least 1 token, found 0");
  if (options.max_sessions == 0) return bad_input("sessions: expected at least 1, found 0");
  return {};
}

}  // namespace

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::load(const EngineOptions& options) {
  LH_RETURN_IF_ERROR(check_options(options));
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  EngineOptions& effective = impl->options;
  LH_RETURN_IF_ERROR(settle_block_size(effective));
  if (effective.n_threads == 0) effective.n_threads = usable_cores();
  impl->pool = std::make_unique<ThreadPool>(effective.n_threads);

  LH_ASSIGN_OR_RETURN(impl->backend, make_backend(effective.device, *impl->pool));
  Backend& backend = *impl->backend;

  LH_ASSIGN_OR_RETURN(GgufFile file, open_model(effective, backend, impl->shape_bytes));
  impl->file = std::make_unique<GgufFile>(std::move(file));
  const PlanOptions plan_options{.block_causal = effective.block_causal};
  LH_ASSIGN_OR_RETURN(const ModelPlan plan, read_plan(*impl->file, plan_options));
  const SelectorSetup setup = setup_for(plan, effective, impl->file.get());
  LH_ASSIGN_OR_RETURN(const auto summaries, plan_summaries(setup));
  if (options.shape.empty())
    LH_RETURN_IF_ERROR(check_file_fits(*impl->file, plan, effective, summaries, backend));
  LH_ASSIGN_OR_RETURN(Tokenizer tokenizer, Tokenizer::load(*impl->file));
  impl->tokenizer = std::make_unique<Tokenizer>(std::move(tokenizer));
  impl->chat_template = load_chat_template(options.chat_template_path, *impl->tokenizer);
  if (!options.chat_template_path.empty() && !impl->chat_template)
    return tl::unexpected<Error>(impl->chat_template.error());
  LH_ASSIGN_OR_RETURN(impl->model,
                      Model::load(*impl->file, backend, effective.prefill_chunk, plan_options));
  impl->info = describe_model(*impl->model, *impl->file);
  if (impl->tokenizer->vocab_size() > impl->info.vocab_size) {
    return bad_input("{}: {} tokens in the vocabulary, but only {} rows in token_embd.weight",
                     options.model_path, impl->tokenizer->vocab_size(), impl->info.vocab_size);
  }

  if (effective.ctx_size == 0) effective.ctx_size = impl->info.context_length;
  for (const auto& warning : impl->tokenizer->warnings()) impl->warnings.push_back(warning);
  if (!options.shape.empty()) impl->warnings.emplace_back("random weights: speed only");
  if (effective.ctx_size > impl->info.context_length && !options.block_causal) {
    impl->warnings.push_back(
        fmt::format("a context of {} tokens is beyond the {} the model was trained for",
                    effective.ctx_size, impl->info.context_length));
  }

  LH_ASSIGN_OR_RETURN(impl->summaries, make_summaries(setup, impl->model->rope_angles()));
  for (const SummaryPlan& summary : summaries) {
    if (summary.spec.name != kGateSummary) continue;
    impl->info.gates = summary.description;
    impl->info.gate_dim = summary.spec.group_bytes / half_tile_bytes(1);
  }
  LH_ASSIGN_OR_RETURN(impl->states, StatePool::create(slots_for(impl->model->plan(), effective,
                                                                specs_of(impl->summaries)),
                                                      backend.device_memory()));
  impl->scheduler = std::make_unique<Scheduler>(*impl->model, *impl->states);
  return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

Status settle_block_size(EngineOptions& options) {
  constexpr size_t kPlainBlockSize = 16;
  size_t& block_size = options.block_size;
  if (options.gates_path.empty()) {
    if (block_size == 0) block_size = options.random_gates ? kRandomGateBlockSize : kPlainBlockSize;
    return {};
  }
  LH_ASSIGN_OR_RETURN(const size_t trained, gate_block_size(options.gates_path));
  if (block_size == 0) block_size = trained;
  if (block_size == trained) return {};
  return bad_input("{}: gates for blocks of {} tokens, but the block size is {}",
                   options.gates_path, trained, block_size);
}

Status write_shape(std::string_view shape, std::string_view shape_type, const std::string& path) {
  LH_ASSIGN_OR_RETURN(const RandomModelSpec spec, find_shape(shape, shape_type));
  return write_random_model(spec, path);
}

const ModelInfo& Engine::model_info() const { return impl_->info; }
const EngineOptions& Engine::options() const { return impl_->options; }
std::span<const std::string> Engine::warnings() const { return impl_->warnings; }

Status Engine::Impl::check_selector(const AttentionOptions& attention) const {
  if (attention.mode == AttentionMode::kDense) return {};  // nobody is asked
  if (main_attention(model->plan()) == nullptr) {
    return bad_input(
        "attention {}: no layer of {} keeps the keys of all tokens to choose from; "
        "expected dense",
        to_string(attention.mode), info.name);
  }
  return check_selector(*find_selector(attention.selector));
}

Status Engine::Impl::check_selector(const Selector& selector) const {
  if (selector.summary.empty()) return {};
  for (const auto& summary : summaries) {
    if (summary->spec().name == selector.summary) return {};
  }
  return bad_input("selector {}: expected {} for {}, found none", selector.name, selector.data,
                   info.name);
}

Result<Calibration> Engine::Impl::ensure_calibration() {
  const Scheduler::Alone alone(*scheduler);
  if (!calibration) {
    LH_ASSIGN_OR_RETURN(calibration, calibrate(*model, options, specs_of(summaries)));
  }
  return *calibration;
}

Status Engine::Impl::check_on_host(std::string_view what) const {
  if (backend->device_memory() == nullptr) return {};
  return unsupported(
      "{}: not with --device {}, whose keys and values the host cannot read; "
      "--device cpu can",
      what, options.device);
}

std::optional<DeviceInfo> Engine::measure_device() const {
  const Scheduler::Alone alone(*impl_->scheduler);
  return impl_->backend->measure_device();
}

Sampler Engine::Impl::no_sampler() const {
  auto sampler = Sampler::create({}, info.vocab_size);
  LH_CHECK(sampler.has_value());
  return std::move(*sampler);
}

Result<Calibration> Engine::calibration() { return impl_->ensure_calibration(); }

void Engine::set_calibration(const Calibration& calibration) {
  const Scheduler::Alone alone(*impl_->scheduler);
  impl_->calibration = calibration;
}

std::string Engine::calibration_key() const {
  const ModelInfo& info = impl_->info;
  const EngineOptions& options = impl_->options;
  return fmt::format(
      "{} {}x{} heads {}/{}x{} window {} in {} layers, ff {} experts {}/{} vocab {} {} {} bytes, "
      "k {} v {} block {} gates {}, {} with {} threads",
      info.architecture, info.n_layers, info.d_model, info.n_heads, info.n_kv_heads, info.head_dim,
      info.window, info.n_window_layers, info.d_ff, info.n_active_experts, info.n_experts,
      info.vocab_size, info.weight_type, info.packed_bytes, to_string(options.k_type),
      to_string(options.v_type), options.block_size, info.gate_dim, options.device,
      options.n_threads);
}

Result<Session> Engine::new_session() {
  return Session(std::make_unique<Session::Impl>(
      *impl_, Text(impl_->states->new_sequence(), sparse_steps_are_clean(impl_->model->plan()))));
}

Result<std::vector<int32_t>> Engine::tokenize(std::string_view text, bool add_bos,
                                              bool parse_special) const {
  Tokenizer::EncodeOptions options;
  options.add_bos = add_bos && impl_->tokenizer->add_bos();
  options.parse_special = parse_special;
  return impl_->tokenizer->encode(text, options);
}

std::string Engine::detokenize(std::span<const int32_t> tokens) const {
  return impl_->tokenizer->decode(tokens);
}

std::string Engine::token_text(int32_t token) const {
  return std::string(impl_->tokenizer->piece(token));
}

const std::string& Engine::Impl::model_id() {
  std::call_once(has_model_id, [this] {
    its_model_id =
        fmt::format("{} {} {}x{} {} parameters, rope {}{}, weights {}", info.architecture,
                    info.name, info.n_layers, info.d_model, info.n_parameters, info.rope,
                    options.block_causal ? " bca" : "", file->weights_hash());
  });
  return its_model_id;
}

}  // namespace longhaul
