# SPDX-License-Identifier: Apache-2.0
"""A real server for end-to-end tests: started on a port of its own choice, asked over plain sockets."""
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import time

SOBRE = os.environ.get("SOBRE", "build/sobre")
BUILD = os.environ.get("SOBRE_BUILD", "build")
TINY = os.path.join(BUILD, "tests/tinymodel/tinymodel")
MORE = os.environ.get("SOBRE_SERVE_OPTIONS", "").split()  # a sanitizer's reports need --no-sandbox
SLOW = 8 if re.search(r"address|thread|memory", os.path.basename(BUILD)) else 1


def cpu_ns(pid):
    """CPU time of a process's threads there are, to the nanosecond the kernel counts."""
    tasks = "/proc/%d/task" % pid
    return sum(int(open("%s/%s/schedstat" % (tasks, t)).read().split()[0]) for t in os.listdir(tasks))


def tiny_model(path, *options):
    subprocess.run([TINY, *options, path], check=True, stdout=subprocess.DEVNULL)
    return path


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "%s %s %s" % (self.status, dict(self.headers), self.body[:600])


class Server:
    """One `sobre serve`; home: a folder of its own, kept between two servers if it is given."""

    def __init__(self, *options, home=None, env=None, port=0, ready=True, tls=None, **popen):
        self.home = home or tempfile.mkdtemp(prefix="sobre-serve-")
        self.errors = open(os.path.join(self.home, "stderr"), "ab+")
        self.mark = self.errors.seek(0, 2)
        full = {k: v for k, v in os.environ.items() if not k.startswith(("NOTIFY_", "LISTEN_"))}
        full.update({"SOBRE_HOME": self.home, "HOME": self.home, "LC_ALL": "C.UTF-8", **(env or {})})
        args = [SOBRE, "serve", *(() if port is None else ("--port", str(port))), *options, *MORE]
        self.tls = tls
        self.p = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors,
                                  env=full, **popen)
        self.port = port
        if ready:
            self.wait_ready()

    def stderr(self):
        self.errors.seek(self.mark)
        return self.errors.read().decode("utf-8", "replace")

    def wait_ready(self, seconds=60):
        end = time.monotonic() + seconds * SLOW
        while time.monotonic() < end:
            found = re.search(r"ready at https?://[^:]*:(\d+)/", self.stderr())
            if found:
                self.port = int(found.group(1))
                return
            if self.p.poll() is not None:
                break
            time.sleep(0.02)
        raise RuntimeError("the server did not become ready: " + self.stderr())

    def connect(self, timeout=60, small=False):
        """small: with so little room for what comes that a stream waits for its reader."""
        s = socket.socket()
        if small:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.settimeout(timeout * SLOW)
        s.connect(("127.0.0.1", self.port))
        return self.tls.wrap_socket(s, server_hostname="localhost") if self.tls else s

    def ask(self, method, path, body=None, headers=None, timeout=60):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout * SLOW)
        c.sock = self.connect(timeout)
        h = {"Content-Type": "application/json"} if body is not None else {}
        h.update(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        try:
            c.request(method, path, body, {k: v for k, v in h.items() if v is not None})
            r = c.getresponse()
            return Reply(r.status, r.headers, r.read().decode("utf-8", "replace"))
        finally:
            c.close()

    def get(self, path, **headers):
        return self.ask("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def chat(self, text="hello", headers=None, **more):
        return self.ask("POST", "/v1/chat/completions",
                        {"messages": [{"role": "user", "content": text}], "max_tokens": 8, **more}, headers)

    def raw(self, data, timeout=30):
        """Sends bytes, reads until the other side closes or is silent."""
        s = self.connect(timeout)
        try:
            s.sendall(data)
            out = b""
            while True:
                try:
                    got = s.recv(65536)
                except (TimeoutError, socket.timeout, ConnectionError):
                    break
                if not got:
                    break
                out += got
            return out
        finally:
            s.close()

    def stream(self, body, path="/v1/chat/completions", headers=None, small=False):
        """A connection that has sent a request and got the head of a stream."""
        s = self.connect(small=small)
        text = json.dumps(body).encode()
        head = "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % (
            path, len(text))
        head += "".join("%s: %s\r\n" % kv for kv in (headers or {}).items()) + "\r\n"
        s.sendall(head.encode() + text)
        got = b""
        while b"\r\n\r\n" not in got:
            more = s.recv(4096)
            if not more:
                break
            got += more
        return s, got

    def cpu_s(self):
        with open("/proc/%d/stat" % self.p.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self, number=signal.SIGTERM, seconds=60):
        if self.p.poll() is None:
            self.p.send_signal(number)
        try:
            return self.p.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait()
            return None

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.stop()


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds * SLOW
    while time.monotonic() < end:
        got = condition()
        if got:
            return got
        time.sleep(0.02)
    return condition()


def tls_context():
    c = ssl.create_default_context()
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    return c
