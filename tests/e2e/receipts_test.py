#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Receipts and the ledger from outside: `sobre energy audit|verify|key`, the routes of a server, kill -9, and the
checks that anybody can make without us. Uses a tiny model made on the spot; needs no download."""
import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from serve import SOBRE, Server, tiny_model  # noqa: E402
from tap import case, finish, skip  # noqa: E402

room = tempfile.mkdtemp(prefix="sobre-receipts-")
MODEL = tiny_model(os.path.join(room, "tiny.gguf"), "--ctx", "2048")
SUMS = ("requests_uj", "idle_uj", "other_uj", "system_uj", "lost_uj")


def energy(home, *args, text=None):
    """(exit status, stdout, stderr)"""
    env = dict(os.environ, SOBRE_HOME=home, HOME=home, LC_ALL="C.UTF-8")
    d = subprocess.run([SOBRE, "energy", *args], input=text.encode() if text is not None else None, env=env,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    return d.returncode, d.stdout.decode(), d.stderr.decode("utf-8", "replace")


def canon(o):
    return json.dumps(o, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def without(o, *names):
    return {k: v for k, v in o.items() if k not in names}


def answers(s):
    made = [s.chat("one"), s.chat("two", n=3), s.ask("POST", "/v1/messages", {
        "model": "tiny", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}),
        s.ask("POST", "/api/generate", {"model": "tiny", "prompt": "x", "stream": False, "options": {"num_predict": 4}}),
        s.ask("POST", "/v1/responses", {"model": "tiny", "input": "x", "max_output_tokens": 4})]
    case("answers were made", all(r.status == 200 for r in made), made)
    return made


def settled(s, answer_id):
    """The receipt once its last tick is closed, soon after its answer's end; the last that was seen."""
    end = time.monotonic() + 10
    r = s.get("/v1/receipts/" + answer_id)
    while r.status == 200 and not r.json["settled"] and time.monotonic() < end:
        time.sleep(0.05)
        r = s.get("/v1/receipts/" + answer_id)
    return r


def receipts(s, made):
    got = [settled(s, r.headers["x-sobre-receipt"]) for r in made]
    case("each has a receipt", all(g.status == 200 for g in got), got)
    ids = [r.json["id"] for r in made if "id" in r.json]
    case("... also under the id its dialect gives", len(ids) == 4 and
         all(s.get("/v1/receipts/" + i).status == 200 for i in ids), ids)
    all_of = [g.json for g in got]
    r, three = all_of[0], all_of[1]
    want = {"accounting", "concurrency_mean", "energy_uj", "estimated_uj", "format", "hash", "id", "key_id", "model", "parts",
            "prev_hash", "settled", "sig", "source", "split_range_uj", "time", "tokens", "u95_uj"}
    case("it has its fields", want <= set(r) and r["model"] == "tiny" and r["settled"] is True, r)
    case("one receipt for all choices", three["tokens"]["out"] > 0 and
         three["energy_uj"] >= sum(three["parts"].values()) > 0, three)
    case("parts are the energy", all(sum(x["parts"].values()) == x["energy_uj"] for x in all_of), all_of)
    case("no label over another source", all((x["source"]["kind"] == "meter") == (x["source"]["label"] == "measured")
                                             for x in all_of), all_of)
    case("who made no answer has no receipt", s.get("/v1/receipts/chatcmpl-none").status == 404)
    return all_of


def check_by_hand(s, r):
    body = s.get("/v1/receipts/" + r["id"]).body.encode()
    case("its bytes are the canonical ones", body == canon(r), body)
    case("its hash is SHA-256 of it without hash and sig",
         hashlib.sha256(canon(without(r, "hash", "sig"))).hexdigest() == r["hash"], r)
    keys = s.get("/sobre/v1/receipt-key")
    case("the public key needs no key", keys.status == 200 and keys.json["key_id"] == r["key_id"] and
         "PRIVATE" not in keys.body, keys)
    if not shutil.which("openssl"):
        skip("the signature holds for another program", "no openssl command")
        return keys.body
    files = [os.path.join(room, n) for n in ("key.pem", "signed", "sig")]
    kid = keys.json["key_id"]
    shutil.copy(os.path.join(s.home, "receipt-keys", kid + ".pem"), files[0])
    for path, data in zip(files[1:], (canon(without(r, "sig")), base64.urlsafe_b64decode(r["sig"] + "=="))):
        with open(path, "wb") as f:
            f.write(data)
    d = subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", files[0], "-rawin", "-in", files[1],
                        "-sigfile", files[2]], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    case("the signature holds for another program", d.returncode == 0, d)
    return keys.body


