#!/usr/bin/env python3
"""The program at a terminal, which Python's pty stands for: where lines end, what keys do, what is kept.

usage: terminal_test.py PROGRAM SOURCE_TREE
"""

import json
import os
import pathlib
import pty
import select
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM, TREE = sys.argv[1], pathlib.Path(sys.argv[2])
MODEL = str(TREE / "tests/golden/qwen3-f16.gguf")
TEMPLATE = "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}\n{% endfor %}"


class Terminal:
    """A program with a terminal for all three streams."""

    def __init__(self, *arguments, environment=None):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(environment or {})
            os.environ["TERM"] = "xterm"
            os.execv(PROGRAM, [PROGRAM, *arguments])
        self.seen = ""

    def type(self, text):
        os.write(self.fd, text.encode())

    def expect(self, text, seconds=60):
        """Reads until the text has come, and gives all up to its end."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            if not self._read(end - time.monotonic()):
                raise AssertionError(f"expected {text!r}, found {self.seen!r}")
        at = self.seen.index(text) + len(text)
        found, self.seen = self.seen[:at], self.seen[at:]
        return found

    def end(self, seconds=60):
        """Reads to the end; the rest of the output and the exit status."""
        end = time.monotonic() + seconds
        while self._read(end - time.monotonic()):
            pass
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return self.seen, status

    def _read(self, seconds):
        if not select.select([self.fd], [], [], max(seconds, 0))[0]:
            raise AssertionError(f"nothing came any more after {self.seen!r}")
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # the other side is closed
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)


class Generate(unittest.TestCase):
    def test_a_text_ends_its_line_at_a_terminal(self):
        out, status = Terminal("generate", "-m", MODEL, "--tokens", "1,2,3", "-n", "3", "--ignore-eos", "--logit-bias", "68=50").end()
        self.assertEqual(status, 0)
        text, line = out.split("\r\n")[:2]
        self.assertEqual(len(set(text)), 1, out)
        self.assertTrue(line.startswith("[prompt 3 tokens"), out)

    def test_ctrl_c_ends_with_130(self):
        terminal = Terminal("generate", "-m", MODEL, "-p", "x", "-c", "1M", "--ignore-eos", "--logit-bias", "68=50")
        terminal.expect("D")  # token 68
        terminal.type("\x03")
        out, status = terminal.end(20)
        self.assertEqual(status, 130, out[-300:])
        self.assertIn("cancelled", out)


class Chat(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "template").write_text(TEMPLATE)
        self.common = ["chat", "-m", MODEL, "--chat-template", str(self.folder / "template"), "-n", "4", "-c", "512"]
        self.environment = {"XDG_STATE_HOME": str(self.folder / "state"), "LC_ALL": "C.UTF-8"}

    def chat(self, *arguments):
        terminal = Terminal(*self.common, *arguments, environment=self.environment)
        terminal.expect("> ")
        return terminal

    def said(self, terminal):
        """Saves the chat and gives the last message of the user."""
        terminal.type(f"/save {self.folder}/saved\r")
        terminal.expect("tokens saved")
        terminal.expect("> ")
        turns = json.loads((self.folder / "saved.json").read_text())
        return [turn["content"] for turn in turns if turn["role"] == "user"][-1]

    def test_settings_are_shown(self):
        terminal = Terminal(*self.common, environment=self.environment)
        line = terminal.expect("/help lists the commands.")
        for part in ("temperature 0.8", "top-p 0.95", "min-p 0.05", "seed ", "context 512 tokens"):
            self.assertIn(part, line)
        terminal.type("/quit\r")
        self.assertEqual(terminal.end()[1], 0)

    def test_keys_edit_the_line(self):
        terminal = self.chat()
        time.sleep(0.5)  # the editor takes over the keyboard just behind its prompt
        terminal.type("hxllo\x1b[D\x1b[D\x1b[D\x7fe\x05 wörld\r")  # left three times, backspace, e, end of line
        terminal.expect("> ")
        self.assertEqual(self.said(terminal), "hello wörld")
        terminal.type("\x04")
        self.assertEqual(terminal.end()[1], 0)

    def test_history_is_kept_between_runs(self):
        terminal = self.chat()
        terminal.type("remember me\r")
        terminal.expect("> ")
        terminal.type("/quit\r")
        terminal.end()
        file = self.folder / "state/longhaul/chat_history"
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        terminal = self.chat()
        terminal.type("\x1b[A\x1b[A\r")  # up: /quit, then the message
        terminal.expect("> ")
        self.assertEqual(self.said(terminal), "remember me")
        terminal.type("/quit\r")
        terminal.end()

    def test_what_is_pasted_is_one_message(self):
        terminal = self.chat()
        terminal.type("\x1b[200~one\rtwö\rthree\x1b[201~\r")
        terminal.expect("> ")
        self.assertEqual(self.said(terminal), "one\ntwö\nthree")
        terminal.type("/quit\r")
        terminal.end()

    def test_ctrl_c_drops_the_line_and_nothing_else(self):
        terminal = self.chat()
        terminal.type("not this\x03")
        terminal.expect("(/quit to leave)")
        terminal.expect("> ")
        terminal.type("but this\r")
        terminal.expect("> ")
        self.assertEqual(self.said(terminal), "but this")
        terminal.type("/quit\r")
        self.assertEqual(terminal.end()[1], 0)

    def test_ctrl_c_stops_an_answer(self):
        terminal = self.chat("-n", "-1", "-c", "1M", "--temp", "0")
        terminal.type("hello\r")
        time.sleep(1.5)
        terminal.type("\x03")
        terminal.expect("(stopped)", 20)
        terminal.expect("> ")
        terminal.type("/quit\r")
        self.assertEqual(terminal.end()[1], 0)


class ChatInAPipe(unittest.TestCase):
    def chat(self, lines, *arguments):
        with tempfile.NamedTemporaryFile("w") as template:
            template.write(TEMPLATE)
            template.flush()
            done = subprocess.run([PROGRAM, "chat", "-m", MODEL, "--chat-template", template.name, "-n", "4", "-c", "512", *arguments],
                                  input=lines.encode(), capture_output=True, timeout=120)
        return done.returncode, done.stdout, done.stderr.decode()

    def turns(self, lines, *arguments):
        """What is saved after these lines."""
        with tempfile.TemporaryDirectory() as folder:
            status, _, err = self.chat(f"{lines}/save {folder}/chat\n", *arguments)
            self.assertEqual(status, 0, err)
            return json.loads(pathlib.Path(folder, "chat.json").read_text()), err

    def contents(self, lines, *arguments):
        return [turn["content"] for turn in self.turns(lines, *arguments)[0] if turn["role"] == "user"]

    def test_messages_of_many_lines_and_of_slashes(self):
        self.assertEqual(self.contents('"""one\n\ntwo"""\n'), ["one\n\ntwo"])
        self.assertEqual(self.contents('"""\none\ntwo\n"""\n'), ["one\ntwo"])
        self.assertEqual(self.contents("one\\\ntwo\n"), ["one\ntwo"])
        self.assertEqual(self.contents("//etc/hosts, what is it?\n"), ["/etc/hosts, what is it?"])

    def test_transport_is_no_content(self):
        self.assertEqual(self.contents("\ufeffhello\r\n"), ["hello"])
        status, out, err = self.chat("/quit\r\nnot said\r\n")
        self.assertEqual((status, out), (0, b""), err)

    def test_undo_and_regenerate(self):
        self.assertEqual(self.contents("one\ntwo\n/undo\nthree\n"), ["one", "three"])
        turns, err = self.turns("one\n/regenerate\n", "--temp", "2")
        self.assertEqual([turn["role"] for turn in turns], ["user", "assistant"])
        for line, part in (("/undo", "nothing was said"), ("/regenerate", "to answer again"), ("/undu", "did you mean /undo?")):
            self.assertIn(part, self.chat(line + "\n")[2])

    def test_system_messages(self):
        turns, _ = self.turns("one\n/system Be brief.\n", "--system", "Be long.")
        self.assertEqual([turn["content"] for turn in turns if turn["role"] == "system"], ["Be brief."])
        turns, _ = self.turns("one\n", "--system", "")
        self.assertEqual(turns[0], {"role": "system", "content": ""})
        turns, _ = self.turns("one\n")
        self.assertEqual(turns[0]["role"], "user")

    def test_settings_are_those_of_the_command_line(self):
        err = self.chat("/set temp 0.5\n/set top-k 3\n/set seed 9\n/set max-tokens 2\n/set temp x\n/set tmep 1\n")[2]
        self.assertIn("temperature 0.5, top-k 3, top-p 0.95, min-p 0.05, seed 9, answers of up to 2 tokens", err)
        self.assertIn("--temp: expected a number, found 'x'", err)
        self.assertIn("tmep", err)

    def test_a_full_context_stops_or_drops_the_oldest(self):
        message = "abcdefgh" * 6 + "\n"
        stopped = self.chat(message * 8, "-c", "256", "--temp", "0")[2]
        self.assertIn("tokens of the context are taken", stopped)
        self.assertIn("--on-full drop always does", stopped)
        turns, err = self.turns(message * 8, "-c", "256", "--on-full", "drop", "--system", "S", "--temp", "0")
        self.assertIn("of the conversation dropped", err)
        self.assertEqual(turns[0]["role"], "system")
        self.assertEqual([turn["role"] for turn in turns[1:3]], ["user", "assistant"])
        self.assertEqual(turns[-2]["content"], message.strip())
        self.assertLess(len(turns), 17)

    def test_goes_on_from_a_saved_chat(self):
        with tempfile.TemporaryDirectory() as folder:
            self.chat(f"one\n/save {folder}/chat\n")
            self.assertEqual(self.contents("two\n", "--load", f"{folder}/chat"), ["one", "two"])
            self.assertIn("no such folder", self.chat(f"one\n/save {folder}/none/chat\n")[2])

    def test_the_smallest_answers(self):
        for n in ("1", "2"):
            turns, _ = self.turns("one\n", "-n", n, "--temp", "0", "--logit-bias", "68=50")
            self.assertEqual(len(turns[1]["content"]), int(n))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
