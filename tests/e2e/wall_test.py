#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same answer at the wall: a calibration with a plug, a counter that runs, and the figure beside the counters' one
in the terminal, the API, receipts, `energy verify` and the report; never measured, never in a sum, and never without
the counters and the processor it was fitted to. Uses a tiny model made on the spot; needs no download."""
import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from serve import SOBRE, Server, tiny_model, wait_for  # noqa: E402
from tap import case, finish  # noqa: E402

BASE_MW, SLOPE, LOADS, MEAN, WORST = 30000, 1300, 18, 20, 35
PACKAGE = "RAPL package, 1 counter"
WORDS = "at the wall, by a fit of 18 loads against a plug, mean error 2.0 %"
room = tempfile.mkdtemp(prefix="sobre-wall-")
# Larger than others' tiny model: an answer is to take longer than the meter's step.
MODEL = tiny_model(os.path.join(room, "tiny.gguf"), "--ctx", "2048", "--layers", "12", "--embd", "256", "--ff", "512", "--head-dim", "64")


class Machine(threading.Thread):
    """A tree with one package that draws 35 W, and a processor that no machine has."""

    def __init__(self, name, counter=True):
        super().__init__(daemon=True)
        self.root, self.ended, self.total = os.path.join(room, name), threading.Event(), 1000000
        os.makedirs(os.path.join(self.root, "proc"))
        with open(os.path.join(self.root, "proc/cpuinfo"), "w", encoding="ascii") as f:
            f.write("vendor_id\t: Test\ncpu family\t: 6\nmodel\t\t: 143\n")
        if not counter:
            return
        zone = os.path.join(self.root, "sys/class/powercap/intel-rapl:0")
        os.makedirs(zone)
        for file, text in (("name", "package-0\n"), ("max_energy_range_uj", "262143328850\n")):
            with open(os.path.join(zone, file), "w", encoding="ascii") as f:
                f.write(text)
        self.fd = os.open(os.path.join(zone, "energy_uj"), os.O_WRONLY | os.O_CREAT)
        os.pwrite(self.fd, b"%012d\n" % self.total, 0)
        self.start()

    def run(self):
        last = time.monotonic()
        while not self.ended.wait(0.001):
            now = time.monotonic()
            self.total += int((now - last) * 35e6)
            last = now
            os.pwrite(self.fd, b"%012d\n" % self.total, 0)  # one write of one length: never torn

    def halt(self):
        self.ended.set()
        self.join()


def home_with(name, **changed):
    """A data folder whose calibration is of the tree's processor and counters, but for what is changed."""
    home = os.path.join(room, name)
    os.makedirs(home)
    kept = {"cpu_vendor": "Test", "cpu_family": 6, "cpu_model": 143, "date": "2026-11-27", "meter": PACKAGE, "threads": 8,
            "loads": 18, "milliwatts_per_thread": 1870, "picojoules_per_byte": 42, "mean_error_permille": 83,
            "worst_error_permille": 190, "wall_loads": LOADS, "wall_base_milliwatts": BASE_MW, "wall_slope_permille": SLOPE,
            "wall_mean_error_permille": MEAN, "wall_worst_error_permille": WORST, "version": 1, **changed}
    with open(os.path.join(home, "calibration.json"), "w", encoding="ascii") as f:
        json.dump(kept, f)
    return home


def sobre(home, root, *args, text=None, **env):
    base = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG"))}
    p = subprocess.run([SOBRE, *args], input=text.encode() if text is not None else None, stdout=subprocess.PIPE, timeout=120,
                       stderr=subprocess.PIPE, env={**base, "SOBRE_HOME": home, "HOME": home, "SOBRE_SYSFS_ROOT": root, **env})
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def run(home, root, *more, **env):
    return sobre(home, root, "run", "-m", MODEL, "--raw", "-n", "60", "--seed", "1", *more, 200 * "x y ", **env)


def fit(uj, ns):
    return (uj * SLOPE * 1000 + ns * BASE_MW) // 1000000


