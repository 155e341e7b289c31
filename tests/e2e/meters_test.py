#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`sobre energy meters` as people and scripts use it: on trees made here, as a user without rights and after the
command it names, with a plug that answers in the network, and on this machine itself."""
import contextlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import SOBRE, case, finish, skip

TINY = os.path.join(os.environ["SOBRE_BUILD"], "tests/tinymodel/tinymodel")
ROWS = ("kind", "name", "state", "counted", "of", "covers", "misses", "unit", "period_ms", "watts", "command")


def put(root, path, text):
    full = os.path.join(root, "sys/class", path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w") as f:
        f.write(text + "\n")


def zone(root, folder, name, uj):
    put(root, "powercap/%s/name" % folder, name)
    put(root, "powercap/%s/max_energy_range_uj" % folder, "262143328850")
    put(root, "powercap/%s/energy_uj" % folder, str(uj))


def energy(*words, root=None, user=None, program=SOBRE, **env):
    env = {**{k: v for k, v in os.environ.items() if not k.startswith("SOBRE_")}, "LC_ALL": "C", **env}
    if root:
        env["SOBRE_SYSFS_ROOT"] = root
    p = subprocess.run([program, "energy", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, user=user,
                       timeout=60)
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def rows(*words, **how):
    code, out, err = energy("meters", "--json", *words, **how)
    assert code == 0, err
    return json.loads(out)


def states(found):
    return {r["name"]: r["state"] for r in found}


def machine(root):
    zone(root, "intel-rapl:0", "package-0", 1000)
    zone(root, "intel-rapl:0:0", "core", 10)
    zone(root, "intel-rapl:0:1", "dram", 20)
    zone(root, "intel-rapl:1", "psys", 5000)
    zone(root, "intel-rapl-mmio:0", "package-0", 1000)
    put(root, "hwmon/hwmon2/name", "power_meter")
    put(root, "hwmon/hwmon2/power1_average", "98000000")
    put(root, "hwmon/hwmon3/name", "amdgpu")
    put(root, "hwmon/hwmon3/power1_average", "31000000")
    put(root, "power_supply/BAT0/type", "Battery")
    put(root, "power_supply/BAT0/status", "Charging")
    put(root, "power_supply/BAT0/power_now", "20000000")


def a_list(room):
    root = os.path.join(room, "tree")
    machine(root)
    found = rows(root=root)
    want = {"package-0": "chosen", "package-0/dram": "chosen", "package-0/core": "part", "psys": "cross-check",
            "package-0 (in memory)": "duplicate", "power_meter": "cross-check", "amdgpu": "added", "BAT0": "resting"}
    seen = states(found)
    case("every meter of a tree, and what becomes of it", {n: seen.get(n) for n in want} == want, seen)
    case("nothing but the tree's, and the estimate", len(found) == len(want) + 1 and found[-1]["kind"] == "estimate", found)
    case("rows are whole", all(tuple(r) == ROWS and r["covers"] and r["misses"] for r in found), found)
    case("each joule is counted once", [r["name"] for r in found if r["counted"]] ==
         ["package-0", "package-0/dram", "amdgpu"], found)
    copy = next(r for r in found if r["state"] == "duplicate")
    case("a duplicate says of what", copy["of"] == "package-0", copy)
    code, out, err = energy("meters", root=root)
    case("the same for people", code == 0 and err == "" and "covers CPU packages" in out and
         "package-0/core               inside package-0" in out, out + err)
    code, out, err = energy("meters", root=root, LC_ALL="fr_FR.UTF-8")
    case("the same in French", code == 0 and "compris dans package-0" in out and "covers" not in out and
         "kept" not in out, out)
    code, out, err = energy("meters", "--watch", "1", root=root)
    case("a watch ends with a word", code == 0 and "no meter contradicts another" in err, err)
    version = subprocess.run([SOBRE, "version"], stdout=subprocess.PIPE, env={**os.environ, "SOBRE_SYSFS_ROOT": root})
    case("`sobre version` names the same", b"RAPL package+dram, 2 counters + 1 GPU" in version.stdout, version.stdout)
    for words, why in (((), "WORD is missing"), (("mters",), "must be one of meters"), (("meters", "x"), "takes nothing more"),
                       (("meters", "--watch", "0"), "--watch")):
        code, out, err = energy(*words, root=root)
        case("energy %s: refused" % " ".join(words), code == 2 and why in err, err)


def rights(room):
    root = os.path.join(room, "rights")
    zone(root, "intel-rapl:0", "package-0", 1000)
    os.chmod(os.path.join(root, "sys/class/powercap/intel-rapl:0/energy_uj"), 0o400)
    user = 65534 if os.geteuid() == 0 else None
    if user is None:
        os.chmod(os.path.join(root, "sys/class/powercap/intel-rapl:0/energy_uj"), 0)
    program = shutil.copy(SOBRE, os.path.join(room, "sobre"))
    found = rows(root=root, user=user, program=program)
    case("counters for root alone", states(found).get("package-0") == "unreadable" and found[-1]["counted"], found)
    command = found[0]["command"] or ""
    case("the command is there, and is sudo's", command.startswith("sudo chmod a+r %s/" % root), command)
    subprocess.run(command[len("sudo "):], shell=True, check=True)
    found = rows(root=root, user=user, program=program)
    case("it grants access", states(found).get("package-0") == "chosen", found)


class Plug(http.server.BaseHTTPRequestHandler):
    asked = []

    def do_GET(self):
        Plug.asked.append(self.path)
        good = self.path == "/rpc/Switch.GetStatus?id=0"
        body = b'{"id":0,"output":true,"apower":61.5,"aenergy":{"total":12.345}}' if good else b"no"
        self.send_response(200 if good else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def plug():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Plug)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield "http://127.0.0.1:%d" % server.server_address[1]
    finally:
        server.shutdown()


def network(room):
    root = os.path.join(room, "tree")
    with plug() as url:
        try:
            found = rows("--meter-url", url)
        except AssertionError as why:
            if "libcurl" not in str(why):
                raise
            skip("a plug in the network", "no libcurl here")
            return
        shelly = [r for r in found if r["kind"] == "plug"]
        case("a plug is found by its host", len(shelly) == 1 and shelly[0]["name"] == "Shelly" and shelly[0]["watts"] and
             shelly[0]["state"] in ("chosen", "cross-check"), found)
        case("by the environment, too", [r for r in rows(SOBRE_METER_URL=url) if r["kind"] == "plug"] == shelly)
        n = len(Plug.asked)
        found = rows("--meter-url", url, root=root, SOBRE_METER_URL=url)
        case("under a tree the network is not asked", len(Plug.asked) == n and
             not [r for r in found if r["kind"] in ("plug", "perf", "dcmi", "node")], found)
    gone = [r for r in rows("--meter-url", url) if r["kind"] == "plug"]
    case("a plug that is gone is said", len(gone) == 1 and gone[0]["state"] == "no-data" and not gone[0]["counted"], gone)


def answers(room):
    """The meter of an answer: a plug where there is nothing better, and a short answer cannot be told by it."""
    model = os.path.join(room, "tiny.gguf")
    subprocess.run([TINY, model], check=True, stdout=subprocess.DEVNULL)

    def answer(**env):
        env = {**{k: v for k, v in os.environ.items() if not k.startswith("SOBRE_")}, **env}
        p = subprocess.run([SOBRE, "run", "-m", model, "--raw", "-n", "4", "--json", "x"], stdout=subprocess.PIPE, env=env)
        return json.loads(p.stdout)["energy"]
    root = os.path.join(room, "server")
    put(root, "hwmon/hwmon0/name", "power_meter")
    put(root, "hwmon/hwmon0/power1_average", "98000000")
    e = answer(SOBRE_SYSFS_ROOT=root)
    case("a short answer by a sensor of watts is estimated", e["source"] == "estimated" and "too short" in e["scope"], e)
    if [r for r in rows() if r["counted"]][0]["kind"] != "estimate":
        skip("an answer by a plug", "this machine has a better meter")
        return
    with plug() as url:
        e = answer(SOBRE_METER_URL=url)
        case("an answer by a plug", "too short for the meter" in e["scope"] and Plug.asked, e)


def here():
    found = rows()
    case("this machine: one meter counts, or the estimate", any(r["counted"] for r in found) and
         all(tuple(r) == ROWS for r in found), found)


def main():
    room = tempfile.mkdtemp(prefix="sobre-meters-")
    os.chmod(room, 0o755)
    try:
        a_list(room)
        rights(room)
        network(room)
        answers(room)
        here()
    finally:
        shutil.rmtree(room, ignore_errors=True)
    finish()


main()
