#!/usr/bin/env python3
"""Records keys and queries of a trained model for the tests of block descriptors (kernels/real_keys_test.cc).

    pip install numpy gguf
    longhaul tokenize -m MODEL.gguf -f docs/architecture.md --json > tokens.json
    tools/record_keys.py MODEL.gguf tokens.json --layers 0,11,22 -o tests/data/real_keys.f16

For each layer: the keys of KV head 0 after RoPE [n_tokens, head_dim], then the last token's queries of its group
[n_group, head_dim], all f16.
"""

import argparse
import json

import numpy as np

import reference_model


def record(model, tokens):
    """q [n_tokens, n_heads, head_dim] and k [n_tokens, n_kv_heads, head_dim] after RoPE, layer by layer."""
    turned = []
    rotate = reference_model.rotate

    def recording(*arguments):
        turned.append(rotate(*arguments))
        return turned[-1]

    reference_model.rotate = recording
    model.forward(tokens)
    reference_model.rotate = rotate
    return list(zip(turned[::2], turned[1::2]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("tokens", help="what `longhaul tokenize --json` printed")
    parser.add_argument("--layers", default="0,11,22", type=lambda text: [int(part) for part in text.split(",")])
    parser.add_argument("-n", "--n-tokens", default=256, type=int)
    parser.add_argument("-o", "--out", required=True)
    arguments = parser.parse_args()
    with open(arguments.tokens) as file:
        tokens = json.load(file)["tokens"]
    if len(tokens) < arguments.n_tokens:
        parser.error(f"{arguments.tokens}: expected at least {arguments.n_tokens} tokens, found {len(tokens)}")
    model = reference_model.Model(arguments.model)
    layers = record(model, tokens[: arguments.n_tokens])
    n_group = model.config.n_heads // model.config.n_kv_heads
    with open(arguments.out, "wb") as file:
        for layer in arguments.layers:
            q, k = layers[layer]
            file.write(k[:, 0].astype("<f2").tobytes())
            file.write(q[-1, :n_group].astype("<f2").tobytes())


if __name__ == "__main__":
    main()
