#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`sobre serve --grid FILE`: the file is read again while the server runs and is contained, when it changes, grows
old, breaks, goes and comes back; receipts, metrics, budgets and the log follow; joules do not. Uses a tiny model made
on the spot."""
import calendar
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from serve import MORE, SLOW, SOBRE, Server, tiny_model, wait_for  # noqa: E402
from tap import case, finish, together  # noqa: E402

room = tempfile.mkdtemp(prefix="sobre-live-grid-")
far = tempfile.mkdtemp(prefix="sobre-live-grid-far-")  # no folder of a model, nor in one
os.mkdir(os.path.join(far, "fresh"))
MODEL = tiny_model(os.path.join(room, "tiny.gguf"))
UJ_KWH = 3600000000000


def put(path, text):
    """As whoever keeps it fresh should do: another file in its place."""
    with open(path + ".new", "w") as f:
        f.write(text)
    os.rename(path + ".new", path)


def live(grams, zone="FR", age=0):
    return "%s %d %s\n" % (grams, time.time() - age, zone)


def settled(s, headers=None, **more):
    i = s.chat("hello", headers=headers, ignore_eos=True, **more).headers["x-sobre-receipt"]

    def look():
        r = s.ask("GET", "/v1/receipts/" + i, headers=headers).json
        return r if r["settled"] else None
    return wait_for(look)


def follows(s, good, seconds=10):
    """A receipt of after SIGHUP: the file is read beside the loop, so the first one may be of before."""
    end = time.monotonic() + seconds * SLOW
    s.p.send_signal(signal.SIGHUP)
    while True:
        r = settled(s)
        if good(r["co2e"]) or time.monotonic() > end:
            return r


def is_table(co2e, why):
    return (co2e["g_per_kwh"], co2e["kind"], co2e["year"]) == (56, "average", 2023) and "time" not in co2e and \
        co2e["note"] == "the operator's file %s, so the table is used" % why


def grams(s):
    found = re.findall(r'^sobre_co2e_grams_total\{zone="(\w*)",kind="(\w+)",year="(\d+)"\} ([\d.]+)$',
                       s.get("/metrics").body, re.M)
    return {(zone, kind): float(v) for zone, kind, _, v in found}


def events(log):
    return [line.split("event=grid ")[1].strip() for line in open(log) if "event=grid " in line]


def receipts_follow():
    folder = os.path.join(far, "fresh")
    path, log = os.path.join(folder, "grid"), os.path.join(room, "log")
    put(path, live("50"))
    with Server("-m", MODEL, "--grid", path, "--log", log) as s:
        first = settled(s)
        case("a live value, with its time", first["co2e"]["g_per_kwh"] == 50 and first["co2e"]["kind"] == "live" and
             abs(calendar.timegm(time.strptime(first["co2e"]["time"], "%Y-%m-%dT%H:%M:%SZ")) - time.time()) < 600 and "note" not in first["co2e"], first)
        before = grams(s)
        put(path, live("70.5"))
        r = follows(s, lambda c: c["g_per_kwh"] == 70.5)
        case("SIGHUP reads the file that took its place", r["co2e"]["g_per_kwh"] == 70.5 and
             r["co2e"]["kind"] == "live", r["co2e"])
        after = grams(s)
        case("the counter of grams never turns back", after.keys() == before.keys() == {("FR", "live")} and
             after["FR", "live"] >= before["FR", "live"], (before, after))
        old = s.get("/v1/receipts/" + first["id"]).json
        case("a receipt of before keeps its own", old == first, (old, first))
        case("live to live is no event", events(log) == [], events(log))

        put(path, live("4999"))
        r = follows(s, lambda c: c["g_per_kwh"] == 4999)
        case("grams are of that", r["co2e"]["mg"] > 0 and
             abs(r["co2e"]["mg"] - r["energy_uj"] * 4999000 / UJ_KWH) <= 0.0006, r)

        put(path, live("70.5", age=7300))
        r = follows(s, lambda c: c["kind"] != "live")
        case("an old file is not used, and the receipt says why", is_table(r["co2e"], "is too old"), r["co2e"])
        for _ in range(3):
            follows(s, lambda c: True)
        case("once in the log", len(events(log)) == 1 and "kind=average" in events(log)[0] and
             "zone=FR" in events(log)[0] and "g_per_kwh=56" in events(log)[0] and 'why="is too old"' in events(log)[0],
             events(log))
        put(path, "seventy\n")
        r = follows(s, lambda c: "does not begin" in c.get("note", ""))
        case("nor is a wrong one", r["co2e"]["zone"] == "WORLD" and "does not begin with grams" in r["co2e"]["note"], r)
        os.unlink(path)
        r = follows(s, lambda c: "cannot be read" in c.get("note", ""))
        case("nor one that is gone", "cannot be read" in r["co2e"]["note"], r)
        put(path, live("80"))
        r = follows(s, lambda c: c["kind"] == "live")
        case("it comes back", r["co2e"]["g_per_kwh"] == 80 and "note" not in r["co2e"], r)
        case("and that is in the log, too", len(events(log)) == 2 and "kind=live" in events(log)[1] and
             "g_per_kwh=80" in events(log)[1] and "why=" not in events(log)[1], events(log))
        every = grams(s)
        case("grams of each time have their account", every.keys() == {
            ("FR", "live"), ("FR", "average"), ("WORLD", "average")} and every["FR", "live"] >= after["FR", "live"],
             every)
        case("the path is nobody else's business", folder not in open(log).read() and folder not in json.dumps(r))
        if "--no-sandbox" not in MORE:
            case("in the sandbox", "contained: files (Landlock" in s.stderr() or "no Landlock" in s.stderr(), s.stderr())
        home = s.home
        s.stop()
    audit = subprocess.run([SOBRE, "energy", "audit", "--json"], stdout=subprocess.PIPE,
                           env={**os.environ, "SOBRE_HOME": home})
    case("the ledger knows nothing of it", audit.returncode == 0 and json.loads(audit.stdout)["chain_ok"], audit)


def the_clock_is_enough():
    """Nobody reads the file again; a value that was fresh at the start is not live for ever."""
    path = os.path.join(far, "fresh", "ages")
    put(path, live("50", age=7200 - 5 - SLOW))
    with Server("-m", MODEL, "--grid", path) as s:
        r = settled(s)
        case("fresh at the start", r["co2e"]["kind"] == "live", r["co2e"])
        time.sleep(6 + SLOW)
        r = settled(s)
        case("too old later", is_table(r["co2e"], "is too old"), r["co2e"])


def a_link():
    """A name that is a link to where the file is made, as some who keep files fresh have it."""
    there, name = os.path.join(far, "made"), os.path.join(far, "fresh", "link")
    os.mkdir(there)
    put(os.path.join(there, "now"), live("51"))
    os.symlink(os.path.join(there, "now"), name)
    with Server("-m", MODEL, "--grid", name) as s:
        put(os.path.join(there, "now"), live("52"))
        r = follows(s, lambda c: c["g_per_kwh"] == 52)
        case("behind a link, too", r["co2e"]["g_per_kwh"] == 52, r["co2e"])


def budgets_follow():
    path = os.path.join(far, "fresh", "budget")
    put(path, live("100"))
    with Server("-m", MODEL, "--grid", path) as s:
        p = subprocess.run([SOBRE, "key", "add", "anna", "--max-co2e-day", "1"], stdout=subprocess.PIPE,
                           env={**os.environ, "SOBRE_HOME": s.home, "LC_ALL": "C"}, check=True)
        auth = {"Authorization": "Bearer " + max(p.stdout.decode().split(), key=len)}
        time.sleep(1.1)

        def limit():
            r = s.chat(headers=auth)
            h = r.headers
            return float(h["x-energy-budget-limit-j"]), float(h["x-energy-budget-remaining-j"])
        a = limit()
        case("a gram at 100 g/kWh is 36 kJ", a[0] == 36000 and 35000 < a[1] <= 36000, a)
        put(path, live("50"))
        s.p.send_signal(signal.SIGHUP)
        b = wait_for(lambda: limit()[0] != 36000 and limit())
        case("at 50 it is twice that, and what was used is used", b and b[0] == 72000 and
             71000 < b[1] <= 72000, b)
        put(path, live("5000"))
        s.p.send_signal(signal.SIGHUP)
        c = wait_for(lambda: limit()[0] != 72000 and limit())
        case("and less at 5000", c and c[0] == 720 and 0 < c[1] < 720, c)


def no_file_no_reading():
    with Server("-m", MODEL, "--grid", "FR") as s:
        s.p.send_signal(signal.SIGHUP)
        r = settled(s)
        case("a zone stays what it is", r["co2e"]["g_per_kwh"] == 56 and "note" not in r["co2e"], r["co2e"])


together(receipts_follow, the_clock_is_enough, a_link, budgets_follow, no_file_no_reading)
finish()
