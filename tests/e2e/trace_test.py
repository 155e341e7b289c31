#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`sobre bench trace` on a tiny model: chats of both shapes, by one user and by several, equal work, levers, and peers
that do another work than they were asked for."""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from serve import MORE, SOBRE, tiny_model  # noqa: E402
from tap import case, finish  # noqa: E402

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
CHATS = [{"turns": ["Tell me of rivers.", "And of the sea?"], "theme": "water"},
         {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Is tea warm?"},
                       {"role": "assistant", "content": "It is."}, {"role": "user", "content": "Always?"}]},
         {"turns": ["One question."]}]
# Stands for another server: sobre behind a few lines that may change what comes back.
PEER = """import http.server, json, os, subprocess, sys, urllib.request
of = lambda name: sys.argv[sys.argv.index(name) + 1]
port, log = int(of("--port")), open(%(log)r, "a")
class Peer(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def say(self, status, value):
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def do_GET(self):
        self.say(200, {})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        log.write(json.dumps(body) + "\\n")
        log.flush()
        p, n = %(prompt)s, %(new)s
        if body["messages"][-1]["content"] == %(refuse)r:
            return self.say(400, {"error": {"message": "no tea here"}})
        self.say(200, {"choices": [{"message": {"role": "assistant", "content": "words"}}],
                       "usage": {"prompt_tokens": p, "completion_tokens": n}})
http.server.ThreadingHTTPServer(("127.0.0.1", port), Peer).serve_forever()
"""


def peer(room, name, prompt="0", new="body['max_tokens']", refuse=None):
    path = os.path.join(room, name + ".py")
    with open(path, "w") as f:
        f.write(PEER % {"log": path + ".log", "prompt": prompt, "new": new, "refuse": refuse})
    return "%s %s" % (sys.executable, path), path + ".log"


def bench(*words, env=None):
    more = ("--with", " ".join(MORE)) if MORE and "--with" not in words else ()
    d = subprocess.run([SOBRE, "bench", "trace", *words, "-n", "5", "-t", "1", *more],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "LC_ALL": "C", **(env or {})})
    return d.returncode, d.stdout.decode(), d.stderr.decode()


def alone(file, model):
    code, out, err = bench(file, "-m", model, "--json")
    d = json.loads(out) if code == 0 else {"runs": []}
    runs = d["runs"]
    case("one object", code == 0 and d["chats"] == 3 and d["answers"] == 5 and d["tokens_per_answer"] == 5 and d["starts"] == 2, (code, out, err))
    case("1 user, then 8", [(r["server"], r["users"]) for r in runs] == [("sobre", 1), ("sobre", 8)], runs)
    case("every answer as long as asked", all(r["completion_tokens"] == 25 for r in runs), runs)
    case("both read the same", len({r["prompt_tokens"] for r in runs}) == 1 and runs[0]["prompt_tokens"] > 100, runs)
    case("the shared beginning is found again", all(0 < r["cached_tokens"] < r["prompt_tokens"] for r in runs[:1]), runs)
    case("and say the same", all(r["same_words"] for r in runs), runs)
    case("processor time, of loading apart", all(0 < r["cpu_seconds_of_a_start"] < 5 * r["cpu_seconds_per_answer"] for r in runs), runs)
    case("joules of the receipts", all(r["receipt_joules_per_answer"] > 0 and r["energy_source"] == "estimated" for r in runs), runs)
    case("without a meter no joules of the package", all(r["package_joules_per_answer"] is None for r in runs), runs)


def levers(file, model):
    code, out, err = bench(file, "-m", model, "-b", "2", "--levers", "--chats", "2")
    rows = {line.split(" | ")[0][2:]: line.strip("| ").split(" | ") for line in out.splitlines() if line.count("|") == 8}
    case("a row for every lever", code == 0 and len(rows) == 15 and "one answer at a time" in rows, (code, out, err))
    same = [n for n in ("as it is", "no prefix is used again", "no token is guessed", "one answer at a time", "--eco: answers by one thread", "one thread for everything",
                        "threads by measurement: --governor auto", "the first waits for others: --batch-wait 25", "half of the processors' time: --power 50",
                        "weights read from the file in each step") if rows.get(n, [""])[-1] != "the same"]
    case("levers that lose nothing say the same words", not same, (same, out))
    head = [line for line in out.splitlines() if line.startswith("| 2 chats, 4 answers of 5 tokens, 1 restart, 1 thread | sobre |")]
    case("the table says what was asked", len(head) == 1 and "2 users: of them found in a cache" in out, out)


def peers(file, model, room):
    code, out, _ = bench(file, "-m", model, "--json", "-b", "1")
    reads = json.loads(out)["runs"][0]["prompt_tokens"]
    # The first questions' tokens are found by asking with one chat at a time.
    firsts = {}
    for i, text in enumerate(("Tell me of rivers.", "Is tea warm?", "One question.")):
        one = os.path.join(room, "one.jsonl")
        chat = {"turns": [text]} if i != 1 else {"messages": CHATS[1]["messages"][:2]}
        with open(one, "w") as f:
            f.write(json.dumps(chat) + "\n")
        firsts[text] = json.loads(bench(one, "-m", model, "--json", "-b", "1")[1])["runs"][0]["prompt_tokens"]
    later = (reads - sum(firsts.values())) // 2
    prompt = "%r.get(body['messages'][-1]['content'], %d)" % (firsts, later)
    good, log = peer(room, "good", prompt)
    code, out, err = bench(file, "-m", model, "-b", "1", "--json", "--peer", good)
    runs = json.loads(out)["runs"] if code == 0 else []
    case("a peer that does the same work", code == 0 and len(runs) == 2 and runs[1]["server"] == good.replace(os.path.dirname(sys.executable) + "/", ""),
         (code, out, err))
    case("its ratio", runs and runs[1]["cpu_ratio_of_sobre"] > 0 and runs[1]["cpu_seconds_per_answer"] > 0, runs)
    asked = [json.loads(line) for line in open(log)]
    case("all ask for the same", len(asked) == 5 and all(a["max_tokens"] == 5 and a["temperature"] == 0 and a["ignore_eos"] for a in asked), asked)
    said = [[m["content"] for m in a["messages"]] for a in asked]
    shared = {tuple(s[:1]) for s in said if s[0] != "Be brief."}
    case("a shared system prompt", len(shared) == 1 and len(shared.pop()[0]) > 100, said)
    case("its own words go on", [s[1:] for s in said if s[-1] == "And of the sea?"] == [["Tell me of rivers.", "words", "And of the sea?"]], said)
    case("words of the file go on", [s for s in said if s[-1] == "Always?"] == [["Be brief.", "Is tea warm?", "It is.", "Always?"]], said)
    open(log, "w").close()
    code, out, err = bench(file, "-m", model, "-b", "1", "--fixed-answers", "--json")
    ours = json.loads(out)["runs"][0]["prompt_tokens"]
    fixed, log2 = peer(room, "fixed", "%r.get(body['messages'][-1]['content'], %d)" % (firsts, (ours - sum(firsts.values())) // 2))
    code, out, err = bench(file, "-m", model, "-b", "1", "--fixed-answers", "--peer", fixed)
    said = [[m["content"] for m in json.loads(line)["messages"]] for line in open(log2)]
    case("fixed words go on", code == 0 and [s[2][:15] for s in said if s[-1] == "And of the sea?"] == ["That depends on"], (said, err))
    code, out, err = bench(file, "-m", model, "-b", "1", "--most", "0.000001", "--peer", good)
    case("a bound that is missed", code == 1 and "processor time of" in err and "1 user: CPU s per answer" in out, (code, out, err))
    short, _ = peer(room, "short", prompt, "body['max_tokens'] - 1")
    code, out, err = bench(file, "-m", model, "-b", "1", "--peer", short)
    case("a peer with fewer tokens is refused", code == 1 and out == "" and "an answer of 4 tokens where 5 were asked for: that is not equal work" in err, (code, out, err))
    other, _ = peer(room, "other", "7")
    code, out, err = bench(file, "-m", model, "-b", "1", "--peer", other)
    case("one that reads another prompt is refused", code == 1 and "reads 7: that is not equal work" in err, (code, out, err))
    more, _ = peer(room, "more", "%r.get(body['messages'][-1]['content'], 9999)" % firsts)
    code, out, err = bench(file, "-m", model, "-b", "1", "--peer", more)
    case("one that reads far more later is refused", code == 1 and "more than 5 % apart is not equal work" in err, (code, out, err))
    angry, _ = peer(room, "angry", prompt, refuse="Is tea warm?")
    code, out, err = bench(file, "-m", model, "-b", "1", "--peer", angry)
    case("what a peer refuses is told", code == 1 and "chat 2: status 400: no tea here" in err, (code, out, err))


def wrong(file, model, room):
    for what, words, text in (("no such program", ("--peer", "/no/such/server"), "cannot be run"),
                              ("a program that ends", ("--peer", "/bin/false"), "ended: it said nothing"),
                              ("an option the server lacks", ("--with", "--wings"), "unknown option '--wings'")):
        code, out, err = bench(file, "-m", model, *words)
        case(what, code == 1 and out == "" and text in err, (code, out, err))
    for what, line, text in (("no JSON", "{", "line 2: chat: not JSON"), ("no question", '{"turns": []}', 'line 2: neither "turns" nor'),
                             ("a turn that is no text", '{"turns": [1]}', "line 2: turns: number 1"),
                             ("a role that nobody has", '{"messages": [{"role": "tool", "content": ""}]}', "line 2: messages: number 1")):
        path = os.path.join(room, "wrong.jsonl")
        with open(path, "w") as f:
            f.write('{"turns": ["x"]}\n%s\n' % line)
        code, out, err = bench(path, "-m", model)
        case("a file with " + what, code == 1 and text in err, (code, out, err))
    case("--peer without trace", subprocess.run([SOBRE, "bench", "-m", model, "--levers"], stderr=subprocess.DEVNULL).returncode == 2)
    case("another verb", subprocess.run([SOBRE, "bench", "race", "-m", model], stderr=subprocess.DEVNULL).returncode == 2)


def rooms():
    return {f for f in os.listdir("/tmp") if f.startswith("sobre-trace-")}


def day(model, before):
    code, out, err = bench("-m", model, "-b", "8", "--chats", "3", "--json")
    case("the day that comes with the program", code == 0 and json.loads(out)["answers"] == 6, (code, out, err))
    path = os.path.join(ROOT, "bench", "chats.jsonl")
    chats = [json.loads(line) for line in open(path, encoding="utf-8")]
    case("forty chats of two turns", len(chats) >= 40 and all(len(c["turns"]) == 2 for c in chats), len(chats))
    left = rooms() - before
    case("nothing stays in /tmp", not left, left)


def written_down(file, model, room):
    """tools/bench-trace from end to end, beside sobre itself in the place of llama-server."""
    llama, out = os.path.join(room, "servers"), os.path.join(room, "RESULTS.md")
    os.makedirs(llama)
    with open(os.path.join(llama, "llama-server"), "w") as f:
        f.write("#!/bin/sh\n[ \"$1\" != -np ] || { [ \"$*\" = \"-np 8 -c 16384 ${*#-np 8 -c 16384 }\" ] || exit 1; shift 4; }\n"
                "SOBRE_HOME=%s/home exec %s serve \"$@\"\n" % (llama, os.path.abspath(SOBRE)))
    os.chmod(os.path.join(llama, "llama-server"), 0o755)
    with open(out, "w") as f:
        f.write("# Side by side\n\nfigures of before\n\n# A day of chats: tiny\n\nold figures\n\n# Something else\n\nstays\n")
    d = subprocess.run([sys.executable, os.path.join(ROOT, "tools", "bench-trace"), "--llama-bin", llama, "-n", "4", "-t", "1", "-b", "2",
                        "--trace", file, "--out", out, model], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    text = open(out).read()
    case("written between what others wrote", text.startswith("# Side by side\n\nfigures of before\n\n# A day of chats: tiny\n\nWritten by") and
         text.endswith("\n\n# Something else\n\nstays\n") and "old figures" not in text, text)
    case("it is not a third of itself", d.returncode == 1 and "(aim: 1/5): missed: users: 2: " in text, (d, text))
    case("the command, without its folders", "`sobre bench trace" in text and "--peer 'llama-server -np 8 -c 16384'" in text and llama not in text, text)
    case("a column for each", "| sobre | llama-server | llama-server -np 8 -c 16384 | sobre / them |" in text, text)


def main():
    before = rooms()
    with tempfile.TemporaryDirectory(prefix="sobre-tracetest-") as room:
        model, file = tiny_model(os.path.join(room, "tiny.gguf"), "--ctx", "2048"), os.path.join(room, "chats.jsonl")
        with open(file, "w") as f:
            f.write("\n".join(map(json.dumps, CHATS)) + "\n\n")
        alone(file, model)
        levers(file, model)
        peers(file, model, room)
        wrong(file, model, room)
        written_down(file, model, room)
        day(model, before)
    finish()


main()
