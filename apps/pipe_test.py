#!/usr/bin/env python3
"""The program among others: pipes as prompts, habits of other programs, disks that are full, files of bad will.

usage: pipe_test.py PROGRAM SOURCE_TREE
"""

import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM, TREE = sys.argv[1], pathlib.Path(sys.argv[2])
MODEL = str(TREE / "tests/golden/qwen3-f16.gguf")
SLOW_MODEL = str(TREE / "models/longhaul-pathfinder-q8_0.gguf")  # a prompt of one layer is read at once


def run(*arguments, stdin=b"", stdout=subprocess.PIPE):
    done = subprocess.run([PROGRAM, *arguments], input=stdin, stdout=stdout, stderr=subprocess.PIPE, timeout=120)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def changed_model(folder, changes, name="changed.gguf"):
    """The golden model with bytes replaced by others of the same number."""
    data = pathlib.Path(MODEL).read_bytes()
    for old, new in changes:
        assert len(old) == len(new) and data.count(old) >= 1, (old, new)
        data = data.replace(old, new, 1)
    path = pathlib.Path(folder) / name
    path.write_bytes(data)
    return str(path)


def key_of(name, value):
    """A key of type u32 as it stands in the file."""
    return name.encode() + struct.pack("<II", 4, value)


class Prompts(unittest.TestCase):
    def tokens(self, *arguments, stdin=b""):
        status, out, err = run("generate", "-m", MODEL, "--json", "-n", "5", *arguments, stdin=stdin)
        self.assertEqual(status, 0, err)
        return json.loads(out)["prompt_tokens"]

    def test_a_pipe_is_the_prompt(self):
        plain = self.tokens("-p", "some text")
        for piped in (b"some text", b"some text\n", b"some text\r\n", b"\xef\xbb\xbfsome text\n"):
            self.assertEqual(self.tokens(stdin=piped), plain, piped)
        self.assertGreater(self.tokens("--keep-newline", stdin=b"some text\n"), plain)
        self.assertEqual(self.tokens("-p", "some text", stdin=b"and this is not read"), plain)
        status, out, err = run("tokenize", "-m", MODEL, "--json", stdin=b"some text\n")
        self.assertEqual((status, len(json.loads(out)["tokens"])), (0, plain), err)

    def test_an_empty_pipe_and_none_are_refused(self):
        status, out, err = run("generate", "-m", MODEL)
        self.assertEqual((status, out), (2, b""), err)
        self.assertIn("-p TEXT", err)
        done = subprocess.run([PROGRAM, "generate", "-m", MODEL], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"found none", done.stderr)

    def test_a_state_goes_on_without_reading_a_pipe(self):
        with tempfile.TemporaryDirectory() as folder:
            state = f"{folder}/state"
            self.assertEqual(run("generate", "-m", MODEL, "-p", "a", "-n", "1", "--save-state", state)[0], 0)
            read, write = os.pipe()  # that nobody writes to or closes
            try:
                done = subprocess.run([PROGRAM, "generate", "-m", MODEL, "-n", "1", "--load-state", state], stdin=read,
                                      capture_output=True, timeout=60)
                self.assertEqual(done.returncode, 0, done.stderr)
            finally:
                os.close(read)
                os.close(write)

    def test_escapes(self):
        tokens = lambda *a: json.loads(run("tokenize", "-m", MODEL, "--json", *a)[1])["tokens"]
        self.assertEqual(tokens("-e", "-p", r"a\tb\n"), tokens("-p", "a\tb\n"))
        self.assertNotEqual(tokens("-p", r"a\tb"), tokens("-p", "a\tb"))
        status, _, err = run("tokenize", "-m", MODEL, "-e", "-p", r"a\q")
        self.assertEqual(status, 2)
        self.assertIn(r"found '\q'", err)


class Habits(unittest.TestCase):
    GENERATE = ["generate", "-m", MODEL, "-p", "abc", "--json"]

    def test_names_of_llama_cpp(self):
        result = json.loads(run(*self.GENERATE, "--n-predict", "3", "--ctx-size", "64", "--temperature", "0", "--top_k", "5",
                                "--no-display-prompt", "--ignore-eos")[1])
        self.assertEqual(len(result["tokens"]), 3)
        status, out, err = run(*self.GENERATE, "-ngl", "99")
        self.assertEqual((status, out), (2, b""))
        self.assertIn("--device cuda", err)

    def test_near_misses_and_where_help_is(self):
        status, _, err = run(*self.GENERATE, "--tmep", "1")
        self.assertEqual(status, 2)
        self.assertIn("did you mean --temp?", err)
        for wrong in (["--tmep"], ["-c", "4Q"], ["extra"]):
            self.assertIn("(see longhaul generate --help)", run(*self.GENERATE, *wrong)[2])

    def test_of_two_equal_options_the_last_wins(self):
        result = json.loads(run(*self.GENERATE, "-n", "9", "-c", "4K", "-n", "2", "-c", "64", "--ignore-eos")[1])
        self.assertEqual(len(result["tokens"]), 2)

    def test_help_begins_with_what_is_needed_first(self):
        for command in ("generate", "chat"):
            out = run(command, "--help")[1].decode()
            first, rest = out.split("Needed first:")[1].split("\n\n", 1)
            self.assertEqual(first.count("\n  -"), 11, first)  # --help and ten
            for title in ("Model and machine:", "Attention:", "Sampling:", "longhaul " + command + " -m"):
                self.assertIn(title, rest)


