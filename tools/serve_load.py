#!/usr/bin/env python3
"""How a server of the OpenAI API does under many streams at once: Longhaul's, or another's.

usage: serve_load.py URL [--streams 1,4,16] [--prompt-words N] [--max-tokens N] [--rounds N] [--long-prompt-words N] [--json FILE]

Each stream asks for a text of its own (its first word differs) and counts tokens as the server's usage says. A row is one number of
streams: tokens/s of all together, seconds to the first token and between tokens (median, 99th percentile). With --long-prompt-words a
further request with a prompt of that many words is read meanwhile, and its own time to the first token is the last column.
"""

import argparse
import http.client
import json
import statistics
import threading
import time
import urllib.parse

WORDS = "the quiet river carried old letters under a bridge of stone while people walked slowly home and spoke of rain".split()


def prompt_of(n_words, number):
    return " ".join([f"Story {number}:"] + [WORDS[(i * 7 + number) % len(WORDS)] for i in range(n_words)])


class Stream(threading.Thread):
    """One request; times of its events, and how many tokens came."""

    def __init__(self, url, prompt, max_tokens):
        super().__init__()
        self.url, self.prompt, self.max_tokens = url, prompt, max_tokens
        self.times, self.n_tokens, self.error = [], 0, None

    def run(self):
        try:
            self.ask()
        except Exception as error:  # shown by whoever waits for it
            self.error = error

    def ask(self):
        parts = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=3600)
        body = {"prompt": self.prompt, "max_tokens": self.max_tokens, "temperature": 0, "stream": True, "ignore_eos": True,
                "cache_prompt": False, "stream_options": {"include_usage": True}}
        self.began = time.perf_counter()
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        if reply.status != 200:
            raise RuntimeError(f"status {reply.status}: {reply.read()[:300]}")
        for line in reply:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            if event.get("usage"):
                self.n_tokens = event["usage"]["completion_tokens"]
            if event.get("choices") and event["choices"][0].get("text"):
                self.times.append(time.perf_counter())
        self.ended = time.perf_counter()
        connection.close()


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure(arguments, n_streams):
    streams = [Stream(arguments.url, prompt_of(arguments.prompt_words, i), arguments.max_tokens) for i in range(n_streams)]
    extra = []
    if arguments.long_prompt_words:
        extra = [Stream(arguments.url, prompt_of(arguments.long_prompt_words, 999), 1)]
    for stream in streams + extra:
        stream.start()
    for stream in streams + extra:
        stream.join()
        if stream.error:
            raise stream.error
    seconds = max(s.ended for s in streams) - min(s.began for s in streams)
    first = [s.times[0] - s.began for s in streams]
    between = [b - a for s in streams for a, b in zip(s.times, s.times[1:])]
    return {"streams": n_streams, "tokens_per_s": sum(s.n_tokens for s in streams) / seconds,
            "first_s": [percentile(first, 0.5), percentile(first, 0.99)], "between_s": [percentile(between, 0.5), percentile(between, 0.99)],
            "long_first_s": extra[0].times[0] - extra[0].began if extra and extra[0].times else None}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--streams", default="1,4,16")
    parser.add_argument("--prompt-words", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--long-prompt-words", type=int, default=0)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    rows = {}
    for _ in range(arguments.rounds):
        for n in map(int, arguments.streams.split(",")):
            rows.setdefault(n, []).append(measure(arguments, n))
    print(f"{'streams':>8}{'tokens/s':>10}{'first s':>9}{'p99':>8}{'between s':>11}{'p99':>8}{'long first s':>14}")
    for n, samples in rows.items():
        middle = lambda get: statistics.median(get(s) for s in samples)
        long = "" if samples[0]["long_first_s"] is None else f"{middle(lambda s: s['long_first_s']):.2f}"
        print(f"{n:>8}{middle(lambda s: s['tokens_per_s']):>10.1f}{middle(lambda s: s['first_s'][0]):>9.2f}{middle(lambda s: s['first_s'][1]):>8.2f}"
              f"{middle(lambda s: s['between_s'][0]):>11.3f}{middle(lambda s: s['between_s'][1]):>8.3f}{long:>14}")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"options": vars(arguments), "samples": [s for samples in rows.values() for s in samples]}, file, indent=1)


if __name__ == "__main__":
    main()
