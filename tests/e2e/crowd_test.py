#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Streams on SmolLM2 through the scheduler get, each of them, the tokens they get alone: more streams than places,
greedy and drawn. tests/rig/crowd with a long prompt also judges how long everybody waits."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import case, finish, sobre  # noqa: E402

code, out, err = sobre("show", "smollm2-135m", "--json")
path = json.loads(out)["path"] if code == 0 else ""
crowd = os.path.join(os.environ.get("SOBRE_BUILD", "build"), "tests/rig/crowd")
for n_streams, n_threads in ((24, 2), (5, 1), (5, 3)):
    done = subprocess.run([crowd, path, str(n_streams), "16", str(n_threads), "0"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=600)
    said = done.stdout.decode("utf-8", "replace")
    case("%d streams on %d threads equal themselves alone" % (n_streams, n_threads),
         done.returncode == 0 and "%d passed, 0 failed" % n_streams in said, said)
finish()
