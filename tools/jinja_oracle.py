#!/usr/bin/env python3
"""Renders templates with Jinja2, set up as Hugging Face's transformers does: what template/ is compared with.

    tools/jinja_oracle.py IN.json OUT.json

IN is a list of cases, objects with `template`, `variables` and perhaps `name`; OUT has the same with `output`, or
`error` and its message. Exits with 77 where Jinja2 is not installed.
"""

import functools
import json
import sys
from datetime import datetime

NOW = datetime(2026, 7, 4, 9, 5, 7)  # what strftime_now() tells: a Saturday


def make_environment():
    import jinja2
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """The tag `generation` marks what a trainer learns from; its body is written as it is."""

        tags = {"generation"}

        def parse(self, parser):
            line = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            return jinja2.nodes.CallBlock(self.call_method("write"), [], [], body).set_lineno(line)

        def write(self, caller):
            return caller()

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = NOW.strftime
    return environment


def render(parse, case):
    try:
        return {"output": parse(case["template"]).render(**case["variables"])}
    except Exception as error:  # whatever a template makes Python raise
        return {"error": f"{type(error).__name__}: {error}"}


def render_all(cases):
    parse = functools.cache(make_environment().from_string)
    return [{**case, **render(parse, case)} for case in cases]


def main():
    try:
        import jinja2  # noqa: F401
    except ImportError:
        sys.exit(77)
    source, target = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        cases = json.load(file)
    with open(target, "w", encoding="utf-8") as file:
        json.dump(render_all(cases), file, ensure_ascii=False, indent=1)


if __name__ == "__main__":
    main()
