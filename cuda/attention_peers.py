#!/usr/bin/env python3
"""Attention of other libraries on the shapes of cuda/attention_bench.cc.

    attention_peers.py peers.json [bench.json]

Times torch's scaled_dot_product_attention with each of its backends, and flash_attn and flashinfer
where they are installed; says what does not run. With the JSON of cuda_attention_bench the ratio to
the best of them is printed. Times are per layer: the median over replays of a CUDA graph that visits
the K and V of several layers, so that none is in the cache when its turn comes.
"""

import json
import statistics
import sys
import time

try:
    import torch
    import torch.nn.functional as F
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.attention.bias import causal_lower_right
except ImportError as error:
    sys.exit(f"no torch: {error}")

LEAST_BYTES = 1 << 30
REPLAYS = 5
DEADLINE_S = 40.0
START = time.monotonic()

HEADS = {"32/8/128": (32, 8, 128), "14/2/64": (14, 2, 64)}
DECODE = [(b, n) for b in (1, 8) for n in (8192, 32768, 131072, 262144)]
CHUNKS = [(512, 512), (32768 + 512, 512), (32768, 8), (32768, 32), (131072, 32), (131072, 64)]


def time_us(calls):
    """Median microseconds of one of the calls, replayed as one graph where that can be captured."""

    def run():
        for call in calls:
            call()

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        run()
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=stream):
                run()
            replay = graph.replay
        except Exception:
            torch.cuda.synchronize()
            replay = run
        times = []
        for i in range(-1, REPLAYS):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record(stream)
            replay()
            end.record(stream)
            end.synchronize()
            if i >= 0:
                times.append(begin.elapsed_time(end) * 1e3 / len(calls))
    return statistics.median(times)


