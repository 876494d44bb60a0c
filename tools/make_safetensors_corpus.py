#!/usr/bin/env python3
"""Writes the seeds of a fuzz target: fuzz/corpus/safetensors/*, small files, right and wrong.

Usage: python3 tools/make_safetensors_corpus.py
"""
import json
import pathlib
import struct

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "fuzz" / "corpus" / "safetensors"


def entry(kind, shape, begin, end):
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


def write(name, header, data=b"", length=None):
    text = header.encode() if isinstance(header, str) else json.dumps(header).encode()
    (FOLDER / name).write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    two = {"a": entry("F32", [2, 2], 0, 16), "b": entry("BF16", [3], 16, 22)}
    write("two", two, bytes(range(22)))
    write("notes", {"__metadata__": {"format": "pt"}, "x": entry("F16", [1], 0, 2)}, b"ab")
    write("scalar-and-empty", {"x": entry("I64", [], 0, 8), "y": entry("F32", [0, 4], 8, 8)}, bytes(8))
    write("none", {})
    write("padded", json.dumps(two) + "    ", bytes(22))
    write("bad-overlap", {"a": entry("U8", [4], 0, 4), "b": entry("U8", [4], 2, 6)}, bytes(6))
    write("bad-gap", {"a": entry("U8", [2], 0, 2), "b": entry("U8", [4], 4, 8)}, bytes(8))
    write("bad-shape", {"a": entry("F32", [1 << 62, 4], 0, 4)}, bytes(4))
    write("bad-type", {"a": entry("F33", [1], 0, 4)}, bytes(4))
    write("bad-twice", '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":1}', b"a")
    write("bad-length", two, bytes(22), length=1 << 60)
    write("bad-cut", two, bytes(10))
    write("bad-deep", "[" * 200)


if __name__ == "__main__":
    main()
