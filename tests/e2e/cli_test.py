#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command as scripts meet it: exit statuses, one line of error, hostile files and names, closed
outputs, signals, locales. Uses a tiny model made on the spot; needs no download."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

SOBRE = os.environ["SOBRE"]
TINY = os.path.join(os.environ["SOBRE_BUILD"], "tests/tinymodel/tinymodel")
n_case = n_bad = 0


def case(name, good, seen=""):
    global n_case, n_bad
    n_case, n_bad = n_case + 1, n_bad + (not good)
    print("%sok %d - %s" % ("" if good else "not ", n_case, name), flush=True)
    if not good:
        print("# " + repr(seen)[:2000])


class Done:
    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds

    def one_line(self):
        return self.err.count(b"\n") == 1 and self.err.startswith(b"sobre: ")

    def __repr__(self):
        return "status %s, %.1f s\nout %r\nerr %r" % (self.code, self.seconds, self.out[-600:], self.err[-600:])


def sobre(*args, stdin=b"", env=None, cwd=None, shell=None):
    """Runs the command; shell: a redirection appended by sh."""
    begin = time.monotonic()
    full = {**os.environ, **(env or {})}
    for key in [k for k, v in full.items() if v is None]:
        del full[key]
    cmd = [SOBRE] + list(args)
    if shell:
        cmd = ["sh", "-c", '"$@" ' + shell, "sh"] + cmd
    done = subprocess.run(cmd, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=full, cwd=cwd,
                          timeout=300)
    return Done(done.returncode, done.stdout, done.stderr, time.monotonic() - begin)


def help_pages():
    top = sobre("help")
    commands = re.findall(rb"^  ([a-z]+) ", top.out, re.M)
    case("help lists the commands", top.code == 0 and {b"run", b"pull", b"inspect"} <= set(commands), top)
    for c in commands:
        page, also = sobre("help", c.decode()), sobre(c.decode(), "--help")
        case("page of " + c.decode(), page.code == 0 and page.out == also.out and not page.err and
             (b"usage: sobre " + c in page.out or c == b"help"), page)
        case("columns of " + c.decode(), max(map(len, page.out.splitlines())) <= 100, page)
    case("--version", sobre("--version").out.startswith(b"sobre "))


def usage_errors(model):
    for line in ("", "fly", "run", "run x --wings", "run x --ctx 0", "run x --ctx 1", "run x --ctx -1",
                 "run x --ctx 2147483648", "run x -t 0", "run x -t 1000000", "run x -t x", "run x --ctx",
                 "run a b", "list x", "bench", "tokenize -", "help fly", "inspect", "run x --temp 1,5"):
        d = sobre(*line.split(), *(["-m", model] if line.startswith("run") else []))
        case("usage: " + line, d.code == 2 and d.one_line() and not d.out and b"sobre help" in d.err, d)


def missing_models(room):
    env = {"SOBRE_HOME": os.path.join(room, "empty")}
    d = sobre("run", "x", env=env)
    case("no default model", d.code == 1 and d.one_line() and b"sobre pull smollm2-135m" in d.err, d)
    d = sobre("run", "x", "-m", "no-such", env=env)
    case("unknown model", d.code == 1 and d.one_line() and b"sobre list" in d.err, d)
    d = sobre("pull", "no-such", env=env)
    case("unknown pull", d.code == 1 and d.one_line(), d)
    d = sobre("pull", "gemma3-270m", env=env)
    case("terms first", d.code == 1 and b"--accept-license" in d.err and b"Terms of Use" in d.err, d)
    case("nothing was made", not os.path.exists(env["SOBRE_HOME"]))
    d = sobre("list", "--json", env=env)
    case("list of nothing", d.code == 0 and not any(m["here"] for m in json.loads(d.out)) and
         {"smollm2-135m", "gemma3-270m"} <= {m["name"] for m in json.loads(d.out)}, d)
    d = sobre("list", env={"SOBRE_HOME": None, "HOME": None, "XDG_DATA_HOME": None})
    case("no HOME", d.code == 0, d)


