#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`sobre serve` from outside: who may ask, what is refused and how, drain, sockets handed over, TLS, memory,
sandbox, idleness. tests/serve.py starts a real server for each group."""
import contextlib
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from hub import File, Hub  # noqa: E402
from serve import MORE, SLOW, SOBRE, Server, tiny_model, tls_context, wait_for  # noqa: E402
from tap import case, finish, skip  # noqa: E402

room = tempfile.mkdtemp(prefix="sobre-server-")
MODEL = tiny_model(os.path.join(room, "tiny-one.gguf"), "--ctx", "4096")
OTHER = tiny_model(os.path.join(room, "tiny-two.gguf"), "--ctx", "4096", "--seed", "7")
CANARY = "canary-8c1f-prompt"


def command(*args, home, stdin=None):
    env = dict(os.environ, SOBRE_HOME=home, HOME=home, LC_ALL="C.UTF-8")
    more = MORE if args[0] == "serve" else ()
    d = subprocess.run([SOBRE, *args, *more], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       env=env, timeout=120)
    return d.returncode, d.stdout.decode(), d.stderr.decode("utf-8", "replace")


def long_ask(**more):
    return {"messages": [{"role": "user", "content": "go on"}], "max_tokens": 3000, "ignore_eos": True,
            "stream": True, **more}


# ---- who may ask ----


def host_and_origin(s):
    p = s.port
    rows = []
    for path in ("/v1/models", "/health", "/", "/sobre/v1/hello", "/api/tags"):
        rows += [(path, {"Host": h}, good) for h, good in (
            ("localhost", 200), ("localhost:%d" % p, 200), ("127.0.0.1:1", 200), ("[::1]:9", 200), ("127.9.9.9", 200),
            ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("localhost.evil.example:%d" % p, 421))]
        rows += [(path, h, good) for h, good in (
            ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403),
            ({"Origin": "http://127.0.0.1:%d" % p}, 200), ({"Sec-Fetch-Site": "cross-site"}, 403))]
    bad = [(r, got) for r in rows if (got := s.ask("GET", r[0], headers=r[1]).status) != r[2]]
    case("Host and Origin hold on every path: %d cases" % len(rows), len(rows) >= 60 and not bad, bad)
    r = s.ask("OPTIONS", "/v1/chat/completions", headers={"Origin": "http://evil.example",
                                                         "Access-Control-Request-Method": "POST"})
    case("a preflight from elsewhere is refused without a CORS header",
         r.status == 403 and "Access-Control-Allow-Origin" not in r.headers, r)
    case("no reply has a CORS header by itself", not any(
        k.lower().startswith("access-control") for k in s.get("/v1/models").headers), s.get("/v1/models"))
    case("a person may follow a link to the page", s.ask("GET", "/", headers={
        "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}).status == 200)


def content_types(s):
    body = json.dumps({"messages": [{"role": "user", "content": "x"}], "max_tokens": 1})
    path = "/v1/chat/completions"
    want = [({"Content-Type": "application/json; charset=utf-8"}, 200), ({"Content-Type": "text/plain"}, 415),
            ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
            ({"Content-Type": "application/x-www-form-urlencoded"}, 200),
            ({"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}, 415),
            ({"Content-Encoding": "gzip"}, 415)]
    got = [s.ask("POST", path, body, h).status for h, _ in want]
    case("a body is JSON, or a form's where no browser speaks", got == [w for _, w in want], got)


def routes(s):
    r = s.ask("PUT", "/v1/models")
    case("a method a route does not take is 405 and says which it takes",
         r.status == 405 and r.headers["Allow"] == "GET, HEAD", r)
    case("unknown routes are 404 in the words of their dialect", [
        "error" in s.get("/v1/none").json and "code" in s.get("/none").json["error"],
        s.get("/api/none").json == {"error": "there is no such route"},
        s.get("/v1/messages/none").status] == [True, True, 404])
    case("HEAD is GET without its body", (r := s.ask("HEAD", "/")).status == 200 and r.body == "", r)
    case("`/` says Ollama's line, or shows the page to who takes HTML",
         s.get("/").body == "Ollama is running" and
         s.get("/", Accept="text/html").body.lstrip().lower().startswith("<!doctype html"))
    r = s.ask("POST", "/v1/embeddings", {"input": "x", "model": "m"})
    case("embeddings are a 400 that names the field", r.status == 400 and r.json["error"]["param"] == "input", r)
    case("what Ollama makes itself is 501", s.ask("POST", "/api/create", {}).status == 501)
    names = [m["id"] for m in s.get("/v1/models").json["data"]]
    case("the model is listed under its file's stem", names == ["tiny-one"], names)
    case("one model is shown by its id, an unknown one is 404",
         s.get("/v1/models/tiny-one").json["id"] == "tiny-one" and s.get("/v1/models/x/y:z").status == 404)
    r = s.get("/v1/models", anthropic_version="2023-06-01").json
    case("Anthropic's clients get their own list", r["data"][0]["type"] == "model" and not r["has_more"], r)
    t = s.ask("POST", "/tokenize", {"content": "hello"}).json["tokens"]
    case("tokens go there and back", s.ask("POST", "/detokenize", {"tokens": t}).json["content"] == "hello", t)
    m = s.get("/metrics").body
    case("metrics are Prometheus' text", re.search(r'^sobre_requests_total\{status="2xx"\} \d+$', m, re.M) and
         'le="+Inf"' in m and "# TYPE sobre_token_gap_seconds histogram" in m, m[:400])
    r = s.chat(model="nobody-knows-it")
    case("an unknown model means the only one", r.status == 200 and r.json["model"] == "tiny-one", r)
    r = s.ask("POST", "/api/chat", {"model": "nobody", "messages": [{"role": "user", "content": "x"}]})
    case("... but not for Ollama's routes", r.status == 404 and "not found" in r.json["error"], r)
    r = s.chat(headers={"X-Request-Id": "mine-1"})
    case("a request keeps its id", r.headers["X-Request-Id"] == "mine-1", r)
    case("every answer says what energy it took", "energy_uj" in r.json["usage"]["energy"], r)


def open_server():
    with Server("-m", MODEL, "--log", os.path.join(room, "log")) as s:
        host_and_origin(s)
        content_types(s)
        routes(s)
        cancels(s)
        contained(s)
        idle(s)


def slots(s):
    return [x for x in s.get("/slots").json if x["is_processing"]]


def cancels(s):
    c, head = s.stream(long_ask())
    case("a stream begins at once", b" 200 " in head.split(b"\r\n")[0] and b"text/event-stream" in head, head)
    busy = wait_for(lambda: len(slots(s)) == 1)
    c.close()
    begin = time.monotonic()
    free = wait_for(lambda: not slots(s), 10)
    took = time.monotonic() - begin
    case("a client that goes away frees its place at once", busy and free and took < 0.5 * SLOW, took)
    c, _ = s.stream(long_ask())
    wait_for(lambda: slots(s))
    c.shutdown(socket.SHUT_WR)  # the read side's end
    case("... also when it only closes its side", wait_for(lambda: not slots(s), 10))
    c.close()


def contained(s):
    if "--no-sandbox" in MORE:
        skip("the server gave up new rights and filters its calls", "it was told to keep them")
        return
    with open("/proc/%d/status" % s.p.pid) as f:
        status = f.read()
    case("the server gave up new rights and filters its calls",
         re.search(r"NoNewPrivs:\s*1", status) and re.search(r"Seccomp:\s*2", status), status)


def idle(s):
    time.sleep(0.5)
    before, begin = s.cpu_s(), time.monotonic()
    time.sleep(5)
    used = s.cpu_s() - before
    case("without traffic it uses no CPU", used <= 0.01, "%.3f s in %.1f s" % (used, time.monotonic() - begin))


# ---- keys ----


def safe_defaults():
    home = tempfile.mkdtemp(prefix="sobre-serve-")
    code, _, err = command("serve", "--host", "0.0.0.0", "--port", "0", "-m", MODEL, home=home)
    case("an address others reach needs a key: status 2", code == 2 and "sobre key add" in err, (code, err))
    for bad in (("--port", "65536"), ("--port", "-1"), ("--ctx", "0"), ("--threads", "x"), ("--max-mem", "3X"),
                ("--tls-cert", "x"), ("--allow-origin", "evil"), ("--nope",)):
        code, out, err = command("serve", *bad, "-m", MODEL, home=home)
        case("`%s` is status 2 and one line" % " ".join(bad), code == 2 and len(err.splitlines()) == 1, (code, err))
    code, _, err = command("serve", "--port", "0", "-m", room + "/none.gguf", home=home)
    case("a model that is not there ends the start: status 1", code == 1, (code, err))
    with open(room + "/bad.gguf", "wb") as f:
        f.write(b"GGUF" + b"\xff" * 200)
    code, _, err = command("serve", "--port", "0", "-m", room + "/bad.gguf", home=home)
    case("a damaged model ends the start with why", code == 1 and "bad.gguf" in err, (code, err))


def make_key(home, name, *options):
    code, out, err = command("key", "add", name, *options, home=home)
    assert code == 0, err
    return out.split()[-1]


def keys():
    home = tempfile.mkdtemp(prefix="sobre-serve-")
    alice, bob = make_key(home, "alice", "--admin"), make_key(home, "bob", "--rpm", "3")
    one = make_key(home, "one", "--concurrent", "1")
    with Server("-m", MODEL, "--host", "0.0.0.0", home=home) as s:
        bearer = {"Authorization": "Bearer " + alice}
        case("without a key there is 401", s.chat().status == 401 and s.get("/v1/models").status == 401)
        case("... and what needs none is there", s.get("/health").status == 200 and s.get("/").status == 200)
        bad = [alice[:-1], alice + "x", "", "x" * 15000, alice[:-1] + ("a" if alice[-1] != "a" else "b")]
        got = [s.chat(headers={"Authorization": "Bearer " + b}).status for b in bad]
        case("wrong keys, parts of keys and long ones are 401", got == [401] * len(bad), got)
        case("a key in the query does not count", s.get("/v1/models?key=" + alice).status == 401)
        case("Bearer, x-api-key and the page's cookie are a key each", [
            s.get("/v1/models", **{k: v}).status for k, v in (
                ("Authorization", "bearer " + alice), ("x_api_key", alice), ("Cookie", "a=b; sobre_key=" + alice))
        ] == [200, 200, 200])
        r = s.ask("POST", "/v1/messages", {"model": "m", "max_tokens": 1, "messages": []})
        case("401 speaks the dialect", r.status == 401 and r.json["error"]["type"] == "authentication_error", r)
        reply = s.raw(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                      b"Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n", 5)
        case("401 comes before the body is asked for", reply.startswith(b"HTTP/1.1 401"), reply[:200])
        got = [s.chat(headers={"x-api-key": bob}).status for _ in range(4)]
        r = s.chat(headers={"x-api-key": bob})
        case("requests a minute end in 429 with Retry-After",
             got == [200, 200, 200, 429] and 1 <= int(r.headers["Retry-After"]) <= 60, (got, r))
        c, _ = s.stream(long_ask(), headers={"x-api-key": one})
        r = s.chat(headers={"x-api-key": one})
        case("answers at once have their limit", r.status == 429 and "Retry-After" in r.headers, r)
        c.close()
        case("another key is not touched by it", s.chat(headers=bearer).status == 200)
        case("to delete a model takes an admin key", s.ask("DELETE", "/api/delete", {"model": "x"},
                                                          {"x-api-key": one}).status == 403)
        r = s.ask("POST", "/api/pull", {"model": "hf:a/b", "stream": False}, {"x-api-key": one})
        case("to pull takes one, too", r.status == 403, r)
        command("key", "revoke", "alice", home=home)
        case("a revoked key ends while the server runs",
             wait_for(lambda: s.get("/v1/models", x_api_key=alice).status == 401, 5))


def responses_last():
    home = tempfile.mkdtemp(prefix="sobre-serve-")
    with Server("-m", MODEL, home=home) as s:
        r = s.ask("POST", "/v1/responses", {"input": "remember the word tulip", "max_output_tokens": 4})
        first = r.json["id"]
        case("a response is stored", s.get("/v1/responses/" + first).json["id"] == first, r)
    with Server("-m", MODEL, home=home) as s:
        r = s.ask("POST", "/v1/responses", {"input": "which?", "previous_response_id": first, "max_output_tokens": 4})
        case("the next one goes on after a restart", r.status == 200 and r.json["previous_response_id"] == first and
             r.json["usage"]["input_tokens"] > 20, r)
        items = s.get("/v1/responses/%s/input_items" % first).json
        case("its input can be read", "tulip" in json.dumps(items["data"]), items)
        case("and it can be deleted", s.ask("DELETE", "/v1/responses/" + first).json["deleted"] and
             s.get("/v1/responses/" + first).status == 404)
        ids = [s.ask("POST", "/v1/responses", {"input": "word %d" % i, "max_output_tokens": 2}).json["id"] for i in range(3)]
    with contextlib.closing(sqlite3.connect(os.path.join(home, "sobre.db"))) as db, db:
        for name, days in zip(ids[1::-1], (29, 2)):  # the older ones, and all before them
            db.execute("UPDATE response SET created_ms = created_ms - ? WHERE seq <= (SELECT seq FROM response WHERE id = ?)",
                       (86400000 * days, name))
    with Server("-m", MODEL, home=home) as s:
        s.ask("POST", "/v1/responses", {"input": "another", "max_output_tokens": 2})
        kept = [s.get("/v1/responses/" + name).status for name in ids]
        case("a response is kept for thirty days", kept == [404, 200, 200], kept)


# ---- load, end, start ----


def full_queue():
    with Server("-m", MODEL, "--parallel", "1", "--queue", "2") as s:
        streams = []
        got, took = [], []
        for _ in range(14):
            begin = time.monotonic()
            c = s.connect()
            body = json.dumps(long_ask()).encode()
            c.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                      b"Content-Length: %d\r\n\r\n" % len(body) + body)
            c.settimeout(0.3)
            try:
                head = c.recv(4096)
            except (TimeoutError, socket.timeout):
                head = b""
            if head.startswith(b"HTTP/1.1 503"):
                got.append(head)
                took.append(time.monotonic() - begin)
            streams.append(c)
        case("beyond the queue there is 503 with Retry-After, at once",
             len(got) >= 1 and all(b"Retry-After: " in g for g in got) and min(took) < 0.05 * SLOW, (len(got), took))
        for c in streams:
            c.close()
        case("then there is room again", wait_for(lambda: s.chat().status == 200))


def read_all(c):
    out = b""
    while True:
        try:
            got = c.recv(65536)
        except (TimeoutError, socket.timeout, ConnectionError):
            return out
        if not got:
            return out
        out += got


def drains():
    with Server("-m", MODEL) as s:
        c, _ = s.stream(long_ask(max_tokens=400), small=True)
        s.p.send_signal(signal.SIGTERM)
        ready = wait_for(lambda: s.get("/ready").status == 503, 5)
        refused = s.chat()
        out = read_all(c)
        case("SIGTERM: /ready says 503 and new answers are refused", ready and refused.status == 503, refused)
        case("... the answer under way ends whole", out.rstrip().endswith(b"0") and b"[DONE]" in out, out[-200:])
        case("... and the exit status is 0", s.p.wait(20 * SLOW) == 0)
    with Server("-m", MODEL, "--grace", "0.05") as s:
        c, _ = s.stream(long_ask(), small=True)
        s.p.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        out = read_all(c)
        case("who is not done in time gets a last error event", b'"error"' in out and b"shutting down" in out, out[-400:])
        case("... and the exit status is 0 again", s.p.wait(20 * SLOW) == 0)
    with Server("-m", MODEL) as s:
        c, _ = s.stream(long_ask(), small=True)
        s.p.send_signal(signal.SIGTERM)
        wait_for(lambda: s.get("/ready").status == 503, 5)
        begin = time.monotonic()
        s.p.send_signal(signal.SIGTERM)
        code = s.p.wait(20 * SLOW)
        case("a second signal does not wait", code == 130 and time.monotonic() - begin < 1 * SLOW, code)
        c.close()
    with Server("-m", MODEL) as s:
        begin = time.monotonic()
        code = s.stop()
        took = time.monotonic() - begin
        case("idle it ends at once", code == 0 and took < 0.2 * SLOW, (code, took))


def drains_at_any_moment():
    codes, tails = [], []
    for i in range(8):
        with Server("-m", MODEL) as s:
            c, _ = s.stream(long_ask(max_tokens=200))
            time.sleep(random.uniform(0, 0.05) * SLOW)
            s.p.send_signal(signal.SIGTERM)
            tails.append(b"[DONE]" in read_all(c))
            codes.append(s.p.wait(20 * SLOW))
            c.close()
    case("a drain at any moment loses no answer", codes == [0] * 8 and all(tails), (codes, tails))


def kills():
    home = tempfile.mkdtemp(prefix="sobre-serve-")
    kept = []

    def store(s, stop):
        while not stop.is_set():
            try:
                r = s.ask("POST", "/v1/responses", {"input": "x", "max_output_tokens": 2}, timeout=5)
                if r.status == 200:
                    kept.append(r.json["id"])
            except (OSError, ValueError, http.client.HTTPException):
                pass

    for _ in range(6):
        s = Server("-m", MODEL, "--ctx", "256", home=home)
        stop = threading.Event()
        threads = [threading.Thread(target=store, args=(s, stop)) for _ in range(4)]
        for t in threads:
            t.start()
        time.sleep(random.uniform(0.05, 0.4) * SLOW)
        s.p.kill()
        s.p.wait()
        stop.set()
        for t in threads:
            t.join()
    with Server("-m", MODEL, "--ctx", "256", home=home) as s:
        lost = [i for i in kept if s.get("/v1/responses/" + i).status != 200]
        case("kill -9 loses no response that was acknowledged", kept and not lost, (len(kept), lost[:3]))
    code, _, err = command("db", "check", home=home)
    case("... and leaves the data base whole", code == 0, err)


def handed_over():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(8)
    os.set_inheritable(listener.fileno(), True)
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    path = os.path.join(room, "notify")
    notify.bind(path)
    notify.settimeout(30 * SLOW)
    fd = listener.fileno()

    def child():
        os.dup2(fd, 3)
        os.environ["LISTEN_FDS"] = "1"

    home = tempfile.mkdtemp(prefix="sobre-serve-")
    script = 'export LISTEN_FDS=1 LISTEN_PID=$$ NOTIFY_SOCKET=%s; exec "$@"' % path
    env = dict(os.environ, SOBRE_HOME=home, HOME=home)
    p = subprocess.Popen(["/bin/sh", "-c", script, "sh", SOBRE, "serve", "-m", MODEL, *MORE], preexec_fn=child, env=env,
                         close_fds=False, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = notify.recv(256)
    c = socket.create_connection(listener.getsockname(), 20)
    c.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    reply = read_all(c)
    case("a socket that is handed over is served", b" 200 " in reply.split(b"\r\n")[0], reply)
    case("the service manager hears when it is ready", said == b"READY=1", said)
    p.send_signal(signal.SIGTERM)
    case("... and when it stops", notify.recv(256) == b"STOPPING=1" and p.wait(20 * SLOW) == 0)
    p.stderr.close()
    listener.close()
    notify.close()


def tls():
    cert, key = os.path.join(room, "cert.pem"), os.path.join(room, "key.pem")
    if not shutil.which("openssl"):
        skip("TLS", "no openssl command")
        return
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with Server("-m", MODEL, "--tls-cert", cert, "--tls-key", key, tls=tls_context()) as s:
        case("TLS answers", s.chat().status == 200)
        plain = socket.create_connection(("127.0.0.1", s.port), 10)
        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        plain.settimeout(10)
        case("plain HTTP does not, there", b"Ollama" not in read_all(plain))


def memory():
    with Server("-m", MODEL, "-m", OTHER, "--idle-unload", "1", "--parallel", "2", "--ctx", "512") as s:
        loaded = [m["name"] for m in s.get("/api/ps").json["models"]]
        case("the first model is loaded at the start", loaded == ["tiny-one"], loaded)
        case("a model nobody uses leaves the memory", wait_for(lambda: not s.get("/api/ps").json["models"], 10))
        case("... a request wakes it, and health is good meanwhile",
             s.get("/health").status == 200 and s.chat(model="tiny-one").status == 200)
        r = s.chat(model="tiny-two")
        case("another model is loaded when it is asked for", r.status == 200 and r.json["model"] == "tiny-two", r)
        r = s.chat(model="neither")
        case("with two models an unknown one is 404", r.status == 404 and r.json["error"]["param"] == "model", r)
        s.ask("POST", "/api/generate", {"model": "tiny-two", "keep_alive": 0})
        case("keep_alive 0 lets it go now", wait_for(
            lambda: "tiny-two" not in [m["name"] for m in s.get("/api/ps").json["models"]], 5))
        stop = time.monotonic() + 6 * min(SLOW, 3)
        bad = []

        def hammer(name):
            while time.monotonic() < stop:
                r = s.chat(model=name, max_tokens=2)
                if r.status != 200:
                    bad.append(r)
                s.ask("POST", "/api/generate", {"model": name, "keep_alive": 0})

        threads = [threading.Thread(target=hammer, args=(n,)) for n in ("tiny-one", "tiny-two", "tiny-one")]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        case("models that come and go under load never fail a request", not bad, bad[:2])
    with Server("-m", MODEL, "--strict-models", "--max-mem", "60M", "--parallel", "1", "--ctx", "256") as s:
        case("--strict-models: an unknown model is 404", s.chat(model="neither").status == 404)
    home = tempfile.mkdtemp(prefix="sobre-serve-")
    code, _, err = command("serve", "--port", "0", "-m", MODEL, "--max-mem", "1M", home=home)
    case("what does not fit into --max-mem is said before it is loaded", code == 1 and "GB" in err, (code, err))


def secrets():
    home = tempfile.mkdtemp(prefix="sobre-serve-")
    key = make_key(home, "carol")
    log = os.path.join(home, "log")
    with Server("-m", MODEL, "--log", log, home=home) as s:
        h = {"Authorization": "Bearer " + key}
        s.chat(CANARY, h)
        s.chat(CANARY, h, temperature="no number")
        s.ask("POST", "/v1/chat/completions", '{"messages": "%s", ' % CANARY, h)
        s.ask("GET", "/v1/" + CANARY + "?k=" + key, headers=h)
        wait_for(lambda: "404" in open(log).read())
        os.rename(log, log + ".1")
        s.p.send_signal(signal.SIGHUP)
        case("SIGHUP opens the log anew", wait_for(lambda: os.path.exists(log), 5))
        s.get("/health")
        case("... and it is written to", wait_for(lambda: "route=/health" in open(log).read(), 5))
        s.stop()
        seen = open(log).read() + open(log + ".1").read() + s.stderr()
        args = open(log + ".1").read()
        case("neither key nor prompt is in a log or on standard error", key not in seen and CANARY not in seen, seen)
        case("a line tells route, status, time, key's name and tokens", re.search(
            r"event=request id=\S+ method=POST route=/v1/chat/completions status=200 ms=[\d.]+ bytes=\d+ key=carol "
            r"model=tiny-one tokens_in=\d+ tokens_cached=\d+ tokens_out=\d+ energy_uj=\d+", args), args)
    found = [n for n in os.listdir(home) if os.path.isfile(os.path.join(home, n)) and
             key.encode() in open(os.path.join(home, n), "rb").read()]
    case("the key is in no file of the house", not found, found)


def pulls():
    with Server("-m", MODEL) as s:
        for what in ("hf:owner/repo", "https://evil.example/x.gguf", "/etc/passwd", "../../x"):
            r = s.ask("POST", "/api/pull", {"model": what, "stream": False})
            case("over HTTP `%s` is not pulled" % what, r.status == 400 and "catalogue" in r.json["error"], r)
        r = s.ask("DELETE", "/api/delete", {"model": "nobody"})
        case("a model that is not there cannot be deleted", r.status == 404, r)
        store = os.path.join(s.home, "models")
        os.makedirs(store, exist_ok=True)
        shutil.copy(OTHER, os.path.join(store, "stored.gguf"))
        case("a model that appears in the store is served", s.chat(model="stored").json["model"] == "stored")
        r = None
        for _ in range(50):  # the answer's last hold on it may be a moment behind its last word
            r = s.ask("DELETE", "/api/delete", {"model": "stored"})
            if r.status != 503:
                break
            time.sleep(0.1)
        case("the helper takes it away", r.status == 200 and not os.path.exists(store + "/stored.gguf"), r)


def pulls_with_key():
    hub = Hub()
    with open(OTHER, "rb") as f:
        data = f.read()
    hub.repos["org/tiny"] = {"fresh.gguf": File(data)}
    hub.repos["org/slow"] = {"slow.gguf": File(data, pace=0.05)}
    home = tempfile.mkdtemp(prefix="sobre-serve-")
    admin = {"x-api-key": make_key(home, "root", "--admin")}
    env = {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_secret", "HF_HUB_CACHE": room + "/cache", "no_proxy": "*"}
    with Server("-m", MODEL, home=home, env=env) as s:
        r = s.ask("POST", "/api/pull", {"model": "hf:org/tiny"}, admin)
        lines = [json.loads(line) for line in r.body.splitlines()]
        case("with an admin key the helper brings a model, and tells how far it is", r.status == 200 and
             lines[0]["status"] == "pulling manifest" and lines[-1] == {"status": "success"}, r)
        case("... which is served at once", s.chat(model="fresh", headers=admin).json["model"] == "fresh")
        c, _ = s.stream({"model": "hf:org/slow"}, "/api/pull", admin)
        wait_for(lambda: os.path.exists(home + "/models/.slow.lock"), 10)
        c.close()
        r = s.ask("POST", "/api/pull", {"model": "hf:org/tiny", "stream": False}, admin, timeout=60)
        case("a client that goes away ends its pull; the next one is not behind it",
             r.json == {"status": "success"} and not os.path.exists(home + "/models/slow.gguf"), r)


def terminal():
    home = tempfile.mkdtemp(prefix="sobre-serve-")
    key = make_key(home, "dora")
    with Server("-m", MODEL, home=home) as s:
        def chat(text, *options, **env):
            full = dict(os.environ, SOBRE_HOME=home, HOME=home, LC_ALL="C.UTF-8", **env)
            d = subprocess.run([SOBRE, "chat", *options], input=text.encode(), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=full, timeout=120)
            return d.returncode, d.stdout.decode("utf-8", "replace"), d.stderr.decode("utf-8", "replace")

        url = "http://127.0.0.1:%d" % s.port
        code, out, err = chat("hello\n", "--server", url, "-n", "6", "--temp", "0", SOBRE_API_KEY=key)
        want = s.chat("hello", {"x-api-key": key}, max_tokens=6, temperature=0).json
        case("`sobre chat --server` answers as the server does",
             code == 0 and out.rstrip("\n") == want["choices"][0]["message"]["content"].rstrip("\n"), (code, out, err))
        code, _, err = chat("hello\n", "--server", url)
        case("... says which key it wants", code == 1 and "SOBRE_API_KEY" in err, (code, err))
        code, _, err = chat("hello\n", "--server", "http://127.0.0.1:1")
        case("... and when nobody answers", code == 1 and "sobre serve" in err, (code, err))
        code, _, err = chat("hello\n", "--server", url, "-m", "nobody", SOBRE_API_KEY=key)
        case("... or has no such model", code == 1 and "no model of that name" in err and key not in err, (code, err))


def selftest():
    code, out, err = command("selftest", "sandbox", home=room)
    lines = out.splitlines()
    if "no Landlock" in out or "no seccomp" in out:
        skip("the sandbox holds", lines[0])
        return
    case("the sandbox holds: nothing is run, connected, traced or written elsewhere",
         code == 0 and len(lines) > 14 and all(l.startswith("ok: ") for l in lines[1:]), out + err)


safe_defaults()
selftest()
open_server()
keys()
responses_last()
full_queue()
drains()
drains_at_any_moment()
kills()
handed_over()
tls()
memory()
secrets()
pulls()
pulls_with_key()
terminal()
shutil.rmtree(room, ignore_errors=True)
finish()
