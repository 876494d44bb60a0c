// Plans of all architectures: what their files must hold, what is refused, how layers find their
// state.
#include "model/plan.h"

#include <gtest/gtest.h>

#include <numeric>

#include "model/tensors.h"
#include "tests/tiny_model.h"

namespace longhaul {
namespace {

// A tiny file's keys, to be changed.
GgufWriter keys_of(const TinyModelSpec& spec) {
  const std::vector<std::byte> bytes = make_tiny_model(spec);
  const GgufFile file = GgufFile::parse(bytes, "tiny").value();
  GgufWriter writer;
  for (const auto& [key, value] : file.metadata()) {
    if (!key.starts_with("tokenizer.")) writer.set(key, value);
  }
  return writer;
}

std::string error_of(const GgufWriter& keys) {
  const Result<ModelPlan> plan = plan_of_keys(keys);
  return plan ? "" : plan.error().message;
}

class EveryArchitecture : public testing::TestWithParam<std::string> {};

TEST_P(EveryArchitecture, ListsTheTensorsOfItsFiles) {
  const std::vector<std::byte> bytes = make_tiny_model(tiny_spec(GetParam()));
  const GgufFile file = GgufFile::parse(bytes, "tiny").value();
  const ModelPlan plan = read_plan(file).value();
  size_t n_found = 0;
  for (const TensorSpec& spec : tensors(plan)) {
    const GgufTensor* tensor = file.find_tensor(spec.name);
    if (tensor == nullptr) {
      EXPECT_FALSE(spec.alternative.empty()) << spec.name;
      continue;
    }
    ++n_found;
    EXPECT_EQ(tensor->shape, spec.shape()) << spec.name;
  }
  EXPECT_EQ(n_found, file.tensors().size());
}

TEST_P(EveryArchitecture, GivesEveryLayerThatWritesAPlaceOfItsOwn) {
  const ModelPlan plan = plan_random_model(tiny_spec(GetParam())).value().plan;
  std::vector<std::vector<int>> uses;
  for (const SlotSpec& slot : plan.slots)
    uses.emplace_back(std::visit([](const auto& s) { return s.n_layers; }, slot));
  for (const LayerSpec& layer : plan.layers) {
    if (const auto* attention = std::get_if<AttentionSpec>(&layer.mixer)) {
      if (attention->writes) ++uses.at(attention->kv.slot).at(attention->kv.layer);
      EXPECT_EQ(std::get<PagedSlot>(plan.slots[attention->kv.slot]).window, attention->window);
    } else {
      const auto* retention = std::get_if<RetentionSpec>(&layer.mixer);
      const auto* mamba = std::get_if<MambaSpec>(&layer.mixer);
      if (retention != nullptr) ++uses.at(retention->state.slot).at(retention->state.layer);
      if (mamba != nullptr) ++uses.at(mamba->state.slot).at(mamba->state.layer);
    }
  }
  for (const auto& slot : uses) EXPECT_EQ(slot, std::vector<int>(slot.size(), 1));
  // Retention needs every row.
  const bool narrows = std::holds_alternative<AttentionSpec>(plan.layers.back().mixer);
  EXPECT_EQ(plan.layers.back().rows, narrows ? RowSet::kWithLogits : RowSet::kAll);
}

TEST_P(EveryArchitecture, RefusesAKeyThatNobodyRead) {
  const std::string arch = GetParam();
  GgufWriter keys = keys_of(tiny_spec(arch));
  ASSERT_EQ(error_of(keys), "");
  keys.set_f32(arch + ".attention.new_trick", 0.5F);
  EXPECT_NE(error_of(keys).find("'" + arch + ".attention.new_trick' is f32 0.5"), std::string::npos)
      << error_of(keys);
}

TEST_P(EveryArchitecture, RefusesFeaturesByNameUnlessTheyAreOff) {
  const std::string arch = GetParam();
  GgufWriter keys = keys_of(tiny_spec(arch));
  keys.set_bool(arch + ".attention.causal", true);
  keys.set_f32(arch + ".final_logit_softcapping", 0);
  keys.set_bool(arch + ".rope.scaling.finetuned", true);
  EXPECT_EQ(error_of(keys), "");
  keys.set_f32(arch + ".final_logit_softcapping", 30);
  const std::string error = error_of(keys);
  EXPECT_NE(error.find(arch + ".final_logit_softcapping"), std::string::npos) << error;
  EXPECT_NE(error.find("soft-capped logits"), std::string::npos) << error;
}

INSTANTIATE_TEST_SUITE_P(Architectures, EveryArchitecture, testing::ValuesIn([] {
                           std::vector<std::string> names;
                           for (const Architecture* architecture : all_architectures())
                             names.emplace_back(architecture->name);
                           return names;
                         }()));

TEST(Plan, AWindowIsRefusedWhereTheArchitectureHasNone) {
  GgufWriter keys = keys_of(tiny_spec("llama"));
  keys.set_u32("llama.attention.sliding_window", 4096);  // the trained length: never left
  EXPECT_EQ(error_of(keys), "");
  keys.set_u32("llama.attention.sliding_window", 1024);
  EXPECT_NE(error_of(keys).find("sliding-window"), std::string::npos) << error_of(keys);
}

TEST(Plan, Gemma3AlternatesWindowsAndFullLayers) {
  TinyModelSpec spec = tiny_spec("gemma3");
  spec.n_layers = 6;
  spec.window_period = 3;
  const ModelPlan plan = plan_random_model(spec).value().plan;
  ASSERT_EQ(plan.slots.size(), 2U);
  EXPECT_EQ(std::get<PagedSlot>(plan.slots[0]).n_layers, 2U);
  EXPECT_EQ(std::get<PagedSlot>(plan.slots[0]).window, 0U);
  EXPECT_EQ(std::get<PagedSlot>(plan.slots[1]).n_layers, 4U);
  EXPECT_EQ(std::get<PagedSlot>(plan.slots[1]).window, spec.window);
  for (size_t i = 0; i < 6; ++i) {
    const auto& attention = std::get<AttentionSpec>(plan.layers[i].mixer);
    EXPECT_EQ(attention.window, i % 3 == 2 ? 0 : spec.window) << i;
    EXPECT_EQ(attention.rope, i % 3 == 2 ? 0 : 1) << i;
  }
  EXPECT_EQ(plan.ropes[1].theta, 10000);
}

TEST(Plan, Gemma3ScalesPositionsOfFullLayersOnly) {
  GgufWriter keys = keys_of(tiny_spec("gemma3"));
  keys.set_string("gemma3.rope.scaling.type", "linear");
  keys.set_f32("gemma3.rope.scaling.factor", 8);
  const ModelPlan plan = plan_of_keys(keys).value();
  EXPECT_EQ(plan.ropes[0].scaling, RopeScaling::kLinear);
  EXPECT_EQ(plan.ropes[0].factor, 8);
  EXPECT_EQ(plan.ropes[1].scaling, RopeScaling::kNone);
}

TEST(Plan, Gemma3TakesItsPatternAsBooleans) {
  TinyModelSpec spec = tiny_spec("gemma3");
  spec.n_layers = 3;
  GgufWriter keys = keys_of(spec);
  keys.set_bool_array("gemma3.attention.sliding_window_pattern", {false, true, true});
  const ModelPlan plan = plan_of_keys(keys).value();
  EXPECT_EQ(std::get<AttentionSpec>(plan.layers[0].mixer).window, 0U);
  EXPECT_EQ(std::get<AttentionSpec>(plan.layers[2].mixer).window, spec.window);
  keys.set_bool_array("gemma3.attention.sliding_window_pattern", {false, true});
  EXPECT_NE(error_of(keys).find("3 booleans"), std::string::npos) << error_of(keys);
}

// The parameters that the models' cards count.
size_t n_parameters(std::string_view shape) {
  const ModelPlan plan = plan_random_model(find_shape(shape).value()).value().plan;
  const std::vector<TensorSpec> list = tensors(plan);
  return std::accumulate(list.begin(), list.end(), size_t{0}, [](size_t sum, const auto& spec) {
    return sum + (spec.alternative.empty() ? spec.n_elements() : 0);
  });
}

TEST(Plan, CountsTheParametersOfPublishedModels) {
  EXPECT_EQ(n_parameters("gemma3-270m"), 268098176U);
  // Without the output matrix of its own, 30,532,122,624 with it.
  EXPECT_EQ(n_parameters("qwen3-30b-a3b"), 30532122624U - 151936U * 2048U);
}

TEST(Plan, ATokenReadsItsExpertsAlone) {
  TinyModelSpec spec = tiny_spec("qwen3moe");
  const std::vector<std::byte> bytes = make_tiny_model(spec);
  const GgufFile file = GgufFile::parse(bytes, "tiny").value();
  const WeightBytes found = weight_bytes(read_plan(file).value(), file);
  const size_t expert = 3 * spec.d_model * spec.d_ff * sizeof(float);
  EXPECT_EQ(found.packed - found.per_token,
            spec.n_layers * (spec.n_experts - spec.n_active_experts) * expert);
}

// The message of a file of that architecture with one key changed.
std::string message_of(const std::string& architecture, FunctionRef<void(GgufWriter&)> change) {
  GgufWriter keys = keys_of(tiny_spec(architecture));
  change(keys);
  const auto plan = plan_of_keys(keys);
  return plan ? "accepted" : plan.error().message;
}

TEST(Line, RefusesWhatItCannotCompute) {
  const auto has = [](const std::string& message, const char* part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  has(message_of("retnet",
                 [](auto& k) { k.set_f32_array("retnet.retention.decay", std::vector{0.5F}); }),
      "'retnet.retention.decay': expected 4 numbers, found 1");
  has(message_of("retnet",
                 [](auto& k) {
                   k.set_f32_array("retnet.retention.decay", std::vector<float>{1, 1, 1, 1.5F});
                 }),
      "expected numbers from 0 to 1, found 1.5");
  has(message_of("retnet", [](auto& k) { k.set_u32("retnet.attention.value_length", 40); }),
      "head size 40");
  has(message_of("yoco", [](auto& k) { k.set_u32("yoco.attention.shared_kv_layers", 5); }),
      "'yoco.attention.shared_kv_layers': expected 1 to 4, found 5");
  has(message_of("yoco", [](auto& k) { k.set_f32("yoco.retention.gate_temperature", 0); }),
      "'yoco.retention.gate_temperature'");
  has(message_of("diff",
                 [&](auto& k) {
                   k.set_f32_array("diff.attention.lambda", std::vector{nan, nan});
                 }),
      "'diff.attention.lambda': expected finite numbers");
  has(message_of("diff2", [](auto& k) { k.set_u32("diff2.attention.head_count_kv", 4); }),
      "pairs of heads that share a KV head");
}

// Every number that enters arithmetic has bounds, and an error names its key.
TEST(Plan, NumbersOutOfBoundsAreRefusedByName) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  const struct {
    const char* key;
    std::vector<double> bad;
  } kCases[] = {{"llama.attention.layer_norm_rms_epsilon", {kInf, kNan, -1e-6, 0, 2}},
                {"llama.rope.freq_base", {kInf, kNan, 1, 0, -10000, 1e31}},
                {"llama.rope.scaling.factor", {kInf, kNan, 0, -1}},
                {"llama.rope.scale_linear", {kInf, kNan, 0}},
                {"llama.rope.scaling.attn_factor", {kInf, kNan, 0, -1}},
                {"llama.rope.scaling.yarn_beta_fast", {kInf, kNan, 0}},
                {"llama.rope.scaling.yarn_beta_slow", {kInf, kNan, 0}},
                {"llama.rope.scaling.yarn_ext_factor", {kInf, kNan, -1}}};
  ASSERT_EQ(error_of(keys_of(tiny_spec("llama"))), "");
  for (const auto& [key, values] : kCases) {
    for (const double value : values) {
      GgufWriter keys = keys_of(tiny_spec("llama"));
      keys.set_string("llama.rope.scaling.type", "yarn");
      keys.set_f64(key, value);
      EXPECT_NE(error_of(keys).find(fmt::format("key '{}'", key)), std::string::npos)
          << value << ": " << error_of(keys);
    }
  }
  for (const char* key : {"llama.rope.scaling.original_context_length", "llama.context_length",
                          "llama.attention.head_count_kv", "llama.attention.key_length",
                          "llama.rope.dimension_count"}) {
    for (const uint64_t value : {uint64_t{0}, uint64_t{1} << 40}) {
      GgufWriter keys = keys_of(tiny_spec("llama"));
      keys.set_u64(key, value);
      EXPECT_NE(error_of(keys).find(fmt::format("key '{}'", key)), std::string::npos)
          << value << ": " << error_of(keys);
    }
  }
}

}  // namespace
}  // namespace longhaul
