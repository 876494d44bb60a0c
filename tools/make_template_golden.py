#!/usr/bin/env python3
"""Makes template/golden/: templates that use every construct and random expressions, with what Jinja2 makes of them.

    pip install jinja2
    tools/make_template_golden.py
"""

import json
import random
import re
from pathlib import Path

from jinja_oracle import render_all

FOLDER = Path(__file__).resolve().parent.parent / "template" / "golden"
N_EXPRESSIONS = 2000

VALUES = {
    "n": 7,
    "neg": -3,
    "x": 2.5,
    "yes": True,
    "no": False,
    "nothing": None,
    "s": "Hello, World",
    "u": "  Zoë – 日本 😀\n",
    "empty": "",
    "xs": [3, 1, 2],
    "words": ["pear", "Apple", "fig", "apple"],
    "mixed": [1, "a", None, 2.0, True],
    "none_in": [],
    "d": {"b": 1, "a": [1, 2], "c": {"k": "v"}, "items": "key", "get": 4},
    "people": [
        {"name": "Ada", "age": 36, "tags": ["x", "y"]},
        {"name": "bob", "age": 7, "tags": []},
        {"name": "Cyd", "age": 36},
    ],
}

# One construct or corner each; the name is the template itself.
SNIPPETS = r"""
{% for i in xs %}{{ i }}{% if not loop.last %}, {% endif %}{% endfor %}
{% for i in none_in %}{{ i }}{% else %}nothing{% endfor %}
{% for i in missing %}{{ i }}{% else %}nothing{% endfor %}
{% for p in people if p.age > 10 %}{{ loop.index }}/{{ loop.length }} {{ p.name }};{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
{% for k, v in d | dictsort %}{{ k }}={{ v }};{% endfor %}
{% for k in d %}{{ k }} {% endfor %}
{% for c in s[:4] %}[{{ c }}]{% endfor %}
{% for a, b in [(1, 2), [3, 4]] %}{{ a + b }} {% endfor %}
{% for i in range(10) %}{% if i == 3 %}{% continue %}{% endif %}{% if i == 6 %}{% break %}{% endif %}{{ i }}{% endfor %}
{% for i in xs %}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.depth }} {% endfor %}
{% for i in xs %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }} {% endfor %}
{% for i in xs %}{{ loop.cycle('a', 'b') }}{{ loop.changed(i > 1) }} {% endfor %}
{% for i in xs %}{% for j in xs %}{{ loop.depth0 }}{{ i * j }} {% endfor %}{% endfor %}
{% for i in xs %}{% set outer = loop %}{% for j in [1] %}{{ outer.index }}{% endfor %}{% endfor %}
{% set t = 1 %}{% for i in xs %}{% set t = t + i %}{{ t }} {% endfor %}{{ t }}
{% set ns = namespace(t=1, w='a') %}{% for i in xs %}{% set ns.t = ns.t + i %}{% endfor %}{{ ns.t }}{{ ns.w }}{{ ns.missing is defined }}
{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}{{ ns['a'] }}
{% set a, b = 1, 'two' %}{{ a }}{{ b }}
{% set a = 1, 2 %}{{ a }}
{% set block %} one {{ n }} {% endset %}[{{ block }}]{{ block | length }}
{% set block | trim | upper %} one {{ n }} {% endset %}[{{ block }}]
{% if yes and not no %}a{% elif n %}b{% else %}c{% endif %}
{% if nothing %}a{% elif n > 5 %}b{% else %}c{% endif %}
{% if xs and xs[0] == 3 %}{% set inside = 5 %}{% endif %}{{ inside }}
{% macro f(a, b=2, c=a) %}{{ a }}-{{ b }}-{{ c }}{% endmacro %}{{ f(1) }} {{ f(1, 3) }} {{ f(b=1, a=5) }} {{ f() }}
{% macro f(x) %}{% if x > 0 %}{{ x }}{{ f(x - 1) }}{% endif %}{% endmacro %}{{ f(5) }}
{% macro f() %}<{{ caller() }}>{% endmacro %}{% call f() %}body {{ n }}{% endcall %}
{% macro f() %}{% for i in xs %}{{ caller(i) }}{% endfor %}{% endmacro %}{% call(i) f() %}({{ i }}){% endcall %}
{% macro f() %}{{ later }}{% endmacro %}{% set later = 3 %}{{ f() }}
{% macro f() %}{% set later = 3 %}{% endmacro %}{{ f() }}[{{ later }}]
{% filter upper %}abc {{ s }}{% endfilter %}
{% filter replace('l', 'L') | upper %}abc {{ s }}{% endfilter %}
{% with a = 1, b = n %}{{ a }}{{ b }}{% endwith %}[{{ a }}]
{% generation %}said {{ n }}{% endgeneration %}
{% raw %}{{ not }} {% read %}{% endraw %}
  {%- raw -%}  {{ a }}  {%- endraw -%}  b
{# a comment {{ n }} #}x{#- y -#} z
a {%- if yes %} b {%- endif %} c
a {% if yes -%} b {% endif -%} c
a {{- n -}} b {{ n }} c
{{ 'a' 'b' "c" }}
{{ 'it\'s\t"x"\\ \x41\u00e9\U0001F600\101 \d' }}
{{ 1_000 }} {{ 0x1F }} {{ 0b11 }} {{ 0o17 }} {{ 1.5e3 }} {{ 1e-7 }} {{ 2.0 }} {{ 1e16 }} {{ 123456789012345.0 }}
{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }}
{{ -2 ** 2 }} {{ 2 ** 3 ** 2 }} {{ - 3 | abs }} {{ -n | abs }} {{ +yes }}
{{ 1 + 2 ~ 3 }} {{ 1 ~ 2 + 3 }} {{ 'a' ~ none ~ 1.0 ~ true ~ missing }}
{{ 'ab' * 3 }} {{ [1] * 2 }} {{ [1] + [2] }} {{ (1,) + (2,) }}
{{ 1 < 2 < 3 }} {{ 1 < 2 > 3 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ none == missing }}
{{ 'World' in s }} {{ 'x' not in s }} {{ 2 in xs }} {{ 'a' in d }} {{ 'z' in missing }} {{ 1 in {1: 2} }}
{{ 'a' if yes else 'b' }} {{ 'a' if no }} {{ 'a' if no else 'b' if no else 'c' }}
{{ yes and 'x' }} {{ no or 'y' }} {{ not yes }} {{ nothing or missing or 0 }}
{{ s[0] }} {{ s[-1] }} {{ s[1:4] }} {{ s[::-1] }} {{ s[::2] }} {{ s[-3:] }} {{ s[:-3] }} {{ s[10:2] }} {{ u[4] }} {{ s[99] }}
{{ xs[0] }} {{ xs[-1] }} {{ xs[1:] }} {{ xs[::-1] }} {{ xs[5] }} {{ (1, 2, 3)[1:] }} {{ xs.0 }}
{{ d.b }} {{ d['a'] }} {{ d.a[1] }} {{ d.c.k }} {{ d.missing }} {{ d['items'] }} {{ d.get('b') }} {{ d.get('z', 5) }} {{ d.get('z') }}
{{ d.keys() | list }} {{ d.values() | list }} {{ d.items() | list }} {{ d | list }}
{{ [1, 'a', "it's", 'q"', none, 1.5, [true], {'k': ()}, missing] }}
{{ ['a\nb\\', 'é\u200b\xa0', '\x00\x7f'] }}
{{ () }} {{ (1,) }} {{ (1, 2) }} {{ {} }} {{ [] }} {{ {'a': 1, 2: 'b', true: 3, none: 4} }}
{{ {'a': 1, 'a': 2} }} {{ dict(a=1, b=2) }} {{ dict([('x', 1)], y=2) }}
{{ d | tojson }} {{ u | tojson }} {{ [1, 2.0, none, true, 'é"\n\u2028'] | tojson }}
{{ d | tojson(indent=2) }}
{{ d | tojson(indent=0) }}{{ [] | tojson(indent=4) }}{{ {} | tojson(indent=4) }}{{ [[]] | tojson(4) }}
{{ u | tojson(ensure_ascii=true) }} {{ d | tojson(separators=(',', ':')) }} {{ d | tojson(sort_keys=true) }}
{{ d | tojson(indent='--') }} {{ {1: 2, none: 3, true: 4, 1.5: 5} | tojson }} {{ (1, 2) | tojson }}
{{ '<a&b>' | tojson }} {{ 1e400 | tojson }} {{ -0.0 | tojson }}
{{ s | upper }} {{ s | lower }} {{ 'aB cD' | capitalize }} {{ "hello wOrld-foo (bar" | title }} {{ 'straße Ça ŉ İ' | upper }}|{{ 'ÀÉÎ ẞ İ Я' | lower }}
{{ 'aB c-d' .title() }} {{ 'aB' .capitalize() }} {{ 'ÀB'.lower() }} {{ 'ß'.upper() }} {{ "they're bill's".title() }}
[{{ u | trim }}] [{{ 'xxaxx' | trim('x') }}] [{{ '  a '.strip() }}] [{{ 'xa '.lstrip('x') }}] [{{ ' a\n'.rstrip() }}] [{{ 'éaé'.strip('é') }}] [{{ '\u3000a\x85'.strip() }}]
{{ s | replace('l', 'L') }} {{ s | replace('l', 'L', 1) }} {{ s.replace('o', '') }} {{ 'ab'.replace('', '-') }} {{ 'é'.replace('', '-') }} {{ 'aaa'.replace('a', 'b', 2) }}
{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a b c'.split(' ', 1) }} {{ 'a b c'.rsplit(' ', 1) }} {{ ' a  b c '.split(none, 1) }} {{ ' a  b c '.rsplit(none, 1) }} {{ ''.split(',') }} {{ ''.split() }} {{ 'aXXbXXc'.split('XX')[-1] }}
{{ 'a\nb\r\nc\n'.splitlines() }} {{ 'a\n\nb'.splitlines(true) }} {{ ''.splitlines() }}
{{ s.startswith('He') }} {{ s.endswith(('x', 'ld')) }} {{ s.startswith('l', 2) }} {{ s.find('o') }} {{ s.find('z') }} {{ s.rfind('o') }} {{ s.index('W') }} {{ s.count('l') }} {{ 'aé日'.find('日') }} {{ 'aaa'.count('') }}
{{ '-'.join(['a', 'b']) }} {{ 'a-b-c'.partition('-') }} {{ 'a-b-c'.rpartition('-') }} {{ 'abc'.partition('x') }} {{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('c') }} {{ 'abc'.removesuffix('x') }}
{{ '12'.isdigit() }} {{ ''.isdigit() }} {{ ' \n'.isspace() }} {{ 'ab'.isalpha() }} {{ 'a1'.isalnum() }} {{ 'a b'.isalnum() }}
{{ '{} and {}'.format(1, 'x') }} {{ '{0}{1}{0}'.format('a', 'b') }} {{ '{a}{{}}'.format(a=1) }}
{{ words | join(', ') }} {{ xs | join }} {{ people | join(';', attribute='name') }} {{ 'abc' | join('-') }}
{{ words | sort }} {{ words | sort(case_sensitive=true) }} {{ xs | sort(reverse=true) }} {{ people | sort(attribute='name') | map(attribute='name') | list }}
{{ words | unique | list }} {{ words | length }} {{ s | length }} {{ u | length }} {{ d | count }} {{ missing | length }}
{{ xs | first }} {{ xs | last }} {{ none_in | first }} {{ s | first }} {{ s | last }} {{ xs | max }} {{ xs | min }} {{ words | min }} {{ none_in | max }} {{ xs | sum }} {{ people | sum(attribute='age') }}
{{ xs | reverse | list }} {{ s | reverse }} {{ xs | list }} {{ s | list }} {{ d | items | list }} {{ missing | items | list }}
{{ people | map(attribute='name') | join(',') }} {{ words | map('upper') | list }} {{ people | map(attribute='tags', default=[]) | list }} {{ people | map(attribute='tags.0', default='-') | list }} {{ words | map('replace', 'p', 'P') | join(' ') }}
{{ xs | select('odd') | list }} {{ xs | select('gt', 1) | list }} {{ mixed | select | list }} {{ mixed | reject('none') | list }} {{ xs | reject('odd') | list }}
{{ people | selectattr('age', 'equalto', 36) | map(attribute='name') | list }} {{ people | selectattr('tags') | list | length }} {{ people | rejectattr('age', 'gt', 10) | list }} {{ people | selectattr('tags', 'defined') | list | length }}
{% if none_in | select %}true{% else %}false{% endif %} {% if none_in | select | list %}true{% else %}false{% endif %}
{{ none | selectattr('a') | list }} {{ none | map('upper') | list }} {{ 0 | select | list }}
{{ range(*[2, 5]) | list }} {{ '{}{}'.format(*words[:2]) }} {% macro f(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ f(*xs[:2]) }}
{{ range(*5) }}
{% set g = xs | map('string') %}{{ g | list }}{{ g | list }}
{{ xs | batch(2) | list }} {{ xs | batch(2, 'x') | list }} {{ d | dictsort(by='key', reverse=true) }} {{ {'B': 1, 'a': 2} | dictsort }} {{ {'B': 1, 'a': 2} | dictsort(true) }}
{{ missing | default('x') }} {{ '' | default('x') }} {{ '' | default('x', true) }} {{ nothing | d('x') }} {{ missing | default }} {{ d.zz | default(n) }}
{{ '42' | int }} {{ '4.7' | int }} {{ 'x' | int }} {{ 'x' | int(5) }} {{ 4.7 | int }} {{ -4.7 | int }} {{ ' 7 ' | int }} {{ '1_0' | int }} {{ nothing | int }} {{ '1.5' | float }} {{ 'x' | float }} {{ 3 | float }} {{ '1e3' | float }} {{ true | int }}
{{ 2.5 | round }} {{ 3.5 | round }} {{ 2.345 | round(2) }} {{ 2.31 | round(1, 'ceil') }} {{ 2.39 | round(1, 'floor') }} {{ 5 | round }} {{ -3 | abs }} {{ -2.5 | abs }} {{ 42.55 | round | int }}
{{ 'a\nb\n\nc' | indent }}|{{ 'a\nb' | indent(2, true) }}|{{ 'a\n\nb' | indent(2, blank=true) }}|{{ 'a\nb\n' | indent('> ') }}|{{ '' | indent }}|
{{ 'ab' | center(7) }}|{{ 'abc' | center(6) }}|{{ 'abc' | center(2) }}|
{{ n is defined }} {{ missing is undefined }} {{ nothing is none }} {{ s is string }} {{ n is number }} {{ n is integer }} {{ yes is integer }} {{ yes is boolean }} {{ x is float }} {{ d is mapping }} {{ xs is iterable }} {{ xs is sequence }} {{ d is sequence }} {{ s is sequence }} {{ n is iterable }} {{ (xs | map('string')) is sequence }}
{{ n is odd }} {{ n is even }} {{ n is divisibleby 7 }} {{ n is divisibleby(2) }} {{ n is eq 7 }} {{ n is sameas n }} {{ 2 is in xs }} {{ 2 is not in(xs) }} {{ yes is true }} {{ 1 is true }} {{ no is false }} {{ 'abc' is lower }} {{ 'ABC' is upper }} {{ '1' is lower }} {{ range is callable }} {{ n is callable }} {{ d.get is callable }} {{ n is gt 5 }} {{ n is ne 5 }}
{{ not missing is defined }} {{ n is defined and n > 3 }} {{ missing is defined or 'x' }} {{ 'upper' is filter }} {{ 'odd' is test }} {{ n is not none }}
{{ range(5) | list }} {{ range(2, 8, 3) | list }} {{ range(5, 0, -2) | list }} {{ range(3)[1] }} {{ range(3) | length }} {{ 2 in range(3) }}
{{ strftime_now('%d %b %Y') }} {{ strftime_now('%Y-%m-%d %H:%M:%S') }} {{ strftime_now('%A, %B %-d, %j') }} {{ strftime_now('') }}
{{ [1, 2] == [1, 2] }} {{ {'a': 1} == {'a': 1.0} }} {{ (1,) == [1] }} {{ none < 1 if no else 'skipped' }}
{{ xs.index(1) }} {{ [1, 1, 2].count(1) }} {{ d.copy() == d }} {{ xs.copy() }}
{{ s.upper().lower().title() }} {{ 's'.upper }}{{ s['upper']() }}
{{ 9223372036854775807 }} {{ 1.0 * 3 }} {{ 10 / 5 }} {{ 1e22 }} {{ 0.1 + 0.2 }} {{ 1 / 3 }} {{ 100000.0 * 10 }} {{ 1.0e-5 }} {{ 12345678.9 }}
{{ raise_exception('no ' ~ n) }}
{{ missing.attribute }}
{{ missing() }}
{{ n() }}
{{ d.b.c }} {{ d.b.c is defined }} {{ nothing.x }}
{{ d.zz.c }}
{{ 1 / 0 }}
{{ 1 + 'a' }}
{{ 'a' + none }}
{{ missing + 1 }}
{{ none < 1 }}
{{ xs.append(4) }}
{{ d.update({'a': 1}) }}
{{ [3, 'a'] | sort }}
{{ none | length }}
{{ s | nofilter }}
{{ s is notest }}
{{ 1 in 5 }}
{% for i in 5 %}{% endfor %}
{% for a, b in [1] %}{% endfor %}
{% for a, b in [(1, 2, 3)] %}{% endfor %}
{% set n.x = 1 %}
{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}
{% macro f(a) %}{% endmacro %}{{ f(b=2) }}
{% if x %}
{% endif %}
{% unknown %}
{{ 'open }}
{{ (1 }}
{{ 1 +  }}
{{ [1, }}
{{ a b }}
{{ }}
{% for x xs %}{% endfor %}
{% break %}
{{ range(200000) | length }}
{{ 'a'.split('') }}
{{ missing | tojson }}
{{ xs[::0] }}
{{ xs[1.5] }} {{ s['x'] }} {{ n[0] }}
{{ s | replace('a') }}
{{ '%s' | upper(3) }}
{{ loop }} {{ loop is defined }}
{{ [1, 2, 3] | map('nofilter') | list }}
""".strip("\n").split("\n")

