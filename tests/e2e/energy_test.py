#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Energy as a user of the command meets it, on trees of counters made here: which meter is read, what
is counted once, what is lost, who may read. Uses a tiny model made on the spot; needs no download."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import SOBRE, case, finish

TINY = os.path.join(os.environ["SOBRE_BUILD"], "tests/tinymodel/tinymodel")
RANGE_UJ = 262143328850
LONG_ENOUGH_S = 0.008  # an answer shorter than the counter's period cannot be measured


def put(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


def zone(root, folder, name, uj):
    base = os.path.join(root, "sys/class/powercap", folder)
    put(os.path.join(base, "name"), name + "\n")
    put(os.path.join(base, "max_energy_range_uj"), "%d\n" % RANGE_UJ)
    put(os.path.join(base, "energy_uj"), "%d\n" % uj)


def run(root, model, good=lambda e: True, user=None, program=SOBRE):
    """The energy object of one answer, and its line for people. On a busy machine the thread that plays the
    counters may sleep through an answer, so one is asked for again, up to 20 times, until it is good."""
    for seed in range(20):
        p = subprocess.run([program, "run", "-m", model, "--raw", "-n", "480", "--temp", "1", "--seed",
                            str(seed), "--json", "x"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           env={**os.environ, "SOBRE_SYSFS_ROOT": root}, user=user)
        e = json.loads(p.stdout)["energy"]
        if e["duration_seconds"] > LONG_ENOUGH_S and good(e):
            break
    return e, p.stderr.decode()


class Machine:
    """Counters that run while an answer is made: {folder: watts}."""

    def __init__(self, root, watts, start=1000000):
        self.root, self.watts, self.start, self.stop = root, watts, start, threading.Event()
        self.thread = threading.Thread(target=self.count)

    def count(self):
        fds = {f: os.open(os.path.join(self.root, "sys/class/powercap", f, "energy_uj"), os.O_WRONLY)
               for f in self.watts}
        begin = time.monotonic()
        while not self.stop.wait(0.0005):
            t = time.monotonic() - begin
            for f, fd in fds.items():
                text = "%d\n" % ((self.start + int(t * self.watts[f] * 1e6)) % RANGE_UJ)
                os.pwrite(fd, text.encode().ljust(16, b"\n"), 0)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def watts(e):
    return e["energy_joules"] / e["attribution_ratio"] / e["duration_seconds"]


def between(low, high):
    return lambda e: e["source"] == "measured" and low < watts(e) < high


def sums(room, model):
    root = os.path.join(room, "sums")
    zones = {"intel-rapl:0": ("package-1", 20), "intel-rapl:0:0": ("core", 200),
             "intel-rapl:0:1": ("dram", 5), "intel-rapl:1": ("package-0", 30),
             "intel-rapl:2": ("psys", 400), "intel-rapl-mmio:0": ("package-0", 30)}
    for folder, (name, _) in zones.items():
        zone(root, folder, name, 1000000)
    with Machine(root, {f: w for f, (_, w) in zones.items()}):
        e, line = run(root, model, between(35, 85))
    case("packages and memory once, nothing else", e["source"] == "measured" and
         e["meter"] == "RAPL package+dram, 3 counters" and 35 < watts(e) < 85, e)
    case("method and scope", e["attribution_method"] == "package_energy_x_cpu_time_share" and
         e["scope"].startswith("CPU packages and memory"), e)
    case("the scope is printed", e["scope"] in line and e["meter"] in line, line)
    out = subprocess.run([SOBRE, "version"], stdout=subprocess.PIPE, env={**os.environ, "SOBRE_SYSFS_ROOT": root})
    case("version names the meter", b"RAPL package+dram, 3 counters" in out.stdout, out)


def psys(room, model):
    root = os.path.join(room, "psys")
    zone(root, "intel-rapl:1", "psys", 1000000)
    zone(root, "intel-rapl:0:0", "core", 1000000)
    with Machine(root, {"intel-rapl:1": 50, "intel-rapl:0:0": 500}):
        e, _ = run(root, model, between(25, 85))
    case("psys alone", e["meter"] == "RAPL psys, 1 counter" and "psys" in e["scope"] and 25 < watts(e) < 85, e)


def lost(room, model):
    root = os.path.join(room, "lost")
    zone(root, "intel-rapl:0", "package-0", 1000000)
    with Machine(root, {"intel-rapl:0": 90000}):
        e, _ = run(root, model)
    case("more watts than a package draws", e["source"] == "estimated" and "jumped" in e["scope"] and
         e["energy_uj"] > 0, e)
    e, line = run(root, model)
    case("a counter that stands", e["source"] == "estimated" and
         ("too short" in e["scope"] or "stood still" in e["scope"]), e)
    case("the reason is printed", e["scope"] in line, line)


def mirrors(room, model):
    root = os.path.join(room, "mirrors")
    names = ["package-0-die-%d" % i for i in range(4)]
    for i, name in enumerate(names):
        zone(root, "intel-rapl:%d" % i, name, 1000000)
    for i in range(1, 4):  # one register, shown four times
        path = os.path.join(root, "sys/class/powercap/intel-rapl:%d/energy_uj" % i)
        os.unlink(path)
        os.link(os.path.join(root, "sys/class/powercap/intel-rapl:0/energy_uj"), path)
    with Machine(root, {"intel-rapl:0": 20}):
        e, _ = run(root, model, between(10, 40))
    case("a socket's counter shown four times", e["meter"] == "RAPL package, 1 counter" and
         10 < watts(e) < 40, e)


def rights(room, model):
    root = os.path.join(room, "rights")
    zone(root, "intel-rapl:0", "package-0", 1000000)
    os.chmod(os.path.join(root, "sys/class/powercap/intel-rapl:0/energy_uj"), 0)
    user = 65534 if os.geteuid() == 0 else None
    # Another user may not enter the folder of the build: root's home, say.
    program = shutil.copy(SOBRE, os.path.join(room, "sobre"))
    e, _ = run(root, model, user=user, program=program)
    case("counters for root alone", e["source"] == "estimated" and "not readable by this user" in e["scope"], e)


def guest(room, model):
    root = os.path.join(room, "guest")
    put(os.path.join(root, "intel-rapl:0/energy_uj"), "1000000")
    os.makedirs(os.path.join(root, "intel-rapl:0:0"))
    out = subprocess.run([SOBRE, "version", "--json"], stdout=subprocess.PIPE,
                         env={**os.environ, "SOBRE_SYSFS_ROOT": root})
    case("a guest's tree", json.loads(out.stdout)["meter"] == "RAPL guest tree, 1 counter", out)
    e, _ = run(root, model)
    case("a guest's short answer", e["source"] == "estimated" and "too short" in e["scope"], e)


def main():
    room = tempfile.mkdtemp(prefix="sobre-energy-")
    os.chmod(room, 0o755)
    model = os.path.join(room, "tiny.gguf")
    try:
        subprocess.run([TINY, model], check=True, stdout=subprocess.DEVNULL)
        for part in (sums, psys, lost, mirrors, rights, guest):
            part(room, model)
    finally:
        shutil.rmtree(room, ignore_errors=True)
    finish()


main()
