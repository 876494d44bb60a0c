// The public face of the engine: load a model, open sessions, generate. Nothing here ends the
// process or prints.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "longhaul/calibration.h"
#include "longhaul/device.h"
#include "longhaul/grammar.h"
#include "longhaul/options.h"
#include "longhaul/profile.h"
#include "longhaul/result.h"
#include "longhaul/token.h"

namespace longhaul {

struct EngineOptions {
  std::string model_path;
  std::string
      shape;  // instead of a path: random weights of a known model's shape, to measure speed
  std::string shape_type = "Q8_0";  // of the matrices of a shape, by its name in a GGUF file
  std::string device = "cpu";       // that computes: "cpu", or "cuda" where it was built in
  size_t n_threads = 0;             // 0: as many as the machine has cores
  size_t ctx_size = 0;  // tokens a session can hold; 0: the length the model was trained for
  KvType k_type = KvType::kF16;
  KvType v_type = KvType::kF16;
  size_t block_size = 0;  // tokens per selection block: a power of two from 4 to 256; 0: that of
                          // the gates, or 16 without
  // Blockwise causal attention (LeX, arXiv 2212.10554) beyond the trained length: a token sees its
  // own block of half that length and the one before.
  bool block_causal = false;
  std::string gates_path;  // gates for the selector `gate`, a file beside the model; empty: none
  // Selectors, beside the default one and `gate`, whose data the cache keeps per block: requests
  // may name no others of those that keep some.
  std::vector<std::string> selectors = {};
  bool random_gates = false;   // with a shape: random gates, to measure their speed
  size_t prefill_chunk = 512;  // rows of a pass; changes nothing but --rectify wide, adaptive
  size_t max_sessions = 1;     // the cache has room for this many sessions of ctx_size tokens
  std::string chat_template_path = {};  // a Jinja file instead of the model's template; empty: none
};

struct ModelInfo {
  std::string name;
  std::string architecture;
  size_t n_layers = 0, n_heads = 0, n_kv_heads = 0, head_dim = 0, d_model = 0, d_ff = 0,
         vocab_size = 0;
  size_t window = 0;            // tokens that a layer with a sliding window sees; 0: no such layer
  size_t n_window_layers = 0;   // of n_layers
  size_t n_experts = 0;         // of a layer with experts; 0: none
  size_t n_active_experts = 0;  // that a token passes through
  size_t context_length = 0;    // tokens, as trained
  size_t n_parameters = 0;
  size_t weight_bytes = 0;
  size_t packed_bytes = 0;  // of the matrices that every token reads
  std::string weight_type;  // of most of the bytes: "Q8_0"
  std::string rope;         // the effective set-up, in words
  std::string gates;        // the same; empty without gates
  size_t gate_dim = 0;      // dimensions of a gate key; 0 without
};

enum class FinishReason : uint8_t { kStop, kLength, kCancelled };

struct Timings {
  double wait_s = 0;  // before the cache had room
  double prefill_s = 0;
  double decode_s = 0;
  size_t decoded_tokens = 0;  // tokens whose time is in decode_s
  double decode_tokens_per_s() const {
    return decode_s > 0 ? static_cast<double>(decoded_tokens) / decode_s : 0;
  }
};

// What a token of a mode is predicted to cost.
struct ModeCost {
  AttentionMode mode = AttentionMode::kDense;
  double ms_per_token = 0;
  size_t every = 0;  // resa: the period; exact: the longest draft
};

// What `auto` rests on at its last report.
struct AutoChoice {
  std::array<ModeCost, 4> costs{};  // dense, sparse, resa, exact
  double acceptance = 0;            // share of drafts accepted, recent ones above all
  size_t crossover = 0;             // length from which it leaves dense; 0: never
};

// What the attention really did; counts are blocks summed over layers and KV heads.
struct AttentionStats {
  AttentionMode mode = AttentionMode::kDense;  // what ran; with `auto`, the last choice
  size_t dense_steps = 0;                      // one-token steps over all blocks
  size_t sparse_steps = 0;                     // one-token steps over selected blocks
  size_t blocks_read = 0;                      // by one-token steps
  size_t blocks_total = 0;                     // that dense steps would have read
  size_t rectifications = 0;  // dense passes over decoded tokens (resa), or verifications (exact)
  size_t rectified_blocks_read = 0;   // resa: by its rectifications
  size_t rectified_blocks_total = 0;  // that dense rectifications would have read
  size_t drafted = 0;                 // exact: tokens drafted, by sparse steps or by copying
  size_t accepted = 0;                // exact: drafts the dense pass agreed with
  size_t copied = 0;                  // of `drafted`: copied from the text's own past
  size_t copied_accepted = 0;         // of `accepted`
  std::string reason;                 // `auto`: why this mode
  AutoChoice auto_choice;             // `auto`: in numbers
};

// What the step before a token attended to.
struct Attended {
  size_t n_tokens = 0;     // of the text so far
  bool is_sparse = false;  // false: to everything
  // As blocks: how many layers and KV heads read each of them, all of them the newest one. Empty
  // where everything was read, and on devices other than the processor.
  std::span<const uint32_t> block_counts;
  size_t n_rectifications = 0;  // so far
  size_t n_rectified = 0;       // tokens from the start that need none
};

struct GenerateRequest {
  std::vector<int32_t> prompt;  // appended to what the session holds; at least one token unless the
                                // session has a next one
  size_t max_tokens = 256;
  SamplingOptions sampling;
  AttentionOptions attention;
  // The answer is a text of this language, or the beginning of one where max_tokens or a stop text
  // cut it off; nothing: any text. Tokens that end the text are drawn where it may end alone. Every
  // call of generate() begins a new answer. Not with ignore_eos.
  std::shared_ptr<const Grammar> grammar = nullptr;
  std::vector<std::string>
      stop;  // texts that end the answer; may span tokens; not part of the answer
  bool ignore_eos = false;
  // Control tokens whose names are part of the text, such as the marks around a call; those the
  // vocabulary does not have count for nothing. Of all others the text says nothing.
  std::vector<std::string> shown_tokens = {};
  bool profile = false;  // fill GenerateResult::profile, which costs some readings of the clock
  // A text begins once the cache has room for the prompt and max_tokens beside what is promised to
  // texts that run. It waits for those; where none runs it is refused, unless it is to wait until
  // another session gives room back, however long.
  bool wait_for_room = false;
  // Stops it from any thread, also while it waits: kCancelled, with what is final by then.
  std::stop_token cancel;
  // Text that is final (in `exact`: verified), whole UTF-8 characters only. Return false to stop.
  std::function<bool(std::string_view text)> on_text;
  // Called for each final token, before on_text is given what it completes. Return false to stop.
  std::function<bool(const GeneratedToken& token)> on_token;
  size_t n_top_logprobs = 0;  // of GeneratedToken::top; at most the vocabulary
  // Called after on_token and on_text, with what the newest step attended to.
  std::function<void(const Attended& attended)> on_attended = nullptr;
  // To go on with an answer that was broken off, also by the end of the process. on_mark is called
  // after on_text with the tokens generated so far: the same request whose prompt goes on with the
  // first n_resumable of them, and whose n_resumed says so, ends with the same tokens and text, from
  // the start on; on_token is not called for those it was given. (`auto` decides by what steps cost
  // and may decide otherwise the second time: the same tokens only where it may choose no mode
  // looser than `exact`.)
  size_t n_resumed = 0;
  std::function<void(std::span<const int32_t> tokens, size_t n_resumable)> on_mark;
  // Called after each chunk of the prompt and after each decoded token. Return false to stop.
  // Texts that run beside this one wait for both, though not longer than a few milliseconds.
  std::function<bool(size_t prompt_done, size_t prompt_total, size_t generated)> on_progress;
};

struct GenerateResult {
  std::string text;
  std::vector<int32_t> tokens;  // generated, the end-of-generation token included if there was one
  size_t prompt_tokens = 0;
  FinishReason finish_reason = FinishReason::kLength;
  Timings timings;
  AttentionStats attention;
  Profile profile;  // if the request asked for it
};

// One token of a fixed text and what the model would have said in its place.
struct ScoredToken {
  size_t index = 0;               // in ScoreRequest::tokens
  std::span<const float> logits;  // [vocab_size] that the token would have been drawn from
  size_t n_stale =
      0;  // tokens before it whose K and V sparse steps left: since the last dense pass
  std::span<const float> recall;  // one per ScoreRequest::recall_of
};

// A text to be run through an attention mode as it stands, one token after the other (teacher
// forcing).
struct ScoreRequest {
  std::vector<int32_t> tokens;  // appended to what the session holds, which is not empty
  // dense, sparse or resa: `exact` and `auto` say what dense says. Dense runs in chunks.
  AttentionOptions attention;
  // Selectors to measure: the share of the true attention mass in the blocks each would choose with
  // the budget of `attention`, mean over layers and KV heads. The mass of a block is the maximum
  // over the group's heads, as the oracle ranks them. Makes dense run token by token.
  std::vector<std::string> recall_of;
  std::function<bool(const ScoredToken&)> on_token;  // return false to stop: kCancelled
};

struct ScoreResult {
  Timings timings;
  AttentionStats attention;
};

// What stands for a text among the states of its tokens.
enum class Pooling : uint8_t { kMean, kLast };

// Root of the sum of squared differences over that of the reference's squares, over all layers and
// KV heads: 0 where both are the same.
struct CacheError {
  double keys = 0;
  double values = 0;
};

// What clean tokens are as bytes, for who keeps stretches of texts elsewhere.
struct CleanFormat {
  // Names all that the bytes of a token depend on beside the tokens up to it, but for the program
  // and the processor: the model's file, bit for bit, and how keys and values are stored.
  std::string id;
  size_t token_bytes = 0;  // of one token
};
// Stretches begin and end at multiples of it.
inline constexpr size_t kCleanTokens = 16;

struct ChatTurn {
  std::string role;  // "system", "user" or "assistant"
  std::string content;
};

// A conversation with all that a chat template may be given, as JSON in the shape of the OpenAI API.
// Empty texts stand for what is not there.
struct ChatPrompt {
  std::string messages;   // a list of objects with `role`, `content`, `tool_calls` and so on
  std::string tools;      // a list
  std::string documents;  // a list
  std::string variables;  // an object: {"enable_thinking": false}
  bool add_generation_prompt = true;  // end where the assistant begins to speak
};

class Engine;

// One growing text and its cache. Move-only; must not outlive its engine.
//
// Threads: different sessions may be used by different threads at the same time, one session by one
// thread at a time. Texts that generate() and score() run together share their passes, and each is,
// bit for bit, what it is alone. The other calls wait for the pass that runs. Callbacks are called
// by the thread that called; they may use other sessions, not the one that calls them.
//
// After an error of generate() a session holds what it held, the prompt (but where a request was
// refused before any work), and the tokens that were final by then; it can go on from there.
class Session {
 public:
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  // Every token of the text so far, the last one perhaps not yet in the cache.
  std::span<const int32_t> tokens() const;
  // The first n_clean() tokens are cached as a dense prefill would have left them, bit for bit: what
  // a text of any mode may begin with. Behind them stands what sparse steps left, or is not cached.
  size_t n_clean() const;
  // Extends the text. A prompt that does not fit is refused with both counts, before any work.
  Result<GenerateResult> generate(const GenerateRequest& request);
  // Extends the text by given tokens and shows the logits before each. What it attends to is what
  // `generate` in that mode would have attended to.
  Result<ScoreResult> score(const ScoreRequest& request);
  // Reads these tokens into an empty session and says what the model makes of them: the states behind
  // its last layer and norm, pooled, [d_model]. Each state costs what its logits cost.
  Result<std::vector<float>> embed(std::span<const int32_t> tokens, Pooling pooling,
                                   std::stop_token cancel = {});
  // How far the cached keys and values of tokens [first, end) are from those of `reference`, a
  // session of this or another engine for a model of the same shape. Error: tokens that one of the
  // two does not hold. Slow: reads every number, on one thread.
  Result<CacheError> cache_error(const Session& reference, size_t first, size_t end) const;
  // Forgets everything after the first n_tokens tokens.
  void truncate(size_t n_tokens);
  // A second session with the same text; the cache is shared until one of them writes.
  Result<Session> fork() const;
  // Writes the state to a checksummed file: the tokens and their dense cache (what sparse steps
  // left is computed first). Error: some of it is random (fill_random).
  Status save(const std::string& path);
  // Keys and values of clean tokens [first, first + count) as bytes; both are multiples of
  // kCleanTokens. Does not wait for the pass that runs. Error: they are not clean, or random; a
  // model or a device of which clean_format() is an Error.
  Result<std::vector<std::byte>> export_clean(size_t first, size_t count) const;
  // Appends tokens with such bytes, in as many stretches of one length as there are pieces, of a
  // session whose text is the same up to their end, in an engine of the same clean_format(), on the
  // same processor by the same program: they are clean here, too. The session holds a multiple of
  // kCleanTokens tokens, all of them clean. After an Error (the cache is full) it is as before.
  Status import_clean(std::span<const int32_t> tokens,
                      std::span<const std::vector<std::byte>> pieces);
  // Extends the text to n_tokens with random tokens and random keys and values, without computing:
  // a depth to measure speed at. What is generated after it means nothing.
  Status fill_random(size_t n_tokens, uint64_t seed);
  // Replaces what the session holds; returns how many tokens came back. After an error the session
  // is as before.
  Result<size_t> restore(const std::string& path);

