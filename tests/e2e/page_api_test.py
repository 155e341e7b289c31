#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The page's own routes (docs/page-api.md) without a browser: files and their headers, conversations, answers that
outlive their connection and their server's death, feeds that say the rest, owners who never see each other.

Needs nothing but the server; the model is a scripted one."""
import contextlib
import gzip
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import scripted  # noqa: E402
from served import SOBRE, Served  # noqa: E402
from tap import case, finish  # noqa: E402

folder = tempfile.mkdtemp(prefix="sobre-page-api-")
# A leak checker reads a process from outside, which the sandbox forbids: $SOBRE_SERVE="--no-sandbox" for it.
OPTIONS = os.environ.get("SOBRE_SERVE", "").split()
MODEL = scripted.write(folder + "/scripted.gguf", n_ctx=65536)


class Feed:
    """An open event stream; events arrive on a thread."""

    def __init__(self, server, query="", headers=None):
        self.events, self.closed = [], False
        self.wake = threading.Condition()
        self.c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
        self.c.request("GET", "/sobre/v1/events" + query, headers=headers or {})
        self.sock = self.c.sock
        self.reply = self.c.getresponse()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        name, data = None, ""
        try:
            while line := self.reply.readline():
                line = line.decode().rstrip("\n")
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    data = line[6:]
                elif not line and name:
                    with self.wake:
                        self.events.append((name, json.loads(data)))
                        self.wake.notify_all()
                    name = None
        except (OSError, http.client.HTTPException, ValueError):
            pass
        with self.wake:
            self.closed = True
            self.wake.notify_all()

    def find(self, name, good=lambda d: True, timeout=20):
        """The first such event, waited for; None when it does not come."""
        end = time.monotonic() + timeout
        with self.wake:
            while True:
                for n, d in self.events:
                    if n == name and good(d):
                        return d
                left = end - time.monotonic()
                if left <= 0 or self.closed:
                    return None
                self.wake.wait(left)

    def text(self, kind="text"):
        """What the pieces put together are, and whether each joined the one before."""
        out, whole, begin = b"", True, None
        with self.wake:
            for name, d in self.events:
                if name == "delta" and d["kind"] == kind:
                    begin = d["at"] if begin is None else begin
                    whole = whole and d["at"] == begin + len(out)
                    out += d["text"].encode()
        return out.decode(), whole

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)


def v1(server, method, path, body=None, headers=None):
    status, _, text = server.call(method, "/sobre/v1/" + path, body, headers)
    return status, json.loads(text) if text else None


def start(server, text, headers=None, **more):
    """A new conversation with this message: (its id, the message, the answer under way)."""
    _, c = v1(server, "POST", "conversations", more, headers)
    status, sent = v1(server, "POST", "conversations/%s/messages" % c["id"], {"text": text}, headers)
    assert status == 200, sent
    return c["id"], sent["messages"][0], sent["messages"][1]


def wait_end(server, c, m, timeout=30, headers=None):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        status, message = v1(server, "GET", "conversations/%s/messages/%s" % (c, m), None, headers)
        if status != 200 or message["state"] != "running":
            return message
        time.sleep(0.05)
    return message


def files(s):
    status, h, body = s.call("GET", "/", headers={"Accept": "text/html,*/*"})
    page = body.decode()
    case("the page is at / for whoever takes HTML", status == 200 and "text/html" in h["content-type"] and "main-" in page, h)
    case("and Ollama's line for others", s.call("GET", "/")[2] == b"Ollama is running")
    csp = h.get("content-security-policy", "")
    case("it carries the strict policy", all(w in csp for w in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'",
                                                               "base-uri 'none'", "form-action 'none'")) and "unsafe" not in csp, csp)
    case("index.html names no inline script, style or handler", "<style" not in page and " style=" not in page and " on" not in
         page.replace("JavaScript. / Cette page a besoin", "") and page.count("<script") == page.count("<script src") + page.count("<script type=\"module\" src"), page)
    name = page.split('type="module" src="')[1].split('"')[0]
    status, h, plain = s.call("GET", "/" + name)
    case("files are kept for ever under a name with their hash", status == 200 and "immutable" in h["cache-control"] and
         h["content-type"].startswith("text/javascript") and "content-encoding" not in h, h)
    _, z, body = s.call("GET", "/" + name, headers={"Accept-Encoding": "br, gzip"})
    case("and come gzipped where that is taken", z.get("content-encoding") == "gzip" and gzip.decompress(body) == plain and
         z.get("vary") == "accept-encoding", z)
    case("gzip;q=0 is a no", "content-encoding" not in s.call("GET", "/" + name, headers={"Accept-Encoding": "gzip;q=0, br"})[1])
    status, h, body = s.call("GET", "/" + name, headers={"If-None-Match": h["etag"]})
    case("an ETag that fits is a 304", status == 304 and body == b"", (status, h))
    case("HEAD sends no body", s.call("HEAD", "/" + name)[2] == b"")
    statuses = [s.call("GET", p)[0] for p in ("/sobre/page/none.js", "/sobre/page/", "/sobre/page/..%2fx", "/sobre/other", "/favicon.ico")]
    case("what is not there is 404", statuses[:2] == [404] * 2 and statuses[2] in (400, 404) and statuses[3] == 404, statuses)


def conversations(s):
    status, c = v1(s, "POST", "conversations", {"system": "Be brief.", "sampling": {"temperature": 0.5}, "model": ""})
    case("a conversation is made with its settings", status == 200 and c["system"] == "Be brief." and
         c["sampling"] == {"temperature": 0.5} and c["n_messages"] == 0 and c["leaf"] is None, c)
    path = "conversations/" + c["id"]
    bad = [v1(s, "POST", "conversations", b)[0] for b in ({"system": 5}, {"sampling": []}, {"sampling": {"x": 1}}, {"sampling": {"top_p": "1"}},
                                                         {"title": []})] + [s.call("POST", "/sobre/v1/conversations", b"[]",
                                                                                   {"Content-Type": "application/json"})[0],
                                                                           s.call("POST", "/sobre/v1/conversations", b"{",
                                                                                  {"Content-Type": "application/json"})[0]]
    case("settings that are none are 400", bad == [400] * 7, bad)
    status, r = v1(s, "PATCH", path, {"title": "Renamed \u00e9", "sampling": {"top_k": 3, "seed": 7}})
    case("title and settings change, what is not named stays", r["title"] == "Renamed \u00e9" and r["system"] == "Be brief." and
         r["sampling"] == {"top_k": 3, "seed": 7}, r)
    gone = [v1(s, *x)[0] for x in (("GET", "conversations/none"), ("PATCH", "conversations/none", {}), ("DELETE", "conversations/none"),
                                   ("GET", "conversations/none/messages"), ("POST", "conversations/none/messages", {"text": "x"}),
                                   ("GET", path + "/messages/99"), ("GET", path + "/messages/x"), ("GET", "nothing"),
                                   ("GET", path + "/messages/99999999999999999999999"), ("POST", path + "/branch", {"message": "99"}))]
    case("what is not there is 404", gone == [404] * 10, gone)
    case("a method that a path does not take is 405", v1(s, "PUT", path, {})[0] == 405 and v1(s, "DELETE", "models")[0] == 405 and
         s.call("HEAD", "/sobre/v1/events")[0] == 405)
    bad = [v1(s, "POST", path + "/messages", b)[0] for b in ({}, {"text": ""}, {"text": 1}, {"text": "x", "edit": "y"}, {"text": "x", "parent": 3})]
    case("messages that are none are 400", bad == [400] * 5, bad)
    ids = [v1(s, "POST", "conversations", {"title": "n%d" % i})[1]["id"] for i in range(7)]
    first = v1(s, "GET", "conversations?limit=5")[1]
    second = v1(s, "GET", "conversations?limit=5&before=%s" % first["before"])[1]
    seen = [x["id"] for x in first["conversations"] + second["conversations"]]
    case("the list comes newest first, page by page", seen[:7] == ids[::-1] and c["id"] in seen and len(set(seen)) == len(seen), seen)
    feed = Feed(s)
    feed.find("hello")
    status, _ = v1(s, "DELETE", path)
    case("one is deleted, and feeds are told", status == 200 and v1(s, "GET", path)[0] == 404 and
         feed.find("gone", lambda d: d["conversation"] == c["id"]) is not None, feed.events)
    feed.close()


def answers(s):
    feed = Feed(s)
    feed.find("hello")
    c, user, reply = start(s, "# Hello **there**, how are things with you and yours on this fine and sunny morning of spring?")
    case("a send answers with both messages", user["role"] == "user" and user["parent"] is None and reply["parent"] == user["id"] and
         reply["role"] == "assistant" and reply["state"] in ("running", "done"), (user, reply))
    done = wait_end(s, c, reply["id"])
    case("the answer is what the model says", done["text"] == "Hello, how can I help?" and done["state"] == "done" and done["finish"] == "stop", done)
    u = done["usage"]
    case("it tells what it took", u["stats"]["n_out"] == 7 and u["stats"]["n_prompt"] > 10 and
         u["energy"]["source"] in ("estimated", "measured") and 0 < u["energy"]["energy_uj_low"] <= u["energy"]["energy_uj"] <= u["energy"]["energy_uj_high"], u)
    deadline = time.monotonic() + 10
    while True:
        status, receipt = v1(s, "GET", "receipts/" + u["receipt"])
        if status != 200 or receipt["settled"] or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    case("and names its receipt, which tells the same and more", status == 200 and receipt["id"] == u["receipt"] and
         receipt["tokens"] == {"in": u["stats"]["n_prompt"], "cached": u["stats"]["n_cached"], "out": 7, "rejected": 0} and receipt["settled"] and
         sum(receipt["parts"].values()) == receipt["energy_uj"] > 0 and receipt["sig"], receipt)
    case("it is the one programs get, byte by byte", s.call("GET", "/v1/receipts/" + u["receipt"])[2] ==
         s.call("GET", "/sobre/v1/receipts/" + u["receipt"])[2])
    case("there is none of another id", v1(s, "GET", "receipts/" + "x" * 26)[0] == 404)
    told = feed.find("conversation", lambda d: d["conversation"]["id"] == c and d["conversation"].get("energy", {}).get("energy_uj"))
    case("feeds of the owner hear of the conversation and its sum", told is not None and
         told["conversation"]["energy"]["energy_uj"] == u["energy"]["energy_uj"], feed.events[-2:])
    _, conv = v1(s, "GET", "conversations/" + c)
    case("the title is the first words, cut between two", conv["title"].startswith("Hello there, how are things") and
         conv["title"].endswith("\u2026") and len(conv["title"]) <= 65, conv["title"])
    status, sent = v1(s, "POST", "conversations/%s/messages" % c, {"text": "[think] and?"})
    done = wait_end(s, c, sent["messages"][1]["id"])
    case("reasoning stands apart", done["text"].strip() == "Good day!" and "They greet me." in done["reasoning"], done)
    case("a second turn reads only what is new", done["usage"]["stats"]["n_cached"] > 0.8 * u["stats"]["n_prompt"], done["usage"])
    _, sent = v1(s, "POST", "conversations/%s/messages" % c, {"text": "Other words", "edit": user["id"]})
    edited = sent["messages"][0]
    case("an edit is a sibling", edited["parent"] is None and edited["branch"] == {"i": 2, "n": 2, "prev": user["id"], "next": None}, edited)
    wait_end(s, c, sent["messages"][1]["id"])
    _, sent = v1(s, "POST", "conversations/%s/messages/%s/again" % (c, sent["messages"][1]["id"]), {})
    wait_end(s, c, sent["messages"][0]["id"])
    case("another answer is a sibling, too", sent["messages"][0]["branch"]["n"] == 2, sent)
    status, r = v1(s, "POST", "conversations/%s/branch" % c, {"message": user["id"]})
    _, page = v1(s, "GET", "conversations/%s/messages?limit=3" % c)
    _, top = v1(s, "GET", "conversations/%s/messages?limit=3&before=%s" % (c, page["before"]))
    case("a branch is shown down to its newest end, page by page", status == 200 and len(page["messages"]) == 3 and
         page["messages"][-1]["id"] == r["leaf"] and [m["id"] for m in top["messages"]] == [user["id"]] and top["before"] is None, (r, page, top))
    bad = [v1(s, "POST", "conversations/%s/messages/%s/again" % (c, user["id"]), {})[0],
           v1(s, "POST", "conversations/%s/messages" % c, {"text": "x", "edit": reply["id"]})[0]]
    case("only answers are asked again, only one's own messages edited", bad == [400, 400], bad)
    _, found = v1(s, "GET", "conversations?q=sunny+morn")
    case("search finds the words of messages", [x["id"] for x in found["conversations"]] == [c] and "sunny" in found["conversations"][0]["snippet"] and
         "\x02" not in found["conversations"][0]["snippet"], found)
    status, h, text = s.call("GET", "/sobre/v1/conversations/%s/export?format=md" % c)
    case("export as Markdown", status == 200 and b"sunny morning" in text and "attachment" in h["content-disposition"], h)
    status, h, text = s.call("GET", "/sobre/v1/conversations/%s/export?format=json" % c)
    status, r = v1(s, "POST", "import", text)
    _, again = v1(s, "GET", "conversations?limit=1")
    copy = again["conversations"][0]
    case("export as JSON comes back as it was", r == {"n": 1} and copy["n_messages"] == 7 and copy["title"] == conv["title"] and
         s.call("GET", "/sobre/v1/conversations/%s/export?format=json" % copy["id"])[2].split(b'"messages"')[1] == text.split(b'"messages"')[1], copy)
    now = time.time()
    _, e = v1(s, "GET", "energy?from=%d&hours=24" % (int(now) // 3600 * 3600 - 23 * 3600))
    case("the hours tell what they took", len(e["hours"]) == 24 and e["hours"][23]["answers"] + e["hours"][22]["answers"] >= 1 and
         e["sum"]["energy"]["energy_uj"] > 0, e["sum"])
    _, m = v1(s, "GET", "models")
    mine = next(x for x in m["models"] if x["name"] == "scripted")
    case("models tell memory, licence and state", mine["loaded"] and mine["here"] and mine["memory_bytes"] > 0 and m["machine"]["memory_bytes"] > 0 and
         all(x["licence"] and x["fits"] in ("yes", "tight", "no") for x in m["models"] if not x["here"]), m)
    feed.close()


def growing(s):
    c, user, reply = start(s, "[forever]")
    m = reply["id"]
    feed = Feed(s, "?c=" + c)
    feed.find("delta", lambda d: d["at"] > 200)
    feed.close()
    text, whole = feed.text()
    case("a feed that comes late gets the answer from its beginning", whole and text.startswith("la la lo. "), text[:100])
    have = len(text.encode()) - 3
    late = Feed(s, "?c=%s&have=%s:0:%d" % (c, m, have))
    first = late.find("delta")
    late.find("delta", lambda d: d["at"] > have + 200)
    rest, whole = late.text()
    case("one that has a part gets the rest", first["at"] == have and whole and (text[:have] + rest).startswith(text) and
         set((text[:have] + rest).split()[:-1]) == {"la", "lo."}, (first, have))
    for claim in ("%s:0:99999999" % m, "%s:x:1" % m, "::", "99:5:5"):
        f = Feed(s, "?c=%s&have=%s" % (c, claim))
        d = f.find("delta")
        case("a claim that cannot be gets all of it: " + claim, d is not None and d["at"] == 0, d)
        f.close()
    other = Feed(s, "?c=" + "a" * 26)
    other.find("hello")
    case("every feed of the owner hears that it is answered", v1(s, "GET", "conversations/" + c)[1]["running"])
    s.call("POST", "/sobre/v1/conversations/%s/messages/%s/stop" % (c, m), {})
    done = wait_end(s, c, m)
    end = late.find("message", lambda d: d["message"]["id"] == m and d["message"]["state"] == "stopped")
    rest, whole = late.text()
    case("stop keeps what was said, and it is what was told", done["state"] == "stopped" and done["finish"] == "cancelled" and whole and
         done["text"] == text[:have] + rest and end["message"]["text_bytes"] == len(done["text"].encode()), (done["text"][-50:], rest[-50:]))
    case("a feed that shows another conversation is told no words of it", not any(n in ("delta", "message", "phase") for n, _ in other.events), other.events)
    ended = Feed(s, "?c=%s&have=%s:0:10" % (c, m))
    case("one that was away at the end is told so", ended.find("ended", lambda d: d["message"] == m) is not None)
    for f in (late, other, ended):
        f.close()
    c, _, reply = start(s, "[forever]")
    time.sleep(0.2)
    status, _ = v1(s, "DELETE", "conversations/" + c)
    end = time.monotonic() + 10
    while time.monotonic() < end and s.json("GET", "/slots")[1] and any(x.get("is_processing") for x in s.json("GET", "/slots")[1]):
        time.sleep(0.05)
    case("deleting a conversation ends its answer", status == 200 and time.monotonic() < end)


def stops(s):
    """A stop that comes while a piece is under way, again and again: on one core the two meet often."""
    all_cores, wrong = os.sched_getaffinity(0), []

    def keep_to(cores):
        for task in s.tasks():
            os.sched_setaffinity(int(task.rsplit("/", 1)[1]), cores)
    keep_to({min(all_cores)})
    for i in range(20):
        c, _, reply = start(s, "[forever]")
        m = reply["id"]
        feed = Feed(s, "?c=" + c)
        feed.find("delta", lambda d: d["at"] > 50 + i)
        v1(s, "POST", "conversations/%s/messages/%s/stop" % (c, m), {})
        end = feed.find("message", lambda d: d["message"]["id"] == m and d["message"]["state"] == "stopped")
        kept, (told, whole) = wait_end(s, c, m)["text"], feed.text()
        if not whole or told != kept or not end or end["message"]["text_bytes"] != len(kept.encode()):
            wrong.append((told[-20:], kept[-20:]))
        feed.close()
    keep_to(all_cores)
    case("a stop in the middle of a piece loses none of it", not wrong, wrong)


def slow(s):
    """A browser that stops reading for a while."""
    c, _, reply = start(s, "[forever]")
    m, pieces, at, whole = reply["id"], [], 0, True
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(60)
    sock.connect(("127.0.0.1", s.port))
    sock.sendall(b"GET /sobre/v1/events?c=%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (c.encode(), s.port))
    watcher = Feed(s, "?c=" + c)
    watcher.find("delta", lambda d: d["at"] > 30000, timeout=60)  # each byte of an answer is about forty of a feed
    raw = http.client.HTTPResponse(sock)
    try:
        raw.begin()
        told = raw.read()  # fails where the chunks have no end
        ended = "in order"
    except (OSError, http.client.HTTPException) as e:
        told, ended = b"", repr(e)
    for event in told.decode().split("\n\n"):
        if event.startswith("event: delta"):
            d = json.loads(event.split("data: ")[1])
            whole = whole and d["at"] == at
            pieces.append(d["text"])
            at += len(d["text"].encode())
    case("the feed of a slow reader ends in order, whole as far as it goes", ended == "in order" and whole and at > 0, (ended, at))
    case("and tells when to come back", b"retry: 500\n" in told, told[:100])
    back = Feed(s, "?c=%s&have=%s:0:%d" % (c, m, at))
    first = back.find("delta")
    case("it comes back and gets the rest", first is not None and first["at"] == at, (first and first["at"], at))
    v1(s, "POST", "conversations/%s/messages/%s/stop" % (c, m), {})
    done = wait_end(s, c, m)
    back.find("message", lambda d: d["message"]["id"] == m)
    case("with nothing lost or doubled", "".join(pieces) + back.text()[0] == done["text"], at)
    for f in (watcher, back):
        f.close()
    sock.close()


def context(s):
    """A conversation longer than the model's context goes on, and says what was left out."""
    c = v1(s, "POST", "conversations", {})[1]["id"]
    messages = [{"id": i + 1, "parent": i, "role": "assistant" if i % 2 else "user", "state": "done", "created_ms": 1, "content": "word " * 5}
                for i in range(600)]
    v1(s, "POST", "import", {"sobre_conversation": 1, "title": "long", "settings": {}, "created_ms": 1, "leaf": 600, "messages": messages})
    c = v1(s, "GET", "conversations?limit=1")[1]["conversations"][0]["id"]
    _, sent = v1(s, "POST", "conversations/%s/messages" % c, {"text": "and now?"})
    done = wait_end(s, c, sent["messages"][1]["id"])
    case("a conversation longer than the context goes on without its oldest part", done["state"] == "done" and
         done["text"] == "Hello, how can I help?" and 0 < done["usage"]["stats"]["n_left_out"] < 600, done)
    _, sent = v1(s, "POST", "conversations/%s/messages" % c, {"text": "and then?"})
    again = wait_end(s, c, sent["messages"][1]["id"])
    case("where it begins stays for a while, so that the prefix is kept", again["usage"]["stats"]["n_left_out"] == done["usage"]["stats"]["n_left_out"] and
         again["usage"]["stats"]["n_cached"] > 0.9 * done["usage"]["stats"]["n_prompt"], (done["usage"], again["usage"]))
    _, sent = v1(s, "POST", "conversations/%s/messages" % c, {"text": "word " * 20000})
    done = wait_end(s, c, sent["messages"][1]["id"])
    case("one message that can never fit fails, and says why", done["state"] == "failed" and "context" in done["usage"]["error"], done)
    v1(s, "PATCH", "conversations/" + c, {"model": "not-there"})
    _, sent = v1(s, "POST", "conversations/%s/messages" % c, {"text": "hi"})
    done = wait_end(s, c, sent["messages"][1]["id"])
    case("a model that is gone is answered by the one that is served", done["state"] in ("done", "failed"), done)