def make_layers(batch, n_kv, context, dim, order):
    """K and V of enough layers; order "bhsd" or "bshd"."""
    shape = (batch, n_kv, context, dim) if order == "bhsd" else (batch, context, n_kv, dim)
    n_bytes = 4 * batch * n_kv * context * dim
    n_layers = max(2, min(64, LEAST_BYTES // n_bytes))
    return [tuple(torch.randn(shape, device="cuda", dtype=torch.float16) for _ in range(2))
            for _ in range(n_layers)]


def sdpa_calls(q, layers, rows, context, expand):
    group = q.shape[1] // layers[0][0].shape[1]

    def call(k, v):
        options = {}
        if rows > 1:
            options = {"is_causal": True} if rows == context else {
                "attn_mask": causal_lower_right(rows, context)}
        if expand:
            return F.scaled_dot_product_attention(q, k, v, **options)
        return F.scaled_dot_product_attention(q, k, v, enable_gqa=True, **options)

    if expand:
        layers = [tuple(x.repeat_interleave(group, dim=1) for x in kv) for kv in layers[:2]]
    return [lambda k=k, v=v: call(k, v) for k, v in layers]


def folded_calls(q, layers):
    """Decoding with the heads of a group as rows of one head: K and V are read once."""
    batch, n_heads, _, dim = q.shape
    n_kv = layers[0][0].shape[1]
    folded = q.reshape(batch, n_kv, n_heads // n_kv, dim)
    return [lambda k=k, v=v: F.scaled_dot_product_attention(folded, k, v) for k, v in layers]


def torch_peers(name, batch, context, rows):
    n_heads, n_kv, dim = HEADS[name]
    q = torch.randn(batch, n_heads, rows, dim, device="cuda", dtype=torch.float16)
    layers = make_layers(batch, n_kv, context, dim, "bhsd")
    for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION,
                    SDPBackend.EFFICIENT_ATTENTION):
        ways = {"gqa": lambda: sdpa_calls(q, layers, rows, context, False)}
        if batch * context * n_heads * dim * 4 <= 4 << 30:
            ways["expanded"] = lambda: sdpa_calls(q, layers, rows, context, True)
        if rows == 1:
            ways["folded"] = lambda: folded_calls(q, layers)
        for way, make in ways.items():
            label = f"torch {backend.name.split('_')[0].lower()} {way}"
            try:
                with sdpa_kernel(backend):
                    yield label, time_us(make())
            except Exception as error:
                yield label, f"{type(error).__name__}: {str(error).splitlines()[0][:80]}"
                torch.cuda.synchronize()


def flash_attn_peer(name, batch, context, rows):
    from flash_attn import flash_attn_with_kvcache
    n_heads, n_kv, dim = HEADS[name]
    q = torch.randn(batch, rows, n_heads, dim, device="cuda", dtype=torch.float16)
    layers = make_layers(batch, n_kv, context, dim, "bshd")
    lengths = torch.full((batch,), context, device="cuda", dtype=torch.int32)
    yield "flash_attn kvcache", time_us([
        lambda k=k, v=v: flash_attn_with_kvcache(q, k, v, cache_seqlens=lengths, causal=True)
        for k, v in layers])


def flashinfer_peer(name, batch, context, rows):
    import flashinfer
    n_heads, n_kv, dim = HEADS[name]
    page, n_pages = 16, context // 16
    layers = [torch.stack([x.view(batch * n_pages, page, n_kv, dim) for x in kv], dim=1)
              for kv in make_layers(batch, n_kv, context, dim, "bshd")]
    space = torch.empty(256 << 20, device="cuda", dtype=torch.uint8)
    indptr = torch.arange(batch + 1, device="cuda", dtype=torch.int32) * n_pages
    indices = torch.randperm(batch * n_pages, device="cuda").int()
    last = torch.full((batch,), page, device="cuda", dtype=torch.int32)
    q = torch.randn(batch * rows, n_heads, dim, device="cuda", dtype=torch.float16)
    if rows == 1:
        wrapper = flashinfer.BatchDecodeWithPagedKVCacheWrapper(space, "NHD", use_tensor_cores=True)
        wrapper.plan(indptr, indices, last, n_heads, n_kv, dim, page, q_data_type=torch.float16)
    else:
        wrapper = flashinfer.BatchPrefillWithPagedKVCacheWrapper(space, "NHD")
        q_indptr = torch.arange(batch + 1, device="cuda", dtype=torch.int32) * rows
        wrapper.plan(q_indptr, indptr, indices, last, n_heads, n_kv, dim, page, causal=True)
    yield "flashinfer paged", time_us([lambda kv=kv: wrapper.run(q, kv) for kv in layers])


def measure(name, batch, context, rows, makers):
    result = {"heads": name, "batch": batch, "context": context, "rows": rows, "us": {}, "failed": {}}
    for maker in makers:
        try:
            for label, value in maker(name, batch, context, rows):
                result["us" if isinstance(value, float) else "failed"][label] = value
        except Exception as error:
            result["failed"][maker.__name__] = f"{type(error).__name__}: {str(error)[:80]}"
        torch.cuda.empty_cache()
    return result


def show(result, ours):
    key = (result["heads"], result["batch"], result["context"], result["rows"])
    line = f"{key[0]:<10}{key[2]:>9}{key[1]:>6}{key[3]:>6} |"
    if result["us"]:
        best = min(result["us"], key=result["us"].get)
        line += f"{result['us'][best]:>10.1f}  {best:<28}"
        if key in ours:
            mine = ours[key]
            line += f"|{mine['dense_us']:>10.1f}{result['us'][best] / mine['dense_us']:>7.2f}"
            if "sparse_us" in mine:
                line += (f"{result['us'][best] / mine['listed_us']:>8.2f}"
                         f"{result['us'][best] / mine['sparse_us']:>8.2f}")
    else:
        line += " nothing ran"
    print(line, flush=True)


def main():
    if not torch.cuda.is_available():
        sys.exit("no CUDA device: nothing measured")
    ours = {}
    if len(sys.argv) > 2:
        with open(sys.argv[2], encoding="utf-8") as file:
            ours = {(r["heads"], r["batch"], r["context"], r["rows"]): r
                    for r in json.load(file)["results"] if r.get("early", True)}
    makers = [torch_peers]
    for module, maker in (("flash_attn", flash_attn_peer), ("flashinfer", flashinfer_peer)):
        try:
            __import__(module)
            makers.append(maker)
        except Exception as error:
            print(f"{module} is not here: {error}")
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}")
    print(f"{'heads':<10}{'context':>9}{'batch':>6}{'rows':>6} |{'best us':>10}  {'of':<28}"
          f"|{'ours us':>10}{'ratio':>7}{'listed':>8}{'sparse':>8}")
    results = []
    shapes = []
    for name in HEADS:
        shapes += [(name, b, n, 1) for b, n in DECODE] + [(name, 1, n, rows) for n, rows in CHUNKS]
    for shape in shapes:
        if time.monotonic() - START > DEADLINE_S:
            print(f"out of time at {shape}")
            break
        name, batch, context, rows = shape
        results.append(measure(name, batch, context, rows, makers))
        show(results[-1], ours)
    failed = {label: why for r in results for label, why in r["failed"].items()}
    for label, why in failed.items():
        print(f"somewhere without an answer: {label}: {why}")
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
