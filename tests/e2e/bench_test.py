#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What speed and quality are measured with: models of random weights, charts, and the benches beside programs that
stand for llama.cpp's."""
import argparse
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests"))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import peer  # noqa: E402
from bench_plot import chart  # noqa: E402
from serve import BUILD, SOBRE, tiny_model  # noqa: E402
from tap import case, finish  # noqa: E402


def run(*words, env=None, given=None):
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, input=given, env={**os.environ, **(env or {})})


def program(path, body):
    """A program in Python."""
    with open(path, "w") as f:
        f.write("#!%s\nimport os, shutil, sys\n%s\n" % (sys.executable, body))
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


def product_errors():
    """Two columns of 32 weights in Q8_0, one row of activations; the other program's product right, and twice as large."""
    codes, x = [list(range(-16, 16)), [7] * 32], [0.1 * i - 1 for i in range(32)]
    weights = b"".join(struct.pack("<e32b", 1, *c) for c in codes) + struct.pack("<32f", *x)
    x = struct.unpack("<32f", struct.pack("<32f", *x))
    right = [sum(a * b for a, b in zip(c, x)) for c in codes]
    for what, factor, want in (("right", 1, 0), ("twice as large", 2, 1)):
        d = run(os.path.join(BUILD, "tests/checkkern/mm_error"), "Q8_0", "32", "2", "1", given=weights + struct.pack("<2f", *(factor * y for y in right)))
        words = d.stdout.split()
        case("relative errors of a product, the other's " + what, d.returncode == 0 and 0 < float(words[1]) < 0.01 and
             abs(float(words[3]) - want) < 1e-6, d)
    d = run(os.path.join(BUILD, "tests/checkkern/mm_error"), "Q8_0", "32", "2", "1", given=weights)
    case("a product cut short is refused", d.returncode == 2 and not d.stdout, d)


def quality(room):
    """tools/bench-quality beside programs that say what they are told to."""
    home, llama = os.path.join(room, "home"), os.path.join(room, "llama")
    os.makedirs(os.path.join(home, "models"))
    os.makedirs(llama)
    tiny_model(os.path.join(home, "models", "smollm2-135m.gguf"))
    program(os.path.join(llama, "llama-quantize"), "shutil.copy(sys.argv[-4], sys.argv[-3])")
    program(os.path.join(llama, "llama-perplexity"), "open(sys.argv[sys.argv.index('--kl-divergence-base') + 1], 'a')\n"
            "print('Mean    KLD:   %s +- 0.1\\nSame top p: 96.928 +- 0.4 %%' % os.environ['KLD'])")
    text, out = os.path.join(room, "text"), os.path.join(room, "QUALITY.md")
    with open(text, "w") as f:
        f.write("Some words that are said again and again. " * 400)
    words = (sys.executable, os.path.join(ROOT, "tools", "bench-quality"), "--sobre", SOBRE, "--llama-bin", llama, "--model", "smollm2-135m", "-t", "1", "--out", out, text)
    d = run(*words, "--formats", "Q8_0,q4_0", env={"SOBRE_HOME": home, "KLD": "9.5"})
    table = [line for line in d.stdout.decode().splitlines() if line.endswith("| ok |")]
    case("quality: both figures of a format", d.returncode == 0 and len(table) == 2 and "| Q8_0 100 % |" in table[0] and "9.500000, 96.93 %" in table[0], d)
    case("quality: written down", os.path.exists(out) and table[-1] in open(out).read(), out)
    d = run(*words, "--formats", "Q8_0", env={"SOBRE_HOME": home, "KLD": "-9.5"})
    case("quality: further from exact than the other is a failure", d.returncode == 1 and b"| FURTHER |" in d.stdout, d)
    keep = ("--formats", "Q8_0", "--keep", os.path.join(room, "keep"))
    seen = [run(*words, *keep, env={"SOBRE_HOME": home, "KLD": kld}) for kld in ("7.25", "8.25")]
    case("quality: kept figures are not measured again", all(d.returncode == 0 and b"7.250000" in d.stdout for d in seen), seen)
    d = run(*words, "--formats", "Q9_9", env={"SOBRE_HOME": home, "KLD": "1"})
    case("quality: an unknown format is refused with the list", d.returncode == 1 and b"IQ4_NL" in d.stderr, d)


