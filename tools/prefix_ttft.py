#!/usr/bin/env python3
"""Time to the first token of one long prompt: cold, warm (kept in memory) and after a restart (kept on disk).

usage: prefix_ttft.py PROGRAM MODEL [--tokens 8000] [--rounds 3] [--threads N] [--folder FOLDER] [--json FILE]

The server starts anew for the second and the third; the files of the third come once from the system's memory and
once, as far as it gives them up, from the disk. Every round has a prompt of its own, of random tokens.
"""

import argparse
import http.client
import json
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time


class Server:
    def __init__(self, arguments, folder):
        self.process = subprocess.Popen(
            [arguments.program, "serve", "-m", arguments.model, "--port", "0", "-c", str(arguments.tokens + 768), "--parallel", "1",
             "--quiet", "-t", str(arguments.threads), "--prefix-dir", str(folder), "--prefix-disk-bytes", str(1 << 36)],
            stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split("127.0.0.1:")[1].split(",")[0])

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=3600)

    def first_token(self, prompt):
        """Seconds to the first event, and how many tokens were not read."""
        connection = self.connect()
        begun = time.monotonic()
        connection.request("POST", "/v1/completions", json.dumps({
            "prompt": prompt, "max_tokens": 1, "temperature": 0, "ignore_eos": True, "stream": True,
            "stream_options": {"include_usage": True}}))
        reply = connection.getresponse()
        line = reply.readline()
        while not line.startswith(b"data: "):
            line = reply.readline()
        seconds = time.monotonic() - begun
        events = [json.loads(line[6:]) for line in reply.read().splitlines() if line.startswith(b"data: {")]
        return seconds, events[-1]["usage"]["prompt_tokens_details"]["cached_tokens"]

    def stop(self):
        """Once all pages are written."""
        while True:
            connection = self.connect()
            connection.request("GET", "/metrics")
            if "longhaul:prefix_pages_waiting 0\n" in connection.getresponse().read().decode():
                break
            time.sleep(0.1)
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def give_up(folder):
    """Asks the system to forget what it holds of the files."""
    for path in folder.iterdir():
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def run(arguments, folder):
    rows = []
    for round in range(arguments.rounds):
        random.seed(round)
        prompt = [random.randrange(100, 5000) for _ in range(arguments.tokens)]
        server = Server(arguments, folder)
        cold, none = server.first_token(prompt)
        warm, in_memory = server.first_token(prompt)
        server.stop()
        assert none == 0, "the folder has this prompt already"
        row = {"cold_s": cold, "warm_s": warm, "warm_tokens": in_memory}
        for name in ("restarted", "restarted_from_disk"):
            if name == "restarted_from_disk":
                give_up(folder)
            server = Server(arguments, folder)
            row[name + "_s"], row[name + "_tokens"] = server.first_token(prompt)
            server.stop()
        rows.append(row)
        print(json.dumps(row), file=sys.stderr)
    n_bytes = sum(path.stat().st_size for path in folder.iterdir())
    return {"model": pathlib.Path(arguments.model).name, "prompt_tokens": arguments.tokens, "threads": arguments.threads,
            "folder_bytes": n_bytes, "rounds": rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--tokens", type=int, default=8000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--folder", help="for the pages; stays (default: one that goes)")
    parser.add_argument("--json", help="file for the samples")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(arguments.folder or pathlib.Path(temporary) / "prefixes")
        result = run(arguments, folder)
    cold = statistics.mean(row["cold_s"] for row in result["rounds"])
    for name in ("cold", "warm", "restarted", "restarted_from_disk"):
        seconds = statistics.mean(row[name + "_s"] for row in result["rounds"])
        print(f"{name:20} {1000 * seconds:10.0f} ms {cold / seconds:8.1f}x")
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
