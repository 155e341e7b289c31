#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes src/template/casing.def: characters whose upper, lower or title form is more than one character.

    python3 tools/make-casing.py > src/template/casing.def
"""
print(
    "/* SPDX-License-Identifier: Apache-2.0\n"
    " * X(character, upper, lower, title) - forms of more than one character, sorted; \"\": a plain one.\n"
    " * Made by tools/make-casing.py. */"
)
for cp in range(0x110000):
    c = chr(cp)
    forms = [f if len(f) > 1 else "" for f in (c.upper(), c.lower(), c.title())]
    if any(forms):
        text = ", ".join('"' + "".join(f"\\u{ord(x):04x}" if ord(x) > 0x9F else x for x in f) + '"' for f in forms)
        print(f"X(0x{cp:04X}, {text})")
