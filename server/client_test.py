#!/usr/bin/env python3
"""The server from outside: the openai and anthropic clients and plain HTTP against `longhaul serve` with the bundled model.

usage: client_test.py PROGRAM SOURCE_TREE

What needs a client is skipped in words where scripts/install-clients has not brought it.
"""

import concurrent.futures
import http.client
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM, TREE = sys.argv[1], pathlib.Path(sys.argv[2])
MODEL = str(TREE / "models/longhaul-pathfinder-q8_0.gguf")
sys.path += [str(path) for path in TREE.glob("build/clients/lib/python3*/site-packages")]
try:
    import openai
except ImportError:
    openai = None
try:
    import anthropic
except ImportError:
    anthropic = None

# The bundled model knows no chat; a published one does.
CHAT_MODEL = pathlib.Path(os.environ.get("LONGHAUL_MODELS", pathlib.Path.home() / ".cache/longhaul/models")) / "smollm2-135m-instruct.gguf"

TOOL_MODEL = CHAT_MODEL.with_name("qwen2.5-coder-0.5b-instruct.gguf")

PROMPT = "path: bako tiru ; lemo end ; tiru lemo ; from bako :"


def blocks(message):
    """What an anthropic message says, whatever classes its client has made of it."""
    return [(block.type, *(getattr(block, name, None) for name in ("text", "id", "name", "input"))) for block in message.content]


class Server:
    def __init__(self, *options, model=MODEL):
        self.process = subprocess.Popen([PROGRAM, "serve", "-m", model, "--port", "0", "-c", "2048", "-t", "2", *options],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()  # "longhaul: NAME at http://127.0.0.1:PORT, ..."
        self.port = int(line.split("127.0.0.1:")[1].split(",")[0])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=120)
        return self.process.returncode, errors

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request(method, path, json.dumps(body) if body is not None else None)
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        return reply.status, text

    def complete(self, **fields):
        status, text = self.ask("POST", "/v1/completions", {"temperature": 0, **fields})
        assert status == 200, text
        return json.loads(text)


def generated(prompt, *options):
    done = subprocess.run([PROGRAM, "generate", "-m", MODEL, "-p", prompt, "-c", "2048", "--json", *options],
                          capture_output=True, timeout=120, check=True)
    return json.loads(done.stdout)


class WithServer(unittest.TestCase):
    options = ["--parallel", "8"]

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.options)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()


class Killed(unittest.TestCase):
    """Requests with an id, and a server that is killed again and again (LONGHAUL_KILLS times)."""

    MODES = ["dense", "sparse", "resa", "exact"]

    def ask(self, server, mode, round):
        body = {"prompt": PROMPT, "max_tokens": 1200, "temperature": 3, "seed": 7, "ignore_eos": True, "stream": True,
                "longhaul": {"attention": mode, "sparse_ratio": 0.05, "min_blocks": 4}}
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("POST", "/v1/completions", json.dumps(body), {"Longhaul-Request-Id": f"{mode}-{round}"})
        connection.close()

    def texts(self, server, round):
        texts = {}
        for mode in self.MODES:
            status, events = server.ask("GET", f"/longhaul/requests/{mode}-{round}/events")
            self.assertEqual(status, 200)
            lines = [line[6:] for line in events.splitlines() if line.startswith("data: {")]
            texts[mode] = [json.loads(line)["choices"][0]["text"] for line in lines]
        return texts

    def test_ends_as_if_nothing_had_been(self):
        random.seed(1)
        server = Server("--parallel", "4")
        for mode in self.MODES:
            self.ask(server, mode, 0)
        wanted = self.texts(server, 0)
        server.stop()
        self.assertTrue(wanted["dense"] != wanted["sparse"])
        self.assertTrue(wanted["dense"] == wanted["exact"])
        kills, round, n_broken_off = int(os.environ.get("LONGHAUL_KILLS", "8")), 0, 0
        with tempfile.TemporaryDirectory() as folder:
            while True:
                server = Server("--parallel", "4", "--requests", str(pathlib.Path(folder) / "requests.db"))
                listed = json.loads(server.ask("GET", "/longhaul/requests")[1])["data"]
                if sum(entry["state"] == "done" for entry in listed) == 4 * (round + 1):
                    self.assertTrue(self.texts(server, round) == wanted, round)
                    round += 1
                for mode in self.MODES:
                    self.ask(server, mode, round)  # or the same request again
                if kills == 0:
                    break
                kills -= 1
                time.sleep(random.uniform(0, 1.5))  # half a second between what is written
                server.process.kill()
                n_broken_off += server.process.communicate()[1].count("goes on from token")
            self.assertTrue(self.texts(server, round) == wanted, round)
            server.stop()
        self.assertGreater(n_broken_off, 0)
        print(f"{n_broken_off} answers were broken off, of {4 * (round + 1)}", file=sys.stderr)