class Endings(unittest.TestCase):
    def result(self, *arguments):
        status, out, err = run("generate", "-m", MODEL, "--json", *arguments)
        self.assertEqual(status, 0, err)
        return json.loads(out)

    def test_without_a_limit_the_context_ends_it(self):
        result = self.result("-p", "abc", "-c", "48", "--ignore-eos")
        self.assertEqual(result["prompt_tokens"] + len(result["tokens"]), 48)
        self.assertEqual((result["finish_reason"], result["context_full"]), ("length", True))
        result = self.result("-p", "abc", "-c", "48", "--ignore-eos", "-n", "3")
        self.assertEqual((len(result["tokens"]), result["context_full"]), (3, False))
        err = run("generate", "-m", MODEL, "-p", "abc", "-c", "48", "--ignore-eos", "-n", "-1")[2]
        self.assertIn("the context of 48 tokens is full", err)
        err = run("generate", "-m", MODEL, "-p", "abc", "-c", "48", "--ignore-eos", "-n", "3")[2]
        self.assertIn("as long as -n allows", err)

    def test_the_smallest_values(self):
        for mode in ("dense", "sparse", "resa", "exact", "auto"):
            whole = self.result("--tokens", "1,2,3", "-n", "2", "--ignore-eos", "--attention", mode)["tokens"]
            for n in range(3):
                result = self.result("--tokens", "1,2,3", "-n", str(n), "--ignore-eos", "--attention", mode)
                self.assertEqual(result["tokens"], whole[:n], (mode, n))
                self.assertEqual(len(result["text"]) > 0, n > 0)
            one_place = self.result("--tokens", "1,2,3", "-c", "4", "--ignore-eos", "--attention", mode)
            self.assertEqual((one_place["tokens"], one_place["context_full"]), (whole[:1], True))
            none = self.result("--tokens", "1,2,3,4", "-c", "4", "--ignore-eos", "--attention", mode)
            self.assertEqual((none["tokens"], none["context_full"]), ([], True))

    def test_a_drawn_seed_is_said_and_repeats_the_run(self):
        sampled = ["-p", "abc", "-n", "20", "--temp", "1.5", "--ignore-eos"]
        first = self.result(*sampled)
        self.assertEqual(self.result(*sampled, "--seed", str(first["seed"]))["tokens"], first["tokens"])
        self.assertNotEqual(self.result(*sampled, "--seed", "-1")["seed"], first["seed"])
        self.assertIn("; seed 7;", run("generate", "-m", MODEL, *sampled, "--seed", "7")[2])

    def test_log_probabilities(self):
        result = self.result("-p", "abc", "-n", "4", "--ignore-eos", "--logprobs", "3")
        self.assertEqual([entry["token"] for entry in result["logprobs"]], result["tokens"])
        for entry in result["logprobs"]:
            self.assertEqual(len(entry["top"]), 3)
            self.assertEqual(entry["top"][0]["token"], entry["token"])  # greedy
            self.assertLessEqual(entry["logprob"], 0)
        status, _, err = run("generate", "-m", MODEL, "-p", "x", "--logprobs", "1")
        self.assertEqual(status, 2)
        self.assertIn("--json", err)

    def test_what_was_won_and_whether_the_text_is_exact(self):
        common = ["generate", "-m", MODEL, "--tokens", ",".join(str(i % 200) for i in range(300)), "-c", "1K", "-n", "40",
                  "--ignore-eos", "--block-size", "4", "--min-blocks", "4", "--attention"]
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "XDG_CACHE_HOME": folder}
            said = lambda *a: subprocess.run([PROGRAM, *common, *a], capture_output=True, timeout=120, env=environment).stderr
            self.assertIn(b"times as fast as dense is predicted to be", said("exact"))
            self.assertIn(b"an approximate text", said("sparse"))
            for mode in ("dense", "exact"):
                self.assertNotIn(b"approximate", said(mode))

    def test_a_ratio_of_one_makes_dense_steps(self):
        common = ["-p", "abc", "-n", "8", "--ignore-eos"]
        result = self.result(*common, "--attention", "sparse", "--sparse-ratio", "1")
        self.assertEqual(result["tokens"], self.result(*common)["tokens"])
        self.assertEqual(result["attention"]["sparse_steps"], 0)
        self.assertGreater(result["attention"]["dense_steps"], 0)


