#!/usr/bin/env python3
"""Writes template/case_tables.inc: what str.lower() and str.upper() make of each character beyond ASCII.

    tools/make_case_tables.py > template/case_tables.inc
"""

import unicodedata

FIRST = 0x80


def runs(mapping):
    """Characters whose code moves by the same distance, one or two apart, as (first, last, step, distance)."""
    found = []
    for code, target in sorted(mapping.items()):
        distance = target - code
        if found:
            first, last, step, moved = found[-1]
            gap = code - last
            if moved == distance and gap in (1, 2) and (first == last or gap == step):
                found[-1] = (first, code, gap, distance)
                continue
        found.append((code, code, 1, distance))
    return found


def write(name, change):
    changed = {c: change(chr(c)) for c in range(FIRST, 0x110000) if not 0xD800 <= c < 0xE000 and change(chr(c)) != chr(c)}
    single = {c: ord(text) for c, text in changed.items() if len(text) == 1}
    print(f"constexpr CaseRun k{name}Runs[] = {{")
    for first, last, step, distance in runs(single):
        print(f"    {{{first:#x}, {last:#x}, {step}, {distance}}},")
    print("};")
    print(f"constexpr CaseWord k{name}Words[] = {{")
    for code, text in sorted(changed.items()):
        if len(text) > 1:
            print(f'    {{{code:#x}, "' + "".join(f"\\x{byte:02X}" for byte in text.encode()) + '"},')
    print("};")


print(f"// Made by tools/make_case_tables.py, Unicode {unicodedata.unidata_version}.")
print("// clang-format off")
write("Lower", str.lower)
write("Upper", str.upper)
# Characters whose title case is not their upper case.
print("constexpr uint32_t kTitleCodes[] = {")
for code in range(FIRST, 0x110000):
    if not 0xD800 <= code < 0xE000 and chr(code).title() != chr(code).upper():
        print(f"    {code:#x},")
print("};")
