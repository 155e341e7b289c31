#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every text of the page stands in web/strings.js in both languages, with the same {names}; every key that is used is
there, every key that is there is used; and no module of web/ makes markup of text or runs text as a program."""
import glob
import json
import os
import re
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
sys.path.insert(0, ROOT + "/tests")
from tap import case, finish  # noqa: E402

STRING = r'"(?:[^"\\]|\\.)*"'
table = open(ROOT + "/web/strings.js", encoding="utf-8").read()
body = table[table.index("export const STRINGS"):table.index("\n};")]
rows = {k: (json.loads(a), json.loads(b)) for k, a, b in re.findall(r"(\w+): \[(%s),\s*(%s)\]" % (STRING, STRING), body)}
case("the table is read as a whole", len(rows) == len(re.findall(r"^  \w+: \[", body, re.M)) > 100, len(rows))
case("every text is in both languages", all(a.strip() and b.strip() for a, b in rows.values()),
     [k for k, (a, b) in rows.items() if not a.strip() or not b.strip()])


def names(text):
    return sorted(re.findall(r"\{(\w+)\}", text))


case("both name the same values", all(names(a) == names(b) for a, b in rows.values()),
     [k for k, (a, b) in rows.items() if names(a) != names(b)])
case("French has its spaces before : ; ? !", not [k for k, (_, b) in rows.items() if re.search(r"\w[:;?!](\s|$)", b)],
     [k for k, (_, b) in rows.items() if re.search(r"\w[:;?!](\s|$)", b)])
modules = {os.path.relpath(f, ROOT): open(f, encoding="utf-8").read() for f in glob.glob(ROOT + "/web/**/*.js", recursive=True)}
code = "\n".join(text for f, text in modules.items() if not f.endswith("strings.js"))
used = set(re.findall(r"\bt\(\"(\w+)\"", code))
case("every key that is used is there", used <= set(rows), used - set(rows))
quoted = set(re.findall(r'"(\w+)"', code))
case("every key that is there is used", set(rows) <= quoted, set(rows) - quoted)
# What would let text become markup or a program, a style attribute, or something from elsewhere.
BAD = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|srcdoc|\beval\b|new Function|"
                 r"setAttribute\(\"(style|on\w+)\"|https?://[a-z0-9.-]*[a-z0-9]/?[\"'`]")
bad = [(f, m[0]) for f, text in modules.items() for m in BAD.finditer(text) if m[0] not in ('http://"',)]
bad = [(f, m) for f, m in bad if "www.w3.org" not in m]
case("no module makes markup of text", bad == [], bad)
finish()
