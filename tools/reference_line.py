"""The architectures of one line of research in float64: RetNet, YOCO, the Differential Transformer, its second version and
LeX, each in the form its paper trains it in (retention in parallel, two maps subtracted before they meet the values). Nothing
is shared with the engine, which runs retention token by token and both maps through its grouped kernel.
"""

import math

import numpy as np

import reference_sambay
from reference_model import Model, rms_norm, rotate, silu, softmax

# Mistakes that Noise.mutate may name, by architecture: the other rotation, frequencies spaced as elsewhere; no decay, a
# token that does not see itself, no gate; keys of the layer's own norm, embeddings as they are; gates without their root;
# no difference, pairs the wrong way round, the scale of two parts, no norm; no decay of pairs, far ones louder, all blocks.
MISTAKES = {
    "retnet": ["other_layout", "plain_spacing", "no_decay", "not_itself", "no_gate"],
    "yoco": ["other_layout", "plain_spacing", "layer_norm_keys", "no_embedding_scale"],
    "diff": ["other_layout", "no_lambda", "swapped_pairs", "scale_of_whole", "no_sub_norm"],
    "diff2": ["other_layout", "no_lambda", "swapped_pairs"],
    "lex": ["other_layout", "no_decay", "other_way", "full_causal"],
    "phi4flash": reference_sambay.MISTAKES,
}


