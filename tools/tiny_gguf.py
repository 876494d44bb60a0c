"""Tiny GGUF models with random weights, one per architecture, weight type and RoPE scaling, for the golden tests."""

from dataclasses import dataclass

import gguf
import numpy as np

Q = gguf.GGMLQuantizationType


@dataclass
class Spec:
    """One model. Weight types other than `type` appear where a row is no multiple of its block (as in real files)."""

    name: str
    arch: str
    type: str
    seed: int
    d_model: int = 64
    n_layers: int = 2
    n_heads: int = 4
    n_kv_heads: int = 2
    head_dim: int = 32
    d_ff: int = 96
    tied: bool = True
    rope: str = "plain"  # plain, linear, yarn, llama3
    rope_base: float = 10000.0
    key_length: bool = True  # whether the file says the head size or leaves it to d_model / n_heads
    window: int = 0  # gemma3
    rope_base_windowed: float = 0.0  # 0: the file does not say it
    n_experts: int = 0
    n_experts_used: int = 0
    value_dim: int = 0  # of a head; 0: head_dim, of diff twice that
    n_shared: int = 0  # yoco: upper layers that read one pair of keys and values

    @property
    def qk_norm(self):
        return self.arch in ("qwen3", "gemma3", "qwen3moe", "olmoe")


def byte_level_vocabulary():
    """A valid byte-level BPE vocabulary: 256 bytes, 31 merges, one end-of-text token."""
    visible = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [b for b in range(256) if b not in visible]
    letters = {**{b: chr(b) for b in visible}, **{b: chr(256 + i) for i, b in enumerate(hidden)}}
    tokens = [letters[b] for b in range(256)]
    space = letters[32]
    merges = [f"{space} t", "h e", "i n", "r e", "o n", f"{space}t he", "e r", f"{space} a", "a t", "e n", f"{space} o",
              f"{space} s", "e s", "o r", "i s", f"{space} w", "n d", "i t", f"{space} c", "a n", f"{space}a nd", "o u",
              "in g", f"{space}o f", f"{space} b", f"{space} p", "e d", f"{space} in", "a l", "a r", "l e"]
    tokens += [m.replace(" ", "") for m in merges]
    tokens.append("<|endoftext|>")
    types = [gguf.TokenType.NORMAL] * (len(tokens) - 1) + [gguf.TokenType.CONTROL]
    assert len(set(tokens)) == len(tokens) == 288
    return tokens, types, merges