def queue(s):
    """One answer at a time: the others learn their place."""
    c1, _, a1 = start(s, "[forever]")
    c2, _, a2 = start(s, "Hello 2")
    feed = Feed(s, "?c=" + c2)
    c3, _, a3 = start(s, "Hello 3")
    third = Feed(s, "?c=" + c3)
    place = third.find("phase", lambda d: d["phase"] == "queued", timeout=5)
    case("who waits is told its place", place is not None and place["place"] >= 1, (place, third.events))
    v1(s, "POST", "conversations/%s/messages/%s/stop" % (c1, a1["id"]), {})
    both = wait_end(s, c2, a2["id"])["state"], wait_end(s, c3, a3["id"])["state"]
    case("and gets its turn", both == ("done", "done"), both)
    feed.close()
    third.close()


def restart(s):
    c, _, reply = start(s, "[forever]")
    feed = Feed(s, "?c=" + c)
    feed.find("delta", lambda d: d["at"] > 4000)
    time.sleep(1.5)
    s.kill()
    s.start()
    status, m = v1(s, "GET", "conversations/%s/messages/%s" % (c, reply["id"]))
    case("kill -9 in the middle: the message is there, stopped, with what was saved", status == 200 and m["state"] == "stopped" and
         m["text"].startswith("la la lo. ") and len(m["text"]) > 100, m)
    back = Feed(s, "?c=%s&have=%s:0:10" % (c, reply["id"]))
    case("a browser that comes back is told that it is over", back.find("ended") is not None)
    _, sent = v1(s, "POST", "conversations/%s/messages" % c, {"text": "hi"})
    case("and the conversation goes on", wait_end(s, c, sent["messages"][1]["id"], 120)["state"] == "done")
    c, _, reply = start(s, "[forever]")
    feed = Feed(s, "?c=" + c)
    feed.find("delta")
    t0 = time.monotonic()
    s.p.terminate()
    feed_end = time.monotonic()
    while not feed.closed and time.monotonic() < feed_end + 10:
        time.sleep(0.02)
    case("a server that drains lets go of its feeds", feed.closed and time.monotonic() - t0 < 5)
    s.kill()