# Templates of several lines: white space, and chats like those that models bring.
LAYOUTS = {
    "indented blocks": """
<ul>
    {% for i in xs %}
    <li>{{ i }}</li>
    {% endfor %}
</ul>
  {# note #}
  {% if yes %}
  yes
  {% else %}
  no
  {% endif %}
end
""",
    "signs": """a
  {%+ if yes %} b
  {%- endif +%}
c
   {{- n }}
   {{ n -}}

 d
{%- set k = 1 -%}

   e {% if yes +%}
f{% endif %}
""",
    "carriage returns": "a\r\n{% if yes %}\r\nb\r{% endif %}\r\n'{{ 'x\r\ny' }}'\r\n\r\n",
    "newline in a string": '{{ "a\nb" }}',
    "text before blocks": "x {% if yes %}\ny {% endif %}\n\tz{% if no %}{% endif %}\n \t {% if yes %}\n{% endif %} \n",
    "newline behind output": "{{ n }}\n{{ n }}\n\n",
    "comment lines": "a\n  {# one #}\n  {#- two #}\nb {# three -#}\n\n c\n",
    "raw lines": "a\n  {% raw %}\n  {{ b }}\n  {% endraw %}\nc\n",
}

MESSAGES = [
    {"role": "system", "content": "Be brief.\n"},
    {"role": "user", "content": " What is 2 < 3 & 4? "},
    {"role": "assistant", "content": "<think>\nhm\n</think>\n\nTrue.", "reasoning_content": None},
    {"role": "user", "content": [{"type": "text", "text": "And "}, {"type": "image"}, {"type": "text", "text": "日本?"}]},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "look", "arguments": {"q": "é\"", "n": 1, "deep": [1.0, None]}}},
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "name": "look", "content": '{"found": true}'},
    {"role": "assistant", "content": "Yes."},
]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "look",
            "description": "Looks \"up\".",
            "parameters": {
                "type": "object",
                "properties": {
                    "q": {"type": "string", "description": "what"},
                    "n": {"type": ["integer", "null"], "enum": [1, 2]},
                    "deep": {"type": "array", "items": {"type": "number"}},
                },
                "required": ["q"],
            },
        },
    }
]

