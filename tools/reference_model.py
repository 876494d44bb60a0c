"""An independent forward pass for GGUF models: float64, plain dense attention, no cache, nothing shared with the engine.

Reads `llama`, `qwen2`, `qwen3`, `gemma3`, `qwen3moe` and `olmoe` files (and, for reference_line.py, those of the line) through PyPI's `gguf` package, which also decodes
the weight types. Slow and obvious on purpose; docs/rope.md has the position equations. Needs numpy and gguf (`pip install
numpy gguf`).
"""

import math
from dataclasses import dataclass, field, replace

import gguf
import numpy as np


@dataclass
class Config:
    """What the file's metadata says, with defaults applied."""

    arch: str
    n_layers: int
    d_model: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    norm_eps: float
    context_length: int
    n_rot: int
    rope_base: float
    rope_type: str
    rope_factor: float
    rope_original_context: int
    rope_attn_factor: float
    yarn_ext_factor: float
    yarn_attn_factor: float
    yarn_beta_fast: float
    yarn_beta_slow: float
    window: int = 0  # tokens that a windowed layer sees, itself included; 0: all layers are full
    rope_base_windowed: float = 10000.0
    n_experts: int = 0
    n_experts_used: int = 0

    @property
    def interleaved(self):
        return self.arch == "llama"

    @property
    def gemma(self):
        return self.arch == "gemma3"

    def windowed(self, layer):
        return self.window > 0 and layer % 6 < 5


@dataclass
class Noise:
    """What to round on the way, to estimate the error of an engine that computes with fewer bits.

    activations: "none", "f16", or "q8" (blocks of 32, scale amax/127 in f16), applied to the input of every matrix.
    The router of experts has float weights and is left out. kv_f16: whether keys and values are stored as f16. mutate: names of deliberate mistakes (see `Model.forward`).
    """

    activations: str = "none"
    kv_f16: bool = False
    mutate: frozenset = field(default_factory=frozenset)


def _scalar(reader, key, default=None):
    entry = reader.get_field(key)
    if entry is None:
        if default is None:
            raise KeyError(key)
        return default
    return entry.contents()