class LastWrite(unittest.TestCase):
    """Status 1 and the reason, wherever the disk is full."""

    def commands(self, folder):
        requests = pathlib.Path(folder) / "in.jsonl"
        requests.write_text('{"prompt": "abc"}\n')
        generate = ["generate", "-m", MODEL, "-p", "abc", "--ignore-eos", "-c", "4K"]
        return [["inspect", MODEL], ["inspect", MODEL, "--json", "--tensors"], ["tokenize", "-m", MODEL, "-p", "abc"],
                ["tokenize", "-m", MODEL, "-p", "abc" * 2000], ["tokenize", "-m", MODEL, "-p", "abc" * 2000, "--json"],
                ["tokenize", "-m", MODEL, "--ids", "68"], [*generate, "-n", "8"], [*generate, "-n", "8", "--json"],
                [*generate, "-n", "1500", "--json"], [*generate, "-n", "2", "--n", "2"], ["--help"], ["generate", "--help"], ["--version"],
                ["batch", "-m", MODEL, str(requests), "-n", "4", "-c", "64"],
                ["bench", "-m", MODEL, "-d", "0", "-p", "16", "-n", "4", "-r", "1", "--json"],
                ["eval", "-m", MODEL, "-c", "1K", "--tasks", "path", "--lengths", "600", "--items", "1", "--attention", "dense"]]

    def check(self, command, out):
        status, _, err = run(*command, stdout=out)
        self.assertEqual(status, 1, (command, err))
        self.assertIn("standard output: cannot write: No space left on device", err, command)

    def test_an_always_full_device(self):
        with tempfile.TemporaryDirectory() as folder:
            for command in self.commands(folder):
                with open("/dev/full", "wb") as full:
                    self.check(command, full)

    def test_a_full_file_system(self):
        with tempfile.TemporaryDirectory() as folder:
            disk = pathlib.Path(folder) / "disk"
            disk.mkdir()
            if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(disk)], capture_output=True).returncode != 0:
                self.skipTest("skipped: cannot mount a file system")
            try:
                (disk / "fill").write_bytes(b"x" * 4096)
                for command in ([c for c in self.commands(folder) if c[0] in ("inspect", "tokenize", "generate")]):
                    with open(disk / "out", "wb") as out:
                        status, _, err = run(*command, stdout=out)
                    written = (disk / "out").stat().st_size
                    with self.subTest(command=command):
                        self.assertEqual(status, 1 if written == 4096 else 0, err)
                (disk / "out").unlink()
                (disk / "fill").write_bytes(b"x" * 8192)
                for command in (["tokenize", "-m", MODEL, "-p", "abc"], ["inspect", MODEL, "--json"]):
                    with open(disk / "out", "wb") as out:
                        self.check(command, out)
            finally:
                subprocess.run(["umount", str(disk)], check=True)

    def test_a_full_standard_error_is_no_abort(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([PROGRAM, "generate", "-m", MODEL, "-p", "abc", "-n", "4"], stdout=subprocess.PIPE, stderr=full)
        self.assertEqual(done.returncode, 1)


class Files(unittest.TestCase):
    def test_where_a_state_is_to_go_is_looked_at_first(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkfifo(f"{folder}/pipe")
            for path, reason in ((f"{folder}/none/state", "no such folder"), (folder, "a folder"), ("/dev/null", "a device"),
                                 (f"{folder}/pipe", "a pipe")):
                status, out, err = run("generate", "-m", MODEL, "-p", "x", "-n", "1", "--save-state", path)
                self.assertEqual(out, b"")  # before any work
                self.assertIn(status, (1, 2))
                for part in ("--save-state", path, reason):
                    self.assertIn(part, err)
            target = pathlib.Path(folder) / "target"
            (pathlib.Path(folder) / "link").symlink_to("target")
            self.assertEqual(run("generate", "-m", MODEL, "-p", "x", "-n", "1", "--save-state", f"{folder}/link")[0], 0)
            self.assertTrue((pathlib.Path(folder) / "link").is_symlink())
            self.assertTrue(target.is_file())
            for option in (["--save", "/dev/null"], ["--save", f"{folder}/none/x"]):
                status, out, err = run("bench", "-m", MODEL, "-d", "0", "-p", "16", "-n", "4", "-r", "1", *option)
                self.assertIn(status, (1, 2))
                self.assertEqual(out, b"")
                self.assertIn(option[1], err)

    def test_a_model_cannot_write_to_the_terminal(self):
        with tempfile.TemporaryDirectory() as folder:
            bad = changed_model(folder, [(b"general.architecture\x08\0\0\0\x05\0\0\0\0\0\0\0qwen3",
                                          b"general.architecture\x08\0\0\0\x05\0\0\0\0\0\0\0q\x1b]0;")])
            for command in (["inspect", bad], ["generate", "-m", bad, "-p", "x"], ["tokenize", "-m", bad, "-p", "x"]):
                _, out, err = run(*command)
                self.assertNotIn("\x1b", out.decode(errors="replace") + err, command)
            status, out, _ = run("inspect", bad)
            self.assertEqual(status, 1)
            self.assertIn(b"cannot run it", out)
            self.assertIn(b"\\x1B]0;", out)
            document = json.loads(run("inspect", bad, "--json")[1])
            self.assertFalse(document["runs"])

    def test_inspect_says_first_what_matters(self):
        status, out, err = run("inspect", MODEL)
        self.assertEqual(status, 0, err)
        parts = ["qwen3, ", "The engine runs it", "Memory of one session", "general.architecture"]
        places = [out.decode().index(part) for part in parts]
        self.assertEqual(places, sorted(places))
        self.assertNotIn(b"blk.0.attn_q.weight", out)
        self.assertIn(b"blk.0.attn_q.weight", run("inspect", MODEL, "--tensors")[1])
        metadata = json.loads(run("inspect", MODEL, "--json")[1])["metadata"]
        self.assertEqual(metadata["general.architecture"], "qwen3")
        self.assertIsInstance(metadata["qwen3.block_count"], int)
        self.assertIsInstance(metadata["qwen3.rope.freq_base"], float)
        self.assertGreater(metadata["tokenizer.ggml.tokens"]["count"], 256)

    def test_a_context_beyond_memory_is_cut_to_what_fits(self):
        trained = json.loads(run("inspect", MODEL, "--json")[1])["model"]["context_length"]
        with tempfile.TemporaryDirectory() as folder:
            long = changed_model(folder, [(key_of("qwen3.context_length", trained), key_of("qwen3.context_length", 1 << 28))])
            status, out, err = run("generate", "-m", long, "-p", "x", "-n", "3")
            self.assertEqual(status, 0, err)
            self.assertIn("the model was trained for 268435456", err)
            status, _, err = run("generate", "-m", long, "-p", "x", "-n", "3", "-c", "256M")
            self.assertEqual(status, 1)  # what was asked for is not cut
            self.assertIn("does not fit in memory", err)

    def test_questions_do_not_need_room_for_lengths(self):
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            file.write(json.dumps({"question": "1 and 1?", "answer": "2"}) + "\n")
            file.flush()
            questions = ["eval", "-m", MODEL, "-c", "512", "--questions", file.name, "--attention", "dense", "--json"]
            status, out, err = run(*questions, "--max-tokens", "1")
            self.assertEqual(status, 0, err)
            self.assertEqual(json.loads(out)["answers"][0]["n"], 1)


class CtrlC(unittest.TestCase):
    """While a long prompt is read in one piece, which takes many seconds."""

    def interrupted(self, *arguments):
        process = subprocess.Popen([PROGRAM, "generate", "-m", SLOW_MODEL, "-c", "1M", *arguments], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdin.write(b"abcdefgh " * 60000)  # returns once the model is loaded and most of it is taken
        process.stdin.close()
        process.stdin = None
        time.sleep(3)
        self.assertIsNone(process.poll(), "the prompt was read too soon to stop it")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        return process.returncode, err.decode()

    def test_ends_soon_and_says_how_far_it_came(self):
        status, err = self.interrupted("--prefill-chunk", "64K")
        self.assertEqual(status, 130, err)
        self.assertIn("[cancelled: ", err)
        self.assertIn("of the prompt", err)

    def test_with_a_state_what_was_read_is_saved(self):
        with tempfile.TemporaryDirectory() as folder:
            state = f"{folder}/state"
            status, err = self.interrupted("--save-state", state)
            self.assertEqual(status, 130, err)
            self.assertRegex(err, r"\d+ of \d+ tokens were read and are saved")
            n_read = int(err.split(f"[{state}: ")[1].split(" of ")[0])
            n_all = int(err.split(" of ")[1].split(" tokens")[0])
            self.assertLess(n_read, n_all)
            status, _, err = run("generate", "-m", SLOW_MODEL, "-c", "1M", "-n", "1", "--load-state", state)
            self.assertEqual(status, 0, err)
            self.assertIn(f"{n_read} tokens restored", err)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
