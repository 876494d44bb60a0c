#!/usr/bin/env python3
"""Stands for a llama-bench in tests: the same options and output, speeds by formula. FAKE=ik: -gp in place of -d, and -rtr;
FAKE=no-flash: flash attention fails; FAKE=broken: every run fails; FAKE=babble: output that is no JSON."""
import json, os, sys

kind = os.environ.get("FAKE", "llama")
if "--help" in sys.argv:
    print("  -fa, --flash-attn <0|1>")
    print("  -gp <pp,tg>\n  -rtr, --run-time-repack <0|1>" if kind == "ik" else "  -d, --n-depth <n>")
    sys.exit(0)
value = dict(zip(sys.argv[1::2], sys.argv[2::2]))
if kind == "broken":
    print("loading", file=sys.stderr)
    sys.exit("error: failed to load the model")
if kind == "babble":
    print("warning: nothing measured")
    sys.exit(0)
if kind == "no-flash" and value["-fa"] == "1": sys.exit("flash attention is not supported")
if value["-fa"] == "0" and value["-ctv"] != "f16": sys.exit("a quantized V cache needs flash attention")
depth, n_gen = (int(n) for n in value.get("-gp", f"{value.get('-d', 0)},{value['-n']}").split(","))
n_prompt = int(value["-p"])
ms = (1 if n_prompt else 20) + depth * (0.01 if value["-fa"] == "1" else 0.02)
if value.get("-rtr") == "1": ms *= 0.5
row = {"build_commit": "fake123", "n_prompt": n_prompt, "n_gen": n_gen, "avg_ts": 1e3 / ms}
print("[\nWARNING: a line among the JSON" if kind == "ik" else "[")
print(json.dumps(row) + "\n]")