 private:
  friend class Engine;
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Its functions may be called by several threads at once.
class Engine {
 public:
  static Result<std::unique_ptr<Engine>> load(const EngineOptions& options);
  ~Engine();

  const ModelInfo& model_info() const;
  const EngineOptions& options() const;  // with the zeros filled in
  // Things a user should know: a context beyond the trained one, a missing pre-tokenizer.
  std::span<const std::string> warnings() const;

  Result<Session> new_session();

  // Reads the whole model file. Error: the model has windows or recurrent layers, whose past cannot
  // be put together from stretches; or keys and values lie on a device.
  Result<CleanFormat> clean_format() const;

  // The device that computes, measured anew; nothing where it is the host's processor.
  std::optional<DeviceInfo> measure_device() const;

  // What `auto` and `exact` decide from. Measured when first needed (a second or less for small models),
  // unless it was set: a stored one makes decisions repeat. The key names model, storage types,
  // block size and threads: a calibration serves where it was measured under the same key, on the
  // same machine by the same program.
  Result<Calibration> calibration();
  void set_calibration(const Calibration& calibration);
  std::string calibration_key() const;

  // add_bos follows the model's metadata; special tokens in the text are parsed only on request.
  // Error: a byte the vocabulary has no token for.
  Result<std::vector<int32_t>> tokenize(std::string_view text, bool add_bos,
                                        bool parse_special) const;
  std::string detokenize(std::span<const int32_t> tokens) const;
  // The bytes of one token as they stand inside a text, of a control token its name; empty for an
  // id that is not in the vocabulary.
  std::string token_text(int32_t token) const;
  // The source of the chat template; empty: there is none.
  const std::string& chat_template() const;
  // The tokens of a conversation as the model's chat template writes it, ready for the answer. What
  // the conversation says is never read as a control token. Error: no template, what the template
  // refuses (with line and column), what is no JSON.
  Result<std::vector<int32_t>> tokenize_chat(std::span<const ChatTurn> turns) const;
  Result<std::vector<int32_t>> tokenize_chat(const ChatPrompt& prompt) const;
  // The same as text, to look at: it does not tell what is data.
  Result<std::string> render_chat(const ChatPrompt& prompt) const;

