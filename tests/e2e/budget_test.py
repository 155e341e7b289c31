#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Limits on what answers may take: a share of the processors' time (--power), joules of an answer, of a key and a
day, and the governor that chooses threads. None of them may change a word. Uses a tiny model made on the spot."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from serve import SLOW, SOBRE, Server, tiny_model  # noqa: E402
from tap import case, finish, skip  # noqa: E402

room = tempfile.mkdtemp(prefix="sobre-budget-")
MODEL = tiny_model(os.path.join(room, "tiny.gguf"), "--ctx", "8192", "--layers", "6", "--embd", "256", "--ff", "768")
THREADS = 2
TRIES = 6


def run(*args, threads=THREADS, env=None, text=None, command="run"):
    """(share of the threads' time, standard output, standard error) of a command, all of its life."""
    words = ["x"] if command == "run" else []
    raw = ["--raw", "--json"] if command == "run" else []
    begin = time.monotonic()
    p = subprocess.Popen([SOBRE, command, "-m", MODEL, *raw, "--temp", "0", "-t", str(threads), *args, *words],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env={**os.environ, "SOBRE_HOME": room, "LC_ALL": "C.UTF-8", **(env or {})})
    heard = []
    reader = threading.Thread(target=lambda: heard.append(p.stderr.read().decode()))
    reader.start()
    if text:
        p.stdin.write(text.encode())
    p.stdin.close()
    out = p.stdout.read().decode()
    reader.join()
    _, status, used = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    took = time.monotonic() - begin
    return (used.ru_utime + used.ru_stime) / took / threads, out, heard[0]


def text_of(out):
    return json.loads(out)["text"]


# ---- --power ----


def power_of(name, share, percent):
    """Within a tenth of it. What others take of the machine cannot be had: a share is asked for again, and only too
    much of it is wrong when all of the processors would not have given it."""
    seen = []
    for _ in range(TRIES):
        seen.append(share(percent))
        if 0.9 * percent <= 100 * seen[-1] <= 1.1 * percent:
            case("%s: %d %%" % (name, percent), True)
            return
    full = share(100)
    if all(100 * s < 0.9 * percent for s in seen) and 100 * full < 1.5 * percent:
        skip("%s: %d %%" % (name, percent), "the machine gives %.0f %% now" % (100 * full))
    else:
        case("%s: %d %%" % (name, percent), False, (seen, full))


