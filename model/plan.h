// What an architecture says once, at load: the layers of a model, what each is made of, what it
// keeps of a sequence. Code that computes follows the plan and does not know which model it runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "io/gguf.h"
#include "model/rope.h"
#include "state/sequence_state.h"

namespace longhaul {

// Paged keys and values of n_layers layers, which selectors choose from where `window` is 0.
struct PagedSlot {
  size_t n_layers = 0;
  size_t n_kv_heads = 0;
  size_t key_dim = 0;
  size_t value_dim = 0;
  size_t window = 0;  // tokens that a query sees, itself included; 0: all
};

// A state of fixed size.
struct RecurrentSlot {
  size_t n_layers = 0;
  size_t n_floats = 0;  // of one layer
};

using SlotSpec = std::variant<PagedSlot, RecurrentSlot>;

enum class QkNorm : uint8_t {
  kNone,
  kHead,  // RMSNorm of every head of q and k before RoPE, one weight for all heads
  kAll,   // RMSNorm of q and of k as wholes
};

// Differential attention: heads 2i and 2i + 1 are a pair, and what it gives is the first head's
// output less lambda times the second's.
enum class HeadPairs : uint8_t {
  kNone,
  // Differential Transformer (arXiv 2410.05258): a key is two parts side by side, each rotated as a
  // head; the first head of a pair asks for the first part, the second for the second. Lambda is a
  // number of the layer, and the difference is normalised.
  kTwoParts,
  // Its second version: the heads of a pair share their keys; lambda is sigmoid(x Wlambda), one for
  // each row and pair.
  kSameKeys,
};

struct AttentionSpec {
  size_t n_heads = 0;
  size_t n_kv_heads = 0;
  size_t key_dim = 0;              // of a head of q and k
  size_t value_dim = 0;            // of a head of v
  float scale = 1.0F;              // of q k^T
  size_t window = 0;               // tokens that a query sees, itself included; 0: all
  size_t window_step = 0;          // the window begins with a block of so many; 0: it slides
  std::optional<size_t> rope = 0;  // which of the plan's; none: nothing is rotated
  // xPos (LeX, arXiv 2212.10554): pair j of a score shrinks by zeta_j^(distance / xpos_base),
  // zeta_j = (2 j + 0.4 key_dim) / (1.4 key_dim); 0: it does not.
  float xpos_base = 0;
  QkNorm qk_norm = QkNorm::kNone;
  bool bias = false;  // q, k and v have biases
  bool out_bias = false;
  // The file has q, k and v as one matrix, of q and k the even heads before the odd ones.
  bool is_fused = false;
  bool kv_norm = false;  // k and v are of RMSNorm(x) with a weight of their own, not of the layer's
  HeadPairs pairs = HeadPairs::kNone;
  float lambda = 0;  // kTwoParts
  // Lambda is what four vectors make of it, more than `lambda` at its start, and the sub-norm's
  // weight counts 1 - `lambda` of what the file says (arXiv 2410.05258, equation 2).
  bool learns_lambda = false;
  SlotLayer kv = {};    // where its keys and values are; layers may share them
  bool writes = true;   // false: reads the keys and values that an earlier layer wrote
  bool chooses = true;  // false: a sparse step reads the blocks that the layer that chose last did

  size_t n_group() const { return n_heads / n_kv_heads; }  // query heads per KV head
  size_t q_dim() const { return n_heads * key_dim; }
  size_t k_dim() const { return n_kv_heads * key_dim; }
  size_t v_dim() const { return n_kv_heads * value_dim; }
  size_t out_dim() const { return n_heads * value_dim; }
  // Dimensions that RoPE and QK-norm work on at a time.
  size_t part_dim() const { return pairs == HeadPairs::kTwoParts ? key_dim / 2 : key_dim; }
  // Of what is projected to q, and of what the output matrix reads.
  size_t q_proj_dim() const { return n_heads * part_dim(); }
  size_t joined_dim() const { return pairs == HeadPairs::kNone ? out_dim() : out_dim() / 2; }
};

// Gated multi-scale retention (RetNet, arXiv 2307.08621): for each head S = decay S + k^T v and
// o = q S, then silu(x Wg) * RMSNorm(o), the norm without a weight and over a head alone.
struct RetentionSpec {
  size_t n_heads = 0;
  size_t key_dim = 0;              // of a head of q and k
  size_t value_dim = 0;            // of a head of v
  float scale = 1.0F;              // of k
  std::optional<size_t> rope = 0;  // which of the plan's
  std::vector<float> decays = {};  // [n_heads]; empty: each token's own
  // Those: sigmoid(x Wdecay)^(1 / temperature), one for each head (YOCO, arXiv 2405.05254).
  float temperature = 16.0F;
  SlotLayer state = {};