def hostile_files(room, model):
    good = open(model, "rb").read()
    files = {"empty": b"", "three": b"GGU", "magic": b"FUGG" + good[4:], "zip": b"PK\3\4" + b"\0" * 100,
             "version": good[:4] + b"\x09\0\0\0" + good[8:], "count": good[:8] + b"\xff" * 8 + good[16:],
             "keys": good[:16] + b"\xff" * 8 + good[24:]}
    for i in range(1, 8):
        files["cut%d" % i] = good[:len(good) * i // 8]
    for name, data in files.items():
        path = os.path.join(room, name)
        with open(path, "wb") as f:
            f.write(data)
        for args in (("inspect", path), ("run", "-m", path, "-n", "1", "--raw", "x")):
            d = sobre(*args)
            case("%s of %s" % (args[0], name), d.code == 1 and d.one_line() and not d.out, d)
    os.mkfifo(os.path.join(room, "fifo"))
    os.symlink("loop", os.path.join(room, "loop"))
    for path in (room, os.path.join(room, "fifo"), os.path.join(room, "loop"), "/dev/zero", "/dev/null"):
        d = sobre("inspect", path)
        case("inspect " + os.path.basename(path), d.code == 1 and d.one_line() and d.seconds < 60, d)


def unknown_architecture(room, model):
    data = open(model, "rb").read()
    at = data.index(b"llama", data.index(b"general.architecture"))
    path = os.path.join(room, "unknown.gguf")
    with open(path, "wb") as f:
        f.write(data[:at] + b"lx\x1bma" + data[at + 5:])
    d, j = sobre("inspect", path), sobre("inspect", "--json", path)
    case("inspect shows what it cannot run", d.code == 1 and d.one_line() and b"llama, gemma3" in d.err and
         b"lx\\x1Bma" in d.out and json.loads(j.out)["architecture"] == "lx\x1bma", d)
    d = sobre("run", "-m", path, "x")
    case("and run refuses it", d.code == 1 and d.one_line() and not d.out and b"\x1b" not in d.err, d)


def interrupted_pull(room):
    folder = os.path.join(room, "bin")
    os.mkdir(folder)
    with open(os.path.join(folder, "python3"), "w") as f:
        f.write("#!/bin/sh\necho $$ > '%s/pid'\nexec sleep 100\n" % folder)
    os.chmod(os.path.join(folder, "python3"), 0o755)
    home = os.path.join(room, "home")
    env = dict(os.environ, SOBRE_HOME=home, PATH=folder + ":" + os.environ["PATH"])
    p = subprocess.Popen([SOBRE, "pull", "smollm2-135m"], env=env, stderr=subprocess.PIPE)
    while not (os.path.exists(folder + "/pid") and os.path.getsize(folder + "/pid")):
        time.sleep(0.05)
    pid = int(open(folder + "/pid").read())
    d = sobre("pull", "smollm2-135m", env={"SOBRE_HOME": home})
    case("one pull at a time", d.code == 1 and d.one_line() and b"another pull" in d.err, d)
    p.send_signal(signal.SIGINT)
    err = p.stderr.read()
    case("interrupted pull", p.wait(60) == 130 and b"interrupted" in err, err)
    case("pip is gone", not os.path.exists("/proc/%d" % pid))
    case("nothing half-done is shown", os.listdir(home + "/models") and
         not [n for n in os.listdir(home + "/models") if not n.startswith(".")])


def odd_names(room, model):
    for i, name in enumerate((b"a b.gguf", b"a\nb.gguf", b"a\x1b[31mb.gguf", b"a\xff\xfeb.gguf", b"-x.gguf",
                              b"n" * 250)):
        path = os.path.join(os.fsencode(room), name)
        shutil.copy(model, path)
        d = sobre("inspect", path)
        j = sobre("inspect", "--json", path)
        case("name %d" % i, d.code == 0 and b"\x1b" not in d.out and d.out.count(b"\nfile ") == 0 and
             json.loads(j.out)["files"][0]["bytes"] == os.path.getsize(model), d)
    d = sobre("inspect", os.path.join(os.fsencode(room), b"no\x1b[31m\n\xff"))
    case("name in an error", d.code == 1 and d.one_line() and b"\x1b" not in d.err and b"\xff" not in d.err, d)
    d = sobre("inspect", "/" + "x" * 5000)
    case("a path too long", d.code == 1 and d.one_line(), d)


def outputs(model):
    for where in (">&-", ">/dev/full"):
        for args in (("version",), ("inspect", model), ("help", "run"),
                     ("run", "-m", model, "-n", "3", "--raw", "x", "--temp", "0")):
            d = sobre(*args, shell=where)
            case("%s %s" % (args[0], where), d.code == 1 and b"standard output" in d.err.splitlines()[-1], d)
    d = sobre("tokenize", "-m", model, "-", shell="<&-")
    case("closed input reads as empty", d.code == 0 and d.out == b"[]\n", d)
    d = sobre("inspect", model, shell="2>&-")
    case("closed error output", d.code == 0, d)
    for seed in range(10):  # a tiny model may end its answer before the reader leaves: ask again
        p = talk(model, seed)
        p.stdout.close()
        err = p.stderr.read()
        if p.wait(120) != 0:
            break
    case("the reader leaves", p.returncode == 1 and b"reader" in err.splitlines()[-1], err)


def talk(model, seed):
    """A run that has just said its first byte."""
    p = subprocess.Popen([SOBRE, "run", "-m", model, "--raw", "x", "--temp", "1", "--seed", str(seed)],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    p.stdout.read(1)
    return p


def signals(model):
    for number in (signal.SIGINT, signal.SIGTERM):
        for seed in range(10):
            p = talk(model, seed)
            p.send_signal(number)
            p.stdout.read()
            err = p.stderr.read()
            if p.wait(120) != 0:
                break
        case("signal %d" % number, p.returncode == 130 and b"interrupted" in err, err)
    p = subprocess.Popen([SOBRE, "tokenize", "-m", model, "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(0.5)
    p.send_signal(signal.SIGINT)
    case("interrupted while reading", p.wait(120) == 130)


def tokens(model):
    text = "Hello, world\n\u00e9\u6f22\U0001f642 <|im_start|> x".encode()
    d = sobre("tokenize", "-m", model, "-", stdin=text)
    ids = json.loads(d.out)
    back = sobre("tokenize", "-m", model, "--decode", "-", stdin=d.out)
    case("ids and back", d.code == 0 and back.code == 0 and back.out == text and all(i >= 0 for i in ids), back)
    d = sobre("tokenize", "-m", model, "-", stdin=b"ok \xff")
    case("invalid UTF-8 says where", d.code == 1 and d.one_line() and b"byte 3" in d.err and not d.out, d)
    for bad in (b"", b"{", b"{}", b"[1.5]", b"[-1]", b"[99999999]", b'["1"]', b"[[1]]", b"[" * 5000):
        d = sobre("tokenize", "-m", model, "--decode", "-", stdin=bad)
        case("decode of %r" % bad[:10], d.code == 1 and d.one_line() and not d.out, d)


def answers(room, model):
    run = ("run", "-m", model, "--raw", "--temp", "0", "-n", "4", "-t", "1")
    d, j = sobre(*run, "hello"), sobre(*run, "--json", "-", stdin=b"hello")
    o = json.loads(j.out)
    case("text and JSON agree", d.code == 0 and j.code == 0 and d.out == o["text"].encode(), (d, j))
    case("members", {"text", "prompt_ids", "ids", "finish_reason", "timings", "energy"} <= set(o), o)
    case("finish", o["finish_reason"] in ("length", "stop") and len(o["ids"]) <= 4, o)
    case("one line of cost", d.one_line() and re.search(rb"tokens in .* s .*tokens/s.*J.*estimated", d.err), d)
    case("energy is no zero", o["energy"]["source"] == "estimated" and o["energy"]["energy_uj"] > 0 and
         o["energy"]["energy_uj_low"] < o["energy"]["energy_uj"] < o["energy"]["energy_uj_high"], o)
    case("again", sobre(*run, "hello").out == d.out)
    seeded = ("run", "-m", model, "--raw", "-n", "8", "--temp", "1", "--seed", "7", "--json", "x")
    case("a seed repeats", json.loads(sobre(*seeded).out)["ids"] == json.loads(sobre(*seeded).out)["ids"])
    d = sobre(*run, "--json", "--logprobs", "2", "hello")
    lp = json.loads(d.out)["logprobs"]
    case("logprobs", all(e["logprob"] <= 0 and e["top"][0]["id"] == e["id"] and len(e["top"]) == 2 for e in lp), d)
    d = sobre(*run, b"a\xffb")
    case("a prompt that is not UTF-8", d.code == 1 and d.one_line() and b"byte 1" in d.err, d)
    d = sobre(*run, "")
    case("an empty prompt", d.code == 1 and d.one_line(), d)
    d = sobre(*run, "--ctx", "2", "hello hello hello hello")
    case("a context too small", d.code == 1 and d.one_line() and b"ctx" in d.err, d)
    for lang in ("de_DE.UTF-8", "tr_TR.UTF-8", "xx"):
        d = sobre(*run, "--json", "hello", env={"LANG": lang, "LC_ALL": lang})
        case("locale " + lang, d.code == 0 and isinstance(json.loads(d.out)["timings"]["prompt_ms"], float), d)
    gone = tempfile.mkdtemp(dir=room)
    p = subprocess.run(["sh", "-c", 'cd "$0" && rmdir "$0" && exec "$@"', gone, SOBRE, *run, "hello"],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    case("a folder that is gone", p.returncode == 0 and p.stdout == sobre(*run, "hello").out, p)


def measured(room):
    model = os.path.join(room, "deep.gguf")  # slow enough for the counter's period
    subprocess.run([TINY, "--layers", "24", model], check=True, stdout=subprocess.DEVNULL)
    zone = os.path.join(room, "tree/sys/class/powercap/intel-rapl:0")
    os.makedirs(zone)
    for name, text in (("name", "package-0\n"), ("max_energy_range_uj", "262143328850\n"),
                       ("energy_uj", "1000000000\n")):
        with open(os.path.join(zone, name), "w") as f:
            f.write(text)
    stop = threading.Event()

    def count():
        fd, at, begin = os.open(os.path.join(zone, "energy_uj"), os.O_WRONLY), 0, time.monotonic()
        while not stop.wait(0.0005):
            at = int((time.monotonic() - begin) * 20e6)  # 20 W
            os.pwrite(fd, b"%d\n" % (1000000000 + at), 0)

    thread = threading.Thread(target=count)
    thread.start()
    for seed in range(20):  # an answer shorter than the counter's period cannot be measured: ask again
        d = sobre("run", "-m", model, "--raw", "-n", "480", "--temp", "1", "--seed", str(seed), "--json",
                  "x", env={"SOBRE_SYSFS_ROOT": os.path.join(room, "tree")})
        if json.loads(d.out)["energy"]["duration_seconds"] > 0.008:
            break
    stop.set()
    thread.join()
    e = json.loads(d.out)["energy"]
    case("a meter that is there", e["source"] == "measured" and 0 < e["attribution_ratio"] <= 1 and
         "RAPL" in e["meter"] and abs(e["energy_kwh"] * 3.6e6 - e["energy_joules"]) < 1e-6, e)
    case("the parts add up", abs(e["prefill_joules"] + e["decode_joules"] - e["energy_joules"]) < 1e-6, e)


def tight(room, model):
    """A packed copy that does not fit: said once, and the same words."""
    root = os.path.join(room, "small")
    os.makedirs(os.path.join(root, "proc"))
    with open(os.path.join(root, "proc/meminfo"), "w") as f:
        f.write("MemTotal: 100 kB\nMemAvailable: 10 kB\n")
    ask = ["run", "-m", model, "--raw", "-n", "8", "--temp", "0", "x"]
    free, small = sobre(*ask), sobre(*ask, env={"SOBRE_SYSFS_ROOT": root})
    packed = sobre(*ask, "--weights", "packed", env={"SOBRE_SYSFS_ROOT": root})
    mapped = sobre(*ask, "--weights", "mapped")
    note = b"read from the file in each step"
    case("tight memory: the same words, and a note",
         free.code == 0 and free.out == small.out and note in small.err and note not in free.err, small)
    case("--weights packed and mapped: the same words, no note", free.out == packed.out == mapped.out and
         note not in packed.err + mapped.err, packed)


def second_start(room, model):
    """Packed weights in a file: made once, used, replaced when they are not this model's."""
    folder = os.path.join(room, "cache")
    os.mkdir(folder)
    copy = os.path.join(folder, "m.gguf")
    shutil.copy(model, copy)
    ask = ["run", "-m", copy, "--raw", "-n", "8", "--temp", "0", "x"]
    plain = sobre(*ask)
    case("no file of packed weights unless asked for", os.listdir(folder) == ["m.gguf"])
    first, second = sobre(*ask, "--pack-cache"), sobre(*ask, env={"SOBRE_PACK_CACHE": "1"})
    case("one is made, and used: the same words", sorted(os.listdir(folder)) == ["m.gguf", "m.gguf.packed"] and
         plain.code == first.code == second.code == 0 and plain.out == first.out == second.out, second)
    d = sobre("bench", "-m", copy, "-p", "0", "-n", "2", "-r", "1", "--json", "--pack-cache")
    case("the bench says so", json.loads(d.out)["weights"] == "cached", d)
    with open(copy + ".packed", "r+b") as f:
        f.write(b"broken")
    d = sobre(*ask, "--pack-cache")
    case("a damaged one is said and replaced", d.out == plain.out and b"m.gguf.packed: damaged: weights are packed again"
         in d.err and b"packed" not in sobre(*ask, "--pack-cache").err, d)
    os.utime(copy, (1, 1))
    french = sobre(*ask, "--pack-cache", env={"LC_ALL": "fr_FR.UTF-8"})
    case("one of another file is said, in French, too", french.out == plain.out and
         "fait d'un autre fichier".encode() in french.err, french)


def scores(room, model):
    text = os.path.join(room, "text")
    with open(text, "w") as f:
        f.write("".join("word %d of many. " % (i * 7919 % 1000) for i in range(400)))
    d = sobre("perplexity", "-m", model, "--ctx", "32", "--chunks", "2", "-t", "1", text)
    case("perplexity", d.code == 0 and
         re.fullmatch(rb"perplexity [\d.]+ \+/- [\d.]+", d.out.splitlines()[-1]), d)
    d = sobre("perplexity", "-m", model, "--ctx", "32", "--chunks", "2", "--against", "exact", text)
    case("against exact", d.code == 0 and re.fullmatch(rb"kl -?[\d.]+ top1 [\d.]+", d.out.splitlines()[-1]), d)
    d = sobre("perplexity", "-m", model, "--precision", "exact", "--kv", "f32", "--against", "exact", "--ctx", "32",
              "--chunks", "1", text)
    case("exact against itself", d.out.splitlines()[-1] == b"kl 0.00000 top1 100.00", d)
    d = sobre("perplexity", "-m", model, "--kv", "int8", "--against", "exact", "--ctx", "32", "--chunks", "1", text)
    case("int8 keys and values against float32", re.fullmatch(rb"kl 0\.0[\d]+ top1 [\d.]+", d.out.splitlines()[-1])
         and b"kl 0.00000" not in d.out, d)
    d = sobre("inspect", model, "--json")
    case("keys and values of a quantised model: half as wide", json.loads(d.out)["memory"]["kv"] == "bf16", d)
    floats = os.path.join(room, "floats.gguf")
    subprocess.run([TINY, "--format", "F16", floats], check=True, stdout=subprocess.DEVNULL)
    d = sobre("perplexity", "-m", floats, "--against", "exact", "--ctx", "32", "--chunks", "1", text)
    case("a model of floats is computed exactly", d.out.splitlines()[-1] == b"kl 0.00000 top1 100.00", d)
    d = sobre("bench", "-m", floats, "-p", "0", "-n", "2", "-r", "1", "--json")
    seen = sobre("inspect", floats, "--json")
    case("and says what it keeps keys and values as", json.loads(d.out)["kv"] == json.loads(seen.out)["memory"]["kv"] == "f32", (d, seen))
    half = json.loads(sobre("inspect", floats, "--kv", "bf16", "--json").out)["memory"]
    case("bf16 is a choice still", half["kv"] == "bf16" and 2 * half["kv_bytes"] == json.loads(seen.out)["memory"]["kv_bytes"], half)
    d = sobre("perplexity", "-m", model, "-", stdin=b"short")
    case("a text too short", d.code == 1 and d.one_line() and b"window" in d.err, d)
    d = sobre("bench", "-m", model, "-p", "16", "-n", "4", "-t", "2", "-r", "2", "--json")
    rows = [json.loads(line) for line in d.out.splitlines()]
    case("bench", [r["kind"] for r in rows] == ["prefill", "decode"] and
         all(r["tokens_per_second"] > 0 and r["cpu_seconds"] >= 0 for r in rows), d)
    case("beside what the machine gives", all(r["read_gbps"] > 0.1 and 0 < r["int8_peak_pct"] < 100 and r["depth"] == 0 and
                                              0 < r["weight_bytes"] < os.path.getsize(model) for r in rows), d)
    d = sobre("bench", "-m", model, "-p", "8", "-n", "2", "-b", "2", "-d", "40", "-r", "1", "-t", "1", "--ignore-eos", "--json")
    rows = [json.loads(line) for line in d.out.splitlines()]
    case("bench at a depth", [(r["depth"], r["tokens"], r["n_streams"]) for r in rows] == [(40, 8, 1), (40, 4, 2)], d)
    d = sobre("bench", "-m", model, "-p", "512", "-d", "1048576", "-r", "1")
    case("a depth beyond what a context may hold", d.code == 1 and d.one_line() and b"--depth" in d.err and b"1049089" in d.err, d)
    d = sobre("bench", "-m", model, "-p", "16", "-n", "4", "-r", "1")
    case("bench for people", b"GB/s a plain read gives" in d.out and d.out.count(b"tokens/s") == 4, d)
    d = sobre("bench", "-m", model, "-p", "0", "-n", "5", "-b", "3", "-r", "1", "--kv", "int8", "--json")
    row = json.loads(d.out)
    case("bench of three streams, int8", (row["n_streams"], row["tokens"], row["kv"]) == (3, 15, "int8"), d)
    d = sobre("bench", "-m", model, "-p", "0", "-n", "2", "-r", "1", "--json")
    case("bench of decode alone", [json.loads(l)["kind"] for l in d.out.splitlines()] == ["decode"], d)


def main():
    room = tempfile.mkdtemp(prefix="sobre-cli-")
    model = os.path.join(room, "tiny.gguf")
    try:
        subprocess.run([TINY, model], check=True, stdout=subprocess.DEVNULL)
        help_pages()
        usage_errors(model)
        missing_models(room)
        tokens(model)
        hostile_files(room, model)
        unknown_architecture(room, model)
        interrupted_pull(room)
        odd_names(room, model)
        answers(room, model)
        outputs(model)
        signals(model)
        measured(room)
        tight(room, model)
        second_start(room, model)
        scores(room, model)
    finally:
        shutil.rmtree(room, ignore_errors=True)
    return n_bad != 0


if __name__ == "__main__":
    sys.exit(main())
