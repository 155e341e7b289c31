#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""usage: tests/web/fake.py DIR [PORT] - the page's routes (docs/page-api.md) without a model, for work on the
page: DIR is what tools/bundle-page made. A mark in the message chooses the answer, as with tests/scripted.py:
[sample], [think], [forever], [queue] (waits and reads first), else a greeting. State is gone when it ends."""
import json
import os
import re
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CSP = ("default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; "
       "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
TYPES = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml", "woff2": "font/woff2",
         "txt": "text/plain; charset=utf-8"}
SAMPLE = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "sample.md"), encoding="utf-8").read()
lock = threading.RLock()
feeds = []
convs, msgs = {}, {}
revision = [1]
pulls = {}
number = [0]


def new_id(prefix):
    number[0] += 1
    return "%s%06d" % (prefix, number[0])


def say(event, data, c=None):
    revision[0] += 1
    for f in list(feeds):
        if c is None or f["c"] == c:
            f["out"].append((event, data, None))
            f["wake"].set()


def energy(tokens):
    uj = tokens * 180000
    return {"source": "estimated", "energy_uj": uj, "energy_uj_low": uj // 3, "energy_uj_high": uj * 2}


def receipt(m):
    """As src/energy/receipt.h; nobody signed it."""
    s, e = m["usage"]["stats"], m["usage"]["energy"]
    uj, measured = e["energy_uj"], e["source"] == "measured"
    scope = "all packages; not memory, disks" if measured else "the processor; not memory, disks"
    return {"format": "sobre-receipt-1", "id": m["usage"]["receipt"], "model": m["model"], "time": "2026-11-27T08:00:00Z",
            "settled": True, "accounting": "full", "concurrency_mean": 1.25, "energy_uj": uj, "estimated_uj": 0 if measured else uj,
            "u95_uj": [e["energy_uj_low"], e["energy_uj_high"]], "split_range_uj": [uj * 9 // 10, uj * 11 // 10],
            "parts": {"prefill": uj // 4, "decode": uj - uj // 4, "recompute": 0},
            "source": {"kind": "meter" if measured else "model", "label": e["source"], "meter": "rapl" if measured else "cpu time",
                       "method": "shapley", "scope": scope, "excludes": ["memory", "disks"]},
            "co2e": {"mg": uj * 56e-6 / 3600, "g_per_kwh": 56, "zone": "FR", "year": 2023, "kind": "average", "source": "a table"},
            "cost": {"amount": "%.9f" % (uj * .25 / 3.6e12), "currency": "EUR", "per_kwh": "0.250000000"},
            "tokens": {"in": s["n_prompt"], "cached": s["n_cached"], "out": s["n_out"]},
            "prev_hash": "", "hash": "ab" * 32, "key_id": "cd" * 8, "sig": "A" * 86}


def add_energy(parts):
    parts = [p for p in parts if p]
    if not parts:
        return {"source": "unavailable"}
    return {"source": "estimated", **{k: sum(p[k] for p in parts) for k in ("energy_uj", "energy_uj_low", "energy_uj_high")}}


def path(c):
    out, m = [], msgs.get(convs[c]["leaf"])
    while m:
        out.append(m)
        m = msgs.get(m["parent"])
    return out[::-1]


def shown(m, whole=False):
    twins = [x["id"] for x in msgs.values() if x["c"] == m["c"] and x["parent"] == m["parent"]]
    i = twins.index(m["id"])
    out = {"reasoning": "", **{k: v for k, v in m.items() if k not in ("c", "stop")}}
    out["text_bytes"] = len(m["text"].encode())
    out["reasoning_bytes"] = len(m.get("reasoning", "").encode())
    out["branch"] = {"i": i + 1, "n": len(twins), "prev": twins[i - 1] if i else None,
                     "next": twins[i + 1] if i + 1 < len(twins) else None}
    if len(m["text"]) > 262144 and not whole:
        out.update(text=m["text"][:262144], cut=True)
    return out


def conv(c):
    o = dict(convs[c])
    mine = [m for m in msgs.values() if m["c"] == c]
    o.update(order=int(o["updated_s"] * 1000), n_messages=len(mine), running=any(m["state"] == "running" for m in mine),
             energy=add_energy([m["usage"]["energy"] for m in mine if "usage" in m]))
    return o


def add(c, parent, role, text, **more):
    m = dict(id=new_id("m"), c=c, parent=parent, role=role, text=text, state="done", created_s=time.time(), **more)
    msgs[m["id"]] = m
    convs[c]["leaf"] = m["id"]
    convs[c]["updated_s"] = time.time()
    return m


def answer(c, parent, text):
    m = add(c, parent, "assistant", "", reasoning="", model="smollm2-135m")
    m["state"] = "running"
    m["stop"] = False
    threading.Thread(target=run, args=(c, m, text), daemon=True).start()
    return m


def run(c, m, ask):
    delay, think, reply = 0.012, "", "Hello, how can I help?"
    if "[sample]" in ask:
        reply = SAMPLE
    if "[forever]" in ask:
        reply, delay = "".join("la lo. " if i % 40 else "la lo.\n\n" for i in range(1, 6000)), 0.004
    if "[think]" in ask:
        think = "They greet me.\n\n- one\n- two"
    time.sleep(0.05)
    if "[queue]" in ask:
        for place in (2, 1, 0):
            say("phase", {"conversation": c, "message": m["id"], "phase": "queued", "place": place}, c)
            time.sleep(1)
        for done in range(128, 2049, 128):
            say("phase", {"conversation": c, "message": m["id"], "phase": "prefill", "done": done, "all": 2048, "cached": 0}, c)
            time.sleep(0.3)
    t0, n = time.time(), 0
    for kind, whole in (("reasoning", think), ("text", reply)):
        for piece in re.findall(r"\s*\S{1,6}|\s+$", whole):
            with lock:
                if m["stop"]:
                    break
                at = len(m[kind].encode())
                m[kind] += piece
                say("delta", {"conversation": c, "message": m["id"], "kind": kind, "at": at, "text": piece}, c)
            n += 1
            time.sleep(delay)
    with lock:
        m["state"] = "stopped" if m["stop"] else "done"
        m["finish"] = "stop"
        dt = max(time.time() - t0, 1e-3)
        m["usage"] = {"stats": {"n_prompt": 60, "n_cached": 42, "n_out": n, "ttft_ms": 120, "tokens_per_s": n / dt},
                      "energy": energy(n), "receipt": "r" + m["id"]}
        say("message", {"conversation": c, "message": shown(m)}, c)
        say("conversation", {"conversation": conv(c)})


def turn(c, body):
    text = body["text"]
    parent = msgs[body["edit"]]["parent"] if body.get("edit") else convs[c]["leaf"]
    user = add(c, parent, "user", text)
    if not convs[c]["title"]:
        convs[c]["title"] = " ".join(re.sub(r"[#*`>]", "", text).split())[:60]
    reply = answer(c, user["id"], text)
    out = {"conversation": conv(c), "messages": [shown(user), shown(reply)]}
    for m in out["messages"]:
        say("message", {"conversation": c, "message": m}, c)
    say("conversation", {"conversation": out["conversation"]})
    return out


MODELS = [
    dict(name="smollm2-135m", display="SmolLM2 135M Instruct (Q4_1)", licence="Apache-2.0", here=True, loaded=True, given=True,
         params_m=135, file_bytes=98362432, memory_bytes=408000000, fits="yes", n_ctx=8192),
    dict(name="qwen3-4b", display="Qwen3 4B (Q4_K_M)", licence="Apache-2.0", params_m=4020, file_bytes=2460000000,
         memory_bytes=3000000000, fits="yes", may_pull=True),
    dict(name="gemma3-4b", display="Gemma 3 4B Instruct (Q4_K_M)", licence="Gemma terms of use", terms="Gemma is provided under "
         "and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms.", params_m=3880,
         file_bytes=2480000000, memory_bytes=3030000000, fits="tight", may_pull=True),
    dict(name="qwen3-14b", display="Qwen3 14B (Q4_K_M)", licence="Apache-2.0", params_m=14770, file_bytes=9050000000,
         memory_bytes=10300000000, fits="no", may_pull=True)]


def pull(name):
    model = next(m for m in MODELS if m["name"] == name)
    for i in range(1, 41):
        if name not in pulls:
            return say("pull", {"name": name, "state": "failed", "error": "stopped"})
        pulls[name] = {"name": name, "state": "running", "done": model["file_bytes"] * i // 40, "all": model["file_bytes"]}
        say("pull", pulls[name])
        time.sleep(0.25)
    pulls.pop(name)
    model.update(here=True)
    say("pull", {"name": name, "state": "done"})


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def reply(self, status, body, kind="application/json", **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for k, v in headers.items():
            self.send_header(k.replace("_", "-"), v)
        self.end_headers()
        self.wfile.write(data)

    def asset(self, name):
        with open(os.path.join(sys.argv[1], os.path.basename(name)), "rb") as f:
            self.reply(200, f.read(), TYPES[name.rsplit(".", 1)[1]], Cache_Control="public, max-age=31536000, immutable")

    def events(self, q):
        feed = {"c": q.get("c"), "out": [], "wake": threading.Event()}
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        with lock:
            feed["out"].append(("hello", {"revision": str(revision[0])}, None))
            have = (self.headers.get("Last-Event-ID") or q.get("have") or "").split(":")
            for m in msgs.values():
                if m["c"] == feed["c"] and m["state"] == "running":
                    for kind, known in (("reasoning", 1), ("text", 2)):
                        at = int(have[known]) if len(have) == 3 and have[0] == m["id"] else 0
                        rest = m[kind].encode()[at:].decode()
                        if rest:
                            feed["out"].append(("delta", {"conversation": m["c"], "message": m["id"], "kind": kind,
                                                          "at": at, "text": rest}, None))
                elif len(have) == 3 and have[0] == m["id"]:
                    feed["out"].append(("ended", {"conversation": m["c"], "message": m["id"]}, None))
            feeds.append(feed)
        try:
            while True:
                with lock:
                    out, feed["out"] = feed["out"], []
                    feed["wake"].clear()
                for event, data, _ in out:
                    self.wfile.write(("event: %s\ndata: %s\n\n" % (event, json.dumps(data))).encode())
                self.wfile.flush()
                feed["wake"].wait()
        except OSError:
            pass
        finally:
            feeds.remove(feed)
            self.close_connection = True

    def do(self):
        url = urllib.parse.urlsplit(self.path)
        q = dict(urllib.parse.parse_qsl(url.query))
        n = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(n) or b"{}") if n else {}
        p = url.path
        if p == "/":
            with open(os.path.join(sys.argv[1], "index.html"), "rb") as f:
                return self.reply(200, f.read(), "text/html; charset=utf-8", Content_Security_Policy=CSP)
        if p.startswith("/sobre/page/"):
            return self.asset(p)
        if not p.startswith("/sobre/v1/"):
            return self.reply(404, {"error": {"message": "no such path"}})
        if p == "/sobre/v1/events":
            return self.events(q)
        with lock:
            found = self.api(self.command, p[10:].split("/"), q, body)
        if isinstance(found, tuple):
            return self.reply(*found)
        return self.reply(200, found)

    def api(self, method, p, q, body):
        if p == ["hello"]:
            return {"version": "0.1.0", "auth": "none", "owner": "",
                    "limits": {"file_bytes": 1000000, "message_bytes": 16000000}}
        if p == ["models"]:
            return {"models": [dict(m, pull=pulls.get(m["name"])) for m in MODELS],
                    "machine": {"memory_bytes": 8200000000, "free_bytes": 5100000000}}
        if p[0] == "models":
            if method == "POST":
                pulls[p[1]] = {"name": p[1], "state": "running", "done": 0, "all": 1}
                threading.Thread(target=pull, args=(p[1],), daemon=True).start()
            else:
                pulls.pop(p[1], None)
            return {}
        if p[0] == "receipts":
            found = [m for m in msgs.values() if m.get("usage", {}).get("receipt") == p[1]]
            return receipt(found[0]) if found else (404, {"error": {"message": "there is no receipt of this id"}})
        if p == ["receipt-key"]:
            return {"key_id": "cd" * 8, "keys": []}
        if p == ["energy"]:
            hours = []
            for i in range(24):
                mine = [m for m in msgs.values() if m.get("usage") and 0 <= m["created_s"] - float(q["from"]) - i * 3600 < 3600]
                hours.append({"answers": len(mine), "tokens": sum(m["usage"]["stats"]["n_out"] for m in mine),
                              "energy": add_energy([m["usage"]["energy"] for m in mine])})
            return {"hours": hours, "sum": {"answers": sum(h["answers"] for h in hours), "tokens": sum(h["tokens"] for h in hours),
                                            "energy": add_energy([h["energy"] for h in hours if h["answers"]])}}
        if p == ["import"]:
            for c in body.get("conversations", [body]):
                i = new_id("c")
                convs[i] = dict(id=i, title=c.get("title", ""), created_s=time.time(), updated_s=time.time(), leaf=None, model="",
                                system="", sampling={})
                parent = None
                for m in c["messages"]:
                    parent = add(i, parent, m["role"], m["content"])["id"]
                say("conversation", {"conversation": conv(i)})
            return {"n": 1}
        if p == ["conversations"]:
            if method == "POST":
                i = new_id("c")
                convs[i] = dict(id=i, title="", created_s=time.time(), updated_s=time.time(), leaf=None, model=body.get("model", ""),
                                system=body.get("system", ""), sampling=body.get("sampling", {}))
                return conv(i)
            found = [conv(c) for c in convs]
            if q.get("q"):
                w = q["q"].lower()
                found = [c for c in found if w in c["title"].lower() or any(w in m["text"].lower() for m in path(c["id"]))]
            return {"conversations": sorted(found, key=lambda c: -c["updated_s"])[:50], "before": None}
        c = p[1]
        if c not in convs:
            return 404, {"error": {"message": "no conversation '%s'" % c}}
        if len(p) == 2:
            if method == "PATCH":
                convs[c].update(body)
                say("conversation", {"conversation": conv(c)})
            if method == "DELETE":
                del convs[c]
                say("gone", {"conversation": c})
                return {}
            return conv(c)
        if p[2] == "branch":
            m = msgs[body["message"]]
            while True:
                below = [x for x in msgs.values() if x["parent"] == m["id"]]
                if not below:
                    break
                m = below[-1]
            convs[c]["leaf"] = m["id"]
            say("path", {"conversation": c, "leaf": m["id"]}, c)
            return {"leaf": m["id"]}
        if p[2] == "messages" and len(p) == 3:
            if method == "POST":
                return turn(c, body)
            whole = path(c)
            end = next((i for i, m in enumerate(whole) if m["id"] == q.get("before")), len(whole))
            begin = max(0, end - int(q.get("limit", 40)))
            return {"messages": [shown(m) for m in whole[begin:end]], "before": whole[begin]["id"] if begin else None}
        m = msgs[p[3]]
        if len(p) == 4:
            return shown(m, True)
        if p[4] == "stop":
            m["stop"] = True
            return {}
        if p[4] == "again":
            reply = answer(c, m["parent"], msgs[m["parent"]]["text"])
            say("path", {"conversation": c, "leaf": reply["id"]}, c)
            return {"conversation": conv(c), "messages": [shown(reply)]}
        return 404, {"error": {"message": "no such path"}}

    do_GET = do_POST = do_PATCH = do_DELETE = do


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


if __name__ == "__main__":
    server = Server(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0), Handler)
    print("http://127.0.0.1:%d/" % server.server_port, flush=True)
    server.serve_forever()
