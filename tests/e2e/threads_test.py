#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Threads that lose their processors: more of them than processors, and two beside two busy programs, are slower
by what is taken from them, not by waiting for each other, and wait asleep. Against two threads on two processors,
beside what else the machine does."""
import contextlib
import json
import os
import statistics
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests"))
from served import model_path  # noqa: E402
from tap import SOBRE, case, finish, skip  # noqa: E402

MOST = {"seconds": 3.0, "cpu_seconds": 2.0}  # times what two threads take
ROUNDS, LEAST_ROUNDS = 12, 3
CPUS = sorted(os.sched_getaffinity(0))[:2]
WAYS = (("four threads", 4, 0), ("eight threads", 8, 0), ("two threads beside two busy programs", 2, 2))


@contextlib.contextmanager
def busy(n):
    """n programs that never wait, on the same two processors."""
    all_of_them = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield
    finally:
        for p in all_of_them:
            p.kill()
            p.wait()


def bench(threads, n_busy=0):
    """What prefill and decode took."""
    with busy(n_busy):
        d = subprocess.run([SOBRE, "bench", "-m", model_path(), "-p", "64", "-n", "24", "-r", "3", "-t", str(threads),
                            "--json"], stdout=subprocess.PIPE, check=True)
    return {r["kind"]: r for r in map(json.loads, d.stdout.splitlines())}


def times(threads, n_busy):
    """How many times what two threads take alone, each round against its own moment. Something else may disturb a
    round, so there are more of them while the medians say no."""
    seen = {(kind, what): [] for kind in ("prefill", "decode") for what in MOST}
    for i in range(ROUNDS):
        alone, now = bench(2), bench(threads, n_busy)
        for (kind, what), ratios in seen.items():
            ratios.append(now[kind][what] / alone[kind][what])
        if i + 1 >= LEAST_ROUNDS and all(statistics.median(r) <= MOST[what] for (_, what), r in seen.items()):
            break
    return seen


def main():
    os.sched_setaffinity(0, CPUS)
    for name, threads, n_busy in WAYS:
        if len(CPUS) < 2:
            skip(name, "one processor")
            continue
        for (kind, what), ratios in times(threads, n_busy).items():
            case("%s: %s takes at most %g times the %s" % (name, kind, MOST[what], what.replace("_", " ")),
                 statistics.median(ratios) <= MOST[what], ratios)
    finish()


main()
