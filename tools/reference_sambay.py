"""SambaY as Phi-4-mini-flash-reasoning has it, in float64 and in the form of its paper (arXiv 2507.06607): two maps subtracted
before they meet the values, the scan as one loop over tokens, no early exit. Files have q and k with the even heads first.
"""

import math

import numpy as np

from reference_model import Model, rms_norm, silu, softmax

# Mistakes that Noise.mutate may name: no difference, pairs the wrong way round, every layer's lambda of the first one, no
# sub-norm; the memory taken behind the gate; a convolution that sees the newest token alone, no step bias; no mean in norms.
MISTAKES = ["no_lambda", "swapped_pairs", "first_lambda", "no_sub_norm", "gated_memory", "no_conv", "no_step_bias", "no_mean",
            "no_window", "no_bias"]


class SambaYModel(Model):
    def __init__(self, path, reader):
        super().__init__(path)
        value = lambda key: reader.get_field(f"{self.config.arch}.{key}").contents()
        self.window, self.d_state, self.dt_rank = value("sliding_window"), value("ssm_d_state"), value("ssm_dt_rank")
        self.memory = self.kv = None

    def _norm(self, x, name, noise):
        mean = 0.0 if "no_mean" in noise.mutate else x.mean(axis=-1, keepdims=True)
        y = rms_norm(x - mean, self.tensors[f"{name}.weight"], self.config.norm_eps)
        return y + self.tensors[f"{name}.bias"]

    def _ffn(self, layer, x, noise):
        gate, up = np.split(self._linear(x, f"blk.{layer}.ffn_up", noise), 2, axis=-1)
        return self._linear(up * silu(gate), f"blk.{layer}.ffn_down", noise)

    def _map(self, q, k, window):
        """q [n, heads, d], k [n, kv heads, d]: [heads, n, n]."""
        k = np.repeat(k, q.shape[1] // k.shape[1], axis=1)
        scores = np.einsum("qhd,khd->hqk", q, k) / math.sqrt(q.shape[-1])
        distance = np.arange(len(q))[:, None] - np.arange(len(q))[None, :]
        seen = (distance >= 0) & (distance < window if window else True)
        return softmax(np.where(seen, scores, -np.inf))

    def _differential(self, layer, x, noise):
        c, name, n, half = self.config, f"blk.{layer}.attn", len(x), self.config.n_layers // 2
        stored = lambda y: y.astype(np.float16).astype(np.float64) if noise.kv_f16 else y
        rows = self._linear(x, f"{name}_qkv", noise)
        n_q, n_k = c.n_heads * c.head_dim, c.n_kv_heads * c.head_dim
        q = rows[:, :n_q].reshape(n, 2, c.n_heads // 2, c.head_dim)  # by parity
        if layer <= half + 1:
            k = stored(rows[:, n_q:n_q + n_k].reshape(n, 2, c.n_kv_heads // 2, c.head_dim))
            v = stored(rows[:, n_q + n_k:].reshape(n, c.n_kv_heads // 2, 2 * c.head_dim))
            self.kv = k, v
        k, v = self.kv
        window = self.window if layer < half and "no_window" not in noise.mutate else 0
        maps = [self._map(q[:, part], k[:, part], window) for part in (0, 1)]
        if "swapped_pairs" in noise.mutate:
            maps.reverse()
        start = 0.8 - 0.6 * math.exp(-0.3 * (0 if "first_lambda" in noise.mutate else layer))
        q1, k1, q2, k2 = (self.tensors[f"{name}_lambda_{part}.weight"] for part in ("q1", "k1", "q2", "k2"))
        factor = 0.0 if "no_lambda" in noise.mutate else math.exp(q1 @ k1) - math.exp(q2 @ k2) + start
        out = np.einsum("hqk,khd->qhd", maps[0] - factor * maps[1], np.repeat(v, c.n_heads // c.n_kv_heads, axis=1))
        if "no_sub_norm" not in noise.mutate:
            out = (1 - start) * rms_norm(out, self.tensors[f"{name}_subln.weight"], c.norm_eps)
        return self._linear(out.reshape(n, -1), f"{name}_output", noise)

    def _mamba(self, layer, x, noise):
        name, t, n = f"blk.{layer}.ssm", self.tensors, len(x)
        u, z = np.split(self._linear(x, f"{name}_in", noise), 2, axis=-1)
        weight = t[f"{name}_conv1d.weight"]
        padded = np.concatenate([np.zeros((weight.shape[1] - 1, u.shape[1])), u])
        if "no_conv" in noise.mutate:
            weight = weight * (np.arange(weight.shape[1]) == weight.shape[1] - 1)
        c = silu(sum(padded[j:j + n] * weight[:, j] for j in range(weight.shape[1])) + t[f"{name}_conv1d.bias"])
        # The engine keeps the weights of the steps in f32, whose activations it does not round.
        chosen = self._linear(c, f"{name}_x", noise)
        r, b, o = np.split(chosen, [self.dt_rank, self.dt_rank + self.d_state], axis=-1)
        bias = 0.0 if "no_step_bias" in noise.mutate else t[f"{name}_dt.bias"]
        dt = np.logaddexp(0.0, r @ t[f"{name}_dt.weight"].T + bias)
        h, m = np.zeros_like(t[f"{name}_a"]), np.empty_like(c)
        for i in range(n):
            h = np.exp(dt[i][:, None] * t[f"{name}_a"]) * h + (dt[i] * c[i])[:, None] * b[i][None, :]
            m[i] = h @ o[i] + t[f"{name}_d"] * c[i]
        gated = m * silu(z)
        if layer == self.config.n_layers // 2:
            self.memory = gated if "gated_memory" in noise.mutate else m
        return self._linear(gated, f"{name}_out", noise)

    def _attention(self, layer, x, noise):
        if layer % 2 == 1:
            return self._differential(layer, x, noise)
        if layer <= self.config.n_layers // 2:
            return self._mamba(layer, x, noise)
        gate = silu(self._linear(x, f"blk.{layer}.gmu_in", noise))
        return self._linear(self.memory * gate, f"blk.{layer}.gmu_out", noise)