def follows(w, uj, lo, hi):
    """Whether a receipt's figure is what anybody can compute from what stands beside it."""
    off = 1000 + max(2 * MEAN, WORST)
    top = (hi * SLOPE * 1000 + w["share_ns"] * BASE_MW) * off
    return (w["wall_uj"] == fit(uj, w["share_ns"]) and
            w["u95_uj"] == [(lo * SLOPE * 1000 + w["share_ns"] * BASE_MW) * 1000 // off // 1000000, -(-top // 1000 // 1000000)])


def canon(o):
    return json.dumps(o, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def at_the_terminal(root):
    home, path = home_with("terminal"), os.path.join(room, "run.json")
    code, out, err = run(home, root, "--json", "--receipt", path)
    e = json.loads(out)["energy"] if code == 0 else {}
    case("an answer is counted, and stands at the wall as well", code == 0 and e["source"] == "measured" and
         e["wall_uj_low"] <= e["wall_uj"] <= e["wall_uj_high"] and e["wall_uj"] > e["energy_uj"] * SLOPE // 1000 and
         e["wall_basis"] == WORDS, (e, err))
    line = [ln for ln in err.splitlines() if "wall: " in ln]
    case("a line of its own, and no measurement", len(line) == 1 and "wall: about " in line[0] and
         "estimated: " + WORDS in line[0] and "measured" not in line[0], err)
    case("the counters' line is what it was", any("measured: RAPL package" in ln and "wall" not in ln for ln in err.splitlines()), err)
    r = json.load(open(path, encoding="utf-8"))
    w = r["wall"]
    case("the receipt's follows from what stands in it", follows(w, r["energy_uj"], *r["u95_uj"]) and
         (w["kind"], w["label"], w["basis"]) == ("calibrated", "estimated", WORDS) and r["source"]["label"] == "measured", r)
    code, out, err = sobre(home, root, "energy", "verify", path)
    lines = out.splitlines()
    case("verify says both, each with its word", code == 0 and len(lines) == 2 and lines[0].endswith(", measured") and
         lines[1].startswith("about ") and lines[1].endswith("estimated: " + WORDS), (code, out, err))
    told = json.loads(sobre(home, root, "energy", "verify", "--json", path)[1])
    case("... in JSON, too", told["valid"] and told["energy_uj"] == r["energy_uj"] and told["label"] == "measured" and
         [told["wall_uj_low"], told["wall_uj_high"]] == w["u95_uj"] and told["wall_uj"] == w["wall_uj"], told)
    lie = dict(r, wall=dict(w, wall_uj=w["wall_uj"] - 1))
    lie["hash"] = hashlib.sha256(canon({k: v for k, v in lie.items() if k not in ("hash", "sig")})).hexdigest()
    code, out, err = sobre(home, root, "energy", "verify", "-", text=json.dumps(lie))
    case("one that does not follow is refused", code == 1 and "at the wall does not follow" in err, (code, out, err))
    case("the hash covers it", sobre(home, root, "energy", "verify", "-", text=json.dumps(dict(lie, hash=r["hash"])))[0] == 1)
    _, _, err = run(home, root, LANG="fr_FR.UTF-8")
    case("in French", "prise : environ " in err and "estimés : à la prise, par un ajustement de 18 charges" in err, err)
    a = json.loads(sobre(home, root, "energy", "audit", "--json")[1])
    case("the ledger knows nothing of it", a["chain_ok"] and a["sums_ok"] and a["n_receipts"] == 1 and
         a["meter_uj"] == sum(a[k] for k in ("requests_uj", "idle_uj", "other_uj", "system_uj", "lost_uj")), a)
    p = subprocess.run([SOBRE, "chat", "-m", MODEL, "-n", "8"], input=b"hello\n/stats\n", stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=120, env={**os.environ, "SOBRE_HOME": home, "HOME": home, "LC_ALL": "C.UTF-8",
                                                                 "SOBRE_SYSFS_ROOT": root})
    case("a chat's sums, too", "\nwall: about " in p.stdout.decode() and WORDS in p.stdout.decode(), p)


def without(root, bare):
    for name, changed in (("other counters", {"meter": "RAPL package+dram, 2 counters"}), ("another kind", {"meter": "RAPL psys, 1 counter"}),
                          ("another processor", {"cpu_model": 142}), ("no plug", {"wall_loads": 0, "wall_slope_permille": 0}),
                          ("no fit's numbers", {"wall_slope_permille": 10})):
        home, path = home_with(name.replace(" ", "-"), **changed), os.path.join(room, "none.json")
        code, out, err = run(home, root, "--json", "--receipt", path)
        r = json.load(open(path, encoding="utf-8"))
        case("%s: no figure at the wall" % name, code == 0 and r["source"]["label"] == "measured" and "wall" not in r and
             not [k for k in json.loads(out)["energy"] if "wall" in k] and "wall" not in err, (out, err, r))
        case("... and a receipt that verifies", sobre(home, root, "energy", "verify", path)[:2][0] == 0)
    case("an older way to read the same registers is the same", json.loads(run(
        home_with("perf", meter="perf power package, 1 counter"), root, "--json")[1])["energy"].get("wall_uj", 0) > 0)
    home, path = home_with("bare"), os.path.join(room, "bare.json")
    code, out, err = run(home, bare, "--json", "--receipt", path)
    e, r = json.loads(out)["energy"], json.load(open(path, encoding="utf-8"))
    case("without a meter the calibrated estimate has it, as an estimate", e["source"] == "estimated" and e["wall_uj"] > e["energy_uj"] and
         r["source"]["kind"] == "calibrated" and r["wall"]["label"] == "estimated" and "measured" not in err, (e, r, err))
    empty = os.path.join(room, "empty")
    os.makedirs(empty)
    e = json.loads(run(empty, bare, "--json")[1])["energy"]
    case("an estimate that nobody calibrated has none", e["source"] == "estimated" and "wall_uj" not in e, e)


def served(root):
    home, made, lock = home_with("served"), [], threading.Lock()
    with Server("-m", MODEL, home=home, env={"SOBRE_SYSFS_ROOT": root}) as s:
        def client(i):
            for k in range(2):
                r = s.chat("client %d says %d" % (i, k), max_tokens=24 + 8 * (i % 4), ignore_eos=True, n=1 + (i == 3))
                with lock:
                    made.append(r)
        clients = [threading.Thread(target=client, args=(i,)) for i in range(6)]
        for c in clients:
            c.start()
        for c in clients:
            c.join()

        def settled(i):
            def look():
                r = json.loads(s.get("/v1/receipts/" + i).body)
                return r if r["settled"] else None
            return wait_for(look)
        receipts = [settled(r.headers["x-sobre-receipt"]) for r in made]
        energies = [r.json["usage"]["energy"] for r in made]
        page = s.get("/")
    case("answers were made", all(r.status == 200 for r in made) and page.status == 200)
    measured = [(e, r) for e, r in zip(energies, receipts) if r["source"]["kind"] == "meter"]
    case("answers tell it", len(measured) > 0 and all(r["wall"]["basis"] == WORDS for _, r in measured) and
         all("wall_uj" in e for e in energies if e["source"] == "measured"), energies)
    case("each follows from its energy", all(follows(r["wall"], r["energy_uj"], *r["u95_uj"]) for r in receipts if "wall" in r), receipts)
    code, out, err = sobre(home, root, "energy", "audit", "--json")
    a = json.loads(out)
    case("the audit's sums are the counters'", code == 0 and a["meter_uj"] == sum(
        a[k] for k in ("requests_uj", "idle_uj", "other_uj", "system_uj", "lost_uj")) and
        a["requests_uj"] == sum(r["energy_uj"] for _, r in measured), (a, err))
    with open(os.path.join(home, "ledger/ledger.jsonl"), encoding="utf-8") as f:
        ticks = [o for o in map(json.loads, f) if o["kind"] == "tick"]
    ns = max(o["end_ns"] for o in ticks) - min(o["begin_ns"] for o in ticks)
    walls = [r["wall"]["wall_uj"] for r in receipts if "wall" in r]
    case("together they are never more than the machine's wall", sum(walls) + fit(a["idle_uj"], 0) <= fit(a["meter_uj"] + a["estimated_uj"], ns) and
         sum(r["wall"]["share_ns"] for r in receipts if "wall" in r) <= ns, (sum(walls), a, ns))
    total = json.loads(sobre(home, root, "energy", "report", "--json")[1])["total"]
    case("the report adds it up beside the energy", (len(walls) < len(receipts) or total["wall"]["answers"] == total["answers"] == 14) and
         sum(walls) - 14 <= total["wall"]["wall_uj"] <= sum(walls) and total["energy_uj"] == sum(r["energy_uj"] for r in receipts), total)
    _, table, _ = sobre(home, root, "energy", "report")
    case("in its table, marked, and explained", "kWh at the wall" in table.splitlines()[0] and "At the wall: " in table and
         " ~0.0" in table.splitlines()[1], table)
    rows = list(csv.DictReader(io.StringIO(sobre(home, root, "energy", "report", "--csv")[1])))
    case("in CSV", sum(int(r["wall_uj"]) for r in rows) == total["wall"]["wall_uj"], rows)
    _, html, _ = sobre(home, root, "energy", "report", "--html", LANG="fr_FR.UTF-8")
    case("on its page, in French", "kWh à la prise" in html and "À la prise : " in html, html[-800:])
    bare = home_with("no-sums")
    with Server("-m", MODEL, home=bare) as s:
        s.chat("x")
    _, table, _ = sobre(bare, root, "energy", "report")
    case("who has none sees no column", "wall" not in table, table)


def main():
    machine, bare = Machine("tree"), Machine("bare-tree", counter=False)
    try:
        at_the_terminal(machine.root)
        without(machine.root, bare.root)
        served(machine.root)
    finally:
        machine.halt()
        shutil.rmtree(room, ignore_errors=True)
    finish()


main()
