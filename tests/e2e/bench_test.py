#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What speed is measured with: models of random weights, charts, and the bench beside a program
that stands for llama.cpp's."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests"))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import peer  # noqa: E402
from bench_plot import chart  # noqa: E402
from serve import SOBRE  # noqa: E402
from tap import case, finish  # noqa: E402


def run(*words):
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def program(path, body):
    """A program in Python."""
    with open(path, "w") as f:
        f.write("#!%s\n%s\n" % (sys.executable, body))
    os.chmod(path, 0o755)
    return path


def models(room):
    make = os.path.join(ROOT, "tools", "make-model")
    for kind, formats in (("q4_0", {"Q4_0", "Q6_K"}), ("q8_0", {"Q8_0"}), ("q4_k_m", {"Q4_K", "Q6_K"})):
        path = os.path.join(room, kind + ".gguf")
        made = run(sys.executable, make, "llama-tiny", kind, path)
        d = run(SOBRE, "inspect", "--json", path)
        seen = {f["format"] for f in json.loads(d.stdout or b"{}").get("formats", [])}
        case("random weights as " + kind, made.returncode == 0 and seen == formats | {"F32"}, (made, d))
        d = run(SOBRE, "bench", "-m", path, "-p", "32", "-n", "8", "-r", "1", "-t", "1", "--json")
        case("their numbers are finite: " + kind, d.returncode == 0 and d.stdout.count(b'"tokens_per_second"') == 2, d)
        words = [SOBRE, "run", "-m", path, "-n", "4", "--temp", "0", "-t", "2", "Good morning"]
        d, one = run(*words), run(*words, "--eco")
        case("and a chat answers: " + kind, d.returncode == 0 and len(d.stdout.split()) > 1, d)
        case("with one thread the same: " + kind, one.returncode == 0 and one.stdout == d.stdout, (d, one))
        d = run(SOBRE, "bench", "-m", path, "-p", "32", "-n", "8", "-r", "1", "-t", "2", "--eco", "--json")
        case("which then decodes alone: " + kind, [json.loads(line)["threads"] for line in d.stdout.splitlines()] == [2, 1], d)
    d = run(sys.executable, make, "llama-70b", "q4_0", os.path.join(room, "none"))
    case("an unknown shape is refused with the list", d.returncode == 1 and b"llama-8b" in d.stderr and not os.path.exists(os.path.join(room, "none")), d)


def charts():
    text = chart("A model: decode", "batch", "tokens/s", [1, 2, 4], {"ours": [90.0, 170.5, 300.0], "theirs": [40, 41, 42]})
    root = xml.etree.ElementTree.fromstring(text)
    lines = [e.get("points").split() for e in root.iter("{http://www.w3.org/2000/svg}polyline")]
    heights = [[float(p.split(",")[1]) for p in line] for line in lines]
    case("a chart has a line a series, more is higher", [len(x) for x in lines] == [3, 3] and heights[0] == sorted(heights[0], reverse=True) and
         all(a < b for a, b in zip(heights[0], heights[1])), lines)
    case("all of it within its frame", all(0 < y < 360 for ys in heights for y in ys), heights)


def speed(room):
    """tools/bench beside a llama-bench of the user's, the only program of llama.cpp there is."""
    theirs = program(os.path.join(room, "my-bench"), "print('{\"avg_ts\": 123.0}')")
    out = os.path.join(room, "RESULTS.md")
    words = (sys.executable, os.path.join(ROOT, "tools", "bench"), "--sobre", SOBRE, "--rounds", "1", "-p", "32", "-n", "4", "-t", "1", "--out",
             out, "tiny=" + os.path.join(room, "q4_0.gguf"), "--llama-bin")
    d = run(*words, theirs)
    rows = {line.split("|")[1].strip(): line for line in d.stdout.decode().splitlines() if line.count("|") == 6}
    case("a llama-bench of the user's", d.returncode == 0 and "| 123 (123) |" in rows["prefill 32"] and "| 123 (123) |" in rows["decode 4"], d)
    case("a work whose program is missing is ours alone", rows.get("8 streams, 4 each", "").endswith("| - | - |"), rows)
    case("all of it written", os.path.exists(out) and all(line in open(out).read() for line in rows.values()), out)
    d = run(*words, os.path.join(room, "nowhere"))
    case("no program at all is an error", d.returncode == 1 and b"no program of llama.cpp" in d.stderr, d)


def built_once(room):
    """peer.build() runs nothing when every program is there."""
    peer.PEERS = pathlib.Path(room) / "peers"
    folder = peer.PEERS / "llama.cpp" / "bin"
    folder.mkdir(parents=True)
    for name in peer.TARGETS:
        (folder / name).touch()
    path = os.environ["PATH"]
    os.environ["PATH"] = room
    try:
        case("llama.cpp is not built again", peer.build() == folder)
        (folder / "llama-quantize").unlink()
        peer.build()
        case("a program that is missing is built", False)
    except SystemExit as e:
        case("a program that is missing is built", "needs cmake" in str(e), e)
    finally:
        os.environ["PATH"] = path


def main():
    with tempfile.TemporaryDirectory(prefix="sobre-bench-") as room:
        models(room)
        speed(room)
        built_once(room)
    charts()
    finish()


main()