def owners():
    home = tempfile.mkdtemp(prefix="sobre-page-keys-")
    env = {**os.environ, "SOBRE_HOME": home, "LC_ALL": "C"}
    more = {"root": ["--admin"], "ann": ["--max-energy-day", "1000"]}
    keys = [subprocess.run([SOBRE, "key", "add", name, *more.get(name, [])], env=env, stdout=subprocess.PIPE, check=True)
            .stdout.decode().strip() for name in ("ann", "ben", "root")]
    with Served("--ctx", "65536", *OPTIONS, model=MODEL, home=home) as s:
        case("without a key the routes are closed", v1(s, "GET", "hello")[0] == 401 and v1(s, "GET", "conversations")[0] == 401 and
             s.call("GET", "/sobre/v1/events")[0] == 401)
        case("but the page itself is not", s.call("GET", "/", headers={"Accept": "text/html"})[0] == 200)
        case("a wrong key does not sign in", v1(s, "POST", "session", {"key": "sk-sobre-" + "x" * 43})[0] == 401 and
             v1(s, "POST", "session", {"key": 5})[0] == 400 and v1(s, "POST", "session", {})[0] == 401)
        cookies = []
        for key in keys:
            status, h, body = s.call("POST", "/sobre/v1/session", {"key": key})
            cookies.append({"Cookie": h["set-cookie"].split(";")[0]})
        flags = h["set-cookie"].lower()
        case("a key signs in, by a cookie that no script and no other site can use", status == 200 and "httponly" in flags and
             "samesite=strict" in flags and key.encode() not in body, h)
        _, hello = v1(s, "GET", "hello", None, cookies[0])
        case("the page learns who is here", hello["auth"] == "key" and hello["owner"] == "ann" and not hello["may_manage"], hello)
        budgets = [v1(s, "GET", "energy?from=0", None, x)[1].get("budget") for x in cookies]
        renews = 86400 - time.time() % 86400
        case("a key's budget is whole before its first answer, and other keys have none", budgets[1:] == [None, None] and
             budgets[0]["limit_uj"] == budgets[0]["left_uj"] == 1000000000 and abs(budgets[0]["renews_s"] - renews) < 60, budgets)
        ann = Feed(s, "", cookies[0])
        ben = Feed(s, "", cookies[1])
        ann.find("hello")
        hello_ben = ben.find("hello")
        c, user, reply = start(s, "my secret [forever]", cookies[0])
        spy = Feed(s, "?c=%s&have=%s:0:0" % (c, reply["id"]), cookies[1])
        spy.find("hello")
        ann.find("conversation", lambda d: d["conversation"]["id"] == c)
        path = "conversations/" + c
        tries = [v1(s, *x, cookies[1])[0] for x in (
            ("GET", path, None), ("PATCH", path, {"title": "x"}), ("DELETE", path, None), ("GET", path + "/messages", None),
            ("GET", path + "/messages/" + reply["id"], None), ("POST", path + "/messages", {"text": "x"}), ("GET", path + "/export", None),
            ("POST", path + "/messages/%s/again" % reply["id"], {}), ("POST", path + "/branch", {"message": user["id"]}))]
        case("another owner finds nothing of it", tries == [404] * 9, tries)
        v1(s, "POST", path + "/messages/%s/stop" % reply["id"], {}, cookies[1])
        time.sleep(0.3)
        case("nor stops it", v1(s, "GET", path, None, cookies[0])[1]["running"])
        case("nor sees it in lists, searches and sums", v1(s, "GET", "conversations", None, cookies[1])[1]["conversations"] == [] and
             v1(s, "GET", "conversations?q=secret", None, cookies[1])[1]["conversations"] == [] and
             v1(s, "GET", "energy?from=0&hours=24", None, cookies[1])[1]["sum"]["answers"] == 0)
        case("nor hears of it, not even that something happened", [n for n, _ in ben.events] == ["hello"] and
             [n for n, _ in spy.events] in (["hello"], ["hello", "ended"]) and
             Feed(s, "", cookies[1]).find("hello")["revision"] == hello_ben["revision"], (ben.events, spy.events))
        v1(s, "POST", path + "/messages/%s/stop" % reply["id"], {}, cookies[0])
        wait_end(s, c, reply["id"], headers=cookies[0])
        took = v1(s, "GET", path + "/messages/" + reply["id"], None, cookies[0])[1]["usage"]["receipt"]
        case("a receipt is its owner's alone", [v1(s, "GET", "receipts/" + took, None, cookies[i])[0] for i in range(3)] == [200, 404, 404])
        left = v1(s, "GET", "energy?from=0", None, cookies[0])[1]["budget"]["left_uj"]
        case("what the answer took is gone from the budget", 0 < left < 1000000000, left)
        case("an admin key sees other people's as little", v1(s, "GET", path, None, cookies[2])[0] == 404)
        case("downloads are for those who may manage", v1(s, "POST", "models/qwen3-4b/pull", {}, cookies[0])[0] == 403)
        status, h, _ = s.call("DELETE", "/sobre/v1/session", headers=cookies[0])
        case("signing out ends the cookie", status == 200 and "max-age=0" in h["set-cookie"].lower(), h)
        for f in (ann, ben, spy):
            f.close()
        log = s.stderr()
        case("neither key nor words stand in the log", not any(k in log for k in keys) and "secret" not in log)
        leave(s, "with keys")
    shutil.rmtree(home, ignore_errors=True)