def read_config(reader):
    arch = _scalar(reader, "general.architecture")
    if arch not in ("llama", "qwen2", "qwen3", "gemma3", "qwen3moe", "olmoe", "retnet", "yoco", "diff", "diff2", "lex",
                    "phi4flash"):
        raise ValueError(f"general.architecture: {arch}")
    get = lambda key, default=None: _scalar(reader, f"{arch}.{key}", default)
    for key in ("attention.sliding_window_pattern", "final_logit_softcapping", "expert_weights_scale",
                "expert_shared_count"):
        if reader.get_field(f"{arch}.{key}") is not None:
            raise ValueError(f"{arch}.{key}: not part of this reference")
    d_model, n_heads = get("embedding_length"), get("attention.head_count")
    head_dim = get("attention.key_length", d_model // n_heads)
    context_length = get("context_length")
    factor = get("rope.scaling.factor", get("rope.scale_linear", 0.0))
    return Config(
        arch=arch, n_layers=get("block_count"), d_model=d_model, n_heads=n_heads,
        n_kv_heads=get("attention.head_count_kv", n_heads), head_dim=head_dim,
        norm_eps=get("attention.layer_norm_rms_epsilon"), context_length=context_length,
        n_rot=get("rope.dimension_count", head_dim), rope_base=get("rope.freq_base", 10000.0),
        rope_type=get("rope.scaling.type", "linear"), rope_factor=factor or 1.0,
        rope_original_context=get("rope.scaling.original_context_length", context_length),
        rope_attn_factor=get("rope.scaling.attn_factor", 1.0),
        yarn_ext_factor=get("rope.scaling.yarn_ext_factor", 1.0),
        yarn_attn_factor=get("rope.scaling.yarn_attn_factor", 1.0),
        yarn_beta_fast=get("rope.scaling.yarn_beta_fast", 32.0),
        yarn_beta_slow=get("rope.scaling.yarn_beta_slow", 1.0),
        window=get("attention.sliding_window", 0) if arch == "gemma3" else 0,
        rope_base_windowed=get("rope.freq_base_swa", 10000.0),
        n_experts=get("expert_count", 0), n_experts_used=get("expert_used_count", 0))


def rope_frequencies(config, factors=None):
    """The angle per position of each pair [n_rot/2], and the factor on cos and sin (docs/rope.md)."""
    n_rot, base, scale = config.n_rot, config.rope_base, config.rope_factor
    pairs = np.arange(n_rot // 2, dtype=np.float64)
    freqs = base ** (-2.0 * pairs / n_rot)
    if factors is not None:
        freqs = freqs / factors
    if config.rope_type == "none":
        return freqs, config.rope_attn_factor
    if config.rope_type == "linear":
        return freqs / scale, config.rope_attn_factor
    if config.rope_type != "yarn":
        raise ValueError(f"rope.scaling.type: {config.rope_type}")
    pair_at = lambda turns: (n_rot * math.log(config.rope_original_context / (2 * math.pi * turns))
                             / (2 * math.log(base)))
    first = max(0.0, math.floor(pair_at(config.yarn_beta_fast)))
    last = min(n_rot - 1.0, math.ceil(pair_at(config.yarn_beta_slow)))
    ramp = np.clip((pairs - first) / max(0.001, last - first), 0.0, 1.0)
    keep = config.yarn_ext_factor * (1.0 - ramp)
    sharpen = 1.0 + 0.1 * math.log(scale) if config.yarn_ext_factor != 0.0 else 1.0
    return freqs * ((1.0 - keep) / scale + keep), config.rope_attn_factor * config.yarn_attn_factor * sharpen


def rotate(x, positions, freqs, magnitude, interleaved):
    """x [n_tokens, n_heads, head_dim], the first 2 * len(freqs) elements of each head turned."""
    n_rot = 2 * len(freqs)
    angles = positions[:, None, None] * freqs
    cos, sin = np.cos(angles) * magnitude, np.sin(angles) * magnitude
    if interleaved:
        a, b = np.arange(0, n_rot, 2), np.arange(1, n_rot, 2)
    else:
        a, b = np.arange(n_rot // 2), np.arange(n_rot // 2, n_rot)
    y = x.copy()
    y[..., a] = x[..., a] * cos - x[..., b] * sin
    y[..., b] = x[..., a] * sin + x[..., b] * cos
    return y


def rms_norm(x, weight, eps):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * weight


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def silu(x):
    return x / (1.0 + np.exp(-x))


def gelu_tanh(x):
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def round_activations(x, kind):
    if kind == "f16":
        return x.astype(np.float16).astype(np.float64)
    if kind == "q8":
        blocks = x.reshape(*x.shape[:-1], -1, 32)
        scale = np.abs(blocks).max(axis=-1, keepdims=True) / 127.0
        scale = scale.astype(np.float16).astype(np.float64)
        safe = np.where(scale == 0.0, 1.0, scale)
        return (np.clip(np.rint(blocks / safe), -127, 127) * scale).reshape(x.shape)
    return x


class Model:
    """All weights of one file as float64 [n_out, n_in]."""

    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        self.config = read_config(reader)
        self.tensors = {}
        for t in reader.tensors:
            values = gguf.dequantize(t.data, t.tensor_type).astype(np.float64)
            self.tensors[t.name] = values.reshape([int(n) for n in reversed(t.shape)])

    def _linear(self, x, name, noise):
        # Rounding follows the type of the matrix: only integer weight types meet 8-bit activations.
        y = round_activations(x, noise.activations) @ self.tensors[f"{name}.weight"].T
        bias = self.tensors.get(f"{name}.bias")
        return y if bias is None or "no_bias" in noise.mutate else y + bias

    def _qk_norm(self, x, name, n_heads, noise):
        """x [n_tokens, n_heads * head_dim] to [n_tokens, n_heads, head_dim], normed where the file has a weight for it:
        per head, or (as long as the projection: olmoe) over the whole projection before the heads are split."""
        heads = lambda y: y.reshape(len(x), n_heads, -1)
        weight = self.tensors.get(f"{name}_norm.weight")
        if weight is None or "no_qk_norm" in noise.mutate:
            return heads(x)
        eps = self.config.norm_eps
        if len(weight) == self.config.head_dim:
            return rms_norm(heads(x), weight, eps)
        if "qk_norm_per_head" in noise.mutate:
            return rms_norm(heads(x), weight.reshape(n_heads, -1), eps)
        return heads(rms_norm(x, weight, eps))

    def _rope(self, layer, noise):
        c = self.config
        if "plain_rope" in noise.mutate:
            return c.rope_base ** (-2.0 * np.arange(c.n_rot // 2) / c.n_rot), 1.0
        if c.windowed(layer) and "one_rope" not in noise.mutate:
            c = replace(c, rope_base=c.rope_base_windowed)
            if "scaled_windows" not in noise.mutate:
                c = replace(c, rope_type="none")
        return rope_frequencies(c, self.tensors.get("rope_freqs.weight"))

    def _attention(self, layer, x, noise):
        c, n = self.config, len(x)
        name = f"blk.{layer}.attn"
        q = self._qk_norm(self._linear(x, f"{name}_q", noise), f"{name}_q", c.n_heads, noise)
        k = self._qk_norm(self._linear(x, f"{name}_k", noise), f"{name}_k", c.n_kv_heads, noise)
        v = self._linear(x, f"{name}_v", noise).reshape(n, c.n_kv_heads, c.head_dim)
        freqs, magnitude = self._rope(layer, noise)
        interleaved = c.interleaved != ("other_layout" in noise.mutate)
        positions = np.arange(n, dtype=np.float64)
        q = rotate(q, positions, freqs, magnitude, interleaved)
        k = rotate(k, positions, freqs, magnitude, interleaved)
        if noise.kv_f16:
            k, v = k.astype(np.float16).astype(np.float64), v.astype(np.float16).astype(np.float64)
        group = c.n_heads // c.n_kv_heads
        k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
        scale_dim = c.d_model / c.n_heads if "scale_of_width" in noise.mutate else c.head_dim
        scores = np.einsum("qhd,khd->hqk", q, k) / math.sqrt(scale_dim)
        distance = positions[:, None] - positions[None, :]
        seen = distance >= 0
        if c.windowed(layer) and "no_window" not in noise.mutate:
            seen &= distance < c.window + ("longer_window" in noise.mutate)
        out = np.einsum("hqk,khd->qhd", softmax(np.where(seen, scores, -np.inf)), v).reshape(n, -1)
        return self._linear(out, f"{name}_output", noise)

    def _norm(self, x, name, noise):
        return rms_norm(x, self.tensors[f"{name}.weight"], self.config.norm_eps)

    def _ffn(self, layer, x, noise):
        act = gelu_tanh if self.config.gemma and "silu" not in noise.mutate else silu
        gate = self._linear(x, f"blk.{layer}.ffn_gate", noise)
        up = self._linear(x, f"blk.{layer}.ffn_up", noise)
        return self._linear(act(gate) * up, f"blk.{layer}.ffn_down", noise)

    def _experts(self, layer, x, noise):
        """The n_experts_used experts of the highest probability per token (the lower number first where two are equal),
        weighted by their softmax over all experts; qwen3moe divides these weights by their sum, olmoe leaves them."""
        c = self.config
        router = x @ self.tensors[f"blk.{layer}.ffn_gate_inp.weight"].T
        self.router_logits.append(router)
        probabilities = softmax(router)
        n_used = c.n_experts_used - ("one_expert_less" in noise.mutate)
        chosen = np.argsort(-probabilities, axis=-1, kind="stable")[:, :n_used]
        weights = np.take_along_axis(probabilities, chosen, axis=-1)
        if (c.arch == "qwen3moe") != ("other_weights" in noise.mutate):
            weights = weights / weights.sum(axis=-1, keepdims=True)
        gate, up, down = (self.tensors[f"blk.{layer}.ffn_{part}_exps.weight"] for part in ("gate", "up", "down"))
        x = round_activations(x, noise.activations)
        y = np.zeros_like(x)
        for token in range(len(x)):
            for expert, weight in zip(chosen[token], weights[token]):
                h = silu(gate[expert] @ x[token]) * (up[expert] @ x[token])
                y[token] += weight * (down[expert] @ round_activations(h, noise.activations))
        return y

    def forward(self, tokens, noise=Noise()):
        """Logits [n_tokens, vocab_size] of a whole sequence.

        Deliberate mistakes that `noise.mutate` may name, to see how far off they put the logits: no_bias, no_qk_norm,
        plain_rope (scalings and factors ignored), other_layout (interleaved for half-split and the reverse); of gemma3
        no_window and longer_window (by one token), one_rope (the full layers' for all), scaled_windows (linear scaling
        also in the windowed layers), scale_of_width (d_model / n_heads for head_dim), no_post_norms, no_embedding_scale,
        silu; of experts one_expert_less, other_weights (renormalised or not), qk_norm_per_head.

        Leaves the router's logits of each layer, [n_tokens, n_experts], in `router_logits`.
        """
        t, c = self.tensors, self.config
        self.router_logits = []
        x = t["token_embd.weight"][np.asarray(tokens)]
        if (c.gemma or c.arch == "yoco") and "no_embedding_scale" not in noise.mutate:
            x = x * math.sqrt(c.d_model)

        norm = lambda x, name: self._norm(x, name, noise)

        def post_norm(x, name):
            return norm(x, name) if c.gemma and "no_post_norms" not in noise.mutate else x

        feed_forward = self._experts if c.n_experts else self._ffn
        for layer in range(c.n_layers):
            blk = f"blk.{layer}"
            self.residual = x  # for mixers that norm it by a weight of their own
            y = self._attention(layer, norm(x, f"{blk}.attn_norm"), noise)
            x = x + post_norm(y, f"{blk}.post_attention_norm")
            y = feed_forward(layer, norm(x, f"{blk}.ffn_norm"), noise)
            x = x + post_norm(y, f"{blk}.post_ffw_norm")
        head = "output" if "output.weight" in t else "token_embd"
        return self._linear(norm(x, "output_norm"), head, noise)

    def router_margin(self):
        """Of the last forward(): the least distance between the logits of the last expert chosen and the next one."""
        n = self.config.n_experts_used
        ordered = [np.sort(logits, axis=-1) for logits in self.router_logits]
        return min((float(np.min(o[:, -n] - o[:, -n - 1])) for o in ordered), default=math.inf)
