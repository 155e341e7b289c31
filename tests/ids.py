# SPDX-License-Identifier: Apache-2.0
"""Ids of a catalogue model's tokenizer against those of the reference, through the command."""
import json
import os

from tap import case, sobre

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden", "tokenizer")


def check_ids(model, golden, n_all, step):
    """The first n_all texts (the trick strings) and every step-th of the rest; some also back."""
    with open(os.path.join(GOLDEN, golden), encoding="ascii") as f:
        rows = [json.loads(line) for line in f]
    other, lost = [], []
    rows = rows[:n_all] + rows[n_all::step]
    for i, row in enumerate(rows):
        special = ["--special"] if row.get("mode") == "all" else []
        code, out, err = sobre("tokenize", "-m", model, *special, "-", text=row["text"])
        if code != 0 or json.loads(out) != row["ids"]:
            other.append((row["text"], out or err))
        if i % 4 or row.get("lossy"):
            continue
        code, out, err = sobre("tokenize", "-m", model, "--decode", "-", text=json.dumps(row["ids"]))
        if code != 0 or out not in (row["text"], row["text"] + "\n"):
            lost.append((row["text"], out or err))
    case("%s: ids of %d texts equal the reference's" % (model, len(rows)), not other, other[:3])
    case("%s: decoding them gives the texts back" % model, not lost, lost[:3])