class LineModel(Model):
    """Keys as docs/architectures.md has them; defaults of the papers."""

    def __init__(self, path, reader):
        super().__init__(path)
        value = lambda key, default=None: (lambda f: default if f is None else f.contents())(
            reader.get_field(f"{self.config.arch}.{key}"))
        c = self.config
        self.value_dim = value("attention.value_length", c.head_dim)
        self.n_shared = value("attention.shared_kv_layers", 0)
        self.window = value("attention.sliding_window", 0)
        self.lambdas = value("attention.lambda")
        self.xpos_base = value("rope.xpos_scale_base", 512.0)
        self.block_causal = value("attention.block_causal", True)
        self.kv = None  # of yoco's upper layers

    def _rotated(self, x, noise):
        """x [n, heads, width], neighbours in pairs; retnet and yoco space their frequencies up to 1 / base."""
        c, width = self.config, x.shape[-1]
        inclusive = c.arch in ("retnet", "yoco") and "plain_spacing" not in noise.mutate
        steps = width - 2 if inclusive else width
        freqs = c.rope_base ** (-2.0 * np.arange(width // 2) / steps)
        return rotate(x, np.arange(len(x), dtype=np.float64), freqs, 1.0, "other_layout" not in noise.mutate)

    def _heads(self, x, name, n_heads, noise):
        return self._linear(x, name, noise).reshape(len(x), n_heads, -1)

    def _retention(self, name, x, n_heads, log_decay, noise):
        """Parallel form; log_decay [n, heads]."""
        q = self._rotated(self._heads(x, f"{name}_q", n_heads, noise), noise)
        k = self._rotated(self._heads(x, f"{name}_k", n_heads, noise), noise) / math.sqrt(q.shape[-1])
        v = self._heads(x, f"{name}_v", n_heads, noise)
        total = np.cumsum(log_decay, axis=0)
        distance = np.arange(len(x))[:, None] - np.arange(len(x))[None, :]
        seen = distance >= (1 if "not_itself" in noise.mutate else 0)
        decay = np.exp(np.where(seen[..., None], total[:, None, :] - total[None, :, :], -np.inf))
        scores = np.einsum("qhd,khd->qkh", q, k) * decay
        o = np.einsum("qkh,khd->qhd", scores, v)
        o = rms_norm(o, 1.0, self.config.norm_eps).reshape(len(x), -1)
        gate = 1.0 if "no_gate" in noise.mutate else silu(self._linear(x, f"{name}_gate", noise))
        return self._linear(gate * o, f"{name}_output", noise)

    def _maps(self, q, k, window, scale):
        """softmax of q [n, heads, d] on k [n, kv heads, d] (head i reads i // group): [heads, n, n]."""
        k = np.repeat(k, q.shape[1] // k.shape[1], axis=1)
        scores = np.einsum("qhd,khd->hqk", q, k) * scale
        distance = np.arange(len(q))[:, None] - np.arange(len(q))[None, :]
        seen = (distance >= 0) & (distance < window if window else True)
        return softmax(np.where(seen, scores, -np.inf))

    def _attend(self, name, q, k, v, window, noise):
        maps = self._maps(q, k, window, 1.0 / math.sqrt(q.shape[-1]))
        out = np.einsum("hqk,khd->qhd", maps, np.repeat(v, q.shape[1] // v.shape[1], axis=1))
        return self._linear(out.reshape(len(q), -1), f"{name}_output", noise)

    @staticmethod
    def _stored(x, noise):
        return x.astype(np.float16).astype(np.float64) if noise.kv_f16 else x

    def _yoco(self, layer, x, noise):
        c, name = self.config, f"blk.{layer}.attn"
        first = c.n_layers - self.n_shared
        if layer < first and not self.window:
            logits = x @ self.tensors[f"{name}_decay.weight"].T
            root = 1.0 if "other_decay" in noise.mutate else 16.0
            return self._retention(name, x, c.n_heads, -np.logaddexp(0.0, -logits) / root, noise)
        q = self._rotated(self._heads(x, f"{name}_q", c.n_heads, noise), noise)
        if layer <= first:
            n_kv = c.n_heads if layer < first else c.n_kv_heads
            z = x
            if layer == first and "layer_norm_keys" not in noise.mutate:
                z = rms_norm(self.residual, self.tensors[f"{name}_kv_norm.weight"], c.norm_eps)
            k = self._stored(self._rotated(self._heads(z, f"{name}_k", n_kv, noise), noise), noise)
            self.kv = k, self._stored(self._heads(z, f"{name}_v", n_kv, noise), noise)
        window = self.window if layer < first and "no_window" not in noise.mutate else 0
        return self._attend(name, q, *self.kv, window, noise)

    def _diff(self, layer, x, noise):
        """Two maps of the halves of a key, their difference, one product with the values."""
        c, name, n = self.config, f"blk.{layer}.attn", len(x)
        q = self._rotated(self._heads(x, f"{name}_q", 2 * c.n_heads, noise), noise)
        k = self._stored(self._rotated(self._heads(x, f"{name}_k", 2 * c.n_kv_heads, noise), noise), noise)
        v = self._stored(self._heads(x, f"{name}_v", c.n_kv_heads, noise), noise)
        dim = q.shape[-1] * (2 if "scale_of_whole" in noise.mutate else 1)
        maps = [self._maps(q[:, part::2], k[:, part::2], 0, 1.0 / math.sqrt(dim)) for part in (0, 1)]
        if "swapped_pairs" in noise.mutate:
            maps.reverse()
        factor = 0.0 if "no_lambda" in noise.mutate else self.lambdas[layer]
        out = np.einsum("hqk,khd->qhd", maps[0] - factor * maps[1], np.repeat(v, c.n_heads // c.n_kv_heads, axis=1))
        if "no_sub_norm" not in noise.mutate:
            out = rms_norm(out, self.tensors[f"{name}_sub_norm.weight"], c.norm_eps)
        return self._linear(out.reshape(n, -1), f"{name}_output", noise)

    def _diff2(self, layer, x, noise):
        c, name, n = self.config, f"blk.{layer}.attn", len(x)
        q = self._rotated(self._heads(x, f"{name}_q", c.n_heads, noise), noise)
        k = self._stored(self._rotated(self._heads(x, f"{name}_k", c.n_kv_heads, noise), noise), noise)
        v = self._stored(self._heads(x, f"{name}_v", c.n_kv_heads, noise), noise)
        maps = self._maps(q, k, 0, 1.0 / math.sqrt(q.shape[-1]))
        first, second = (1, 0) if "swapped_pairs" in noise.mutate else (0, 1)
        factor = 1.0 / (1.0 + np.exp(-self._linear(x, f"{name}_lambda", noise)))
        if "no_lambda" in noise.mutate:
            factor = np.full_like(factor, 0.5)
        maps = maps[first::2] - factor.T[:, :, None] * maps[second::2]
        out = np.einsum("hqk,khd->qhd", maps, np.repeat(v, c.n_heads // 2 // c.n_kv_heads, axis=1))
        return self._linear(out.reshape(n, -1), f"{name}_output", noise)

    def _lex(self, layer, x, noise):
        """The direct form: each pair of a score decays with distance, and what is seen is two blocks."""
        c, name, n = self.config, f"blk.{layer}.attn", len(x)
        q, k = (self._heads(x, f"{name}_{part}", heads, noise) for part, heads in (("q", c.n_heads), ("k", c.n_kv_heads)))
        v = self._heads(x, f"{name}_v", c.n_kv_heads, noise)
        group, width = c.n_heads // c.n_kv_heads, q.shape[-1]
        k, v = np.repeat(self._rotated(k, noise), group, axis=1), np.repeat(self._stored(v, noise), group, axis=1)
        q, pairs = self._rotated(q, noise), np.arange(width // 2)
        zeta = (2.0 * pairs + 0.4 * width) / (1.4 * width)
        distance = np.arange(n)[:, None] - np.arange(n)[None, :]
        sign = -1.0 if "other_way" in noise.mutate else 1.0
        base = np.inf if "no_decay" in noise.mutate else self.xpos_base
        decay = zeta[None, None, :] ** (sign * np.maximum(distance, 0)[..., None] / base)
        products = np.einsum("qhpe,khpe->hqkp", q.reshape(n, -1, width // 2, 2), k.reshape(n, -1, width // 2, 2))
        scores = np.einsum("hqkp,qkp->hqk", products, decay) / math.sqrt(width)
        seen = distance >= 0
        if self.block_causal and "full_causal" not in noise.mutate:
            block = np.arange(n) // (c.context_length // 2)
            seen &= block[None, :] >= block[:, None] - 1
        out = np.einsum("hqk,khd->qhd", softmax(np.where(seen, scores, -np.inf)), v)
        return self._linear(out.reshape(n, -1), f"{name}_output", noise)

    def _attention(self, layer, x, noise):
        c = self.config
        if c.arch == "retnet":
            decay = 1.0 - 2.0 ** (-5.0 - np.arange(c.n_heads))
            decay = np.ones_like(decay) if "no_decay" in noise.mutate else decay
            return self._retention(f"blk.{layer}.attn", x, c.n_heads, np.tile(np.log(decay), (len(x), 1)), noise)
        mixers = {"yoco": self._yoco, "diff": self._diff, "diff2": self._diff2, "lex": self._lex}
        return mixers[c.arch](layer, x, noise)


def load_model(path):
    """The reference of a file, whichever its architecture."""
    import gguf
    reader = gguf.GGUFReader(path)
    arch = reader.get_field("general.architecture").contents()
    if arch == "phi4flash":
        return reference_sambay.SambaYModel(path, reader)
    return LineModel(path, reader) if arch in MISTAKES else Model(path)