def settled(s, usage):
    """The receipt of an answer once its tick has closed."""
    end = time.monotonic() + 10
    while True:
        receipt = v1(s, "GET", "receipts/" + usage["receipt"])[1]
        if receipt["settled"] or time.monotonic() > end:
            return receipt
        time.sleep(0.1)


def day_of(s, n):
    """The last two hours' sum, once it has n answers. What settles later comes with the next write."""
    end = time.monotonic() + 10
    while True:
        _, e = v1(s, "GET", "energy?from=%d&hours=2" % (time.time() - 3600))
        if e["sum"]["answers"] == n or time.monotonic() > end:
            return e["sum"]["energy"]
        time.sleep(0.1)


def metered():
    """A day of both kinds: an answer beside a counter of 20 W, then one without."""
    root, home, stop = tempfile.mkdtemp(prefix="sobre-page-sysfs-"), tempfile.mkdtemp(prefix="sobre-page-home-"), threading.Event()
    zone = os.path.join(root, "sys/class/powercap/intel-rapl:0")
    os.makedirs(zone)
    for name, text in (("name", "package-0\n"), ("max_energy_range_uj", "262143328850\n"), ("energy_uj", "1000000\n")):
        with open(os.path.join(zone, name), "w") as f:
            f.write(text)

    def advance():
        fd, begin = os.open(os.path.join(zone, "energy_uj"), os.O_WRONLY), time.monotonic()
        while not stop.wait(0.002):
            os.pwrite(fd, (b"%d\n" % (1000000 + int((time.monotonic() - begin) * 2e7))).ljust(16, b"\n"), 0)
        os.close(fd)
    counter = threading.Thread(target=advance)
    counter.start()
    with Served("--ctx", "65536", *OPTIONS, model=MODEL, home=home, env={**os.environ, "SOBRE_SYSFS_ROOT": root}) as s:
        c, _, reply = start(s, "[sample] please")
        u = wait_end(s, c, reply["id"])["usage"]
        receipt = settled(s, u)
        day = day_of(s, 1)
        case("a meter's hour is measured", u["energy"]["source"] == day["source"] == "measured" and day["energy_uj"] > 0 and
             day["energy_uj_estimated"] == 0 and receipt["source"]["kind"] == "meter", (u, day, receipt))
        leave(s, "with a meter")
    stop.set()
    counter.join()
    with Served("--ctx", "65536", *OPTIONS, model=MODEL, home=home) as s:
        c, _, reply = start(s, "hello")
        usage = wait_end(s, c, reply["id"])["usage"]
        guess = (usage["energy"]["energy_uj"], settled(s, usage)["energy_uj"])
        both = day_of(s, 2)
        case("with an estimate in it a sum is one, and says how much", both["source"] == "estimated" and
             both["energy_uj_estimated"] in guess and
             both["energy_uj"] - both["energy_uj_estimated"] == receipt["energy_uj"], (day, receipt, guess, both))
    for folder in (root, home):
        shutil.rmtree(folder, ignore_errors=True)


def leave(s, what):
    """Ends in order, without a complaint of a sanitizer."""
    status, log = s.stop(), s.stderr()
    case("the server leaves in order: " + what, status == 0 and "Sanitizer" not in log and "runtime error" not in log,
         (status, log[-3000:]))


def main():
    only = sys.argv[1:]

    def run(f, *a):
        if only and f.__name__ not in only:
            return
        try:
            f(*a)
        except Exception as e:
            case(f.__name__, False, "%s: %s" % (type(e).__name__, e))
    try:
        with Served("--ctx", "65536", *OPTIONS, model=MODEL) as s:
            for f in (files, conversations, answers, growing, stops, slow):
                run(f, s)
            run(leave, s, "after all kinds of answers")
            s.start()
            run(restart, s)
        with Served("--ctx", "4096", "--parallel", "1", *OPTIONS, model=MODEL) as s:
            run(context, s)
        with Served("--ctx", "65536", "--parallel", "1", *OPTIONS, model=MODEL) as s:
            run(queue, s)
            run(leave, s, "after a queue")
        run(owners)
        run(metered)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    finish()


main()
