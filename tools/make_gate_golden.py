#!/usr/bin/env python3
"""Makes tests/golden/gates/NAME.json: gates and what an independent float64 computation makes of them.

    pip install numpy
    tools/make_gate_golden.py

Each file holds one case. Sizes: n_tokens, n_kv_heads, n_group, head_dim, dim (of the gate), block_size; rope, qk_norm,
rope_theta, norm_eps. Arrays are flat, the last index running fastest:

    q        [queries, n_kv_heads, n_group, head_dim]  before RoPE, one for each of `positions`
    k        [n_tokens, n_kv_heads, head_dim]          before RoPE
    wq       [n_kv_heads, dim, n_group * head_dim]     as in a gate file (docs/gates.md)
    wk       [n_kv_heads, dim, 3 * head_dim]           of max, min, mean
    q_norm, k_norm  [dim]                              with qk_norm only
    gate_keys       [blocks, n_kv_heads, dim]          expected: of the complete blocks
    gate_queries    [queries, n_kv_heads, dim]         expected
    scores   [queries][n_kv_heads][blocks complete at that position]  expected: S of the method page

All inputs are numbers that f16 holds, so that storing weights in f16 rounds nothing.
"""
import json
import pathlib

import numpy as np

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "gates"

CASES = {
    "published": dict(n_tokens=70, n_kv_heads=1, n_group=2, head_dim=32, dim=64, block_size=16, rope=True, qk_norm=True),
    "plain": dict(n_tokens=70, n_kv_heads=1, n_group=3, head_dim=32, dim=32, block_size=8, rope=False, qk_norm=False),
    "rope": dict(n_tokens=100, n_kv_heads=2, n_group=1, head_dim=32, dim=32, block_size=32, rope=True, qk_norm=False),
    "norm": dict(n_tokens=50, n_kv_heads=1, n_group=2, head_dim=32, dim=32, block_size=16, rope=False, qk_norm=True),
}


def rms_norm(x, weight, eps):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * weight


def rotate_half(x, position, theta):
    """RoPE in the layout of Hugging Face checkpoints: x_i turns with x_{i + n/2}."""
    half = x.shape[-1] // 2
    angle = position * theta ** (-np.arange(half) / half)
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], axis=-1)


def finish(case, vector, weight, position):
    if case["qk_norm"]:
        vector = rms_norm(vector, weight, case["norm_eps"])
    return rotate_half(vector, position, case["rope_theta"]) if case["rope"] else vector


def gate_key(case, keys, wk, weight, block):
    """keys [block_size, head_dim] of one head."""
    pooled = np.concatenate([keys.max(axis=0), keys.min(axis=0), keys.mean(axis=0)])
    return finish(case, wk @ pooled, weight, block * case["block_size"])


def gate_query(case, heads, wq, weight, position):
    """heads [n_group, head_dim] of one KV head."""
    return finish(case, wq @ heads.reshape(-1), weight, position)


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def draw(random, *shape, scale=1.0):
    return np.round(random.normal(size=shape) * scale * 256) / 256  # few digits, and no rounding in f16


def flat(array):
    return [float(f"{x:.9g}") for x in array.reshape(-1)]  # 9 digits tell all f32 apart


def make(name, case):
    case = dict(case, rope_theta=10000.0, norm_eps=1e-6)
    random = np.random.default_rng(sum(map(ord, name)))
    h, g, d, dim, b = (case[key] for key in ("n_kv_heads", "n_group", "head_dim", "dim", "block_size"))
    positions = [b - 1, b, 3 * b - 2, case["n_tokens"] - 1]
    q = draw(random, len(positions), h, g, d)
    k = draw(random, case["n_tokens"], h, d)
    wq = draw(random, h, dim, g * d, scale=(g * d) ** -0.5)
    wk = draw(random, h, dim, 3 * d, scale=(3 * d) ** -0.5)
    q_norm, k_norm = 1 + draw(random, dim, scale=0.2), 1 + draw(random, dim, scale=0.2)
    n_blocks = case["n_tokens"] // b
    gate_keys = np.array([[gate_key(case, k[i * b : (i + 1) * b, head], wk[head], k_norm, i) for head in range(h)]
                          for i in range(n_blocks)])
    gate_queries = np.array([[gate_query(case, q[i, head], wq[head], q_norm, position) for head in range(h)]
                             for i, position in enumerate(positions)])
    scores = [[flat(softmax(gate_keys[: (position + 1) // b, head] @ gate_queries[i, head] / np.sqrt(dim)))
               for head in range(h)] for i, position in enumerate(positions)]
    norms = dict(q_norm=flat(q_norm), k_norm=flat(k_norm)) if case["qk_norm"] else {}
    return dict(case, numpy=np.__version__, positions=positions, q=flat(q), k=flat(k), wq=flat(wq), wk=flat(wk), **norms,
                gate_keys=flat(gate_keys), gate_queries=flat(gate_queries), scores=scores)


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, case in CASES.items():
        text = json.dumps(make(name, case))
        (FOLDER / f"{name}.json").write_text(text + "\n")
        print(f"{name}: {len(text)} bytes")


if __name__ == "__main__":
    main()
