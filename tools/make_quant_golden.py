#!/usr/bin/env python3
"""Writes quant/*/golden.bin: blocks decoded, and values encoded, by the Python package `gguf`.

Usage: python3 -m venv env && env/bin/pip install gguf==0.19.0 && env/bin/python tools/make_quant_golden.py

The committed files were made with gguf 0.19.0 and numpy 2.4.6. File format, little-endian: u32 n_blocks, the blocks,
their values as f32; u32 n_encoded, f32 values, the blocks that encode them (n_encoded is 0 where gguf has no encoder).
"""
import pathlib

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as Type, quants

N_BLOCKS = 4
N_ENCODED = 8

# Byte offsets of the 16-bit scales in a block: random bits there could be infinite or NaN.
SCALES = {
    Type.F32: [], Type.F16: [], Type.BF16: [], Type.Q8_0: [0], Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0],
    Type.Q5_1: [0, 2], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208], Type.IQ4_NL: [0],
}
PLAIN = {Type.F32: np.float32, Type.F16: np.float16}


def random_blocks(random, kind, block_bytes):
    """Blocks of random bits with usable scales, as uint8 [N_BLOCKS, block_bytes]."""
    blocks = random.integers(0, 256, (N_BLOCKS, block_bytes), dtype=np.uint8)
    for offset in SCALES[kind]:
        scales = random.normal(size=N_BLOCKS).astype(np.float16)
        blocks[:, offset : offset + 2] = scales.view(np.uint8).reshape(N_BLOCKS, 2)
    return blocks


def plain_blocks(random, kind, block_bytes):
    """Blocks of the unscaled types: finite numbers of many sizes."""
    values = (random.normal(size=N_BLOCKS) * 10.0 ** random.integers(-6, 4, N_BLOCKS)).astype(np.float32)
    if kind == Type.BF16:
        return quants.quantize(values, kind).view(np.uint8).reshape(N_BLOCKS, block_bytes)
    return values.astype(PLAIN[kind]).view(np.uint8).reshape(N_BLOCKS, block_bytes)


def decode(blocks, kind):
    if kind in PLAIN:
        return blocks.view(PLAIN[kind]).astype(np.float32)
    return quants.dequantize(blocks, kind)


def encode(values, kind):
    """The encoded blocks, or None if gguf cannot encode this type."""
    try:
        return quants.quantize(values, kind)
    except NotImplementedError:
        return None


def main():
    folder = pathlib.Path(__file__).resolve().parent.parent / "quant"
    for kind in SCALES:
        random = np.random.default_rng(int(kind) + 1)
        block_len, block_bytes = GGML_QUANT_SIZES[kind]
        make = random_blocks if SCALES[kind] else plain_blocks
        blocks = make(random, kind, block_bytes)
        values = random.normal(size=(N_ENCODED, block_len)).astype(np.float32)
        encoded = encode(values, kind)
        with open(folder / kind.name.lower() / "golden.bin", "wb") as out:
            out.write(np.uint32(N_BLOCKS).tobytes())
            out.write(blocks.tobytes())
            out.write(decode(blocks, kind).astype(np.float32).tobytes())
            out.write(np.uint32(N_ENCODED if encoded is not None else 0).tobytes())
            if encoded is not None:
                out.write(values.tobytes())
                out.write(encoded.tobytes())
        print(f"{kind.name}: {N_BLOCKS} blocks decoded, {'encoded too' if encoded is not None else 'no encoder'}")


if __name__ == "__main__":
    main()
