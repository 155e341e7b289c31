#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares renders of chat templates with the reference's: equal text, or failure on both sides.

usage: check-templates.py TOOL WORK [DIR...]   (see tools/check-templates, which prepares WORK)
"""
import collections
import glob
import json
import os
import re
import subprocess
import sys

from template_cases import VARS, constructs, contexts, environment


def builtin():
    """(name, text) of src/prompt/builtin.def."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with open(f"{root}/src/prompt/builtin.def", encoding="utf-8") as f:
        text = f.read()
    for name, body in re.findall(r'X\("([^"]+)",((?:\s*"(?:[^"\\]|\\.)*")+)\)', text):
        pieces = re.findall(r'"((?:[^"\\]|\\.)*)"', body)
        yield f"built-in {name}", re.sub(r"\\(.)", r"\1", "".join(pieces))


def templates(work, dirs):
    """(name, text); a file of several templates gives several."""
    for path in sorted(glob.glob(f"{work}/*/package/models/tokenizer_config.json")):
        with open(path, encoding="utf-8") as f:
            t = json.load(f)["chat_template"]
        name = path[len(work) + 1 :].split("/")[0]
        if isinstance(t, str):
            yield name, t
        else:
            for one in t:
                yield f"{name}:{one['name']}", one["template"]
    for path in sorted(glob.glob(f"{work}/*.json")):
        with open(path, encoding="utf-8") as f:
            t = json.load(f).get("chat_template")
        if t:
            yield os.path.basename(path)[:-5], t["text"]
    yield from builtin()
    for d in dirs:
        for path in sorted(glob.glob(f"{d}/**/*.jinja", recursive=True)):
            with open(path, encoding="utf-8", newline="") as f:
                yield os.path.basename(path), f.read()


class Tool:
    def __init__(self, path):
        self.p = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def send(self, kind, text):
        b = text.encode()
        self.p.stdin.write(f"{kind} {len(b)}\n".encode() + b + b"\n")

    def render(self, variables):
        self.send("V", json.dumps(variables))
        self.p.stdin.flush()
        how, n = self.p.stdout.readline().split()
        text = self.p.stdout.read(int(n) + 1)[:-1].decode(errors="replace")
        return (text, None) if how == b"OK" else (None, text)


def reference(env, source):
    try:
        t = env.from_string(source)
    except Exception as e:  # noqa: BLE001 - whatever the reference refuses, it refuses
        why = f"parse: {e}"
        return lambda v: (None, why)

    def render(v):
        try:
            return t.render(**json.loads(json.dumps(v))), None
        except Exception as e:  # noqa: BLE001
            return None, f"{type(e).__name__}: {e}"

    return render


def show(text, why, other):
    if text is None:
        return f"failed: {why}"
    at = next((i for i, (a, b) in enumerate(zip(text, other or "")) if a != b), min(len(text), len(other or "")))
    return f"...{text[max(0, at - 40) : at + 40]!r}"


def main():
    tool, work, *dirs = sys.argv[1:]
    strict, lenient, ours = environment(), environment(lenient=True), Tool(tool)
    n = collections.Counter()
    work_list = [(f"{name}", source, contexts) for name, source in templates(work, dirs)]
    work_list += [(f"construct {s!r:.60}", s, lambda: [("variables", VARS)]) for s in constructs()]
    for name, source, cases in work_list:
        theirs, else_theirs = reference(strict, source), reference(lenient, source)
        ours.send("T", source)
        mine = collections.Counter()
        for case, v in cases():
            want, want_why = theirs(v)
            got, got_why = ours.render(v)
            if want is None and got is not None:
                want, _ = else_theirs(v)
                mine["lenient"] += want == got
            same = want == got
            mine["passed" if same else "failed"] += 1
            mine["refused"] += same and want is None
            if same or mine["failed"] > 4:
                continue
            print(f"{name}: {case}\n  want {show(want, want_why, got)}\n  got  {show(got, got_why, want)}")
        n.update(mine)
        if cases is contexts:
            print(
                f"{name}: {mine['passed']} equal ({mine['refused']} refused by both, {mine['lenient']} where "
                f"only the lenient reference renders), {mine['failed']} differ",
                flush=True,
            )
    print(f"{n['passed']} passed, {n['failed']} failed")
    return n["failed"] > 0


if __name__ == "__main__":
    sys.exit(main())