def verify(home, r, keys):
    path, key = os.path.join(room, "receipt.json"), os.path.join(room, "keys.json")
    with open(path, "w") as f:
        json.dump(r, f, indent=2)
    with open(key, "w") as f:
        f.write(keys)
    code, out, err = energy(home, "verify", path)
    case("verify: right, and what it says", code == 0 and r["source"]["label"] in out and r["key_id"] in err, (code, out, err))
    code, out, err = energy(home, "verify", "--json", "-", text=json.dumps(r))
    case("... from standard input, as JSON", code == 0 and json.loads(out)["valid"] and
         json.loads(out)["energy_uj"] == r["energy_uj"], (code, out, err))
    elsewhere = os.path.join(room, "elsewhere")
    os.makedirs(elsewhere, exist_ok=True)
    code, out, err = energy(elsewhere, "verify", path)
    case("... elsewhere only with the server's key", code == 1 and "--key" in err, (code, out, err))
    code, out, err = energy(elsewhere, "verify", "--key", key, path)
    case("... and there with it", code == 0, (code, out, err))
    lies = [dict(r, energy_uj=r["energy_uj"] + 1), dict(r, id="other"), without(r, "sig"), dict(r, settled=False), {}, 7,
            dict(r, source=dict(r["source"], label="exact")), dict(r, key_id="0" * 16), dict(r, sig="A" * 86)]
    got = [energy(home, "verify", "-", text=json.dumps(x)) for x in lies]
    case("whatever is changed is refused in one line", all(g[0] == 1 and not g[1] and g[2].count("\n") == 1 for g in got), got)
    # Somebody who makes a right hash and no signature: an estimate that calls itself measured.
    lie = dict(r, source=dict(r["source"], kind="meter", label="measured"))
    lie["hash"] = hashlib.sha256(canon(without(lie, "hash", "sig"))).hexdigest()
    code, out, err = energy(home, "verify", "--json", "-", text=json.dumps(lie))
    case("no estimate passes as measured", code == 1 and not json.loads(out)["valid"], (code, out, err))


def keys(home, r):
    path = os.path.join(home, "receipt-keys/signing.pem")
    case("the private key is its owner's alone", os.stat(path).st_mode & 0o077 == 0 and
         os.stat(os.path.dirname(path)).st_mode & 0o077 == 0)
    before = json.loads(energy(home, "key", "--json")[1])
    code, out, err = energy(home, "key", "rotate", "--json")
    after = json.loads(out)
    case("rotate makes another key and keeps the old one's public half", code == 0 and
         after["key_id"] != before["key_id"] and before["key_id"] in [k["kid"] for k in after["keys"]], (before, after))
    code, out, err = energy(home, "verify", "-", text=json.dumps(r))
    case("old receipts stay right", code == 0, (code, out, err))
    code, out, err = energy(home, "key")
    case("key shows the one in use", code == 0 and out.startswith(after["key_id"]), (code, out, err))
    case("another word is a usage error", energy(home, "key", "burn")[0] == 2)
    return after["key_id"]


def ledger_lines(home):
    with open(os.path.join(home, "ledger/ledger.jsonl"), "rb") as f:
        return f.read().splitlines()


def audit(home, n):
    code, out, err = energy(home, "audit", "--json")
    a = json.loads(out)
    case("audit: the sum holds and the chain is whole", code == 0 and a["chain_ok"] and a["n_receipts"] == n and
         a["meter_uj"] == sum(a[k] for k in SUMS), (code, out, err))
    code, out, err = energy(home, "audit")
    case("... for people", code == 0 and "whole" in err and "requests" in out, (code, out, err))
    prev = "0" * 64
    good = True
    for line in ledger_lines(home):
        o = json.loads(line)
        good = good and line == canon(o) and o["prev"] == prev and \
            hashlib.sha256(canon(without(o, "hash"))).hexdigest() == o["hash"]
        prev = o["hash"]
    case("the chain holds for anybody who has SHA-256", good)


