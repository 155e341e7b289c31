#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`sobre pull`, `list`, `show` and `rm` against a hub of our own: what arrives, what is refused, what is
left behind, who saw the token, and how many bytes went over the line."""
import hashlib
import json
import os
import pty
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from hub import File, Hub, gguf, shards, text  # noqa: E402
from tap import SOBRE, case, finish, skip  # noqa: E402

TINY = os.path.join(os.environ["SOBRE_BUILD"], "tests/tinymodel/tinymodel")
TOKEN = "hf_secretOfTheTest"
MB = 1 << 20
hub = Hub()
room = tempfile.mkdtemp(prefix="sobre-pull-")
HOUSE = os.path.join(room, "home")
MODELS = os.path.join(HOUSE, "models")
ENV = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and not k.startswith("HF_")}
ENV.update(SOBRE_HOME=HOUSE, HF_ENDPOINT=hub.url, HOME=room, XDG_CACHE_HOME=room + "/cache",
           OLLAMA_MODELS=room + "/ollama")


class Done:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")

    def failed(self, *words):
        """Status 1, one line that has these words, nothing on stdout, no secret."""
        last = self.err.splitlines()[-1] if self.err else ""
        return self.code == 1 and not self.out and all(w in last for w in words) and TOKEN not in self.err

    def __repr__(self):
        return "status %s\nout %s\nerr %s" % (self.code, self.out[-800:], self.err[-800:])


def sobre(*args, env=None, before=None):
    full = {k: v for k, v in {**ENV, **(env or {})}.items() if v is not None}
    d = subprocess.run([SOBRE, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       env=full, timeout=120, preexec_fn=before)
    return Done(d.returncode, d.stdout, d.stderr)


def start(*args):
    return subprocess.Popen([SOBRE, *args], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENV)


def path_of(name):
    return os.path.join(MODELS, name)


def holds(name, data):
    p = path_of(name + ".gguf")
    return os.path.isfile(p) and open(p, "rb").read() == data


def hidden(name):
    """What an unfinished pull left."""
    return sorted(n for n in os.listdir(MODELS) if n.startswith("." + name + ".") and not n.endswith(".lock"))


def pin(name):
    with open(path_of(name + ".pin")) as f:
        return json.load(f)


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end and not condition():
        time.sleep(0.01)
    return condition()


def part_bytes(name):
    p = path_of(".%s.part" % name)
    return os.path.getsize(p) if os.path.exists(p) else 0


def from_the_hub():
    data = gguf(size=3 * MB)
    hub.repos["org/One-GGUF"] = {"README.md": File(b"x"), "One-Q8_0.gguf": File(data, token=TOKEN),
                                 "mmproj-One.gguf": File(gguf(b"clip"))}
    d = sobre("pull", "hf:org/One-GGUF", env={"HF_TOKEN": TOKEN})
    case("one GGUF in a repository", d.code == 0 and holds("one-q8_0", data) and not d.out and "one-q8_0: pulled" in d.err
         and "apache-2.0" in d.err, d)
    p = pin("one-q8_0")
    case("its pin", p["source"] == "hf:org/One-GGUF:One-Q8_0.gguf" and p["revision"] == hub.commit and
         p["checked"] == "host" and p["licence"] == "apache-2.0" and p["bytes"] == len(data) and
         p["files"] == [{"name": "One-Q8_0.gguf", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}], p)
    case("nothing else is left", hidden("one-q8_0") == [], os.listdir(MODELS))
    case("the token reached the hub", all(r["headers"].get("Authorization") == "Bearer " + TOKEN for r in hub.seen(0)))
    case("and nobody else", hub.seen(1) and not [r for r in hub.seen(1) if TOKEN in json.dumps(r)], hub.seen(1))
    hub.forget()
    d = sobre("pull", "hf:org/One-GGUF", env={"HF_TOKEN": TOKEN})
    case("again: it is here", d.code == 0 and "here already" in d.err and hub.sent < 200000, (d, hub.sent))
    d = sobre("pull", "hf:org/One-GGUF", "--name", "other")
    case("401 without a token", d.failed("401", "HF_TOKEN"), d)
    d = sobre("pull", "hf:org/One-GGUF", "--name", "other", env={"HF_TOKEN": "wrong" + TOKEN})
    case("401 with a wrong one", d.failed("401", "HF_TOKEN"), d)
    hub.repos["org/One-GGUF"]["One-Q8_0.gguf"].how["without"] = 403
    case("403 speaks of terms", sobre("pull", "hf:org/One-GGUF", "--name", "other").failed("403", "terms"))
    case("a repository that is not there", sobre("pull", "hf:org/None").failed("401"))
    case("a token that is none", sobre("pull", "hf:org/One-GGUF", env={"HF_TOKEN": "a\nb"}).failed("HF_TOKEN"))
    shown = json.loads(sobre("list", "--json").out)
    mine = [m for m in shown if m["name"] == "one-q8_0"][0]
    case("list has it", mine["here"] and mine["bytes"] == len(data) and mine["licence"] == "apache-2.0" and
         mine["source"].startswith("hf:") and mine["fits"] == "fits", mine)
    d = sobre("rm", "one-q8_0")
    case("rm", d.code == 0 and not [n for n in os.listdir(MODELS) if "one-q8_0" in n], os.listdir(MODELS))
    case("rm of what is not here", sobre("rm", "one-q8_0").failed("no model"))


def choosing():
    files = {"m-%s.gguf" % q: File(gguf(seed=i)) for i, q in enumerate(("Q2_K", "Q4_K_M", "Q8_0", "BF16"))}
    hub.repos["org/Many"] = files
    d = sobre("pull", "hf:org/Many")
    case("the recommended one of several", d.code == 0 and holds("m-q4_k_m", files["m-Q4_K_M.gguf"].data), d)
    d = sobre("pull", "hf:org/Many:q8_0")
    case("by quantisation", d.code == 0 and holds("m-q8_0", files["m-Q8_0.gguf"].data), d)
    d = sobre("pull", "hf:org/Many:m-BF16.gguf", "--name", "brain")
    case("by file and name", d.code == 0 and holds("brain", files["m-BF16.gguf"].data), d)
    case("no such file", sobre("pull", "hf:org/Many:Q3_K").failed("Q3_K"))
    hub.repos["org/Twins"] = {n: File(gguf()) for n in ("a-Q4_0.gguf", "b-Q4_0.gguf")}
    case("two that fit are listed", sobre("pull", "hf:org/Twins").failed("a-Q4_0.gguf, b-Q4_0.gguf", ":FILE"))
    hub.repos["org/Texts"] = {"README.md": File(b"x")}
    case("no GGUF at all", sobre("pull", "hf:org/Texts").failed("no GGUF"))
    case("a name that is taken", sobre("pull", "hf:org/Many:Q2_K", "--name", "brain").failed("--name", "--update"))
    case("a name that is none", sobre("pull", "hf:org/Many", "--name", "../x").failed("--name"))


def split_set():
    names = ["big/Big-Q4_0-%05d-of-00003.gguf" % i for i in (1, 2, 3)]
    hub.repos["org/Big"] = {n: File(gguf(size=200000 + i, seed=i)) for i, n in enumerate(names)}
    d = sobre("pull", "hf:org/Big")
    files = [path_of("big-q4_0.split/big-q4_0-%05d-of-00003.gguf" % i) for i in (1, 2, 3)]
    case("a split set", d.code == 0 and [open(f, "rb").read() for f in files] ==
         [hub.repos["org/Big"][n].data for n in names], d)
    case("shows as one", os.path.realpath(path_of("big-q4_0.gguf")) == os.path.realpath(files[0]) and
         len(pin("big-q4_0")["files"]) == 3 and
         [m["bytes"] for m in json.loads(sobre("list", "--json").out) if m["name"] == "big-q4_0"] == [600003])
    case("and is here the second time", "here already" in sobre("pull", "hf:org/Big").err)
    subprocess.run([TINY, HOUSE + "/whole.gguf"], check=True, stdout=subprocess.DEVNULL)
    pair = shards(open(HOUSE + "/whole.gguf", "rb").read())
    for i, part in enumerate(pair):
        hub.plain["/d/real-%05d-of-00002.gguf" % (i + 1)] = File(part)
    d = sobre("pull", hub.url + "/d/real-00001-of-00002.gguf?x=1")
    case("a set from an address", d.code == 0 and pin("real")["bytes"] == sum(map(len, pair)), d)
    ask = ("--raw", "--temp", "0", "-n", "4", "x")
    whole, split = (sobre("run", "-m", m, *ask) for m in (HOUSE + "/whole.gguf", "real"))
    case("answers as the whole does", whole.code == split.code == 0 and whole.out == split.out, (whole, split))
    os.makedirs(HOUSE + "/set")
    for i, part in enumerate(pair):
        with open(HOUSE + "/set/near-%05d-of-00002.gguf" % (i + 1), "wb") as f:
            f.write(part)
    os.symlink("set/near-00001-of-00002.gguf", HOUSE + "/near-00001-of-00002.gguf")
    os.symlink("set/near-00002-of-00002.gguf", HOUSE + "/near-00002-of-00002.gguf")
    d = sobre("pull", HOUSE + "/near-00001-of-00002.gguf")
    case("a set is registered where its links lie", d.code == 0 and len(pin("near")["files"]) == 2 and
         sobre("run", "-m", "near", *ask).out == whole.out, d)
    del hub.repos["org/Big"][names[1]]
    case("a shard that is not there", sobre("pull", "hf:org/Big", "--name", "b2").failed("shard 2 of 3"))
    case("a later shard by name", sobre("pull", "hf:org/Big:" + names[2], "--name", "b3").failed("first, 00001"))
    case("rm takes all", sobre("rm", "big-q4_0").code == 0 and not os.path.exists(path_of("big-q4_0.split")))


def resuming():
    data = gguf(size=8 * MB)
    f = hub.repos["org/Slow"] = {"slow.gguf": File(data, pace=0.02)}
    p = start("pull", "hf:org/Slow")
    case("bytes arrive", wait_for(lambda: part_bytes("slow") > 3 * MB))
    d = sobre("pull", "hf:org/Slow")
    case("a second pull meets the first", d.failed("another pull"), d)
    p.kill()
    p.wait()
    kept = part_bytes("slow")
    case("nothing half-done is shown", not os.path.exists(path_of("slow.gguf")) and
         '"slow"' not in json.dumps([m for m in json.loads(sobre("list", "--json").out) if m["here"]]))
    case("list says how much came", [m["partial_bytes"] for m in json.loads(sobre("list", "--json").out)
                                     if m["name"] == "slow"] == [kept])
    hub.forget()
    f["slow.gguf"].how = {}
    d = sobre("pull", "hf:org/Slow")
    case("killed: only the rest is fetched", d.code == 0 and holds("slow", data) and
         hub.sent < len(data) - kept + 200000, (d, hub.sent, kept))
    sobre("rm", "slow")
    f["slow.gguf"].how = {"pace": 0.02}
    p = start("pull", "hf:org/Slow")
    wait_for(lambda: part_bytes("slow") > MB)
    p.send_signal(signal.SIGINT)
    err = p.stderr.read()
    case("Ctrl-C: status 130, the part stays", p.wait(20) == 130 and b"interrupted" in err and part_bytes("slow") > MB, err)
    case("rm --partial", sobre("rm", "--partial", "slow").code == 0 and hidden("slow") == [])
    case("and nothing more to remove", sobre("rm", "--partial", "slow").code == 1)


def on_a_terminal():
    hub.repos["org/Seen"] = {"seen.gguf": File(gguf(size=4 * MB), pace=0.03)}
    master, slave = pty.openpty()
    p = subprocess.Popen([SOBRE, "pull", "hf:org/Seen"], stdin=subprocess.DEVNULL, stderr=slave,
                         env={**ENV, "LC_ALL": "C", "TERM": "xterm"})
    os.close(slave)
    shown = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(master)
    lines = shown.decode("utf-8", "replace").replace("\r", "\n").split("\n")
    case("a terminal sees bytes, rate and time left", p.wait(20) == 0 and
         any(re.search(r"fetching \[#+\.*\] [0-9.]+ of 4\.2 MB, [0-9.]+ MB/s, \d+ s left", line) for line in lines) and
         any("pulled, 4.2 MB" in line for line in lines), lines)


def changed_file():
    old, new = gguf(size=4 * MB, seed=1), gguf(size=4 * MB, seed=2)
    hub.plain["/dir/Plain.Q4_0.gguf"] = File(old, pace=0.02)
    url = hub.url + "/dir/Plain.Q4_0.gguf?sig=secretquery"
    p = start("pull", url)
    wait_for(lambda: part_bytes("plain.q4_0") > MB)
    p.kill()
    p.wait()
    hub.plain["/dir/Plain.Q4_0.gguf"] = File(new)
    d = sobre("pull", url)
    case("a file that changed meanwhile starts over", d.code == 0 and holds("plain.q4_0", new), d)
    case("no query in what is kept or said", "secretquery" not in d.err and pin("plain.q4_0")["checked"] == "first" and
         "secretquery" not in json.dumps(pin("plain.q4_0")))
    hub.plain["/dir/Plain.Q4_0.gguf"] = File(gguf(size=3 * MB))
    d = sobre("pull", url)
    case("another size than pinned", d.failed("pinned", "--update") and holds("plain.q4_0", new), d)
    hub.plain["/x.gguf"] = f = File(old, pace=0.02, no_etag=True)
    p = start("pull", hub.url + "/x.gguf")
    wait_for(lambda: part_bytes("x") > MB)
    p.kill()
    p.wait()
    f.how = {"no_etag": True}
    hub.forget()
    d = sobre("pull", hub.url + "/x.gguf")
    case("nothing vouches for the part: from the start", d.code == 0 and holds("x", old) and hub.sent >= len(old), hub.sent)


def broken_hosts():
    data = gguf(size=2 * MB)

    def pull(name, *args, **how):
        hub.repos["org/" + name] = {name + ".gguf": File(data, **how)}
        hub.forget()
        return sobre("pull", "hf:org/" + name, *args)

    d = pull("cut", cut=MB, times=3)
    case("a connection that breaks is taken up", d.code == 0 and holds("cut", data) and hub.sent < 2 * len(data), (d, hub.sent))
    d = pull("stall", "--timeout", "1", stall=MB)
    case("one that falls silent, too", d.code == 0 and holds("stall", data) and hub.sent < len(data) + 200000, d)
    d = pull("cutfrom0", cut=MB, no_range=True)
    case("a host without ranges: from the start", d.code == 0 and holds("cutfrom0", data), d)
    d = pull("busy", first=[(429, {"Retry_After": 1}), (503, {}), (500, {})])
    case("429, 503, 500, then right", d.code == 0 and holds("busy", data), d)
    d = pull("wait", first=[(429, {"Retry_After": 86000})] * 9)
    case("asked to wait too long", d.failed("86000 s"), d)
    d = pull("down", first=[(503, {})] * 99)
    case("never right: given up", d.failed("503", "tries"), d)
    d = sobre("pull", "hf:org/cut", "--name", "cut", env={"HF_ENDPOINT": "http://127.0.0.1:9"})
    case("what is here and cannot be asked about", d.failed("'cut' is here"), d)
    d = pull("rot", body=data[:-1] + b"!")
    case("other bytes than the hash says", d.failed("SHA-256", "not used") and hidden("rot") == [] and
         not os.path.exists(path_of("rot.gguf")), (d, os.listdir(MODELS)))
    d = pull("short", body=data[:-5])
    case("two sizes", d.failed("two sizes"), d)
    d = pull("liar", sha256="b" * 64)
    case("two hashes", d.failed("two hashes"), d)
    d = pull("vast", announce=3 * 10**12, body=data)
    case("two sizes, one of them vast", d.failed("two sizes"), d)
    hub.lists_lfs = False
    d = pull("huge", announce=len(data))
    hub.lists_lfs = True
    case("hash and size from the headers alone", d.code == 0 and pin("huge")["checked"] == "host", d)


def refused_before():
    for how in ({}, {"no_range": True}):
        hub.repos["org/Alien"] = {"alien.gguf": File(gguf(b"mamba7", size=40 * MB), **how)}
        hub.forget()
        d = sobre("pull", "hf:org/Alien")
        case("an architecture we cannot run, %s" % (how or "by range"), d.failed("mamba7", "llama") and
             hub.sent < 5 * MB and hidden("alien") == [], (d, hub.sent))
    hub.repos["org/Alien"] = {"alien.gguf": File(gguf(b"ev\x1bil", size=MB))}
    d = sobre("pull", "hf:org/Alien")
    case("one that is no name", d.code == 1 and "\x1b" not in d.err, d)
    for name, body, word in (("page", b"<!doctype html><html>", "web page"), ("json", b'{"error":"x"}', "error message"),
                             ("zip", b"PK\3\4" + b"\0" * 100, "zip"), ("empty", b"", "not GGUF"), ("stub", b"GGUF\3\0", "architecture")):
        hub.plain["/%s.gguf" % name] = File(body)
        d = sobre("pull", "%s/%s.gguf" % (hub.url, name))
        ok = d.code == 1 and (word in d.err or name in ("empty",)) and not os.path.exists(path_of(name + ".gguf"))
        case("no GGUF but: " + name, ok, d)
    keys = b"".join(text(b"k%d" % i) + b"\x08\0\0\0" + text(b"v" * 1000) for i in range(600))
    late = b"GGUF\3\0\0\0" + b"\0" * 8 + (601).to_bytes(8, "little") + keys + text(b"general.architecture") + b"\x08\0\0\0" + text(b"llama")
    hub.plain["/late.gguf"] = File(late)
    d = sobre("pull", hub.url + "/late.gguf")
    case("an architecture far into the head", d.code == 0 and holds("late", late), d)
    d = sobre("pull", hub.url + "/late.gguf", "--sha256", "0" * 64, "--name", "l2")
    case("--sha256 of another file", d.failed("SHA-256") and not os.path.exists(path_of("l2.gguf")), d)
    d = sobre("pull", hub.url + "/late.gguf", "--sha256", hashlib.sha256(late).hexdigest().upper(), "--name", "l3")
    case("--sha256 of this one", d.code == 0 and pin("l3")["checked"] == "user", d)
    case("--sha256 that is none", sobre("pull", hub.url + "/late.gguf", "--sha256", "zz", "--name", "l4").failed("64"))


def pins():
    a, b = File(gguf(size=MB, seed=1)), File(gguf(size=MB, seed=2))
    hub.repos["org/Moves"] = {"moves.gguf": a}
    sobre("pull", "hf:org/Moves")
    hub.repos["org/Moves"] = {"moves.gguf": b}
    hub.forget()
    d = sobre("pull", "hf:org/Moves")
    case("another hash than the pinned is refused", d.failed("pinned", a.sha256[:12], b.sha256[:12], "--update") and
         holds("moves", a.data) and hub.sent < 200000, d)
    d = sobre("pull", "hf:org/Moves", "--update")
    case("until --update", d.code == 0 and holds("moves", b.data) and pin("moves")["files"][0]["sha256"] == b.sha256, d)
    with open(path_of("moves.gguf"), "r+b") as f:
        f.seek(500000)
        f.write(b"rot")
    d = sobre("pull", "hf:org/Moves")
    case("a rotten file is fetched again", d.code == 0 and "pulled" in d.err and holds("moves", b.data), d)
    os.unlink(path_of("moves.gguf"))
    hub.repos["org/Moves"] = {"moves.gguf": a}
    case("a pin outlives its file", sobre("pull", "hf:org/Moves").failed("pinned"))
    with open(path_of("moves.pin"), "w") as f:
        f.write('{"files": [{"name": "x"}]}')
    case("a damaged pin says so", sobre("pull", "hf:org/Moves").failed("--update"))
    case("and --update gets out of it", sobre("pull", "hf:org/Moves", "--update").code == 0 and holds("moves", a.data))
    shutil.copy(path_of("moves.gguf"), path_of("byhand.gguf"))
    case("a file nobody pulled is not overwritten", sobre("pull", "hf:org/Moves", "--name", "byhand").failed("--update"))


def hostile():
    for word in ("hf:", "hf:a", "hf:a/b/c", "hf:../..", "hf:a/..", "hf:a/b:../x.gguf", "hf:a/b:/etc/passwd", "hf:a/b:x//y.gguf",
                 "hf:a b/c", "hf:-a/b", "hf:a/b@../x", "hf:a/b\n", "pypi:", "pypi:-e", "pypi:a b", "pypi:a=1", "pypi:a==../x",
                 "ollama:", "ollama:../x", "ollama:a:..", "https://", "https://a:b@localhost/x.gguf", "http://localhost",
                 "ftp://localhost/x.gguf", "../../x", "x" * 100000, "https://localhost/" + "y" * 5000, "\x1b[31m", ""):
        d = sobre("pull", word)
        case("refused: %r" % word[:40], d.code in (1, 2) and d.err.count("\n") == 1 and "\x1b" not in d.err and len(d.err) < 400, d)
    for name in ("../x", "/etc/passwd", "a/b", "x\n", "", "A"):
        d = sobre("rm", name)
        case("rm refuses %r" % name, d.code == 1 and d.err.count("\n") == 1, d)
    listings = {"text": b"hello", "deep": b"[" * 100000, "array": b"[]", "types": b'{"siblings": 3}', "null": b"null", "empty": b"",
                "twice": b'{"siblings": [], "siblings": []}',
                "names": json.dumps({"sha": "../../x", "siblings": [{"rfilename": n} for n in (
                    "../x.gguf", "/x.gguf", "a/../x.gguf", "x" * 100000 + ".gguf", "a\x1b.gguf", "a\x00.gguf", ".gguf", 5, None)]}).encode()}
    for name, body in listings.items():
        hub.raw_listings["org/" + name] = body
        d = sobre("pull", "hf:org/" + name)
        case("a listing that is " + name, d.code == 1 and d.err.count("\n") == 1 and "\x1b" not in d.err, d)
    for name, to in (("loop", hub.url + "/loop.gguf"), ("file", "file:///etc/passwd"), ("ftp", "ftp://localhost/x"), ("no", "")):
        hub.answers["/%s.gguf" % name] = (302, {"Location": to} if to else {}, b"")
        d = sobre("pull", "%s/%s.gguf" % (hub.url, name))
        case("a redirection to " + name, d.failed("redirect"), d)
    hub.answers["/fat.gguf"] = (200, {"X_Fat_%d" % i: "y" * 8000 for i in range(40)}, gguf())
    case("headers without end", sobre("pull", hub.url + "/fat.gguf").failed())
    case("outside nothing was made", sorted(os.listdir(room)) == sorted({"home"} | (set(os.listdir(room)) & {"bin", "cache", "ollama"})),
         os.listdir(room))


def disks():
    hub.repos["org/Disk"] = {"disk.gguf": File(gguf(size=3 * MB))}
    f = hub.plain["/tera.gguf"] = File(gguf(size=MB))

    class Vast(bytes):
        def __len__(self):
            return 3 * 10**12
    f.how["body"] = Vast(f.data)
    d = sobre("pull", hub.url + "/tera.gguf")
    case("a disk too small, known before", d.failed("MB free", "3000001 MB needed") and hidden("tera") == [], (d, hidden("tera")))

    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (MB, MB))
    d = sobre("pull", "hf:org/Disk", before=small_files)
    case("a disk that fills up: a line, and the part stays", d.failed("make room") and part_bytes("disk") == MB, d)
    case("with room it goes on", sobre("pull", "hf:org/Disk").code == 0)
    d = sobre("pull", "hf:org/Disk", env={"SOBRE_HOME": "/proc/nowhere"})
    case("a folder that cannot be made", d.failed("cannot make folder"), d)
    if os.geteuid() != 0:
        os.mkdir(room + "/ro", 0o555)
        case("a folder that is read-only", sobre("pull", "hf:org/Disk", env={"SOBRE_HOME": room + "/ro"}).failed("cannot"))
        os.rmdir(room + "/ro")


def registering():
    tiny = os.path.join(room, "home", "Tiny Model.gguf")
    subprocess.run([TINY, tiny], check=True, stdout=subprocess.DEVNULL)
    data = open(tiny, "rb").read()
    sha = hashlib.sha256(data).hexdigest()
    d = sobre("pull", tiny)
    case("a path is registered, not copied", d.code == 0 and "registered" in d.err and os.path.islink(path_of("tiny-model.gguf")) and
         pin("tiny-model")["files"][0]["sha256"] == sha and pin("tiny-model")["registered"] == os.path.realpath(tiny), d)
    case("and runs", sobre("run", "-m", "tiny-model", "--raw", "-n", "1", "x").code == 0)
    d = sobre("show", "tiny-model", "--json")
    o = json.loads(d.out)
    case("show --json", o["architecture"] == "llama" and o["files"][0]["sha256"] == sha and o["runs"] and o["memory_bytes"] > 0 and
         o["parameters"] > 0 and o["source"].startswith("file:") and "quantisation" in o and o["context"] > 0, d)
    case("show for people", sha in sobre("show", "tiny-model").out)
    case("again", "here already" in sobre("pull", tiny).err or "registered" in sobre("pull", tiny).err)
    with open(tiny, "ab") as f:
        f.write(b"\0" * 64)
    case("a registered file that changed", sobre("pull", tiny).failed("--update"))
    os.rename(tiny, tiny + ".away")
    d = sobre("run", "-m", "tiny-model", "x")
    case("one that vanished", d.failed("no longer there", "sobre rm tiny-model"), d)
    case("list says it, too", "missing" in sobre("list").out)
    case("rm leaves the file", sobre("rm", "tiny-model").code == 0 and os.path.exists(tiny + ".away"))
    os.unlink(tiny + ".away")
    case("a path that is not there", sobre("pull", tiny).failed("no file"))
    bad = os.path.join(room, "home", "cut.gguf")
    with open(bad, "wb") as f:
        f.write(data[:len(data) // 2])
    case("half a file", sobre("pull", bad).failed("cut.gguf"))
    os.unlink(bad)
    blob = room + "/ollama/blobs/sha256-" + sha
    manifest = room + "/ollama/manifests/some.example/library/tiny/latest"
    for p, body in ((blob, data), (manifest, json.dumps({"layers": [
            {"mediaType": "application/vnd.x.license", "digest": "sha256:" + "0" * 64},
            {"mediaType": "application/vnd.x.model", "digest": "sha256:" + sha}]}).encode())):
        os.makedirs(os.path.dirname(p), exist_ok=True)
        with open(p, "wb") as f:
            f.write(body)
    d = sobre("pull", "ollama:tiny")
    case("Ollama's blob", d.code == 0 and os.readlink(path_of("tiny-latest.gguf")) == os.path.realpath(blob) and
         pin("tiny-latest")["checked"] == "cache", d)
    case("not Ollama's", sobre("pull", "ollama:tiny:7b").failed("tiny:7b"))
    repo = room + "/cache/huggingface/hub/models--org--Cached/"
    for p, body in (("blobs/" + sha, data), ("refs/main", b"c" * 40)):
        os.makedirs(os.path.dirname(repo + p), exist_ok=True)
        with open(repo + p, "wb") as f:
            f.write(body)
    os.makedirs(repo + "snapshots/" + "c" * 40)
    os.symlink("../../blobs/" + sha, repo + "snapshots/" + "c" * 40 + "/Cached-Q8_0.gguf")
    hub.forget()
    d = sobre("pull", "hf:org/Cached")
    case("the hub's cache, without asking the hub", d.code == 0 and not hub.log and pin("cached-q8_0")["revision"] == "c" * 40 and
         pin("cached-q8_0")["checked"] == "cache", (d, hub.log))
    with open(repo + "blobs/" + sha, "ab") as f:
        f.write(b"\0" * 64)
    hub.repos["org/Cached"] = {"Cached-Q8_0.gguf": File(data)}
    d = sobre("pull", "hf:org/Cached", "--name", "c2")
    case("a cached file that is not its name: the hub's is taken", d.code == 0 and holds("c2", data) and
         not os.path.islink(path_of("c2.gguf")), d)


def from_packages():
    wheels, tools = room + "/wheels", room + "/bin"
    os.mkdir(wheels)
    os.mkdir(tools)
    with open(tools + "/python3", "w") as f:
        f.write('#!/bin/sh\nwhile [ $# -gt 1 ]; do [ "$1" = -d ] && dir=$2; shift; done\n'
                'cp "%s/$1.whl" "$dir/pkg-1.2-py3-none-any.whl" || { echo "ERROR: No matching distribution"; exit 1; }\n' % wheels)
    os.chmod(tools + "/python3", stat.S_IRWXU)
    env = {"PATH": tools + ":" + os.environ["PATH"]}
    data = gguf(size=MB)

    def wheel(name, **members):
        with zipfile.ZipFile("%s/%s.whl" % (wheels, name), "w") as z:
            z.writestr("pkg-1.2.dist-info/METADATA", "Name: pkg\nLicense: MIT\n\nLicense: no\n")
            for member, body in members.items():
                z.writestr("pkg/%s.gguf" % member, body)
    wheel("mypkg", model=data)
    wheel("mypkg==1.2", model=data)
    wheel("two", a=data, b=gguf())
    wheel("alien", m=gguf(b"mamba7"))
    wheel("none")
    d = sobre("pull", "pypi:mypkg", env=env)
    case("a package", d.code == 0 and holds("mypkg", data) and pin("mypkg")["licence"] == "MIT" and pin("mypkg")["revision"] == "1.2", d)
    case("again", "here already" in sobre("pull", "pypi:mypkg", env=env).err)
    case("a version", sobre("pull", "pypi:mypkg==1.2", "--name", "v", env=env).code == 0 and holds("v", data))
    case("two files", sobre("pull", "pypi:two", env=env).failed("pkg/a.gguf, pkg/b.gguf"))
    case("one of them", sobre("pull", "pypi:two:a.gguf", env=env).code == 0 and holds("two", data))
    case("no file", sobre("pull", "pypi:none", env=env).failed("no GGUF"))
    case("an architecture we cannot run", sobre("pull", "pypi:alien", env=env).failed("mamba7"))
    case("no package", sobre("pull", "pypi:nowhere", env=env).failed("No matching"))
    shutil.rmtree(wheels)


def proxies_and_tls():
    hub.forget()
    sobre("pull", "http://models.example/p.gguf", "--timeout", "2", env={"http_proxy": hub.url})
    case("a proxy of the environment is asked", [r["path"] for r in hub.log][:1] == ["http://models.example/p.gguf"], hub.log)
    cert, key = HOUSE + "/cert", HOUSE + "/key"
    if not shutil.which("openssl"):
        return skip("TLS", "no openssl command")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "1",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, stderr=subprocess.DEVNULL)
    import ssl
    tls = Hub()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    tls.servers[0].socket = context.wrap_socket(tls.servers[0].socket, server_side=True)
    url = "https://localhost:%d" % tls.servers[0].server_port
    tls.plain["/safe.gguf"] = File(gguf())
    tls.answers["/down.gguf"] = (302, {"Location": tls.cdn + "/safe.gguf"}, b"")
    d = sobre("pull", url + "/safe.gguf")
    case("a certificate nobody signed", d.failed("certificate", "SSL_CERT_FILE"), d)
    d = sobre("pull", url + "/safe.gguf", env={"SSL_CERT_FILE": cert})
    case("one that SSL_CERT_FILE names", d.code == 0 and holds("safe", gguf()), d)
    d = sobre("pull", url + "/down.gguf", env={"SSL_CERT_FILE": cert})
    case("from https nothing leads to http", d.failed("refused") and not tls.seen(1), d)


def advice():
    root = HOUSE + "/root"
    os.makedirs(root + "/proc/self")

    def larger(total_mb, free_mb):
        with open(root + "/proc/meminfo", "w") as f:
            f.write("MemTotal: %d kB\nMemFree: 1 kB\nMemAvailable: %d kB\n" % (total_mb * 1000, free_mb * 1000))
        return sobre("list", "--larger", env={"SOBRE_SYSFS_ROOT": root}).out
    case("a large machine", "sobre pull qwen3-14b" in larger(64000, 60000) or "14b" in larger(64000, 60000), larger(64000, 60000))
    case("a middling one", "sobre pull qwen3-4b" in larger(8000, 4000), larger(8000, 4000))
    case("a small one", larger(600, 300) == "", larger(600, 300))
    with open(root + "/proc/self/cgroup", "w") as f:
        f.write("0::/box/inner\n")
    os.makedirs(root + "/sys/fs/cgroup/box/inner")
    for name, value in (("box/memory.max", "4000000000"), ("box/memory.current", "1000000000"), ("box/inner/memory.max", "max"),
                        ("box/memory.stat", "anon 5\nactive_file 900000000\n")):
        with open(root + "/sys/fs/cgroup/" + name, "w") as f:
            f.write(value + "\n")
    case("a container's limit counts", "3.9 GB free" in larger(64000, 60000) and "qwen3-4b" in larger(64000, 60000), larger(64000, 60000))


try:
    for part in (from_the_hub, choosing, split_set, resuming, on_a_terminal, changed_file, broken_hosts, refused_before, pins, hostile, disks,
                 registering, from_packages, proxies_and_tls, advice):
        part()
finally:
    shutil.rmtree(room, ignore_errors=True)
finish()