 private:
  friend class Session;
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Fills in a block size of 0: that of the gates, or 16 without. Error: the gate file cannot be
// read, or its gates were trained for blocks of another size; both are named.
Status settle_block_size(EngineOptions& options);

// Refuses impossible options (ratio 0, a budget below one block) with the field, what is allowed,
// and what was found.
Status validate(const AttentionOptions& options, size_t block_size);

// True if a request with these options asks Engine::calibration().
bool needs_calibration(const AttentionOptions& options);

// The model shapes EngineOptions::shape knows.
std::vector<std::string_view> shape_names();
// Writes a GGUF file of random weights, the one `shape` and `shape_type` stand for.
Status write_shape(std::string_view shape, std::string_view shape_type, const std::string& path);

// The selectors this build has, for messages and help: "gate", "minmax", "oracle", "window".
std::vector<std::string_view> selector_names();

// "dense", "q8_0", "stop": the names of the command line, both ways.
std::string_view to_string(AttentionMode mode);
std::string_view to_string(KvType type);
std::string_view to_string(FinishReason reason);
std::string_view to_string(RectifyKind kind);
std::string_view to_string(Pooling pooling);
Result<AttentionMode> parse_attention_mode(std::string_view name);
Result<RectifyKind> parse_rectify_kind(std::string_view name);
Result<Pooling> parse_pooling(std::string_view name);
Result<KvType> parse_kv_type(std::string_view name);

}  // namespace longhaul
