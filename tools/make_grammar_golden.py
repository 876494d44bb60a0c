#!/usr/bin/env python3
"""Makes grammar/golden/: grammars and schemas with texts, whether llguidance accepts each, and hashes of its token masks.

    pip install llguidance jsonschema        # 1.9.1 and 4.x made the committed files
    tools/make_grammar_golden.py FOLDER [--gguf VOCABULARY.gguf]

With --gguf the masks are over that file's vocabulary in place of a small one; the files name its tokens as hexadecimal
bytes, and LONGHAUL_GRAMMAR_CASES names their folder for grammar_golden_test. Every text that is accepted is also given to
jsonschema, which must find it valid.
"""

import argparse
import itertools
import json
import pathlib

import jsonschema
import llguidance
from grammar_golden_cases import GBNF_CASES, SCHEMA_CASES


def small_vocabulary():
    """All bytes, and texts that end and begin parts of JSON in the middle of a token."""
    marks = ['"', ",", ":", "{", "}", "[", "]", "\\", " ", "\n", "-", ".", "a", "1", "0", "e", "t"]
    tokens = {bytes([byte]): None for byte in range(256)}
    for n in (2, 3):
        for parts in itertools.product(marks, repeat=n):
            tokens["".join(parts).encode()] = None
    words = ("true false null name value items the of and city Paris id type red green blue cat dog abc xyz user http www 2024 "
             "-01-0 T12: :30 00Z 12 123 1234 99 100 255 192.168 ab ba aab bbb ccc foo bar baz é ü 日本 語 😀 €").split()
    for word in words:
        for form in (word, " " + word, f'"{word}', f'"{word}"', f'{word}"', f'{word}":', f'"{word}":', f',"{word}":', word + ",", word * 3):
            tokens[form.encode()] = None
    for text in ("\\u", "\\u00", "\\n", "\\\"", "\xff", "\xc3\xa9\xc3", "e+1", "E-", "0.5", ".25", "\t\t", "    ", "  \n"):
        tokens[text.encode("latin-1")] = None
    for text in ("é", "日本語", "😀"):
        for cut in range(1, len(text.encode())):
            tokens[text.encode()[:cut]] = None
            tokens[text.encode()[cut:]] = None
    return list(tokens)


def gguf_vocabulary(path):
    """The texts of a byte-level vocabulary, control tokens left out."""
    from gguf import GGUFReader

    fields = GGUFReader(path).fields
    names = [bytes(fields["tokenizer.ggml.tokens"].parts[i]) for i in fields["tokenizer.ggml.tokens"].data]
    types = [int(fields["tokenizer.ggml.token_type"].parts[i][0]) for i in fields["tokenizer.ggml.token_type"].data]
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}
    return [bytes(alphabet[c] for c in name.decode()) for name, kind in zip(names, types) if kind == 1]


class Vocabulary:
    def __init__(self, tokens):
        self.tokens = [*tokens, b"</s>"]
        self.eos_token_id = len(tokens)
        self.bos_token_id = None
        self.special_token_ids = [self.eos_token_id]
        self.of_byte = {token[0]: i for i, token in enumerate(tokens) if len(token) == 1}

    def __call__(self, text):
        return [self.of_byte[byte] for byte in (text if isinstance(text, bytes) else text.encode())]


def is_compared(token):
    """Not where llguidance has another language on purpose: it writes no DEL, and halves of characters as \\u."""
    return b"\x7f" not in token and b"\\u" not in token and b"\\U" not in token