CHATS = {
    "turns with tools": r"""
{%- macro type_of(spec) -%}
    {%- if spec.type is string -%}
        {%- if spec.type == 'array' -%}list[{{ type_of(spec['items']) }}]
        {%- else -%}{{ {'string': 'str', 'integer': 'int', 'number': 'float'}[spec.type] | default('any') }}
        {%- endif -%}
    {%- elif spec.type is iterable -%}
        {%- for t in spec.type -%}{{ t }}{{ ' or ' if not loop.last }}{%- endfor -%}
    {%- else -%}any{%- endif -%}
{%- endmacro -%}
{{- bos_token -}}
{%- set ns = namespace(last=-1, answered=false) -%}
{%- for m in messages[::-1] -%}
    {%- if m.role == 'user' and ns.last < 0 -%}{%- set ns.last = messages | length - 1 - loop.index0 -%}{%- endif -%}
{%- endfor -%}
{%- if messages[0].role == 'system' -%}
    {%- set system = messages[0].content | trim -%}
    {%- set turns = messages[1:] -%}
{%- else -%}
    {%- set system = 'You help.' -%}
    {%- set turns = messages -%}
{%- endif -%}
<|turn|>system
{{ system }}
{% if tools %}

# Tools
{% for tool in tools %}
{%- set f = tool.function %}
- {{ f.name }}({% for name, spec in f.parameters.properties | items %}{{ name }}: {{ type_of(spec) }}{% if name not in f.parameters.required %} = None{% endif %}{{ ", " if not loop.last }}{% endfor %}): {{ f.description }}
{{ tool | tojson }}
{{ f.parameters | tojson(indent=2) }}
{% endfor %}
{%- endif -%}
<|end|>
{% for m in turns -%}
    {%- if m.role == 'tool' -%}
        {%- if loop.previtem is undefined or loop.previtem.role != 'tool' %}{{ '<|turn|>user\n' }}{% endif -%}
        <result name="{{ m.name }}">{{ m.content }}</result>
        {%- if loop.last or loop.nextitem.role != 'tool' %}{{ '<|end|>\n' }}{% endif -%}
    {%- elif m.role in ['user', 'assistant'] -%}
        {%- set content -%}
            {%- if m.content is string -%}{{ m.content }}
            {%- elif m.content is iterable -%}
                {%- for part in m.content if part.type == 'text' -%}{{ part.text }}{%- endfor -%}
            {%- endif -%}
        {%- endset -%}
        {%- if '</think>' in content and loop.index0 < ns.last -%}
            {%- set content = content.split('</think>')[-1].lstrip('\n') -%}
        {%- endif -%}
        {{- '<|turn|>' ~ m.role ~ '\n' ~ content -}}
        {%- for call in m.tool_calls | default([], true) -%}
            {{- '\n<call>' ~ {"name": call.function.name, "arguments": call.function.arguments} | tojson ~ '</call>' -}}
        {%- endfor -%}
        {{- '<|end|>\n' -}}
    {%- else -%}
        {{- raise_exception('unknown role ' ~ m.role) -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|turn|>assistant\n' -}}
    {%- if enable_thinking is defined and enable_thinking is false -%}{{- '<think>\n\n</think>\n\n' -}}{%- endif -%}
{%- endif -%}
""",
    "alternating": r"""
{{- bos_token }}{% for m in messages %}
{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}
{% if m['role'] == 'user' %}{{ '[Q] ' + m['content'] | trim + ' [/Q]' }}
{%- elif m['role'] == 'assistant' %}{{ ' ' + m['content'].strip() + eos_token }}{% endif %}
{% endfor %}""",
    "dated": r"""
{%- if not date is defined %}{% set date = strftime_now("%d %b %Y") %}{% endif -%}
{{- "Cutting Knowledge Date: December 2023\nToday Date: " + date + "\n\n" }}
{%- for message in messages | rejectattr('role', 'equalto', 'tool') %}{{ message.role | upper }}: {{ message.content is string and message.content | replace('\n', ' ') | trim }}
{% endfor %}
{%- if documents %}{% for doc in documents %}[{{ loop.index }}] {{ doc.title }}: {{ doc.text | indent(2) }}
{% endfor %}{% endif %}""",
}


