#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check-logits.py - compares exact-mode logits with the reference implementation's.

Usage: tools/check-logits.py [--full] [--program build/tests/rig/logits] NAME=FILE.gguf...
Needs numpy; --full also what tools/reference.py needs (run it with build/reference/bin/python).

The program is run as `logits FILE N ID...` and prints, as little-endian float32, one row of the
vocabulary's size for each of the last N positions. It is fed prompt and golden answer, so that the
largest logit of each row is the greedy token after what the reference said before it.
  default  against tests/golden/model/NAME.jsonl: the 8 largest logits at four steps, 128 greedy ids
  --full   every logit of the prompt's last position and of all 128 steps, computed anew here
Passes when, in each model, max |difference| <= 1e-3 * max |logit| wherever compared, and the 128
greedy ids are the same in at least 48 of 50 prompts, any other differing first at a tie (< 1e-3).
"""
import argparse
import json
import pathlib
import subprocess
import sys

import numpy as np

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "model"
BOUND, NEEDED = 1e-3, 48


def logits(program, path, ids, n):
    out = subprocess.run([program, path, str(n), *map(str, ids)], stdout=subprocess.PIPE,
                         check=True)
    y = np.frombuffer(out.stdout, "<f4")
    if y.size == 0 or y.size % n:
        sys.exit(f"check-logits: {program} printed {y.size} numbers, not {n} rows")
    return y.reshape(n, -1)


def difference(y, row, head, full):
    """Largest |difference| over the largest |logit|, of all steps compared."""
    if full:
        want = full.logits(row["ids"] + row["greedy"][:-1], len(y)).numpy()
        return float((np.abs(y - want).max(1) / np.abs(want).max(1)).max())
    worst = 0.0
    for step, top, largest in zip(head["steps"], row["top"], row["max"]):
        delta = max(abs(float(y[step, i]) - v) for i, v in top)
        delta = max(delta, abs(float(np.abs(y[step]).max()) - largest))
        worst = max(worst, delta / largest)
    return worst


def check(name, path, program, full):
    lines = (GOLDEN / (name + ".jsonl")).read_text(encoding="utf-8").splitlines()
    head, rows = json.loads(lines[0]), [json.loads(s) for s in lines[1:]]
    worst, same, ties, bad = 0.0, 0, [], []
    for i, row in enumerate(rows):
        y = logits(program, path, row["ids"] + row["greedy"][:-1], head["n_step"])
        if not np.isfinite(y).all():
            sys.exit(f"check-logits: {name}, prompt {i}: a logit is not finite")
        d = difference(y, row, head, full)
        worst = max(worst, d)
        got, known = y.argmax(1), {tuple(t) for t in row["ties"]}
        wrong = [s for s in range(head["n_step"]) if got[s] != row["greedy"][s]]
        if not wrong:
            same += 1
        elif (wrong[0], int(got[wrong[0]])) in known:
            ties.append((i, wrong[0]))
        else:
            bad.append((i, wrong[0]))
        print(f"{name} {i + 1}/{len(rows)}: {d:.2e} of the largest logit"
              + (f", differs at step {wrong[0]}" if wrong else ""), flush=True)
    passed = worst <= BOUND and not bad and same >= NEEDED * len(rows) / 50
    print(f"{name}: max |difference| {worst:.2e} of max |logit| (<= {BOUND:g}); greedy "
          f"{head['n_step']} ids equal in {same} of {len(rows)}, ties {ties}, unexplained {bad}: "
          + ("passed" if passed else "FAILED"))
    return passed


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("models", nargs="+", metavar="NAME=FILE")
    p.add_argument("--program", default="build/tests/rig/logits")
    p.add_argument("--full", action="store_true")
    a = p.parse_args()
    passed = True
    for name, path in (m.split("=", 1) for m in a.models):
        full = None
        if a.full:
            import reference
            reference.torch.set_grad_enabled(False)
            full = reference.Model(name, path)
        passed &= check(name, path, a.program, full)
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
