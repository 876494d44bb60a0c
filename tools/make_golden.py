#!/usr/bin/env python3
"""Makes the golden models and their expected logits and greedy tokens in tests/golden/ (see the README there).

    pip install numpy gguf
    tools/make_golden.py [NAME ...]        all models, or the named ones
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
from importlib.metadata import version

from reference_line import MISTAKES, load_model
from reference_model import Noise
from tiny_gguf import Spec, write_model

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "golden"

SPECS = [
    Spec("llama-f32", "llama", "F32", 1, n_layers=1, n_heads=2, n_kv_heads=1, d_ff=64, key_length=False),
    Spec("llama-f16-llama3", "llama", "F16", 3, n_layers=1, d_ff=64, rope="llama3"),
    Spec("llama-bf16-linear", "llama", "BF16", 4, n_layers=1, d_ff=64, rope="linear"),
    Spec("qwen2-f16-yarn", "qwen2", "F16", 5, n_layers=1, d_ff=64, rope="yarn"),
    Spec("llama-f16-yarn", "llama", "F16", 6, n_layers=1, d_ff=64, rope="yarn"),
    Spec("qwen3-f16", "qwen3", "F16", 7, n_layers=1, d_ff=64, rope_base=1e6),
    Spec("llama-q8_0", "llama", "Q8_0", 8, tied=False),
    Spec("qwen2-q4_0", "qwen2", "Q4_0", 10, n_heads=2, n_kv_heads=1, key_length=False),
    Spec("qwen3-q4_1", "qwen3", "Q4_1", 11),
    Spec("llama-q5_0", "llama", "Q5_0", 12),
    Spec("qwen2-q5_1", "qwen2", "Q5_1", 13),
    Spec("qwen3-iq4_nl", "qwen3", "IQ4_NL", 14),
    Spec("llama-q4_k", "llama", "Q4_K", 15, d_model=256, n_layers=1, d_ff=256),
    Spec("qwen2-q5_k", "qwen2", "Q5_K", 16, d_model=256, n_layers=1, n_heads=2, n_kv_heads=1, d_ff=256),
    Spec("qwen3-q6_k", "qwen3", "Q6_K", 18, d_model=256, n_layers=1, n_heads=2, n_kv_heads=1, d_ff=256),
    # Seven layers: five windowed ones, a full one, and a windowed one that reads what the full one wrote.
    Spec("gemma3-f16-linear", "gemma3", "F16", 19, n_layers=7, n_kv_heads=1, window=24, rope="linear", rope_base=1e6,
         rope_base_windowed=5000.0),
    Spec("gemma3-q8_0", "gemma3", "Q8_0", 20, n_layers=7, n_heads=2, n_kv_heads=1, d_ff=64, window=24, rope_base=1e6),
    Spec("qwen3moe-f16", "qwen3moe", "F16", 21, d_ff=32, n_experts=8, n_experts_used=3, rope_base=1e6),
    Spec("qwen3moe-q4_k", "qwen3moe", "Q4_K", 22, d_model=256, n_layers=1, n_heads=2, n_kv_heads=1, d_ff=64,
         n_experts=6, n_experts_used=2),
    Spec("olmoe-f16", "olmoe", "F16", 23, n_heads=2, n_kv_heads=2, d_ff=32, n_experts=8, n_experts_used=3,
         tied=False),
    Spec("olmoe-q8_0", "olmoe", "Q8_0", 24, n_layers=1, n_heads=2, n_kv_heads=2, d_ff=64, n_experts=5,
         n_experts_used=2, tied=False),
    Spec("retnet-f16", "retnet", "F16", 25, n_heads=2, n_kv_heads=2, value_dim=64, d_ff=64),
    Spec("retnet-q8_0", "retnet", "Q8_0", 26, n_heads=2, n_kv_heads=2, d_ff=64),
    Spec("yoco-f16", "yoco", "F16", 27, n_layers=4, n_heads=2, n_kv_heads=1, n_shared=2, d_ff=64),
    Spec("yoco-window-q8_0", "yoco", "Q8_0", 28, n_layers=3, n_heads=2, n_kv_heads=1, n_shared=2, d_ff=64, window=24),
    Spec("diff-f16", "diff", "F16", 29, n_heads=2, n_kv_heads=1, d_ff=64),
    Spec("diff-q8_0", "diff", "Q8_0", 30, n_layers=1, n_heads=1, n_kv_heads=1, d_ff=64),
    Spec("lex-f16", "lex", "F16", 32, n_heads=2, n_kv_heads=1, d_ff=64),
    Spec("diff2-f16", "diff2", "F16", 31, n_heads=4, n_kv_heads=1, d_ff=64),
    # Every kind of layer: M W M W M* P G C.
    Spec("phi4flash-f16", "phi4flash", "F16", 33, n_layers=8, n_heads=8, n_kv_heads=4, head_dim=16, d_ff=64, window=24),
]


def relative_rms(found, expected):
    return float(np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2)))


def greedy(model, prompt, n_tokens, least_margin, least_router_margin):
    """Greedy continuation and the margin (best minus second logit) of each step; None once a margin, or the router's
    between the experts it takes and those it leaves, is too small."""
    tokens, margins = list(prompt), []
    for _ in range(n_tokens):
        logits = model.forward(tokens)[-1]
        if model.router_margin() < least_router_margin:
            return None
        second, best = np.partition(logits, -2)[-2:]
        if best - second < least_margin:
            return None
        margins.append(float(best - second))
        tokens.append(int(np.argmax(logits)))
    return tokens[len(prompt):], margins


def mutations(spec):
    """Mistakes that the logits of this model must be able to show."""
    if spec.arch in MISTAKES:
        names = list(MISTAKES[spec.arch])
        if spec.arch == "yoco":
            names.append("no_window" if spec.window else "other_decay")
        if spec.name == "retnet-q8_0":  # small beside the rounding of 8-bit activations
            names.remove("plain_spacing")
        return names
    names = ["other_layout"]
    if spec.rope != "plain":
        names.append("plain_rope")
    if spec.arch == "qwen2":
        names.append("no_bias")
    if spec.qk_norm:
        names.append("no_qk_norm")
    if spec.window:
        names += ["no_window", "one_rope", "no_post_norms", "no_embedding_scale"]
        if spec.type == "F16":  # small beside the rounding of 8-bit activations through seven layers
            names += ["longer_window", "scaled_windows", "scale_of_width", "silu"]
    if spec.n_experts:
        names.append("one_expert_less")
        if spec.type != "Q8_0":  # small beside the rounding of its activations
            names.append("other_weights")
    if spec.arch == "olmoe" and spec.type == "F16":
        names.append("qk_norm_per_head")
    return names


def rms(x):
    return float(np.sqrt(np.mean(x**2)))


def find_spread(model, probes, noise):
    """RMS of what rounding does to the logits and to the router's, on the prompt whose experts are chosen most clearly:
    another expert would hide the rounding."""
    def margin(prompt):
        model.forward(prompt)
        return model.router_margin()
    probe = max(probes, key=margin)
    exact, exact_router = model.forward(probe), model.router_logits
    rounded, rounded_router = model.forward(probe, noise), model.router_logits
    return rms(rounded - exact), max((rms(r - e) for r, e in zip(rounded_router, exact_router)), default=0.0)


def make(spec):
    path = FOLDER / f"{spec.name}.gguf"
    write_model(str(path), spec)
    model = load_model(str(path))
    rng = np.random.default_rng(1000 + spec.seed)
    float_weights = spec.type in ("F32", "F16", "BF16")
    noise = Noise(activations="f16" if float_weights else "q8", kv_f16=True)
    # Longer than two windows; short where rounding often brings a token near another expert.
    shortest, longest = (56, 81) if spec.window else (24, 33) if spec.n_experts and not float_weights else (40, 65)
    draw_prompt = lambda: rng.integers(0, 287, int(rng.integers(shortest, longest))).tolist()
    spread, router_spread = find_spread(model, [draw_prompt() for _ in range(50 if spec.n_experts else 1)], noise)
    # Prompts are tried until every greedy step is decided by a margin above 5 sigma of the difference of two logits
    # under rounding. 8-bit activations leave few such continuations, so those are shorter.
    n_greedy = 16 if float_weights else 8
    for attempt in range(1, 20001):
        prompt = draw_prompt()
        found = greedy(model, prompt, n_greedy, 7.0 * spread, 7.0 * router_spread)
        if found and len(set(found[0])) >= n_greedy // 2:
            break
    else:
        raise RuntimeError(f"{spec.name}: no prompt with clear margins")
    exact, rounded = model.forward(prompt), model.forward(prompt, noise)
    error = float(np.sqrt(np.mean((rounded - exact) ** 2)))
    tokens, margins = found
    edges = {spec.window - 1, spec.window, spec.window + 1, 2 * spec.window} if spec.window else set()
    positions = sorted({0, 1, 17, len(prompt) // 2, len(prompt) - 1} | edges)
    exact[positions].astype("<f4").tofile(FOLDER / f"{spec.name}.logits")
    wrong = {m: relative_rms(model.forward(prompt, Noise(mutate=frozenset([m]))), exact) for m in mutations(spec)}
    document = {
        "model": path.name, "architecture": spec.arch, "type": spec.type, "rope": spec.rope, "seed": spec.seed,
        "made_by": {"script": "tools/make_golden.py", "python": sys.version.split()[0], "numpy": np.__version__,
                    "gguf": version("gguf"), "arithmetic": "float64"},
        "vocab_size": exact.shape[1], "prompt": prompt, "positions": positions, "logits": f"{spec.name}.logits",
        "logits_rms": float(np.sqrt(np.mean(exact**2))),
        "greedy": tokens, "greedy_margins": [round(m, 4) for m in margins],
        "rounding": {"activations": noise.activations, "kv": "f16", "relative_rms": relative_rms(rounded, exact)},
        "relative_rms_of_mistakes": wrong,
    }
    (FOLDER / f"{spec.name}.json").write_text(json.dumps(document, indent=1) + "\n")
    print(f"{spec.name:18s} {path.stat().st_size / 1000:6.1f} kB  prompts {attempt:4d}  rounding "
          f"{document['rounding']['relative_rms']:.1e}  least margin {min(margins):.3f} ({min(margins) / error:.0f}x)  "
          + "  ".join(f"{k} {v:.2f}" for k, v in wrong.items()), flush=True)


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = set(sys.argv[1:])
    unknown = wanted - {s.name for s in SPECS}
    if unknown:
        sys.exit(f"unknown model: {', '.join(sorted(unknown))}")
    for spec in SPECS:
        if not wanted or spec.name in wanted:
            make(spec)


if __name__ == "__main__":
    main()