def bench_server():
    """tools/bench-server as a module: its name is no Python name."""
    path = os.path.join(ROOT, "tools", "bench-server")
    spec = importlib.util.spec_from_loader("bench_server", importlib.machinery.SourceFileLoader("bench_server", path))
    m = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(m)
    return m


def server_goals():
    """What figures are judged by, without a server."""
    m = bench_server()
    o = argparse.Namespace(t=2, rounds=2)

    def judged(is_small, alone=False, **other):
        """The rows that are judged; ours is what just meets every goal of a small model unless other says otherwise."""
        ours = {"rate1": 200, "rate8": 400, "cpu": 1, "growth": 2, **other}
        seen = {}
        for users in (1, 8):
            for row, mine, theirs in ((m.RATE, ours["rate%d" % users], 100), (m.FIRST, 10, 30), (m.CPU, ours["cpu"], 2), (m.MEMORY, 100, 200)):
                seen[users, row] = {"sobre": [mine] * 2} if alone else {"sobre": [mine] * 2, "a": [theirs] * 2, "b": [theirs] * 2}
        seen[0, m.GROWTH] = {name: [ours["growth"] if name == "sobre" else 9] * 2 for name in seen[8, m.RATE]}
        lines, good = m.table(o, seen, m.GOALS[is_small])
        return good, [line.split(" | ")[0][2:] for line in lines if line.endswith("| MISSED |")], sum(line.endswith("| ok |") for line in lines)
    case("server: all goals of a small model met", judged(True) == (True, [], 9), judged(True))
    for key, value, row in (("rate1", 199, "1 user: tokens/s"), ("rate8", 399, "8 users: tokens/s"), ("growth", 2.1, m.GROWTH)):
        got = judged(True, **{key: value})
        case("server: missed: " + row, got == (False, [row], 8), got)
    got = judged(True, cpu=1.1)
    case("server: missed: processor time", got == (False, ["1 user: CPU s per answer", "8 users: CPU s per answer"], 7), got)
    case("server: a larger model is judged by two", judged(False, rate8=300, cpu=9) == (True, [], 2), judged(False, rate8=300, cpu=9))
    case("server: and misses one", judged(False, rate8=299) == (False, ["8 users: tokens/s"], 1), judged(False, rate8=299))
    case("server: alone only the gaps are judged", judged(True, alone=True) == (True, [], 1), judged(True, alone=True))


def server(room):
    """tools/bench-server from end to end, beside itself in the place of llama-server."""
    llama, out = os.path.join(room, "servers"), os.path.join(room, "SERVER.md")
    os.makedirs(llama)
    program(os.path.join(llama, "llama-server"), "import tempfile\nos.environ['SOBRE_HOME'] = tempfile.mkdtemp(dir=%r)\n"
            "of = lambda name: sys.argv[sys.argv.index(name) + 1]\nassert of('-c') == ('65536' if '-np' in sys.argv else '8192')\n"
            "os.execv(%r, ['sobre', 'serve', '-m', of('-m'), '-t', of('-t'), '--port', of('--port')])" % (room, os.path.abspath(SOBRE)))
    d = run(sys.executable, os.path.join(ROOT, "tools", "bench-server"), "--llama-bin", llama, "--rounds", "1", "--long", "600", "-t", "1", "--out", out,
            os.path.join(room, "q4_0.gguf"))
    rows = {line.split(" | ")[0][2:]: line.split(" | ") for line in d.stdout.decode().splitlines() if line.count("|") == 8}
    case("server: a row for every figure", d.returncode == 1 and len(rows) == 13 and all(float(x) > 0 for r in list(rows.values())[2:] for x in r[1:4]), d)
    rate = rows.get("8 users: tokens/s", [""] * 6)
    case("server: it is not four times itself", rate[5:] == [">= 4", "MISSED |"] and all(0.2 < float(x) < 4 for x in rate[4].split(", ")), rate)
    case("server: written down", all(" | ".join(r) in open(out).read() for r in rows.values()), out)


def main():
    with tempfile.TemporaryDirectory(prefix="sobre-bench-") as room:
        models(room)
        speed(room)
        built_once(room)
        quality(room)
        server(room)
    server_goals()
    charts()
    product_errors()
    finish()


main()
