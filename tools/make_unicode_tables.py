#!/usr/bin/env python3
"""Writes tokenizer/unicode_tables.inc: the Unicode general categories the pre-tokenizers ask for.

usage: tools/make_unicode_tables.py > tokenizer/unicode_tables.inc

Every range runs from its first code point to the next entry's; an entry is (first << 4) | category,
with the numbers of `enum class CharCategory` in tokenizer/unicode.h. Categories that no pattern
tells apart share a number. The data is that of the Unicode version of this Python's unicodedata.
"""
import sys
import unicodedata

CATEGORIES = {
    "Lu": 1, "Lt": 1,  # kUpperLetter
    "Ll": 2,  # kLowerLetter
    "Lm": 3, "Lo": 3,  # kCaselessLetter
    "Mn": 4, "Mc": 4, "Me": 4,  # kMark
    "Nd": 5, "Nl": 5, "No": 5,  # kNumber
    "Pc": 6, "Pd": 6, "Ps": 6, "Pe": 6, "Pi": 6, "Pf": 6, "Po": 6,  # kPunctuation
}


def category(code):
    """The number for a code point; 0 (kOther) for symbols, separators, controls, unassigned."""
    return CATEGORIES.get(unicodedata.category(chr(code)), 0)


def main():
    entries = []
    previous = None
    for code in range(sys.maxunicode + 1):
        current = category(code)
        if current != previous:
            entries.append((code << 4) | current)
            previous = current
    print(f"// Made by tools/make_unicode_tables.py from Unicode {unicodedata.unidata_version}.")
    for i in range(0, len(entries), 10):
        print("    " + " ".join(f"0x{e:X}," for e in entries[i:i + 10]))


if __name__ == "__main__":
    main()