class Oracle:
    def __init__(self, tokens):
        self.vocabulary = Vocabulary(tokens)
        self.tokenizer = llguidance.LLTokenizer(llguidance.TokenizerWrapper(self.vocabulary), n_vocab=len(self.vocabulary.tokens))
        self.is_compared = [is_compared(token) for token in tokens] + [True]

    def matcher(self, grammar):
        matcher = llguidance.LLMatcher(self.tokenizer, grammar, log_level=0)
        if matcher.is_error():
            raise ValueError(matcher.get_error())
        return matcher

    def mask(self, matcher):
        """One flag a token. Where only one text can follow, llguidance allows one way to cut it into tokens: then the mask
        is found by trying all tokens, byte by byte."""
        flags = [bool(bias) for bias in matcher.compute_logit_bias()]
        if sum(flags) != 1 or flags[-1]:
            return flags
        first = self.vocabulary.tokens[flags.index(True)][:1]
        for i, token in enumerate(self.vocabulary.tokens[:-1]):
            if token.startswith(first):
                flags[i] = matcher.validate_tokens(self.vocabulary(token)) == len(token)
        return flags

    def mask_hash(self, matcher):
        """64-bit FNV-1a over one byte a token, 1 where it may come next, those that are not compared left out."""
        state = 0xCBF29CE484222325
        for allowed, compared in zip(self.mask(matcher), self.is_compared):
            if compared:
                state = ((state ^ (1 if allowed else 0)) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
        return f"{state:016x}"

    def accepts(self, grammar, text):
        matcher = self.matcher(grammar)
        ids = self.vocabulary(text)
        return matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting()

    def masks(self, grammar, text, stride):
        """Before the text, and after every stride-th byte of it."""
        matcher = self.matcher(grammar)
        hashes = [self.mask_hash(matcher)]
        for n, token in enumerate(self.vocabulary(text), 1):
            assert matcher.consume_token(token)
            if n % stride == 0:
                hashes.append(self.mask_hash(matcher))
        return hashes


def schema_grammar(schema):
    return llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides={"whitespace_flexible": False, "coerce_one_of": True})


def make(oracle, name, source, grammar, case, stride):
    made = {"name": name, "source": source, "texts": [], "masks": []}
    for text in case["texts"]:
        accepted = oracle.accepts(grammar, text)
        made["texts"].append([text, accepted])
        if accepted and case.get("masks", True):
            made["masks"].append([text, oracle.masks(grammar, text, stride)])
    if not any(accepted for _, accepted in made["texts"]):
        print(f"{name}: llguidance accepts none of the texts")
    return made


def make_schemas(oracle, stride):
    cases = []
    for name, case in SCHEMA_CASES.items():
        made = make(oracle, name, json.dumps(case["schema"]), schema_grammar(case["schema"]), case, stride)
        for text, accepted in made["texts"]:
            if accepted:
                jsonschema.Draft202012Validator(case["schema"]).validate(json.loads(text))
        cases.append(made)
    return cases


def make_gbnf(oracle, stride):
    return [make(oracle, name, case["grammar"], llguidance.grammar_from("gbnf", case["grammar"]), case, stride)
            for name, case in GBNF_CASES.items()]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--gguf")
    parser.add_argument("--stride", type=int, default=1, help="bytes between two masks of a text")
    options = parser.parse_args()
    tokens = gguf_vocabulary(options.gguf) if options.gguf else small_vocabulary()
    oracle = Oracle(tokens)
    options.folder.mkdir(parents=True, exist_ok=True)
    for kind, make_cases in (("schema", make_schemas), ("gbnf", make_gbnf)):
        made = {"kind": kind, "oracle": "llguidance " + llguidance._lib.get_version() if hasattr(llguidance, "_lib") else "llguidance",
                "stride": options.stride,
                "tokens": [token.hex() for token in tokens],
                "compared": "".join("01"[flag] for flag in oracle.is_compared),
                "cases": make_cases(oracle, options.stride)}
        lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in made.items() if key != "cases"]
        cases = ",\n".join(json.dumps(case, ensure_ascii=False) for case in made["cases"])
        (options.folder / f"{kind}.json").write_text("{" + ",\n".join(lines) + ',\n"cases": [\n' + cases + "\n]}\n")


if __name__ == "__main__":
    main()