def power():
    texts, said = set(), set()

    def of_run(percent):
        share, out, _ = run("--power", str(percent), "-n", str(90 * percent))
        texts.add(text_of(out)[:300])
        return share

    def of_chat(percent):
        share, out, _ = run("--power", str(percent), "-n", "600", command="chat",
                            text="go on\n" * (1 + percent // 8))
        said.add(out[:200])
        return share

    for percent in (50, 10):
        power_of("run", of_run, percent)
    _, out, _ = run("-n", "900")
    case("the words are those of full power", texts == {text_of(out)[:300]}, texts)
    power_of("chat", of_chat, 20)
    _, out, _ = run("-n", "600", command="chat", text="go on\n")
    case("those of chat, too", said == {out[:200]}, said)

    def of_bench(percent):
        p = subprocess.run([SOBRE, "bench", "-m", MODEL, "-p", "0", "-n", "100", "-r", "1", "-t", str(THREADS),
                            "--power", str(percent), "--json"], stdout=subprocess.PIPE, check=True)
        r = json.loads(p.stdout)
        return r["cpu_seconds"] / r["seconds"] / THREADS
    power_of("bench", of_bench, 20)
    code = subprocess.run([SOBRE, "run", "-m", MODEL, "--power", "0", "x"], stderr=subprocess.PIPE)
    case("0 % is refused", code.returncode == 2 and b"--power" in code.stderr, code)


def power_served():
    ask = {"messages": [{"role": "user", "content": "go on"}], "max_tokens": 300, "ignore_eos": True, "temperature": 0}
    texts = set()

    def share(percent):
        with Server("-m", MODEL, "-t", str(THREADS), "--power", str(percent)) as s:
            stop = threading.Event()

            def load():
                while not stop.is_set():
                    r = s.ask("POST", "/v1/chat/completions", ask)
                    texts.add(r.json["choices"][0]["message"]["content"])
            clients = [threading.Thread(target=load) for _ in range(3)]
            for c in clients:
                c.start()
            time.sleep(1)
            begin, cpu = time.monotonic(), s.cpu_s()
            time.sleep(3)
            got = (s.cpu_s() - cpu) / (time.monotonic() - begin) / THREADS
            stop.set()
            for c in clients:
                c.join()
            return got
    for percent in (50, 20):
        power_of("serve under load", share, percent)
    case("and one text for all", len(texts) == 1, texts)
    with Server("-m", MODEL, "-t", str(THREADS), "--power", "1") as s:
        r = s.ask("POST", "/v1/chat/completions", {**ask, "max_tokens": 1})
        case("a word comes at 1 %, too", r.status == 200, r)
        begin = time.monotonic()
        case("and a stop waits for no pause", s.stop() == 0 and time.monotonic() - begin < 5 * SLOW,
             time.monotonic() - begin)


# ---- max_energy_j ----


def budget_of_a_run():
    _, out, _ = run("-n", "400")
    whole = json.loads(out)
    budget = whole["energy"]["energy_uj"] / 2e6
    _, out, err = run("-n", "400", "--max-energy-j", "%.6f" % budget)
    half = json.loads(out)
    case("run ends with its budget", half["finish_reason"] == "energy_budget" and
         0 < len(half["ids"]) < len(whole["ids"]) and "stopped at --max-energy-j" in err, (half, err))
    case("with the words it would have had", whole["text"].startswith(half["text"]), half["text"])
    steps = len(whole["ids"])
    over = half["energy"]["energy_uj"] / 1e6 - budget
    case("and no more than a few steps beyond", over < 20 * 2 * budget / steps, (over, budget))
    _, out, _ = run("-n", "30", "--max-energy-j", "1000")
    case("a large one ends nothing", json.loads(out)["finish_reason"] == "length", out)
    _, out, err = run("-n", "400", "--max-energy-j", "%.6f" % budget, command="chat", text="go on\n")
    case("chat takes it, too", out.strip() and len(out) < 4 * len(whole["text"]), (out, err))


def budget_of_a_request():
    messages = [{"role": "user", "content": "go on"}]
    small = {"max_energy_j": 0.000001}
    kinds = {
        "/v1/chat/completions": ({"messages": messages, "max_tokens": 50},
                                 lambda b: (b["choices"][0]["finish_reason"], b["choices"][0]["finish_detail"]),
                                 ("length", "energy_budget")),
        "/v1/completions": ({"prompt": "go", "max_tokens": 50},
                            lambda b: (b["choices"][0]["finish_reason"], b["choices"][0]["finish_detail"]),
                            ("length", "energy_budget")),
        "/v1/responses": ({"input": "go on", "max_output_tokens": 50},
                          lambda b: (b["status"], b["incomplete_details"]["reason"], b["finish_detail"]),
                          ("incomplete", "max_output_tokens", "energy_budget")),
        "/v1/messages": ({"messages": messages, "max_tokens": 50},
                         lambda b: (b["stop_reason"], b["finish_detail"]), ("max_tokens", "energy_budget")),
        "/api/chat": ({"messages": messages, "stream": False}, lambda b: (b["done_reason"], b["finish_detail"]),
                      ("length", "energy_budget")),
        "/api/generate": ({"prompt": "go", "stream": False}, lambda b: (b["done_reason"], b["finish_detail"]),
                          ("length", "energy_budget")),
        "/completion": ({"prompt": "go", "n_predict": 50}, lambda b: (b["stop_type"], b["finish_detail"]),
                        ("limit", "energy_budget")),
    }
    with Server("-m", MODEL, "-t", str(THREADS)) as s:
        for path, (body, read, want) in kinds.items():
            r = s.ask("POST", path, {"model": "tiny", **body, **small})
            got = r.json if r.status == 200 else {}
            try:
                said = read(got)
            except KeyError as e:
                said = "no " + str(e)
            case("%s: the budget's words" % path, said == want and r.headers.get("x-sobre-finish") ==
                 "energy_budget", (said, r))
        r = s.chat(max_energy_j=-1)
        case("a negative budget is refused by name", r.status == 400 and r.json["error"]["param"] == "max_energy_j", r)
        plain = s.chat(max_tokens=200, ignore_eos=True, temperature=0).json
        joules, text = plain["energy"]["energy_joules"], plain["choices"][0]["message"]["content"]
        r = s.chat(max_tokens=200, ignore_eos=True, temperature=0, n=2, max_energy_j=joules / 2).json
        case("two choices have half of it each", all(
            c["finish_detail"] == "energy_budget" and text.startswith(c["message"]["content"])
            for c in r["choices"]), r)
        others = []
        ask = {"max_tokens": 200, "ignore_eos": True, "temperature": 0}
        t = threading.Thread(target=lambda: others.append(s.chat(**ask).json["choices"][0]["message"]["content"]))
        t.start()
        s.chat(**ask, max_energy_j=joules / 4)
        t.join()
        case("others keep their words", others == [text], others)


def budget_by_a_meter():
    """A counter of 20 W beside the answer: what it says at the end is over the budget by a step and a tick at most,
    with room for a machine on which the thread that counts may oversleep."""
    root, budget, watts, late_s = os.path.join(room, "metered"), 2.0, 20, 0.05
    zone = os.path.join(root, "sys/class/powercap/intel-rapl:0")
    for name, text in (("name", "package-0\n"), ("max_energy_range_uj", "262143328850\n"), ("energy_uj", "1000000\n")):
        put(os.path.join(zone, name), text)
    stop = threading.Event()

    def count():
        fd = os.open(os.path.join(zone, "energy_uj"), os.O_WRONLY)
        begin = time.monotonic()
        while not stop.wait(0.0005):
            uj = 1000000 + int((time.monotonic() - begin) * watts * 1e6)
            os.pwrite(fd, (b"%d\n" % uj).ljust(16, b"\n"), 0)
        os.close(fd)
    counter = threading.Thread(target=count)
    counter.start()
    seen = []
    for _ in range(TRIES):
        _, out, _ = run("-n", "8000", "--max-energy-j", str(budget), env={"SOBRE_SYSFS_ROOT": root})
        got = json.loads(out)
        seen.append((got["finish_reason"], got["energy"]["source"], got["energy"]["energy_joules"]))
        if seen[-1][:2] == ("energy_budget", "measured") and budget <= seen[-1][2] <= budget + watts * late_s:
            break
    stop.set()
    counter.join()
    case("a measured answer ends with its budget", seen[-1][:2] == ("energy_budget", "measured") and
         budget <= seen[-1][2] <= budget + watts * late_s, seen)


# ---- keys and days ----


def budget_of_a_day():
    with Server("-m", MODEL, "-t", str(THREADS)) as s:
        def key(name, *options):
            p = subprocess.run([SOBRE, "key", "add", name, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env={**os.environ, "SOBRE_HOME": s.home, "LC_ALL": "C"}, check=True)
            return max(p.stdout.decode().split(), key=len)

        def auth(k):
            return {"Authorization": "Bearer " + k}
        free, small = key("free"), key("small", "--max-energy-day", "0.05", "--max-co2e-day", "1", "--max-cost-day", "2")
        listed = subprocess.run([SOBRE, "key", "list", "--json"], stdout=subprocess.PIPE,
                                env={**os.environ, "SOBRE_HOME": s.home}, check=True)
        row = json.loads(listed.stdout)[1]
        case("a key's budgets are listed", (row["max_energy_day_j"], row["max_co2e_day_g"], row["max_cost_day"]) ==
             (0.05, 1, 2), row)
        time.sleep(1.1)
        ask = {"max_tokens": 3000, "ignore_eos": True, "temperature": 0}
        r = s.chat(headers=auth(free), max_tokens=5)
        case("a key without a budget has no headers of it", r.status == 200 and
             "x-energy-budget-limit-j" not in r.headers, r)
        r = s.chat(headers=auth(small), **ask)
        choice = r.json["choices"][0]
        used = r.json["energy"]["energy_joules"]
        case("an answer ends with the day's budget", choice.get("finish_detail") == "energy_budget", choice)
        case("and not long after it", 0.04 < used < 0.3, used)
        case("what is left is in the headers", (r.headers["x-energy-budget-limit-j"],
                                               r.headers["x-energy-budget-remaining-j"]) == ("0.050", "0.000"), r)
        refused = [s.chat(headers=auth(small)), s.ask("POST", "/v1/messages", {
            "model": "tiny", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}, auth(small))]
        r = refused[0]
        until = 86400 - time.time() % 86400
        case("the next one is a 429 that names it", r.status == 429 and r.json["error"]["code"] == "energy_budget", r)
        case("until the day's end in UTC", abs(int(r.headers["Retry-After"]) - until) < 60, (r, until))
        case("with the headers", r.headers["x-energy-budget-remaining-j"] == "0.000", r)
        case("in the dialect's shape", refused[1].status == 429 and refused[1].json["type"] == "error", refused[1])
        case("other keys go on", s.chat(headers=auth(free), max_tokens=5).status == 200)
        home = s.home
        s.stop()
        with Server("-m", MODEL, "-t", str(THREADS), home=home) as again:
            r = again.chat(headers=auth(small))
            case("a restart forgives nothing", r.status == 429, r)


# ---- the governor ----


def put(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


def governor():
    root = os.path.join(room, "sysfs")
    limits = [os.path.join(root, "sys/devices/system/cpu/cpu%d/cpufreq/scaling_max_freq" % i) for i in range(2)]
    for path in limits:
        put(path, "3000000\n")
        put(os.path.join(os.path.dirname(path), "cpuinfo_min_freq"), "1000000\n")
    env = {"SOBRE_SYSFS_ROOT": root}
    _, plain, _ = run("-n", "60")
    _, out, err = run("-n", "60", "--governor", "auto", env=env)
    kept = open(os.path.join(room, "governor")).read()
    case("a sweep of threads and frequencies is kept", len(kept.splitlines()) == THREADS + 3, kept)
    case("the choice is told", "threads write answers" in err, err)
    case("the words stay", text_of(out) == text_of(plain), out)
    case("frequencies are put back", all(open(p).readline() == "3000000\n" for p in limits))
    _, out, err = run("-n", "60", "--governor", "auto", "--latency-ms", "0.0001", env=env)
    case("the second start measures nothing", open(os.path.join(room, "governor")).read() == kept)
    case("another latency gives another choice, or the same; the words stay", text_of(out) == text_of(plain), out)
    _, out, err = run("-n", "60", "--eco", "--governor", "auto", env=env)
    case("--eco decides by itself", "governor:" not in err and text_of(out) == text_of(plain), err)
    key = kept.split()[0]
    with open(os.path.join(room, "governor"), "a") as f:
        f.write("%s 2 1500000 1 1 1\n" % key)
    p = subprocess.Popen([SOBRE, "run", "-m", MODEL, "--raw", "-t", str(THREADS), "--temp", "0", "--governor", "auto", "x"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env={**os.environ, "SOBRE_HOME": room, "LC_ALL": "C.UTF-8", **env})
    p.stdout.read(20)
    while_it_runs = [open(path).readline() for path in limits]
    p.terminate()
    p.communicate()
    case("a chosen frequency holds while it answers", while_it_runs == ["1500000\n"] * 2, while_it_runs)
    case("and is put back after a signal", p.returncode == 130 and
         all(open(path).readline() == "3000000\n" for path in limits), p)
    with Server("-m", MODEL, "-t", str(THREADS), "--governor", "auto", env=env) as s:
        r = s.chat(temperature=0, max_tokens=20, ignore_eos=True).json
        home = s.home
        case("the server sweeps when it loads, closed in", "threads write answers" in s.stderr() and
             len(open(os.path.join(home, "governor")).read().splitlines()) == THREADS + 3, s.stderr())
        s.stop()
    case("and puts frequencies back", all(open(p).readline() == "3000000\n" for p in limits))
    with Server("-m", MODEL, "-t", str(THREADS)) as s:
        case("with the same words", s.chat(temperature=0, max_tokens=20, ignore_eos=True).json["choices"] ==
             r["choices"], r)


def main():
    try:
        for part in (budget_of_a_run, budget_of_a_request, budget_by_a_meter, budget_of_a_day, governor, power,
                     power_served):
            part()
    finally:
        shutil.rmtree(room, ignore_errors=True)
    finish()


main()
