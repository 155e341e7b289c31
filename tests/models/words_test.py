#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Gemma 3 270M, a base model, from the store: it completes, says so, and its words do not depend on
threads; exact mode gives the words of the reference implementation where the tree holds them."""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
from tap import case, finish, skip, sobre  # noqa: E402

M = ("-m", "gemma3-270m", "--temp", "0")
code, out, err = sobre("run", *M, "-n", "8", "The capital of France is")
case("it completes and says on stderr that it is no chat model",
     code == 0 and out.strip() and err.count("\n") >= 2, (code, out, err))
seen = []
for n_threads in "1", "2", "3":
    code, out, err = sobre("run", *M, "-n", "16", "-t", n_threads, "--json", "--raw", "One, two, three,")
    seen.append(json.loads(out)["ids"] if code == 0 else err)
case("1, 2 and 3 threads give the same ids", seen[0] == seen[1] == seen[2] and len(seen[0]) == 16, seen)

for name, way in ("smollm2-135m", ()), ("gemma3-270m", ("--raw", "--special")):
    golden = os.path.join(HERE, "..", "golden", "model", name + ".jsonl")
    if not os.path.exists(golden):
        skip(name + " against the reference", "no " + golden)
        continue
    with open(golden, encoding="utf-8") as f:
        rows = [json.loads(line) for line in f][1:]
    n, equal, wrong = 24, 0, []
    for r in rows[:6]:
        code, out, err = sobre("run", "-m", name, "--temp", "0", "--precision", "exact", *way,
                               "-n", str(n), "--json", "-", text=r["text"])
        got = json.loads(out) if code == 0 else {"ids": err}
        ties = [t[0] for t in r.get("ties", []) if t[0] < n]
        if got.get("prompt_ids") != r["ids"]:
            continue  # a prompt the reference was given without the template
        # An answer that ends early is compared as far as it goes; so is one that meets a tie.
        m = min([len(got["ids"]), n] + ties)
        equal += got["ids"][:m] == r["greedy"][:m]
        wrong += [] if got["ids"][:m] == r["greedy"][:m] else [(r["text"], got["ids"], r["greedy"][:n])]
    case("%s: greedy words of the reference (%d prompts)" % (name, equal), equal > 0 and not wrong, wrong or "none was comparable")
finish()
