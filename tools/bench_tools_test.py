#!/usr/bin/env python3
"""compare_peers with stand-ins for llama-bench, and plot_bench on what it wrote.

usage: bench_tools_test.py LONGHAUL SOURCE_TREE
"""
import json, pathlib, subprocess, sys, tempfile, unittest
import xml.etree.ElementTree as xml

PROGRAM, TREE = sys.argv[1], pathlib.Path(sys.argv[2])
MODEL = TREE / "tests/golden/qwen3-f16.gguf"


class BenchTools(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def peer(self, kind):
        path = self.folder / kind
        path.write_text(f'#!/bin/sh\nFAKE={kind} exec {sys.executable} {TREE}/tools/fake_llama_bench.py "$@"\n')
        path.chmod(0o755)
        return f"--peer={kind}={path}"

    def compare(self, *arguments):
        command = [sys.executable, TREE / "tools/compare_peers", "--longhaul", PROGRAM, "-m", MODEL, "-t", "1", "-p", "16", "-n", "4",
                   "-d", "0,64,128", "--peer-depths", "0,64", "--rounds", "2", "--modes", "dense,exact", "-o", self.folder / "out"]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        return (self.folder / "out.md").read_text(), json.loads((self.folder / "out.json").read_text()), done.stderr

    def test_best_settings_take_turns_with_ours(self):
        table, document, _ = self.compare(self.peer("llama"), self.peer("ik"))
        settings = {(row["engine"], row["test"]): row["settings"] for row in document["rows"] if "settings" in row}
        self.assertIn("-fa 1", settings["llama", "tg4 @ d64"])  # the faster of the two at depth
        self.assertIn("-rtr 1", settings["ik", "tg4 @ d64"])
        engines = [row["engine"] for row in document["rows"] if row["test"] == "tg4 @ d64"]
        self.assertEqual(engines, 2 * ["llama", "ik", "longhaul dense", "longhaul exact"])
        for row in document["rows"]: self.assertGreater(row["tokens_per_s"], 0)
        self.assertTrue(any("-gp 64,4" in entry["command"] for entry in document["commands"]))
        # 20 ms at 0 and 20.64 at 64 make 21.28 at 128, which is 46.99 t/s; ik needs half of each.
        line = next(l for l in table.splitlines() if l.startswith("| tg4 @ d128"))
        self.assertIn("~46.99", line)
        self.assertIn("~93.98", line)
        self.assertIn("| ik |", line)
        self.assertNotIn("~", next(l for l in table.splitlines() if l.startswith("| tg4 @ d64")))

    def test_a_setting_that_fails_is_left_out(self):
        table, document, errors = self.compare(self.peer("no-flash"))
        self.assertIn("flash attention is not supported", errors)
        self.assertTrue(all("-fa 0" in row["settings"] for row in document["rows"] if row["engine"] == "no-flash"))
        self.assertTrue(document["peers"][0]["failures"])
        self.assertIn("failed: exit status 1: flash attention is not supported", table)

    def test_a_peer_that_fails_is_reported_and_left_out(self):
        missing = f"--peer=missing={self.folder}/none"
        table, document, errors = self.compare(self.peer("broken"), self.peer("babble"), missing)
        header = table.splitlines()[2]
        for name, reason in (("broken", "failed to load the model"), ("babble", "no result"), ("missing", "No such file")):
            self.assertNotIn(name, header)
            self.assertIn(f"- {name}: failed, left out", table)
            self.assertIn(reason, errors)
        self.assertIn("| tg4 |", table)  # ours is there all the same

    def test_a_plot_has_a_line_for_each_engine(self):
        self.compare(self.peer("llama"))
        picture = self.folder / "out.svg"
        subprocess.run([sys.executable, TREE / "tools/plot_bench", self.folder / "out.json", "-o", picture], check=True, timeout=60)
        root = xml.parse(picture).getroot()
        space = "{http://www.w3.org/2000/svg}"
        self.assertEqual(len(root.findall(f"{space}polyline")), 3)
        words = " ".join(node.text or "" for node in root.findall(f"{space}text"))
        for part in ("longhaul dense", "longhaul exact", "llama", "tokens in the cache"): self.assertIn(part, words)

    def test_plot_refuses_what_is_no_benchmark(self):
        path = self.folder / "x.json"
        path.write_text('{"rows": 1}')
        done = subprocess.run([sys.executable, TREE / "tools/plot_bench", path, "-o", self.folder / "x.svg"], capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("expected JSON of longhaul bench", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