def damage(home):
    path = os.path.join(room, "copy/ledger.jsonl")
    shutil.copytree(os.path.join(home, "ledger"), os.path.dirname(path))
    whole = open(path, "rb").read()
    case("a ledger elsewhere is read by its path", energy(home, "audit", path)[0] == 0 and
         energy(home, "audit", os.path.dirname(path))[0] == 0)
    bad = []
    for i in range(7, len(whole) - 1, max(1, len(whole) // 25)):
        with open(path, "wb") as f:
            f.write(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1:])
        code, out, err = energy(home, "audit", "--json", path)
        a = json.loads(out)
        if code != 1 or a["chain_ok"] or a["first_bad_line"] is None or "line" not in err:
            bad.append((i, code, out, err))
    case("a changed byte is noticed, and its line named", not bad, bad[:2])
    with open(path, "wb") as f:
        f.write(whole[:-9])
    code, out, err = energy(home, "audit", "--json", path)
    case("a torn last line is told, and no error", code == 0 and json.loads(out)["torn_bytes"] > 0, (code, out, err))
    code, out, err = energy(home, "audit", os.path.join(room, "none"))
    case("no ledger is an error that names it", code == 1 and "none" in err and not out, (code, out, err))


def at_the_terminal():
    home = os.path.join(room, "terminal")
    os.makedirs(home)
    path = os.path.join(room, "run.json")
    env = dict(os.environ, SOBRE_HOME=home, HOME=home, LC_ALL="C.UTF-8")

    def run(*more):
        return subprocess.run([SOBRE, "run", "-m", MODEL, "-n", "8", "--receipt", path, *more, "x"], env=env, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    d = run()
    r = json.load(open(path))
    case("run --receipt leaves a settled receipt", d.returncode == 0 and r["settled"] and r["energy_uj"] > 0 and
         r["tokens"]["out"] <= 8, (d, r))
    case("... that verifies", energy(home, "verify", path)[0] == 0)
    run("--grid", "FR", "--tariff", "0.25EUR")
    r = json.load(open(path))
    case("grams and money are lines of their own, each with its source", r["co2e"]["zone"] == "FR" and r["co2e"]["year"] and
         r["co2e"]["kind"] == "average" and r["cost"]["currency"] == "EUR" and r["cost"]["per_kwh"] == "0.25" and
         energy(home, "verify", path)[0] == 0, r)
    code, out, err = energy(home, "audit", "--json")
    a = json.loads(out)
    case("... and is in this machine's ledger", code == 0 and a["n_receipts"] == 2 and a["n_starts"] == 2 and
         a["beside_uj"] == 0, (code, out, err))
    with Server("-m", MODEL, home=home):
        d = run()
    r = json.load(open(path))
    case("beside a server it is signed, and in no chain", d.returncode == 0 and r["prev_hash"] == "" and
         b"in no chain" in d.stderr and energy(home, "verify", path)[0] == 0, (d, r))
    case("without it nothing is written", not os.path.exists(os.path.join(room, "quiet")) and subprocess.run(
        [SOBRE, "run", "-m", MODEL, "-n", "2", "x"], env=dict(env, SOBRE_HOME=os.path.join(room, "quiet")),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE).returncode == 0 and
        not os.path.exists(os.path.join(room, "quiet")))


def in_a_chat():
    home, path = os.path.join(room, "chat"), os.path.join(room, "of-a-chat.json")
    env = dict(os.environ, SOBRE_HOME=home, LC_ALL="C")
    here = ("-m", MODEL, "--template", "chatml", "-t", "1")

    def chat(text, *args, by=here, **more):
        d = subprocess.run([SOBRE, "chat", *by, "-n", "4", "--temp", "0", *args], input=text.encode(), env=dict(env, **more), stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)
        return d.returncode, d.stdout.decode("utf-8", "replace"), d.stderr.decode()
    code, _, err = chat("/receipt\n")
    case("/receipt before an answer", code == 1 and "there is no answer yet" in err and not os.path.exists(home), err)
    code, _, _ = chat("hello\n")
    case("a chat that nobody asks for one writes nothing", code == 0 and not os.path.exists(home))
    code, out, err = chat("hello\n/receipt\n/receipt %s\nagain\n/receipt %s\n" % (path, path + "2"),
                          "--grid", "FR", "--tariff", "0.25EUR")
    r, r2 = json.load(open(path)), json.load(open(path + "2"))
    label = "measured" if r["source"]["kind"] == "meter" else "estimated"
    case("/receipt shows the last answer's", code == 0 and re.search(
        r"^(about )?\S+ \S?J \(.* to .*\), %s\ncarbon: .* at 56 g/kWh .*\ncost: .*\nsigned by key %s; part of no chain$" % (
            label, r["key_id"]), out, re.M), (code, out, err))
    case("/receipt FILE writes it, signed", r["settled"] and r["cost"]["currency"] == "EUR" and
         r["prev_hash"] == "" and r["tokens"]["out"] == 4 and r["co2e"]["zone"] == "FR" and
         energy(home, "verify", path)[0] == 0, r)
    case("of the last answer alone", r2["id"] != r["id"] and r2["tokens"]["in"] > r["tokens"]["in"] and
         energy(home, "verify", path + "2")[0] == 0, (r, r2))
    code, _, err = chat("hello\n/receipt %s\n/receipt %s\n" % (path, path + "2"))
    case("asked for twice it is one", code == 0 and open(path).read() == open(path + "2").read(), err)
    case("it keeps no server from the ledger", not os.path.exists(os.path.join(home, "ledger")))
    code, _, err = chat("hello\n/receipt /nonexistent/x\n")
    case("a file that cannot be written", code == 1 and "cannot write '/nonexistent/x'" in err, err)
    code, out, _ = chat("hello\n/receipt\n", LC_ALL="fr_FR.UTF-8")
    case("in French", code == 0 and "sign\u00e9 par la cl\u00e9" in out, out)
    with Server("-m", MODEL) as s:
        code, out, err = chat("hello\n/receipt\n/receipt %s\n" % path, by=("--server", "http://127.0.0.1:%d" % s.port))
        r = json.load(open(path))
        case("of a server's answer it is the server's", code == 0 and "in the ledger of the server" in out and
             r["prev_hash"] and r == s.get("/v1/receipts/" + r["id"]).json and energy(s.home, "verify", path)[0] == 0,
             (code, out, err))
    live = os.path.join(room, "live")
    with open(live, "w") as f:
        f.write("50 2020-01-01T00:00:00Z FR\n")
    code, _, err = chat("hello\n/receipt %s\n" % path, "--grid", live)
    r = json.load(open(path))
    case("a file of grams that is old", code == 0 and r["co2e"]["kind"] == "average" and
         r["co2e"]["note"] == "the operator's file is too old, so the table is used" and err.count("is too old") == 1, (r, err))


def a_chat_reads_the_grid_again():
    home, live, path = (os.path.join(room, name) for name in ("chat", "fresh", "fresh.json"))

    def put(grams, age):
        with open(live + ".new", "w") as f:
            f.write("%s %d FR\n" % (grams, time.time() - age))
        os.rename(live + ".new", live)
    put(50, 0)
    p = subprocess.Popen([SOBRE, "chat", "-m", MODEL, "--template", "chatml", "-n", "4", "--temp", "0", "-t", "1", "--grid",
                          live], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env=dict(os.environ, SOBRE_HOME=home, LC_ALL="C"))
    seen = []
    for grams, age in ((50, 0), (70.5, 0), (90, 7300)):
        put(grams, age)
        p.stdin.write(b"hello\n/receipt %s\n" % path.encode())
        p.stdin.flush()
        end = time.monotonic() + 30
        while not os.path.exists(path) and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(0.1)
        co2e = json.load(open(path))["co2e"]
        seen.append((co2e["g_per_kwh"], co2e["kind"]))
        os.unlink(path)
    _, err = p.communicate()
    case("a chat reads the file again, and says when it is of no use", p.returncode == 0 and seen == [
        (50, "live"), (70.5, "live"), (56, "average")] and err.count(b"is too old") == 1, (seen, err))


def main():
    with Server("-m", MODEL) as s:
        made = answers(s)
        all_of = receipts(s, made)
        public = check_by_hand(s, all_of[0])
        home = s.home
        verify(home, all_of[0], public)
        key_id = keys(home, all_of[0])
        r = s.chat("again")
        last = settled(s, r.json["id"]).json
        case("a running server signs with the new key", last["key_id"] == key_id, last)
        case("... and one more receipt verifies", energy(home, "verify", "-", text=json.dumps(last))[0] == 0)
        audit(home, 6)
        s.p.kill()
        s.p.wait()
    with open(os.path.join(home, "ledger/ledger.jsonl"), "ab") as f:
        f.write(b'{"beside_uj":0,"est')  # what a kill may leave
    with Server("-m", MODEL, home=home) as s:
        old = s.get("/v1/receipts/" + all_of[0]["id"])
        case("after kill -9 receipts of before are still there", old.status == 200 and old.json == all_of[0], old)
        settled(s, s.chat("more").json["id"])
        audit(home, 7)
    damage(home)

    at_the_terminal()
    in_a_chat()
    a_chat_reads_the_grid_again()
    finish()


main()
