#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reports of what was spent: grams and money beside an answer, the sums of a real server in every form, rows of
days, keys and models made here, hostile names; the score and its label; a calibration beside counters that run with
this process's own time. Uses a tiny model made on the spot; needs no download."""
import csv
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import xml.dom.minidom

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from serve import SOBRE, Server, cpu_ns, tiny_model, wait_for  # noqa: E402
from tap import case, finish  # noqa: E402

DAY = 20783  # 2026-11-26
FR_UG = 56 * 1000  # of a watt-hour


def sobre(home, *args, **env):
    base = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG"))}
    p = subprocess.run([SOBRE, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       env={**base, "SOBRE_HOME": home, **env})
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def report(home, *args):
    code, out, err = sobre(home, "energy", "report", "--json", *args)
    return json.loads(out) if code == 0 else err


def footprints(room, model):
    home = os.path.join(room, "empty")
    ask = ("run", "-m", model, "--raw", "-n", "20", "--seed", "1", "x")
    code, _, err = sobre(home, *ask)
    case("nobody asked, nothing said", code == 0 and "carbon" not in err and "cost:" not in err, err)
    code, _, err = sobre(home, *ask, "--grid", "fr", "--tariff", "0.25EUR")
    case("grams and money, each with its source", code == 0 and
         "sobre: carbon: " in err and " CO2e at 56 g/kWh (France, 2023 average; Our World in Data" in err and
         "sobre: cost: " in err and " EUR at 0.25 EUR/kWh (given by the operator)" in err, err)
    _, _, err = sobre(home, *ask, "--grid", "fr", "--tariff", "0.25EUR", LANG="fr_FR.UTF-8")
    case("in French, too", "sobre: carbone : " in err and "g de CO2e à 56 g/kWh" in err and
         "sobre: coût : " in err and "EUR à 0.25 EUR/kWh (donné par" in err, err)
    e = json.loads(sobre(home, *ask, "--json", "--grid", "FR", "--tariff", "0.25EUR")[1])
    uj = e["energy"]["energy_uj"]
    case("in JSON, apart from the joules", e["co2e"]["ug"] == (uj * 56000 * 2 + 3600000000) // 7200000000 and
         (e["co2e"]["zone"], e["co2e"]["year"], e["co2e"]["kind"]) == ("FR", 2023, "average") and
         e["cost"]["amount_nano"] == (uj * 250000000 * 2 + 3600000000000) // 7200000000000 and
         "co2e" not in e["energy"], e)
    case("not asked, not there", "co2e" not in json.loads(sobre(home, *ask, "--json")[1]))
    live = os.path.join(room, "live")
    with open(live, "w") as f:
        f.write("61.5 %d SE\n" % time.time())
    e = json.loads(sobre(home, *ask, "--json", "--grid", live)[1])
    case("a file that is fresh", e["co2e"]["g_per_kwh"] == 61.5 and e["co2e"]["kind"] == "live", e["co2e"])
    with open(live, "w") as f:
        f.write("61.5 2020-01-01T00:00:00Z SE\n")
    _, out, err = sobre(home, *ask, "--json", "--grid", live)
    e = json.loads(out)["co2e"]
    case("a stale file falls back and says so", e["g_per_kwh"] == 41 and "is too old" in e["note"] and
         "is too old, so the table is used" in err, (e, err))
    for args, says in ((("--grid", "ZZ"), "--grid 'ZZ'"), (("--tariff", "1 EUR"), "--tariff '1 EUR'")):
        code, _, err = sobre(home, *ask, *args)
        case("%s %s is refused" % args, code == 2 and says in err, (code, err))
    code, _, err = sobre(home, "chat", "-m", model, "--grid", "XX")
    case("a chat refuses it before it loads", code == 2 and "--grid 'XX'" in err, err)


def served(room, model):
    home = os.path.join(room, "served")
    os.makedirs(home)
    case("no data base, no rows", report(home)["rows"] == [])
    with Server("-m", model, "--grid", "FR", "--tariff", "0.25EUR", home=home) as s:
        used, ids = 0, []
        for i in range(3):
            ids.append(s.chat("hello %d" % i, ignore_eos=True).headers["x-sobre-receipt"])
        for i in ids:  # the joules that it ends with, which are more or less than those it was told with
            def settled():
                r = json.loads(s.get("/v1/receipts/" + i).body)
                return r if r["settled"] else None
            used += wait_for(settled)["energy_uj"]
        metrics = s.get("/metrics").body
    case("metrics say grams and money", 'sobre_co2e_grams_total{zone="FR",kind="average",year="2023"}' in metrics and
         'sobre_cost_total{currency="EUR"}' in metrics, metrics[:300])
    case("the ledger's accounts", all('sobre_ledger_energy_joules_total{account="%s",source="' % a in metrics for a in
                                      ("requests", "idle", "other", "system", "lost")), metrics)
    case("OpenTelemetry's names", "gen_ai_server_time_to_first_token_seconds_count 3" in metrics and
         "sobre_time_to_first_token_seconds_count 3" in metrics)
    by_model = report(home, "--by", "model", "--grid", "FR", "--tariff", "0.25EUR")
    row, total = by_model["rows"][0], by_model["total"]
    known = total["measured"]["energy_uj"] + total["estimated"]["energy_uj"]
    case("the sums are the receipts'", total["answers"] == 3 and total["energy_uj"] == used == known and
         total["unknown"]["energy_uj"] == 0, (used, by_model))
    case("the model has its row", len(by_model["rows"]) == 1 and "tiny" in row["model"] and
         row["tokens_out"] == total["tokens_out"] == 24, by_model)
    case("grams of it", row["co2e"]["ug"] == (used * 56000 * 2 + 3600000000) // 7200000000, row)
    case("joules an answer", abs(row["joules_per_answer"] - used / 3e6) < 1e-9, row)
    return home


def sums(home, rows):
    db = sqlite3.connect(os.path.join(home, "sobre.db"))
    with db:
        db.execute("DELETE FROM sum")
        db.executemany("INSERT INTO sum VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                       [r if len(r) == 11 else (*r, 0, 0) for r in rows])
    db.close()


EVIL = "a<b>&\"',\u202e\x1b]0;x\x07"


def rows(home):
    sobre(home, "key", "add", "anna")
    sums(home, [(0, DAY * 24, "m1", 1, 2, 10, 4, 20, 3600000000),
                (0, DAY * 24 + 23, "m1", 2, 1, 1, 0, 1, 900),
                (1, DAY * 24 + 24, EVIL, 2, 1, 1, 0, 1, 7200000000),
                (9, DAY * 24 + 47, "", 0, 1, 1, 0, 1, 0)])
    days = report(home)
    case("rows of days", [(r["day"], r["answers"], r["energy_uj"]) for r in days["rows"]] ==
         [("2026-11-26", 3, 3600000900), ("2026-11-27", 2, 7200000000)] and days["total"]["answers"] == 5, days)
    case("measured and estimated apart", days["rows"][0]["measured"] == {"answers": 2, "energy_uj": 3600000000} and
         days["rows"][0]["estimated"] == {"answers": 1, "energy_uj": 900}, days)
    case("from and to", [r["day"] for r in report(home, "--from", "2026-11-27")["rows"]] == ["2026-11-27"] and
         [r["day"] for r in report(home, "--to", "2026-11-26")["rows"]] == ["2026-11-26"] and
         report(home, "--from", "2026-11-28")["rows"] == [])
    keys = report(home, "--by", "key")["rows"]
    case("rows of keys", [(r["key"], r["key_id"]) for r in keys] == [("anna", 1), ("", 0), ("9", 9)], keys)
    models = report(home, "--by", "model")["rows"]
    case("rows of models", [r["model"] for r in models] == [EVIL, "m1", ""], models)
    case("what has no energy has no joules an answer", "joules_per_answer" not in models[2], models)
    for bad in (("--from", "26-11-2026"), ("--from", "2026-02-30"), ("--json", "--csv"),
                ("--from", "2026-11-27", "--to", "2026-11-26"), ("--by", "week"), ("--queries", "5")):
        code, out, err = sobre(home, "energy", "report", *bad)
        case("refused: %s" % " ".join(bad), code == 2 and not out, (code, err))


def forms(home):
    _, table, _ = sobre(home, "energy", "report", "--by", "model", "--grid", "FR", "--tariff", "0.25EUR")
    lines = table.splitlines()
    case("a table", "kWh measured" in lines[0] and "EUR" in lines[0] and any(
        ln.startswith("m1 ") and " 0.001 " in ln and " ~0.0000000003 " in ln for ln in lines), table)
    case("no control characters in it", "\x1b" not in table and "\u202e" not in table, repr(table))
    case("an estimate has one digit", "~0.002" in table and "France, 2023 average" in table, table)
    _, french, _ = sobre(home, "energy", "report", "--by", "model", LANG="fr_FR.UTF-8")
    case("in French", "kWh mesurés" in french and "modèle" in french, french)
    read = list(csv.DictReader(io.StringIO(sobre(home, "energy", "report", "--csv", "--by", "model", "--grid", "FR")[1])))
    case("CSV", [r["model"] for r in read] == [EVIL, "m1", ""] and read[1]["measured_uj"] == "3600000000" and
         read[1]["co2e_ug"] == "56000", read)
    for form in ("--svg", "--html"):
        for by in ("day", "key", "model"):
            _, page, _ = sobre(home, "energy", "report", form, "--by", by)
            doc = xml.dom.minidom.parseString(page.replace("<!DOCTYPE html>\n", ""))
            svg = doc.getElementsByTagName("svg")[0]
            ids = {c.tagName: c.getAttribute("id") for c in svg.childNodes if c.nodeType == 1 and c.hasAttribute("id")}
            case("%s by %s is whole and named" % (form, by), svg.getAttribute("role") == "img" and
                 svg.getAttribute("aria-labelledby") == "%s %s" % (ids["title"], ids["desc"]) and
                 "<script" not in page and "http" not in page.replace("http://www.w3.org/2000/svg", "") and
                 "prefers-color-scheme:dark" in page, page[:400])
    case("hostile names are text", "a&lt;b&gt;&amp;&quot;&#39;" in sobre(home, "energy", "report", "--html", "--by", "model")[1])
    doc = xml.dom.minidom.parseString(sobre(home, "energy", "report", "--html")[1].replace("<!DOCTYPE html>\n", ""))
    heads = doc.getElementsByTagName("th")
    case("the page's table has a caption and scopes", doc.getElementsByTagName("caption") and
         all(h.getAttribute("scope") in ("row", "col") for h in heads))


def score(room, model):
    home, label = os.path.join(room, "empty"), os.path.join(room, "label.svg")
    few = ("energy", "score", "-m", model, "--queries", "4", "--runs", "3", "--tokens", "8")
    code, out, err = sobre(home, *few, "--json", "--label", label)
    r = json.loads(out) if code == 0 else {}
    case("a score", code == 0 and r["queries"] == 4 and len(r["runs"]) == 3 and not r["official"] and
         0 < r["uwh_low"] <= r["uwh_per_1000_queries"] <= r["uwh_high"] and
         r["prefill_uwh"] + r["decode_uwh"] == r["uwh_per_1000_queries"], (out, err))
    mean = sum(x["energy_uj"] for x in r["runs"]) / 3
    case("watt-hours of a thousand", abs(r["uwh_per_1000_queries"] - mean * 1000 / 4 / 3600) <= 1, r)
    case("every query is read in full", r["tokens_cached_per_query"] == 0 and r["tokens_out_per_query"] <= 8, r)
    svg = open(label).read()
    doc = xml.dom.minidom.parseString(svg)
    estimated = r["source"] == "estimated"
    case("the label is whole and named", doc.getElementsByTagName("title") and doc.getElementsByTagName("desc"))
    case("the label is honest", "unofficial" in svg and "non-H100" in svg and ("ESTIMATED" in svg) == estimated and
         ("MEASURED" in svg) != estimated, svg)
    prompts = os.path.join(room, "prompts")
    with open(prompts, "w") as f:
        f.write("one\n\ntwo\nthree")
    code, out, err = sobre(home, *few, "--prompts", prompts)
    case("prompts of a file, for people", code == 0 and "prompts: " + prompts in out and "not comparable" in out and
         (not estimated or "about " in out), (out, err))
    open(prompts, "wb").write(b"\xff\n")
    case("prompts that are no text", sobre(home, *few, "--prompts", prompts)[0] == 1)
    open(prompts, "w").close()
    case("no prompts", sobre(home, *few, "--prompts", prompts)[0] == 1)
    own = open(os.path.join(os.path.dirname(__file__), "../../src/cli/score-prompts.def"), encoding="utf-8").read()
    case("at least a hundred prompts of its own", own.count("\nX(") >= 100)


class Counters(threading.Thread):
    """Counters under a root that run with the CPU time of one process, and a plug before them."""
    MW, BASE_W, SLOPE = 2000, 20, 1.25

    def __init__(self, root):
        super().__init__()
        self.root, self.pid, self.stop = root, None, threading.Event()
        self.zone = os.path.join(root, "sys/class/powercap/intel-rapl:0")
        os.makedirs(self.zone)
        os.makedirs(os.path.join(root, "proc"))
        for name, text in (("name", "package-0"), ("max_energy_range_uj", "262143328850"), ("energy_uj", "1000000")):
            self.write(os.path.join(self.zone, name), text)
        self.write(os.path.join(root, "plug"), "5000000")
        self.write(os.path.join(root, "proc/stat"), "cpu  0 0 0 0 0 0 0 0 0 0\n")

    @staticmethod
    def write(path, text):
        with open(path + ".new", "w") as f:
            f.write(text + "\n")
        os.replace(path + ".new", path) if not os.path.exists(path) else Counters.over(path, text)

    @staticmethod
    def over(path, text):
        fd = os.open(path, os.O_WRONLY)
        os.pwrite(fd, (text + "\n").encode(), 0)  # numbers only grow: the file never shrinks
        os.close(fd)

    def run(self):
        begin = time.monotonic()
        while not self.stop.wait(0.001):
            try:
                cpu_s = cpu_ns(self.pid) / 1e9
            except (OSError, ValueError, IndexError):
                continue
            uj = int(cpu_s * self.MW * 1000) + int((time.monotonic() - begin) * 1e5)  # 0.1 W idle
            self.most = max(getattr(self, "most", 0), uj)
            self.over(os.path.join(self.zone, "energy_uj"), "%d" % (1000000 + self.most))
            wall = 5000000 + int(self.most * self.SLOPE + (time.monotonic() - begin) * self.BASE_W * 1e6)
            self.over(os.path.join(self.root, "plug"), "%d" % wall)


def calibrate(room, model):
    home, root = os.path.join(room, "calibrated"), os.path.join(room, "tree")
    os.makedirs(home)
    env = {**os.environ, "SOBRE_HOME": home, "SOBRE_SYSFS_ROOT": root}
    c = Counters(root)
    p = subprocess.Popen([SOBRE, "energy", "calibrate", "--json", "-t", "1", "--seconds", "0.3", "--plug", "plug"], env=env,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    c.pid = p.pid
    c.start()
    out, err = p.communicate()
    c.stop.set()
    c.join()
    r = json.loads(out) if p.returncode == 0 else {}
    case("a calibration", p.returncode == 0 and 300 <= r["milliwatts_per_thread"] <= 2600 and
         r["loads"] >= 6 and r["mean_error_permille"] <= r["worst_error_permille"], (out, err))
    case("the wall is a line over the counters", p.returncode == 0 and 1000 <= r["wall_slope_permille"] <= 2000 and
         10000 <= r["wall_base_milliwatts"] <= 30000, (out, err))
    kept = json.load(open(os.path.join(home, "calibration.json")))
    case("it says which counters the wall was fitted to", kept["meter"] == "RAPL package, 1 counter", kept)
    case("the file is JSON and the same", all(r[k] == v for k, v in kept.items() if k != "version"), kept)
    ask = ("run", "-m", model, "--raw", "-n", "40", "--seed", "1", "--json", "x")
    bare = os.path.join(room, "bare")
    os.makedirs(bare)
    _, out, err = sobre(home, *ask, SOBRE_SYSFS_ROOT=bare)
    e = json.loads(out)["energy"]
    case("without a meter it is used and named", e["source"] == "estimated" and
         e["attribution_method"] == "cpu_time_and_bytes_x_calibrated_coefficients" and
         "calibrated here on" in e["scope"] and "%d mW" % r.get("milliwatts_per_thread", 0) in e["meter"], e)
    case("never called measured", "measured:" not in err and "estimated:" in err, err)
    off = e["error_pct"]
    case("its range is not narrower than its error", off + 0.1 >= r.get("mean_error_permille", 0) / 10, (off, r))
    kept["cpu_model"] += 1
    with open(os.path.join(home, "calibration.json"), "w") as f:
        json.dump(kept, f)
    e = json.loads(sobre(home, *ask, SOBRE_SYSFS_ROOT=bare)[1])["energy"]
    case("of another processor it is not used", e["attribution_method"] == "cpu_time_x_coefficient", e)
    code, _, err = sobre(home, "energy", "calibrate", "-t", "1", "--seconds", "0.05", SOBRE_SYSFS_ROOT=bare)
    case("nothing to calibrate against", code == 1 and "no meter that can be read here" in err, err)
    code, _, err = sobre(home, "energy", "calibrate", "--plug", "nothing", SOBRE_SYSFS_ROOT=bare)
    case("a plug that is not there", code == 1 and "--plug 'nothing'" in err, err)


def main():
    room = tempfile.mkdtemp(prefix="sobre-report-")
    try:
        model = tiny_model(os.path.join(room, "tiny.gguf"))
        footprints(room, model)
        home = served(room, model)
        rows(home)
        forms(home)
        score(room, model)
        calibrate(room, model)
    finally:
        shutil.rmtree(room, ignore_errors=True)
    finish()


main()