  bool is_gated() const { return decays.empty(); }
  size_t k_dim() const { return n_heads * key_dim; }
  size_t v_dim() const { return n_heads * value_dim; }
};

// Mamba (arXiv 2312.00752): a short convolution of each channel, then a scan of states that fade as
// each token says (kernels/scan.h), gated.
struct MambaSpec {
  size_t d_inner = 0;  // channels
  size_t d_state = 0;  // numbers of each channel's state
  size_t d_conv = 0;   // tokens that the convolution sees, with the newest one
  size_t dt_rank = 0;
  bool gives_memory = false;  // what the scan gives is what memory units read of the token
  SlotLayer state = {};

  size_t n_floats() const { return d_inner * (d_state + d_conv - 1); }  // kept of a sequence
};

// d_inner is a multiple of it.
inline constexpr size_t kMambaStep = 64;

// Gated memory unit (SambaY, arXiv 2507.06607): (silu(x Win) * memory of the token) Wout.
struct MemorySpec {
  size_t d_inner = 0;
};

using MixerSpec = std::variant<AttentionSpec, RetentionSpec, MambaSpec, MemorySpec>;

enum class Activation : uint8_t { kSilu, kGelu };  // kGelu: the tanh form

// (activation(x Wgate) * x Wup) Wdown
struct GatedSpec {
  Activation activation = Activation::kSilu;
  size_t d_ff = 0;
  bool is_fused = false;  // the file has gate and up as one matrix
};

// The n_active experts that the router's softmax gives most to, each weighted by its share.
struct ExpertsSpec {
  GatedSpec each;
  size_t n_experts = 0;
  size_t n_active = 0;
  bool normalises = false;  // the shares of the chosen add up to 1
};

using FfnSpec = std::variant<GatedSpec, ExpertsSpec>;

// The rows of a pass that a layer works on. A layer that writes a state reads all rows for that,
// whatever it says.
enum class RowSet : uint8_t {
  kAll,
  kWithLogits,  // those whose logits are wanted, from this layer on
};

// x += [norm] mixer(norm(x)), then x += [norm] ffn(norm(x))
struct LayerSpec {
  MixerSpec mixer;
  FfnSpec ffn;
  bool post_norms = false;  // RMSNorm of what mixer and feed-forward add
  RowSet rows = RowSet::kAll;
};

struct ModelPlan {
  std::string architecture;
  std::string name;
  size_t d_model = 0;
  size_t vocab_size = 0;
  size_t context_length = 0;  // tokens, as trained
  float norm_eps = 1e-5F;
  bool has_layer_norms = false;  // LayerNorm with a bias, instead of RMSNorm
  float embedding_scale = 1.0F;  // multiplies the embeddings
  std::vector<RopeConfig> ropes;
  std::vector<SlotSpec> slots;  // those without a window first
  std::vector<LayerSpec> layers;
};

class KeyReader;

// One architecture: the folder model/<name>/.
struct Architecture {
  std::string_view name;  // general.architecture
  // Reads the keys of a file and says what the model is made of; `architecture`, `name`,
  // `vocab_size`, `slots` and the slots of layers that write are filled in afterwards.
  Result<ModelPlan> (*plan)(KeyReader& keys);
};

// The architecture of that name, or nullptr. The registry is made by CMake from the add_arch()
// lines.
const Architecture* find_architecture(std::string_view name);
std::span<const Architecture* const> all_architectures();

// What a user changes of a model.
struct PlanOptions {
  // Attention to all tokens becomes blockwise: a token sees its own block of half the trained
  // length and the one before, so that no distance is longer than those trained.
  bool block_causal = false;
};

// The plan of a file of any supported architecture, checked: counts that divide each other, sizes
// the kernels can run, no key that nobody read. Errors name the file and the key, what was expected
// and what was found.
Result<ModelPlan> read_plan(const GgufFile& file, const PlanOptions& options = {});

// The layer that stands for those whose blocks selectors choose: the first attention without a
// window, or else the first attention; null where there is none.
const AttentionSpec* main_attention(const ModelPlan& plan);
// Whether a step that reads chosen blocks leaves what a dense one would: no layer that writes a
// state reads what a layer that is selected from has added.
bool sparse_steps_are_clean(const ModelPlan& plan);
// Numbers that memory units read of each row; 0: there are none.
size_t memory_width(const ModelPlan& plan);
// The feed-forward width of the layer of main_attention(); of experts, that of all a token passes through.
size_t main_d_ff(const ModelPlan& plan);

}  // namespace longhaul