def random_blocks(rng, kind, n_rows, n_cols, std):
    """Random valid blocks of a type that has no encoder in the gguf package: every bit but the scales is random."""
    block_len, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (n_rows * n_cols // block_len, block_bytes), dtype=np.uint8)

    def set_scales(unit):
        scale = unit * rng.uniform(0.7, 1.3, len(blocks))
        as_bytes = lambda x: x.astype("<f2").view(np.uint8).reshape(-1, 2)
        if kind == Q.Q6_K:
            blocks[:, 208:210] = as_bytes(scale)
            return
        blocks[:, 0:2] = as_bytes(scale)
        if kind in (Q.Q4_K, Q.Q5_K):  # the minimum is subtracted: make it the middle of the range
            blocks[:, 2:4] = as_bytes(scale * (7.5 if kind == Q.Q4_K else 15.5))

    set_scales(2.0 ** -6)
    unit = 2.0 ** -6 * std / gguf.dequantize(blocks, kind).std()
    set_scales(unit)
    return blocks.reshape(n_rows, -1)


def encode(rng, kind, n_rows, n_cols, std):
    """A random matrix of standard deviation `std` as (bytes or floats, type)."""
    block_len, _ = gguf.GGML_QUANT_SIZES[kind]
    if n_cols % block_len != 0:  # what llama.cpp's quantiser falls back to
        kind = {Q.Q4_K: Q.Q5_0, Q.Q5_K: Q.Q5_1, Q.Q6_K: Q.Q8_0}[kind]
    if kind in (Q.Q4_K, Q.Q5_K, Q.Q6_K, Q.IQ4_NL):
        return random_blocks(rng, kind, n_rows, n_cols, std), kind
    weights = (rng.standard_normal((n_rows, n_cols)) * std).astype(np.float32)
    return gguf.quantize(weights, kind), kind


def llama3_factors(n_rot, base, original, scale=8.0, low=1.0, high=4.0):
    """The factors a converter writes to rope_freqs.weight (docs/rope.md)."""
    wavelength = 2 * np.pi * base ** (2.0 * np.arange(n_rot // 2) / n_rot)
    smooth = (original / wavelength - low) / (high - low)
    factors = np.where(wavelength > original / low, scale, 1.0 / ((1.0 - smooth) / scale + smooth))
    return np.where(wavelength < original / high, 1.0, factors).astype(np.float32)


def write_sambay_metadata(writer, spec):
    """Keys as the community's files have them."""
    half = spec.n_layers // 2
    kinds = [(0 if i <= half else 3) if i % 2 == 0 else (1 if i < half else 2 if i == half + 1 else 4)
             for i in range(spec.n_layers)]
    writer.add_array("phi4flash.layer_types", kinds)
    for key, value in (("mb_per_layer", 2), ("sliding_window", spec.window), ("pivot_layer", half + 1), ("ssm_cache_layer", half),
                       ("ssm_d_conv", 4), ("ssm_d_state", 16), ("ssm_d_inner", 2 * spec.d_model), ("ssm_dt_rank", 32),
                       ("ssm_expand", 2)):
        writer.add_uint32(f"phi4flash.{key}", value)
    writer.add_layer_norm_eps(1e-6)


def write_metadata(writer, spec):
    n_context = 48 if spec.arch == "lex" else 4096  # lex sees blocks of half of it
    writer.add_name(spec.name)
    writer.add_description("random weights for a test; see tests/golden/README.md")
    writer.add_context_length(n_context)
    writer.add_embedding_length(spec.d_model)
    writer.add_block_count(spec.n_layers)
    writer.add_feed_forward_length(3 * spec.d_ff if spec.arch == "qwen3moe" else spec.d_ff)
    writer.add_head_count(spec.n_heads)
    writer.add_head_count_kv(spec.n_kv_heads)
    writer.add_layer_norm_rms_eps(1e-5 if spec.arch in ("llama", "olmoe") else 1e-6)
    if spec.arch != "phi4flash":
        writer.add_rope_freq_base(spec.rope_base)
    if spec.arch == "phi4flash":
        write_sambay_metadata(writer, spec)
    elif spec.window:
        writer.add_sliding_window(spec.window)
    if spec.n_shared:
        writer.add_uint32("yoco.attention.shared_kv_layers", spec.n_shared)
    if spec.arch == "diff":
        writer.add_array("diff.attention.lambda", [0.8 - 0.6 * float(np.exp(-0.3 * i)) for i in range(spec.n_layers)])
    if spec.rope_base_windowed:
        writer.add_float32(f"{spec.arch}.rope.freq_base_swa", spec.rope_base_windowed)
    if spec.n_experts:
        writer.add_expert_count(spec.n_experts)
        writer.add_expert_used_count(spec.n_experts_used)
    if spec.arch == "qwen3moe":  # the other is the width of a dense layer, of which there is none
        writer.add_expert_feed_forward_length(spec.d_ff)
    if spec.arch == "llama":
        writer.add_rope_dimension_count(spec.head_dim)
        writer.add_vocab_size(288)
    if spec.key_length:
        writer.add_key_length(spec.head_dim)
        if spec.arch != "diff":
            writer.add_value_length(spec.value_dim or spec.head_dim)
    if spec.rope == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(4.0)
    if spec.rope == "yarn":  # 1024 puts the ramp on pairs 2 to 9 of 16
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(4.0)
        writer.add_rope_scaling_orig_ctx_len(n_context // 4)
    tokens, types, merges = byte_level_vocabulary()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_add_bos_token(False)


def write_model(path, spec):
    """Writes the file. Scales are chosen so that attention is sharp enough to show position errors, and so that
    layers outweigh the embedding (a tied head would otherwise repeat the last token)."""
    rng = np.random.default_rng(spec.seed)
    writer = gguf.GGUFWriter(path, spec.arch)
    write_metadata(writer, spec)
    kind = Q[spec.type]
    vocab = len(byte_level_vocabulary()[0])

    def matrix(name, n_rows, n_cols, std):
        data, stored = encode(rng, kind, n_rows, n_cols, std)
        writer.add_tensor(f"{name}.weight", data, raw_dtype=stored)

    def experts(name, n_rows, n_cols, std):
        data, stored = encode(rng, kind, spec.n_experts * n_rows, n_cols, std)
        writer.add_tensor(f"{name}.weight", data.reshape(spec.n_experts, n_rows, -1), raw_dtype=stored)

    def vector(name, n, mean, spread):
        writer.add_tensor(name, (mean + spread * rng.uniform(-1.0, 1.0, n)).astype(np.float32))

    def line_mixer(blk, layer):
        """The mixers of the line's architectures: retention, a shared cache, pairs of heads."""
        n, n_kv, d_head, d_value = spec.n_heads, spec.n_kv_heads, spec.head_dim, spec.value_dim or spec.head_dim
        shared = spec.arch == "yoco" and layer >= spec.n_layers - spec.n_shared
        first = layer == spec.n_layers - spec.n_shared
        retention = spec.arch == "retnet" or (spec.arch == "yoco" and not shared and not spec.window)
        if spec.arch == "yoco" and not shared:  # heads of their own: d_model / n_heads wide, as many keys as queries
            n_kv, d_head, d_value = n, d // n, d // n
        if retention:
            n_kv = n
        if spec.arch == "diff":
            n, n_kv, d_value = 2 * n, 2 * n_kv, d_head
        joined = n * d_value // (2 if spec.arch == "diff2" else 1)
        matrix(f"{blk}.attn_q", n * d_head, d, 1.3 / np.sqrt(d))
        if not shared or first:
            if shared:
                vector(f"{blk}.attn_kv_norm.weight", d, 1.0, 0.4)
            matrix(f"{blk}.attn_k", n_kv * d_head, d, 1.3 / np.sqrt(d))
            matrix(f"{blk}.attn_v", n_kv * d_value, d, 1.5 / np.sqrt(d))
        if retention:
            matrix(f"{blk}.attn_gate", n * d_value, d, 1.5 / np.sqrt(d))
            if spec.arch == "yoco":
                writer.add_tensor(f"{blk}.attn_decay.weight",
                                  (rng.standard_normal((n, d)) * 3.0 / np.sqrt(d)).astype(np.float32))
        matrix(f"{blk}.attn_output", d, joined, 1.5 / np.sqrt(joined))
        if spec.arch == "diff2":
            matrix(f"{blk}.attn_lambda", n // 2, d, 1.5 / np.sqrt(d))
        if spec.arch == "diff":
            vector(f"{blk}.attn_sub_norm.weight", 2 * d_head, 0.6, 0.2)

    def numbers(name, shape, mean, spread):
        writer.add_tensor(name, (mean + spread * rng.uniform(-1.0, 1.0, shape)).astype(np.float32))

    def sambay_mixer(blk, layer):
        """Mamba, differential attention (q and k with the even heads first) and gated memory units."""
        half, inner, width = spec.n_layers // 2, 2 * d, spec.head_dim
        if layer % 2 == 1:
            n_rows = (spec.n_heads + (2 * spec.n_kv_heads if layer <= half + 1 else 0)) * width
            matrix(f"{blk}.attn_qkv", n_rows, d, 1.5 / np.sqrt(d))
            vector(f"{blk}.attn_qkv.bias", n_rows, 0.0, 0.7)
            matrix(f"{blk}.attn_output", d, d_q, 1.5 / np.sqrt(d_q))
            vector(f"{blk}.attn_output.bias", d, 0.0, 0.5)
            for part in ("q1", "k1", "q2", "k2"):
                vector(f"{blk}.attn_lambda_{part}.weight", width, 0.0, 0.3)
            vector(f"{blk}.attn_subln.weight", 2 * width, 1.0, 0.3)
        elif layer <= half:
            matrix(f"{blk}.ssm_in", 2 * inner, d, 1.5 / np.sqrt(d))
            numbers(f"{blk}.ssm_conv1d.weight", (inner, 4), 0.1, 0.6)
            vector(f"{blk}.ssm_conv1d.bias", inner, 0.0, 0.3)
            matrix(f"{blk}.ssm_x", 32 + 2 * 16, inner, 2.0 / np.sqrt(inner))
            numbers(f"{blk}.ssm_dt.weight", (inner, 32), 0.0, 0.3)
            vector(f"{blk}.ssm_dt.bias", inner, -2.5, 2.0)
            writer.add_tensor(f"{blk}.ssm_a", np.tile(-np.arange(1, 17, dtype=np.float32), (inner, 1)))
            vector(f"{blk}.ssm_d", inner, 1.1, 0.2)
            matrix(f"{blk}.ssm_out", d, inner, 1.5 / np.sqrt(inner))
        else:
            matrix(f"{blk}.gmu_in", inner, d, 1.5 / np.sqrt(d))
            matrix(f"{blk}.gmu_out", d, inner, 1.5 / np.sqrt(inner))

    d, d_q, d_kv = spec.d_model, spec.n_heads * spec.head_dim, spec.n_kv_heads * spec.head_dim
    # gemma3 and yoco multiply their embeddings by sqrt(d).
    matrix("token_embd", vocab, d, 0.04 if spec.arch in ("gemma3", "yoco") else 0.25)
    if spec.rope == "llama3":
        factors = llama3_factors(spec.head_dim, spec.rope_base, original=128)
        writer.add_tensor("rope_freqs.weight", factors)
    for i in range(spec.n_layers):
        blk = f"blk.{i}"
        is_sambay = spec.arch == "phi4flash"
        vector(f"{blk}.attn_norm.weight", d, 1.0, 0.4)
        if is_sambay:
            vector(f"{blk}.attn_norm.bias", d, 0.0, 0.2)
            sambay_mixer(blk, i)
            vector(f"{blk}.ffn_norm.weight", d, 1.0, 0.4)
            vector(f"{blk}.ffn_norm.bias", d, 0.0, 0.2)
            matrix(f"{blk}.ffn_up", 2 * spec.d_ff, d, 1.2 / np.sqrt(d))
            matrix(f"{blk}.ffn_down", d, spec.d_ff, 1.0 / np.sqrt(spec.d_ff))
            continue
        is_line = spec.arch in ("retnet", "yoco", "diff", "diff2", "lex")
        if is_line:
            line_mixer(blk, i)
        for part, n_out, gain in () if is_line else (("q", d_q, 1.3), ("k", d_kv, 1.3), ("v", d_kv, 1.5)):
            matrix(f"{blk}.attn_{part}", n_out, d, gain / np.sqrt(d))
            if spec.arch == "qwen2":
                vector(f"{blk}.attn_{part}.bias", n_out, 0.0, 1.0)
        if spec.qk_norm:  # olmoe: over all heads at once
            mean = 1.3 if spec.arch == "qwen3" else 0.8
            vector(f"{blk}.attn_q_norm.weight", d_q if spec.arch == "olmoe" else spec.head_dim, mean, 0.4)
            vector(f"{blk}.attn_k_norm.weight", d_kv if spec.arch == "olmoe" else spec.head_dim, mean, 0.4)
        if not is_line:
            matrix(f"{blk}.attn_output", d, d_q, 1.5 / np.sqrt(d_q))
        if spec.arch == "gemma3":
            vector(f"{blk}.post_attention_norm.weight", d, 1.0, 0.4)
            vector(f"{blk}.post_ffw_norm.weight", d, 1.0, 0.4)
        vector(f"{blk}.ffn_norm.weight", d, 1.0, 0.4)
        if spec.n_experts:  # the router is f32, as in published files
            router = rng.standard_normal((spec.n_experts, d)) * 0.8 / np.sqrt(d)
            writer.add_tensor(f"{blk}.ffn_gate_inp.weight", router.astype(np.float32))
            experts(f"{blk}.ffn_gate_exps", spec.d_ff, d, 1.5 / np.sqrt(d))
            experts(f"{blk}.ffn_up_exps", spec.d_ff, d, 1.5 / np.sqrt(d))
            experts(f"{blk}.ffn_down_exps", d, spec.d_ff, 2.0 / np.sqrt(spec.d_ff))
            continue
        matrix(f"{blk}.ffn_gate", spec.d_ff, d, 1.5 / np.sqrt(d))
        matrix(f"{blk}.ffn_up", spec.d_ff, d, 1.0 / np.sqrt(d))
        matrix(f"{blk}.ffn_down", d, spec.d_ff, 1.0 / np.sqrt(spec.d_ff))
    vector("output_norm.weight", d, 1.0, 0.4)
    if spec.arch == "phi4flash":
        vector("output_norm.bias", d, 0.0, 0.2)
    if not spec.tied:
        matrix("output", vocab, d, 0.25)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
