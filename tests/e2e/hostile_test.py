#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Model files as an attacker or an accident leaves them, met with the command: what must be refused is
refused in one line with status 1, within a second and little memory; what must be accepted is. The rows
(G1 ...) are those of docs/hostile-input.md; the container's own are in tests/unit/gguf. Uses tiny models
made on the spot; needs no download."""
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from gguf_edit import Gguf, f32, u32
from tap import SOBRE, case, finish

BUILD = os.environ["SOBRE_BUILD"]
TINY = os.path.join(BUILD, "tests/tinymodel/tinymodel")
SANITIZED = "-" in os.path.basename(BUILD.rstrip("/"))
SECONDS = 30 if SANITIZED else 1  # of CPU time, which does not depend on who else is busy
PEAK_KB = 1 << 30 if SANITIZED else (64 + 32) << 10  # the program itself and its libraries are part of it


def run(path, *more, n="2"):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    p = subprocess.run([SOBRE, "run", "-m", path, "--raw", "--temp", "0", "-n", n, *more, "hello"],
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    p.seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    p.peak = after.ru_maxrss
    return p


def refused(name, path, *words, more=()):
    p = run(path, *more)
    line = p.stderr.decode(errors="replace")
    case(name, p.returncode == 1 and not p.stdout and line.count("\n") == 1 and line.startswith("sobre: ") and
         all(w in line for w in words) and p.seconds < SECONDS and p.peak < PEAK_KB,
         "status %d, %.1f s, %d KB: %s" % (p.returncode, p.seconds, p.peak, line))


def accepted(name, path, *words):
    p = run(path)
    err = p.stderr.decode(errors="replace")
    case(name, p.returncode == 0 and all(w in err for w in words), "status %d: %s" % (p.returncode, err))


def keys(room, model):
    """G3, G18 to G21: what a model's keys may be."""
    odd = [("general.architecture", (8, struct.pack("<Q", 3) + b"foo"), "architecture 'foo'", "llama"),
           ("general.architecture", (8, struct.pack("<Q", 10 ** 6) + b"x" * 10 ** 6), "not supported"),
           *(("llama.block_count", v, "block_count") for v in (
               u32(0), u32(100000), u32(1 << 31), (5, struct.pack("<i", -1)),
               (8, struct.pack("<Q", 1) + b"2"), f32(2.5))),
           *(("llama.attention.head_count", v, "head_count") for v in (u32(0), u32(3), u32(1 << 31))),
           *(("llama.attention.head_count_kv", v, "head_count_kv") for v in (u32(0), u32(3), u32(64))),
           *(("llama.embedding_length", v, "embedding_length") for v in (u32(0), u32(63), u32(1 << 30))),
           *(("llama.rope.dimension_count", v, "rope") for v in (u32(7), u32(4096))),
           *(("llama.rope.freq_base", v, "freq_base") for v in (f32(0), f32(-1), f32(float("nan")))),
           *(("llama.attention.layer_norm_rms_epsilon", v, "rms_epsilon") for v in (
               f32(0), f32(float("nan")), f32(1e30))),
           ("llama.context_length", u32(0), "context_length"),
           ("llama.feed_forward_length", u32(0), "feed_forward_length")]
    path = os.path.join(room, "keys.gguf")
    for i, (key, value, *words) in enumerate(odd):
        g = Gguf(model)
        g.kv[key] = value
        g.write(path)
        refused("%s %d" % (key, i), path, path[-9:], *words)
    g = Gguf(model)
    g.kv["llama.context_length"] = u32(0xffffffff)
    g.write(path)
    accepted("context_length 2^32-1 is capped", path)
    for key in ("llama.block_count", "llama.embedding_length", "llama.attention.head_count",
                "general.architecture"):
        g = Gguf(model)
        del g.kv[key]
        g.write(path)
        refused("without " + key, path, key.split(".")[-1])