class KilledWhileItWritesPrompts(unittest.TestCase):
    """Kept prompts on disk, and a server that is killed again and again (LONGHAUL_DISK_KILLS times), its files damaged."""

    LIMIT = 3 << 20

    def prompts(self):
        # Texts that begin alike in part, as turns and samples do.
        random.seed(2)
        ids = lambda n: [random.randrange(10, 200) for _ in range(n)]
        beginnings = [ids(260), ids(150)]
        return [beginnings[i % 2][:random.randrange(80, 261)] + ids(random.randrange(20, 500)) for i in range(12)]

    def ask(self, server, prompt, number, **fields):
        """The text, or None where the server has gone; and how much of the prompt it did not read."""
        try:
            reply = server.complete(prompt=prompt, max_tokens=16, temperature=1, seed=number, ignore_eos=True, **fields)
        except (OSError, http.client.HTTPException):
            return None, 0
        return reply["choices"][0]["text"], reply["usage"]["prompt_tokens_details"]["cached_tokens"]

    def counted(self, server, name):
        return int(server.ask("GET", "/metrics")[1].split(f"\nlonghaul:prefix_{name} ")[1].split("\n")[0])

    def damage(self, folder):
        """What a disk may do: a byte changed, an end cut off, the index lost or filled with rubbish."""
        pages = sorted(folder.glob("*.page"))
        for page in random.sample(pages, min(3, len(pages))):
            content = bytearray(page.read_bytes())
            content[random.randrange(len(content))] ^= 1 << random.randrange(8)
            page.write_bytes(content[:random.choice([len(content), random.randrange(len(content))])])
        if random.random() < 0.3:
            (folder / "index.db").write_bytes(b"rubbish" * 1000)

    def test_no_answer_is_another(self):
        prompts = self.prompts()
        server = Server("--parallel", "4")
        wanted = [self.ask(server, prompt, i, cache_prompt=False)[0] for i, prompt in enumerate(prompts)]
        server.stop()
        self.assertEqual(len(set(wanted)), len(wanted))
        kills = int(os.environ.get("LONGHAUL_DISK_KILLS", "6"))
        n_answers = n_restored = n_damaged = 0
        with tempfile.TemporaryDirectory() as name, concurrent.futures.ThreadPoolExecutor(4) as pool:
            folder = pathlib.Path(name) / "prefixes"
            for round in range(kills + 1):
                server = Server("--parallel", "4", "--prefix-dir", str(folder), "--prefix-disk-bytes", str(self.LIMIT))
                n_damaged += self.counted(server, "pages_damaged_total")
                numbers = random.sample(range(len(prompts)), len(prompts))
                asked = [(i, pool.submit(self.ask, server, prompts[i], i)) for i in numbers]
                if round < kills:
                    time.sleep(random.uniform(0, 1.2))
                    n_restored += self.counted(server, "restored_tokens_total")
                    n_damaged += self.counted(server, "pages_damaged_total")
                    server.process.kill()
                for i, answer in asked:
                    text, _ = answer.result()
                    n_answers += text is not None
                    self.assertIn(text, (wanted[i], None), i)
                    self.assertTrue(text is not None or round < kills)
                if round == kills:
                    n_restored += self.counted(server, "restored_tokens_total")
                    self.assertEqual(server.stop()[0], 0)
                else:
                    server.process.communicate()
                self.assertLessEqual(sum(-(-file.stat().st_size // 4096) * 4096 for file in folder.iterdir()), self.LIMIT)
                if round % 3 == 2:
                    self.damage(folder)
        self.assertGreater(n_restored, 0)
        print(f"{kills} kills: {n_answers} answers as wanted, {n_restored} tokens came from disk, {n_damaged} files were "
              "dropped as damaged", file=sys.stderr)


class PlainHttp(WithServer):
    def test_says_what_generate_says(self):
        expected = generated(PROMPT, "-n", "40")
        reply = self.server.complete(prompt=PROMPT, max_tokens=40, logprobs=0)
        choice = reply["choices"][0]
        self.assertEqual(choice["text"], expected["text"])
        self.assertEqual(choice["finish_reason"], expected["finish_reason"])
        self.assertEqual(reply["usage"]["completion_tokens"], len(expected["tokens"]))
        self.assertEqual(len(choice["logprobs"]["tokens"]), len(expected["tokens"]))

    def test_samples_and_modes_are_those_of_generate(self):
        for mode in ("sparse", "resa", "exact"):
            expected = generated(PROMPT, "-n", "60", "--temp", "1", "--seed", "7", "--attention", mode, "--ignore-eos")
            reply = self.server.complete(prompt=PROMPT, max_tokens=60, temperature=1, seed=7, ignore_eos=True,
                                         longhaul={"attention": mode})
            self.assertEqual(reply["choices"][0]["text"], expected["text"], mode)

    def test_prompts_as_text_tokens_and_lists(self):
        _, text = self.server.ask("POST", "/tokenize", {"prompt": PROMPT})
        tokens = json.loads(text)["tokens"]
        self.assertEqual(len(tokens), generated(PROMPT, "-n", "1")["prompt_tokens"])
        reply = self.server.complete(prompt=[PROMPT, tokens], max_tokens=20)
        self.assertEqual(reply["choices"][0]["text"], reply["choices"][1]["text"])
        self.assertEqual(reply["usage"]["prompt_tokens"], 2 * len(tokens))

    def test_stop_texts_end_the_answer(self):
        text = generated(PROMPT, "-n", "40")["text"]
        stop = text[9:15]  # spans tokens
        reply = self.server.complete(prompt=PROMPT, max_tokens=40, stop=[stop])
        self.assertEqual(reply["choices"][0]["text"], text[:text.index(stop)])
        self.assertEqual(reply["choices"][0]["finish_reason"], "stop")

    def test_many_at_once_are_what_they_are_alone(self):
        prompts = [f"sum: bako {i % 10} ; tiru {i * 3 % 10} ; total :" for i in range(16)]
        alone = [self.server.complete(prompt=p, max_tokens=24, cache_prompt=False)["choices"][0]["text"] for p in prompts]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            together = list(pool.map(
                lambda p: self.server.complete(prompt=p, max_tokens=24)["choices"][0]["text"], prompts))
        self.assertEqual(together, alone)

    def test_the_next_turn_reads_only_what_is_new(self):
        first = self.server.complete(prompt="recall " + PROMPT, max_tokens=30)
        second = self.server.complete(prompt="recall " + PROMPT + first["choices"][0]["text"] + " more", max_tokens=2)
        usage = second["usage"]
        self.assertGreaterEqual(usage["prompt_tokens_details"]["cached_tokens"], first["usage"]["prompt_tokens"])
        status, metrics = self.server.ask("GET", "/metrics")
        self.assertEqual(status, 200)
        self.assertIn('longhaul:prefix_misses_total{reason="extended"}', metrics)

    def test_errors_are_nested_and_have_their_status(self):
        status, text = self.server.ask("POST", "/v1/completions", {"prompt": "a b " * 4000})
        error = json.loads(text)["error"]
        self.assertEqual((status, error["type"], error["code"]), (400, "exceed_context_size_error", "context_length_exceeded"))
        self.assertGreater(error["n_prompt_tokens"], error["n_ctx"])
        self.assertEqual(self.server.ask("GET", "/v1/nothing")[0], 404)


class Stopping(unittest.TestCase):
    def test_a_signal_ends_it_and_says_nothing_bad(self):
        server = Server()
        self.assertEqual(server.ask("GET", "/health")[0], 200)
        status, errors = server.stop()
        self.assertEqual((status, errors), (0, ""))

    def test_what_cannot_be_listened_at_is_refused_in_words(self):
        done = subprocess.run([PROGRAM, "serve", "-m", MODEL, "--host", "nowhere", "-c", "512"], capture_output=True,
                              text=True, timeout=60)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("nowhere", done.stderr)


@unittest.skipIf(openai is None, "the openai client is not installed: scripts/install-clients brings it")
class OpenAiClient(WithServer):
    def setUp(self):
        self.client = openai.OpenAI(base_url=f"http://127.0.0.1:{self.server.port}/v1", api_key="any", max_retries=0)
        self.model = self.client.models.list().data[0].id

    def test_completions_streamed_and_whole(self):
        whole = self.client.completions.create(model=self.model, prompt=PROMPT, max_tokens=40, temperature=0)
        self.assertEqual(whole.choices[0].text, generated(PROMPT, "-n", "40")["text"])
        chunks = list(self.client.completions.create(model=self.model, prompt=PROMPT, max_tokens=40, temperature=0,
                                                     stream=True, stream_options={"include_usage": True}))
        self.assertEqual("".join(c.choices[0].text for c in chunks if c.choices), whole.choices[0].text)
        self.assertEqual(chunks[-1].usage.completion_tokens, whole.usage.completion_tokens)
        self.assertEqual(chunks[-2].choices[0].finish_reason, whole.choices[0].finish_reason)

    def test_error_classes(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.completions.create(model=self.model, prompt="a b " * 4000)
        self.assertEqual(caught.exception.code, "context_length_exceeded")
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("other")
        with self.assertRaises(openai.APIStatusError) as caught:
            self.client.completions.create(model=self.model, prompt="a", suffix="b")
        self.assertEqual(caught.exception.status_code, 501)


@unittest.skipIf(openai is None, "the openai client is not installed: scripts/install-clients brings it")
@unittest.skipUnless(CHAT_MODEL.exists(), f"{CHAT_MODEL} is not there")
class OpenAiChat(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--parallel", "4", model=str(CHAT_MODEL))
        cls.client = openai.OpenAI(base_url=f"http://127.0.0.1:{cls.server.port}/v1", api_key="any", max_retries=0)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    MESSAGES = [{"role": "user", "content": "Name three rivers of Europe."}]

    def chat(self, **fields):
        return self.client.chat.completions.create(
            **{"model": "any", "temperature": 0, "messages": self.MESSAGES, **fields})

    def test_streamed_and_whole(self):
        whole = self.chat(max_tokens=24, logprobs=True, top_logprobs=2)
        message = whole.choices[0].message
        self.assertEqual(message.role, "assistant")
        self.assertEqual(len(whole.choices[0].logprobs.content), whole.usage.completion_tokens)
        self.assertEqual(whole.choices[0].logprobs.content[0].top_logprobs[0].token, whole.choices[0].logprobs.content[0].token)
        chunks = list(self.chat(max_tokens=24, stream=True))
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        self.assertEqual("".join(c.choices[0].delta.content or "" for c in chunks), message.content)
        self.assertEqual(chunks[-1].choices[0].finish_reason, whole.choices[0].finish_reason)
        self.assertTrue(all(c.usage is None for c in chunks))

    def test_samples_share_their_prompt(self):
        reply = self.chat(max_tokens=8, n=3, temperature=1, seed=5)
        self.assertEqual([choice.index for choice in reply.choices], [0, 1, 2])
        self.assertEqual(reply.choices[1].message.content,
                         self.chat(max_tokens=8, temperature=1, seed=6).choices[0].message.content)

    def test_the_next_turn_builds_on_the_last(self):
        first = self.chat(max_tokens=16)
        turns = [*self.MESSAGES, {"role": "assistant", "content": first.choices[0].message.content},
                 {"role": "user", "content": "And three of Asia."}]
        second = self.chat(messages=turns, max_tokens=8)
        self.assertGreaterEqual(second.usage.prompt_tokens_details.cached_tokens, first.usage.prompt_tokens)
        fresh = self.chat(messages=turns, max_tokens=8, extra_body={"cache_prompt": False})
        self.assertEqual(fresh.usage.prompt_tokens_details.cached_tokens, 0)
        self.assertEqual(second.choices[0].message.content, fresh.choices[0].message.content)

    def test_what_users_say_is_no_control_token(self):
        reply = self.chat(messages=[{"role": "user", "content": "<|im_end|>"}], max_tokens=1)
        plain = self.chat(messages=[{"role": "user", "content": ""}], max_tokens=1)
        self.assertGreater(reply.usage.prompt_tokens, plain.usage.prompt_tokens + 1)

    def respond(self, **fields):
        return self.client.responses.create(**{"model": "any", "temperature": 0, "max_output_tokens": 24,
                                               "input": self.MESSAGES[0]["content"], **fields})

    def test_responses_streamed_and_whole(self):
        said = self.chat(max_tokens=24).choices[0].message.content
        whole = self.respond()
        self.assertEqual(whole.output_text, said)
        self.assertEqual(self.client.responses.retrieve(whole.id).output_text, said)
        events = list(self.respond(stream=True))
        self.assertEqual("".join(e.delta for e in events if e.type == "response.output_text.delta"), said)
        self.assertEqual(events[-1].response.output_text, said)
        self.assertEqual([event.sequence_number for event in events], list(range(len(events))))
        with self.client.responses.stream(model="any", input="Say yes.", temperature=0) as stream:
            self.assertEqual([event.type for event in stream][-1], "response.completed")
            self.assertEqual(stream.get_final_response().status, "completed")

    def test_responses_go_on_from_each_other(self):
        first = self.respond(instructions="Be brief.")
        second = self.respond(input="And three of Asia.", previous_response_id=first.id)
        again = self.chat(max_tokens=24, messages=[
            *self.MESSAGES, {"role": "assistant", "content": first.output_text},
            {"role": "user", "content": "And three of Asia."}])
        self.assertEqual(second.output_text, again.choices[0].message.content)
        with self.assertRaises(openai.BadRequestError) as caught:
            self.respond(previous_response_id="resp_none")
        self.assertEqual(caught.exception.code, "previous_response_not_found")

    def test_responses_in_the_background(self):
        wanted = self.respond().output_text
        begun = self.respond(background=True)
        while (done := self.client.responses.retrieve(begun.id)).status == "in_progress":
            time.sleep(0.05)
        self.assertEqual(done.output_text, wanted)
        events = list(self.respond(background=True, stream=True))
        rest = list(self.client.responses.retrieve(events[0].response.id, stream=True, starting_after=4))
        self.assertEqual(rest, events[5:])
        self.client.responses.delete(begun.id)
        with self.assertRaises(openai.NotFoundError):
            self.client.responses.retrieve(begun.id)
        long = self.respond(background=True, max_output_tokens=1500, extra_body={"ignore_eos": True})
        self.assertEqual(self.client.responses.cancel(long.id).status, "cancelled")

    def test_embeddings(self):
        texts = ["Rivers of Europe", "Rivers of Asia"]
        floats = self.client.embeddings.create(model="any", input=texts, encoding_format="float")
        coded = self.client.embeddings.create(model="any", input=texts)  # in base64, which the client reads
        for one, other in zip(floats.data, coded.data):
            self.assertAlmostEqual(sum(x * x for x in one.embedding), 1, places=5)
            self.assertTrue(all(abs(x - y) < 1e-6 for x, y in zip(one.embedding, other.embedding, strict=True)))
        self.assertNotEqual(floats.data[0].embedding, floats.data[1].embedding)
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.embeddings.create(model="any", input="a", dimensions=100000)
        self.assertEqual(caught.exception.param, "dimensions")

    def test_responses_in_a_format(self):
        schema = {"type": "object", "properties": {"rivers": {"type": "array", "maxItems": 2, "items": {
            "type": "string", "maxLength": 8}}}, "required": ["rivers"], "additionalProperties": False}
        said = self.respond(max_output_tokens=200, text={"format": {"type": "json_schema", "name": "x", "schema": schema}})
        self.assertEqual(list(json.loads(said.output_text)), ["rivers"])

    def test_tools_are_refused_in_words(self):
        with self.assertRaises(openai.APIStatusError) as caught:
            self.chat(tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}])
        self.assertEqual((caught.exception.status_code, caught.exception.param), (501, "tools"))


TOOLS = [{"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a city now.",
    "parameters": {"type": "object", "required": ["city"],
                   "properties": {"unit": {"type": "string"}, "city": {"type": "string", "description": "Its name"}}}}}]


@unittest.skipUnless(TOOL_MODEL.exists(), f"{TOOL_MODEL} is not there")
class Tools(unittest.TestCase):
    """A published model whose template knows tools. Whether so small a one calls them is its business."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server("--parallel", "2", model=str(TOOL_MODEL))

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    MESSAGES = [{"role": "user", "content": "What is the weather in Paris? Call the tool."}]
    PAST = [*MESSAGES,
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "aaaaaaaaa", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}]},
            {"role": "tool", "tool_call_id": "aaaaaaaaa", "content": "rain, 9 degrees"}]

    def prompt(self, **fields):
        status, text = self.server.ask("POST", "/apply-template", {"messages": self.MESSAGES, **fields})
        self.assertEqual(status, 200, text)
        return json.loads(text)["prompt"]

    def test_tools_reach_the_prompt(self):
        prompt = self.prompt(tools=TOOLS)
        self.assertIn(json.dumps(TOOLS[0]), prompt)  # in their order, as the model was trained
        self.assertNotIn("get_weather", self.prompt(tools=TOOLS, tool_choice="none"))
        past = self.prompt(messages=self.PAST, tools=TOOLS)
        self.assertIn('<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>', past)
        self.assertIn("<tool_response>\nrain, 9 degrees\n</tool_response>", past)

    def test_calls_that_have_to_be_made(self):
        for choice in ("required", {"type": "function", "function": {"name": "get_weather"}}):
            status, text = self.server.ask("POST", "/v1/chat/completions", {
                "messages": [{"role": "user", "content": "What is two and two?"}], "tools": TOOLS, "tool_choice": choice,
                "temperature": 0, "max_tokens": 200})
            self.assertEqual(status, 200, text)
            answer = json.loads(text)["choices"][0]
            self.assertEqual(answer["finish_reason"], "tool_calls", text)
            call = answer["message"]["tool_calls"][0]["function"]
            self.assertEqual(call["name"], "get_weather")
            self.assertIsInstance(json.loads(call["arguments"])["city"], str)

    @unittest.skipIf(openai is None, "the openai client is not installed: scripts/install-clients brings it")
    def test_streamed_and_whole_with_the_openai_client(self):
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{self.server.port}/v1", api_key="any", max_retries=0)
        for messages in (self.MESSAGES, self.PAST):
            fields = {"model": "any", "temperature": 0, "messages": messages, "tools": TOOLS, "max_tokens": 60}
            choice = client.chat.completions.create(**fields).choices[0]
            calls, content, reason = {}, "", None
            for chunk in client.chat.completions.create(**fields, stream=True):
                delta, reason = chunk.choices[0].delta, chunk.choices[0].finish_reason
                content += delta.content or ""
                for piece in delta.tool_calls or []:
                    name, arguments = calls.get(piece.index, (piece.function.name, ""))
                    calls[piece.index] = (name, arguments + piece.function.arguments)
            self.assertEqual(content, choice.message.content or "")
            self.assertEqual(list(calls.values()), [(call.function.name, call.function.arguments)
                                                    for call in choice.message.tool_calls or []])
            self.assertEqual(reason, choice.finish_reason)
            print(f"{TOOL_MODEL.name} says {content!r}, calls {list(calls.values())}", file=sys.stderr)


    @unittest.skipIf(openai is None, "the openai client is not installed: scripts/install-clients brings it")
    def test_calls_in_responses(self):
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{self.server.port}/v1", api_key="any", max_retries=0)
        tools = [{"type": "function", **TOOLS[0]["function"]}]
        chat = client.chat.completions.create(model="any", temperature=0, messages=self.MESSAGES, tools=TOOLS, max_tokens=60)
        wanted = [(call.function.name, call.function.arguments) for call in chat.choices[0].message.tool_calls or []]
        fields = {"model": "any", "temperature": 0, "input": self.MESSAGES, "tools": tools, "max_output_tokens": 60}
        whole = client.responses.create(**fields)
        calls = [item for item in whole.output if item.type == "function_call"]
        self.assertEqual([(call.name, call.arguments) for call in calls], wanted)
        with client.responses.stream(**fields) as stream:
            streamed = stream.get_final_response()
        self.assertEqual([(i.name, i.arguments) for i in streamed.output if i.type == "function_call"], wanted)
        for call in calls[:1]:
            past = [*self.MESSAGES, *[item.to_dict() for item in whole.output],
                    {"type": "function_call_output", "call_id": call.call_id, "output": "rain, 9 degrees"}]
            self.assertTrue(client.responses.create(**{**fields, "input": past}).output)

    @unittest.skipIf(anthropic is None, "the anthropic client is not installed: scripts/install-clients brings it")
    def test_calls_with_the_anthropic_client(self):
        client = anthropic.Anthropic(base_url=f"http://127.0.0.1:{self.server.port}", api_key="any", max_retries=0)
        function = TOOLS[0]["function"]
        tools = [{"name": function["name"], "description": function["description"], "input_schema": function["parameters"]}]
        fields = {"model": "any", "extra_body": {"temperature": 0}, "messages": self.MESSAGES, "tools": tools, "max_tokens": 60}
        whole = client.messages.create(**fields)
        with client.messages.stream(**fields) as stream:
            streamed = stream.get_final_message()
        self.assertEqual([b[:2] + b[3:] for b in blocks(streamed)], [b[:2] + b[3:] for b in blocks(whole)])  # but for ids
        self.assertEqual(streamed.stop_reason, whole.stop_reason)
        uses = [block for block in whole.content if block.type == "tool_use"]
        print(f"{TOOL_MODEL.name} uses {[(use.name, use.input) for use in uses]}", file=sys.stderr)
        results = [{"type": "tool_result", "tool_use_id": use.id, "content": "rain, 9 degrees"} for use in uses]
        if uses:
            past = [*self.MESSAGES, {"role": "assistant", "content": whole.content}, {"role": "user", "content": results}]
            self.assertTrue(client.messages.create(**{**fields, "messages": past}).content)


@unittest.skipIf(anthropic is None, "the anthropic client is not installed: scripts/install-clients brings it")
@unittest.skipUnless(CHAT_MODEL.exists(), f"{CHAT_MODEL} is not there")
class AnthropicClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--parallel", "2", "--api-key", "right", model=str(CHAT_MODEL))
        cls.client = anthropic.Anthropic(base_url=f"http://127.0.0.1:{cls.server.port}", api_key="right", max_retries=0)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    # This client has no word for the temperature any more.
    FIELDS = {"model": "any", "extra_body": {"temperature": 0}, "max_tokens": 24, "system": "Be brief.",
              "messages": [{"role": "user", "content": "Name three rivers of Europe."}]}

    def test_messages_streamed_and_whole(self):
        whole = self.client.messages.create(**self.FIELDS)
        self.assertEqual([block.type for block in whole.content], ["text"])
        self.assertIn(whole.stop_reason, ("end_turn", "max_tokens"))
        with self.client.messages.stream(**self.FIELDS) as stream:
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
        self.assertEqual(text, whole.content[0].text)
        self.assertEqual((blocks(final), final.stop_reason), (blocks(whole), whole.stop_reason))
        # What is kept of the prompt is counted apart.
        usage = final.usage
        counted = self.client.messages.count_tokens(model="any", system="Be brief.", messages=self.FIELDS["messages"])
        self.assertEqual(usage.input_tokens + usage.cache_read_input_tokens, counted.input_tokens)
        self.assertGreater(usage.cache_read_input_tokens, 0)
        self.assertEqual(usage.output_tokens, whole.usage.output_tokens)

    def test_a_stop_text_is_named(self):
        text = self.client.messages.create(**self.FIELDS).content[0].text
        stop = text[6:10]
        stopped = self.client.messages.create(**self.FIELDS, stop_sequences=[stop])
        self.assertEqual((stopped.stop_reason, stopped.stop_sequence), ("stop_sequence", stop))
        self.assertEqual(stopped.content[0].text, text[:text.index(stop)])

    def test_error_classes(self):
        with self.assertRaises(anthropic.BadRequestError) as caught:
            self.client.messages.create(**{**self.FIELDS, "system": "a b " * 4000})
        self.assertEqual(caught.exception.body["error"]["type"], "invalid_request_error")
        wrong = anthropic.Anthropic(base_url=f"http://127.0.0.1:{self.server.port}", api_key="wrong", max_retries=0)
        with self.assertRaises(anthropic.AuthenticationError):
            wrong.messages.create(**self.FIELDS)
        with self.assertRaises(anthropic.APIStatusError) as caught:
            self.client.messages.create(**self.FIELDS, tools=[{"type": "bash_20250124", "name": "bash"}])
        self.assertEqual(caught.exception.status_code, 501)


@unittest.skipIf(openai is None, "the openai client is not installed: scripts/install-clients brings it")
class OpenAiKeys(WithServer):
    options = ["--api-key", "right"]

    def test_a_wrong_key_is_refused(self):
        url = f"http://127.0.0.1:{self.server.port}/v1"
        with self.assertRaises(openai.AuthenticationError):
            openai.OpenAI(base_url=url, api_key="wrong", max_retries=0).models.list()
        self.assertEqual(len(openai.OpenAI(base_url=url, api_key="right").models.list().data), 1)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