def chat_cases():
    special = {"bos_token": "<s>", "eos_token": "</s>"}
    documents = [{"title": "T", "text": "one\ntwo"}]
    for name, template in CHATS.items():
        for n_messages in (1, 2, 3, 5, 7):
            for tools in (None, TOOLS):
                for extra in ({}, {"enable_thinking": False}, {"date": "1 Jan", "documents": documents}):
                    variables = {"messages": MESSAGES[:n_messages], "tools": tools, "documents": None,
                                 "add_generation_prompt": not extra, **special, **extra}
                    yield {"name": f"{name} {n_messages}", "template": template, "variables": variables}
        variables = {"messages": [m for m in MESSAGES[1:3]] + [{"role": "user", "content": "x"}], "tools": None,
                     "add_generation_prompt": True, **special}
        yield {"name": f"{name} alternating", "template": template, "variables": variables}
        yield {"name": f"{name} odd role", "template": template,
               "variables": {**variables, "messages": [{"role": "critic", "content": "x"}]}}


class Expressions:
    """Random expressions that mostly mean something."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, *choices):
        return self.random.choice(choices)

    def number(self, depth):
        if depth <= 0:
            return self.pick("n", "neg", "x", "0", "1", "2", "3", "10", "1.5", "true", "xs[0]", "d.b", "people[0].age")
        a, b = self.number(depth - 1), self.number(depth - 1)
        return self.pick(
            f"({a} {self.pick('+', '-', '*', '//', '%', '/')} {b})", f"({a} ** {self.pick('0', '1', '2', '3')})", f"-{a}",
            f"{self.sequence(depth - 1)} | length", f"{self.text(depth - 1)} | length", f"({a} | abs)", f"({a} | int)",
            f"({a} | float)", f"({a} | round({self.pick('0', '1', '2')}))", f"({self.text(depth - 1)} | int(-1))",
            f"{self.text(depth - 1)}.find({self.text(0)})", f"{self.text(depth - 1)}.count({self.text(0)})",
            f"({self.numbers(depth - 1)} | sum)", f"({self.numbers(depth - 1)} | max)", f"({a} if {self.truth(depth - 1)} else {b})")

    def text(self, depth):
        if depth <= 0:
            return self.pick("s", "u", "empty", "'a'", "'l'", "'o, '", "', '", "'é日'", "'\\n'", "' '", "words[1]", "people[1].name")
        a, b = self.text(depth - 1), self.text(depth - 1)
        cut = self.pick("1:", ":3", "-2:", ":-1", "::2", "::-1", "1:4", "5:1", "-4:-1:2")
        return self.pick(
            f"({a} + {b})", f"({a} ~ {self.number(depth - 1)})", f"({a} ~ {b} ~ {self.anything(depth - 1)})", f"{a}[{cut}]",
            f"({a} | upper)", f"({a} | lower)", f"({a} | title)", f"({a} | capitalize)", f"({a} | trim)", f"({a} | reverse)",
            f"{a}.strip({self.pick('', b)})", f"{a}.replace({self.text(0)}, {b})", f"({a} | replace({self.text(0)}, {b}, 1))",
            f"({self.sequence(depth - 1)} | join({b}))", f"({self.anything(depth - 1)} | tojson)", f"({a} * {self.pick('0', '1', '2')})",
            f"({a} if {self.truth(depth - 1)} else {b})", f"({a} | indent({self.pick('0', '2')}))", f"({self.anything(depth - 1)} | string)",
            f"{a}.lstrip()", f"{a}.rstrip({b})", f"{a}.title()", f"{a}.removeprefix({b})", f"({a} | first)", f"({a} | default({b}, true))")

    def numbers(self, depth):
        return self.pick("xs", "[1, n, neg]", "range(4)", "(2, 1)", f"[{self.number(depth - 1)}, {self.number(0)}]")

    def sequence(self, depth):
        if depth <= 0:
            return self.pick("xs", "words", "none_in", "mixed", "[1, 'a']", "('b', 2.0)", "people[0].tags", "d.a")
        a = self.sequence(depth - 1)
        return self.pick(
            f"({a} + {self.sequence(depth - 1)})", f"({a} | list)", f"({a} | reverse | list)", f"{a}[{self.pick('1:', ':2', '::-1', '-1:')}]",
            f"[{self.anything(depth - 1)}, {self.anything(depth - 1)}]", f"({self.numbers(depth - 1)} | sort)", f"(words | sort)",
            f"{self.text(depth - 1)}.split({self.pick('', self.text(0))})", f"({a} | map('string') | list)", f"({a} | select('string') | list)",
            f"({a} | reject('none') | list)", f"({self.text(depth - 1)} | list)", f"(people | map(attribute='name') | list)", f"(d | items | list)",
            f"({a} | unique | list)", f"(people | selectattr('age', '{self.pick('gt', 'lt', 'eq', 'ne', 'ge')}', {self.number(0)}) | map(attribute='name') | list)",
            f"{self.text(depth - 1)}.splitlines()", f"({a} if {self.truth(depth - 1)} else words)", f"({a} | batch(2) | list)")

    def truth(self, depth):
        if depth <= 0:
            return self.pick("yes", "no", "nothing", "n", "missing", "empty", "none_in", "d")
        a, b = self.anything(depth - 1), self.anything(depth - 1)
        x, y = self.number(depth - 1), self.number(depth - 1)
        test = self.pick("defined", "string", "number", "none", "mapping", "iterable", "boolean", "integer", "float", "true", "sequence")
        return self.pick(
            f"({a} == {b})", f"({a} != {b})", f"({x} < {y})", f"({x} >= {y} > 0)", f"(not {a})", f"({a} and {b})", f"({a} or {b})",
            f"({a} is {test})", f"({a} is not {test})", f"({self.text(0)} in {self.text(depth - 1)})", f"({a} in {self.sequence(depth - 1)})",
            f"({self.text(depth - 1)} < {self.text(depth - 1)})", f"{self.text(depth - 1)}.startswith({self.text(0)})", f"('a' in d)",
            f"({self.text(depth - 1)}.isspace())")

    def anything(self, depth):
        kinds = [self.number, self.text, self.sequence, self.truth, lambda _: self.pick("nothing", "missing", "d", "d.c", "people[0]")]
        return self.random.choice(kinds)(depth)


def prints_an_address(case):
    """What depends on the run, or on the words for views and ranges that we refuse to print."""
    return any(word in case.get("output", "") for word in (" at 0x", "dict_", "range(", "<built-in", "generator object"))


def needs_big_integers(case):
    return any(len(digits) > 18 for digits in re.findall(r"\d+", case.get("output", "")))


def expression_cases():
    expressions = Expressions(20261127)
    for _ in range(N_EXPRESSIONS):
        template = "{{ " + expressions.anything(expressions.random.randint(1, 4)) + " }}"
        if len(template) < 400:
            yield {"template": template}


def write(name, cases):
    """Cases without variables of their own have those of the file."""
    shared = any("variables" not in case for case in cases)
    cases = [case for case in render_all([{"variables": VALUES, **case} for case in cases])
             if not prints_an_address(case) and not needs_big_integers(case)]
    for case in cases:
        if case["variables"] is VALUES:
            del case["variables"]
    with open(FOLDER / f"{name}.json", "w", encoding="utf-8") as file:
        file.write(json.dumps({"variables": VALUES if shared else {}}, ensure_ascii=False)[:-1] + ',\n"cases": [\n')
        file.write(",\n".join(json.dumps(case, ensure_ascii=False) for case in cases) + "\n]}\n")
    print(f"{name}: {len(cases)} cases, {sum('error' in case for case in cases)} of them errors")


def main():
    write("constructs", [{"template": text} for text in SNIPPETS])
    write("layouts", [{"name": name, "template": text} for name, text in LAYOUTS.items()])
    write("chats", list(chat_cases()))
    write("expressions", list(expression_cases()))


if __name__ == "__main__":
    main()
