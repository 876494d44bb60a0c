#!/usr/bin/env python3
"""Writes the seeds of two fuzz targets: fuzz/corpus/gguf/*.gguf, small files that use every part of the format, and
fuzz/corpus/gates/*.gguf, small gate files (docs/gates.md), right and wrong.

Usage: python3 tools/make_gguf_corpus.py
"""
import pathlib
import struct

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
CODES = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "B", U64: "Q", I64: "q", F64: "d"}
SAMPLES = {U8: 200, I8: -3, U16: 60000, I16: -300, U32: 4000000000, I32: -70000, F32: 0.5, BOOL: 1,
           STRING: "text", U64: 1 << 63, I64: -(1 << 62), F64: 1e300}
# type id: (name, elements per block, bytes per block)
TENSOR_TYPES = {0: ("f32", 1, 4), 1: ("f16", 1, 2), 2: ("q4_0", 32, 18), 8: ("q8_0", 32, 34), 12: ("q4_k", 256, 144),
                14: ("q6_k", 256, 210), 20: ("iq4_nl", 32, 18), 30: ("bf16", 1, 2)}


def string(text):
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def scalar(kind, value):
    return string(value) if kind == STRING else struct.pack("<" + CODES[kind], value)


def key(name, kind, value):
    return string(name) + struct.pack("<I", kind) + scalar(kind, value)


def array(name, kind, values):
    head = string(name) + struct.pack("<IIQ", ARRAY, kind, len(values))
    return head + b"".join(scalar(kind, value) for value in values)


def padding(n_bytes, alignment):
    return bytes(-n_bytes % alignment)


def gguf(keys=(), tensors=(), version=3, alignment=32, most=250):
    """A file; `tensors` are (name, shape, type id), their bytes count up to `most` over and over."""
    infos = b""
    data = b""
    for name, shape, kind in tensors:
        infos += string(name) + struct.pack("<I", len(shape))
        infos += b"".join(struct.pack("<Q", extent) for extent in shape) + struct.pack("<IQ", kind, len(data))
        n_elements = 1
        for extent in shape:
            n_elements *= extent
        _, block_len, block_bytes = TENSOR_TYPES[kind]
        n_bytes = n_elements // block_len * block_bytes
        data += bytes(i % (most + 1) for i in range(n_bytes)) + padding(n_bytes, alignment)
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys)) + b"".join(keys) + infos
    return head + padding(len(head), alignment) + data


def seeds():
    yield "empty", gguf()
    yield "scalars", gguf([key(f"k{kind}", kind, value) for kind, value in SAMPLES.items()])
    yield "arrays", gguf([array(f"a{kind}", kind, [value] * 3) for kind, value in SAMPLES.items()])
    yield "empty-arrays", gguf([array(f"a{kind}", kind, []) for kind in SAMPLES])
    yield "version2", gguf([key("k", U32, 7)], [("t", [4], 0)], version=2)
    yield "tensors", gguf([], [(name, [block_len, 2], kind) for kind, (name, block_len, _) in TENSOR_TYPES.items()])
    yield "dims", gguf([], [("a", [3], 0), ("b", [3, 2], 0), ("c", [3, 2, 1], 0), ("d", [1, 1, 2, 2], 0)])
    yield "alignment64", gguf([key("general.alignment", U32, 64)], [("a", [3], 0), ("b", [3], 1)], alignment=64)
    yield "alignment8", gguf([key("general.alignment", U64, 8)], [("a", [3], 1), ("b", [3], 1)], alignment=8)
    yield "split", gguf([key("split.no", U16, 0), key("split.count", U16, 2), key("split.tensors.count", I32, 2)],
                        [("a", [3], 0)])
    yield "model", gguf([key("general.architecture", STRING, "llama"), key("llama.block_count", U32, 1),
                         array("tokenizer.ggml.tokens", STRING, ["<s>", "", "a"]),
                         array("tokenizer.ggml.scores", F32, [0.0, -1.0, -2.0])], [("token_embd.weight", [32, 3], 8)])
    yield "bad-nested-array", gguf([string("k") + struct.pack("<IIQ", ARRAY, ARRAY, 1) + bytes(12)])
    yield "bad-byte-order", b"GGUF" + struct.pack(">IQQ", 3, 0, 0)
    yield "bad-count", b"GGUF" + struct.pack("<IQQ", 3, 1 << 62, 1 << 62)
    yield "bad-truncated", gguf([key("k", STRING, "text")], [("t", [64], 0)])[:-100]


def gates(kind=0, qk_norm=1, head_count=2, extra=(), leave_out=0, most=59):
    """A gate file of one layer with one KV head; `kind` is the type of its matrices. With 59 they are small numbers."""
    keys = [key("general.type", STRING, "adapter"), key("adapter.type", STRING, "attention_gate"),
            key("general.architecture", STRING, "qwen3"), key("gate.base_model.name", STRING, "tiny"),
            key("gate.base_model.fingerprint", STRING, "0123456789abcdef"), key("gate.block_size", U32, 16),
            key("gate.key_length", U32, 32), key("gate.block_count", U32, 1), key("gate.head_count", U32, head_count),
            key("gate.head_count_kv", U32, 1), key("gate.head_dim", U32, 2), key("gate.rope", BOOL, 1),
            key("gate.qk_norm", BOOL, qk_norm), key("gate.norm_eps", F32, 1e-6)]
    tensors = [("blk.0.attn_gate_q.weight", [4, 32, 1], kind), ("blk.0.attn_gate_k.weight", [6, 32, 1], kind)]
    if qk_norm:
        tensors += [("blk.0.attn_gate_q_norm.weight", [32], 0), ("blk.0.attn_gate_k_norm.weight", [32], 0)]
    return gguf(keys[leave_out:], tensors + list(extra), most=most)


def gate_seeds():
    yield "whole", gates()
    yield "plain", gates(qk_norm=0)
    yield "halves", gates(kind=1)
    yield "bad-not-finite", gates(kind=1, most=250)
    yield "bad-shape", gates(head_count=4)
    yield "bad-heads", gates(head_count=0)
    yield "bad-extra", gates(extra=[("blk.1.attn_gate_q.weight", [4, 32, 1], 0)])
    yield "bad-kind", gates(leave_out=1)
    yield "bad-type", gates(kind=30)


def main():
    corpus = pathlib.Path(__file__).resolve().parent.parent / "fuzz" / "corpus"
    for folder, files in ((corpus / "gguf", seeds()), (corpus / "gates", gate_seeds())):
        folder.mkdir(parents=True, exist_ok=True)
        for name, raw in files:
            (folder / f"{name}.gguf").write_bytes(raw)
            print(f"{folder.name}/{name}: {len(raw)} bytes")


if __name__ == "__main__":
    main()
