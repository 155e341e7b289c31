#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The ledger of a server, live: a counter that runs while eight clients are answered, kill -9 in between, a counter that
turns over, and an audit that must come out to the microjoule. Uses a tiny model made on the spot; needs no download."""
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from serve import SOBRE, Server, tiny_model  # noqa: E402
from tap import case, finish  # noqa: E402

room = tempfile.mkdtemp(prefix="sobre-ledger-")
MODEL = tiny_model(os.path.join(room, "tiny.gguf"), "--ctx", "2048")
RANGE_UJ = 4294967295  # of the file: it turns over after one more
TURN_UJ = RANGE_UJ + 1


class Counter:
    """A package that draws watts; the file shows its total, which turns over."""

    def __init__(self, root, at_uj):
        self.base = os.path.join(root, "sys/class/powercap/intel-rapl:0")
        os.makedirs(self.base)
        self.total, self.watts, self.stop = at_uj, 35, threading.Event()
        for name, text in (("name", "package-0\n"), ("max_energy_range_uj", "%d\n" % RANGE_UJ)):
            with open(os.path.join(self.base, name), "w", encoding="ascii") as f:
                f.write(text)
        self.fd = os.open(os.path.join(self.base, "energy_uj"), os.O_WRONLY | os.O_CREAT)
        self.show()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def show(self):
        os.pwrite(self.fd, b"%010d\n" % (self.total % TURN_UJ), 0)  # one write of one length: never torn

    def run(self):
        last = time.monotonic()
        while not self.stop.wait(0.001):
            now = time.monotonic()
            self.total += int((now - last) * self.watts * 1e6)
            last = now
            self.show()

    def halt(self):
        self.stop.set()
        self.thread.join()
        return self.total


def audit(home):
    d = subprocess.run([SOBRE, "energy", "audit", "--json"], env={**os.environ, "SOBRE_HOME": home, "HOME": home},
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return d.returncode, json.loads(d.stdout)


def crowd(server, n=8, rounds=2):
    """n clients at once; the energies they were told."""
    told, lock = [], threading.Lock()

    def client(i):
        for k in range(rounds):
            r = server.chat("client %d says %d" % (i, k), max_tokens=24 + 8 * (i % 4))
            with lock:
                told.append(r.json["usage"]["energy"] if r.status == 200 else None)

    threads = [threading.Thread(target=client, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return told


root = os.path.join(room, "root")
home = os.path.join(room, "home")
os.makedirs(home)
START_UJ = TURN_UJ - 30000000  # it turns over within a second
counter = Counter(root, START_UJ)
options = ("-m", MODEL, "-t", "2")
env = {"SOBRE_SYSFS_ROOT": root}

s = Server(*options, home=home, env=env)
opened_uj = counter.total
told = crowd(s)
case("eight clients were answered", len(told) == 16 and all(told), told)
case("the counter says so: measured", all(e["source"] == "measured" for e in told), told)
case("answers shared their steps", max(e["concurrency_mean"] for e in told) > 1.5, told)
s.p.kill()
s.p.wait()
time.sleep(0.5)  # nobody reads it
status, before = audit(home)
case("after kill -9 the chain is whole", status == 0 and before["chain_ok"], before)

s = Server(*options, home=home, env=env)
told += crowd(s)
time.sleep(0.4)
case("the counter has turned over", counter.total > TURN_UJ, counter.total)
end_uj = counter.halt()  # it stands, and the server's last look sees all of it
s.stop()
status, a = audit(home)
parts = sum(a[k] for k in ("requests_uj", "idle_uj", "other_uj", "system_uj", "lost_uj"))
case("every microjoule has an owner", status == 0 and a["meter_uj"] == parts, a)
with open(os.path.join(home, "ledger/ledger.jsonl"), encoding="utf-8") as f:
    lines = [json.loads(line) for line in f]
raw = [line["raw"][0]["uj"] if isinstance(line["raw"][0], dict) else line["raw"][0][1] for line in lines if line.get("raw")]
seen_uj = (raw[-1] - raw[0]) % TURN_UJ
case("... and their sum is what the counter counted", a["meter_uj"] == seen_uj, (a, raw[0], raw[-1]))
case("... from the first reading to the last, to the microjoule", START_UJ <= raw[0] <= opened_uj and
     raw[0] + seen_uj == end_uj, (raw[0], seen_uj, end_uj))
case("the gap of the kill is lost, and no more", 35 * 400000 < a["lost_uj"] < 35 * 60000000, a)
case("other programs: none under a root without proc/stat", a["other_uj"] == 0, a)
case("a receipt for each answer but those killed", 16 <= a["n_receipts"] <= 32, a)
case("answers had most of what was not idle", a["requests_uj"] > 0 and a["source"] == "measured", a)
finish()