def tensors(room, model):
    """G15, G22: what a model's tensors may be."""
    path = os.path.join(room, "tensors.gguf")
    good = Gguf(model)
    for t in good.tensors:
        g = Gguf(model)
        g.tensors.remove(g.tensor(t[0]))
        g.write(path)
        refused("without " + t[0], path, t[0])
    for name in [t[0] for t in good.tensors if len(t[1]) == 2 and t[1][0] != t[1][1]]:
        g = Gguf(model)
        g.tensor(name)[1].reverse()
        g.write(path)
        refused("transposed " + name, path, name)
    g = Gguf(model)
    t = g.tensor("output_norm.weight")
    t[2], t[3] = 2, bytes(t[1][0] // 32 * 18)
    g.write(path)
    refused("a norm as Q4_0", path, "output_norm.weight")
    g = Gguf(model)
    t = g.tensor("token_embd.weight")
    t[1][1] -= 1
    g.write(path)
    refused("rows that are not the tokens", path, "token_embd.weight")
    g = Gguf(model)
    g.tensors.append(["extra.weight", [4], 0, bytes(16)])
    g.write(path)
    accepted("an unknown tensor is passed over", path, "1 tensor unknown")


def experts(room, model):
    """G21: no architecture here has experts; a file that says so lacks what they need."""
    path = os.path.join(room, "experts.gguf")
    for count, used in ((1000000, 2), (8, 9), (8, 0), (8, 2)):
        g = Gguf(model)
        g.kv["llama.expert_count"], g.kv["llama.expert_used_count"] = u32(count), u32(used)
        g.write(path)
        refused("%d experts, %d used" % (count, used), path, "expert")


def ends(room, model):
    """G17: what may lie behind the data."""
    path = os.path.join(room, "ends.gguf")
    Gguf(model).write(path, b"x" * 1024)
    accepted("a kilobyte behind the data", path, "1024 bytes behind")
    Gguf(model).write(path)
    os.truncate(path, os.path.getsize(path) + (1 << 30))
    accepted("a gigabyte behind the data", path, "1073741824 bytes behind")


def numbers(room, model):
    """G23, E5: numbers that are not finite end the answer, and say so."""
    path = os.path.join(room, "numbers.gguf")
    for what, half in (("NaN", 0x7e00), ("infinity", 0x7c00)):
        for name in ("token_embd.weight", "blk.1.ffn_down.weight", "blk.0.attn_q.weight"):
            for where in ("first", "last"):
                g = Gguf(model)
                t = g.tensor(name)
                body = bytearray(t[3])  # Q8_0: blocks of a half and 32 bytes
                if name != "token_embd.weight":
                    n = len(body) // 34
                    blocks = [0 if where == "first" else n - 1]
                else:  # a row that is read: all of them
                    blocks = range(len(body) // 34)
                for b in blocks:
                    body[b * 34:b * 34 + 2] = struct.pack("<H", half)
                t[3] = bytes(body)
                g.write(path)
                p = run(path)
                err = p.stderr.decode()
                case("%s in the %s block of %s" % (what, where, name), p.returncode == 1 and
                     "numeric error" in err and err.count("\n") == 1, (p.returncode, err))


def shards(room, model):
    """G24: sets of files."""
    folder = os.path.join(room, "set")
    os.mkdir(folder)
    name = os.path.join(folder, "m-%05d-of-%05d.gguf")

    def make(i, n, no=None, count=None, arch=None):
        g = Gguf(model)
        half = len(g.tensors) // 2
        total = len(g.tensors)
        g.tensors = g.tensors[:half] if i == 0 else g.tensors[half:]
        g.kv["split.no"] = (2, struct.pack("<H", i if no is None else no))
        g.kv["split.count"] = (2, struct.pack("<H", n if count is None else count))
        g.kv["split.tensors.count"] = (5, struct.pack("<i", total))
        if arch:
            g.kv["general.architecture"] = (8, struct.pack("<Q", len(arch)) + arch)
        g.write(name % (i + 1, n))

    first, second = name % (1, 2), name % (2, 2)
    make(0, 2), make(1, 2)
    accepted("a set of two", first)
    refused("the second of a set", second, "open the first one")
    os.rename(second, second + ".away")
    refused("a missing file of a set", first, "00002-of-00002")
    shutil.copy(model, second)
    refused("a stranger in a set", first, "00002-of-00002")
    make(1, 2, no=0)
    refused("a number twice", first, "split.no")
    make(1, 2, arch=b"gemma3")
    refused("a file of another model", first, "00002-of-00002")
    make(1, 2, count=3)
    refused("counts that differ", first, "split.count")
    make(0, 2, count=0)
    refused("a set of none", first, "split.count")
    make(0, 2, count=65535)
    refused("a set of 65535", first, "split.count")
    evil = os.path.join(folder, "..", "set", "m-00001-of-00002.gguf")
    make(0, 2), make(1, 2)
    accepted("a path with dots of the user's own", evil)


def special(room, model):
    """G25: what is no file does not block."""
    fifo, loop, secret = (os.path.join(room, n) for n in ("fifo", "loop", "secret"))
    os.mkfifo(fifo)
    os.symlink("loop", loop)
    for name, path in (("a folder", room), ("a FIFO", fifo), ("/dev/zero", "/dev/zero"),
                       ("/dev/random", "/dev/random"), ("/dev/tty", "/dev/tty"), ("a loop of links", loop)):
        refused(name, path)
    sparse = os.path.join(room, "sparse.gguf")
    with open(sparse, "wb") as f:
        f.write(b"GGUF\3\0\0\0")
    try:
        os.truncate(sparse, 1 << 40)
        refused("a terabyte of nothing", sparse, "sparse.gguf")
    except OSError:
        pass  # a file system with a smaller limit
    os.unlink(sparse)


def changing(room, model):
    """G26, G27: files that change while they are used."""
    path = os.path.join(room, "changing.gguf")

    def start(seed):
        shutil.copy(model, path)
        p = subprocess.Popen([SOBRE, "run", "-m", path, "--raw", "--temp", "1.5", "--seed", str(seed), "-n", "480",
                              "x"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        p.stdout.read(1)
        return p

    for name, change in (("cut short", lambda: os.truncate(path, 4096)),
                         ("emptied", lambda: os.truncate(path, 0)),
                         ("rewritten in place", lambda: open(path, "r+b").write(b"x" * 10000))):
        for seed in range(12):  # a tiny model may end its answer before the file is touched: ask again
            p = start(seed)
            change()
            p.stdout.read()
            err = p.stderr.read().decode()
            if p.wait(120) != 0:
                break
        case("%s while in use" % name, p.returncode == 1 and err.count("\n") == 1 and "changing.gguf" in err and
             "while in use" in err, (p.returncode, err))
    ended = []
    for seed in range(4):
        p = start(seed)
        with open(path + ".new", "wb") as f:
            f.write(b"not a model")
        os.rename(path + ".new", path)
        p.stdout.read()
        ended.append((p.wait(120), p.stderr.read().decode()))
    case("replaced while in use", all(code == 0 for code, _ in ended), ended)
    refused("and the next load sees the new file", path, "changing.gguf")


def main():
    room = tempfile.mkdtemp(prefix="sobre-hostile-")
    model = os.path.join(room, "tiny.gguf")
    try:
        subprocess.run([TINY, model], check=True, stdout=subprocess.DEVNULL)
        Gguf(model).write(os.path.join(room, "same.gguf"))
        accepted("the model taken apart and put together", os.path.join(room, "same.gguf"))
        for part in (keys, tensors, experts, ends, numbers, shards, special, changing):
            part(room, model)
    finally:
        shutil.rmtree(room, ignore_errors=True)
    finish()


main()
