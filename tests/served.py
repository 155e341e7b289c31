# SPDX-License-Identifier: Apache-2.0
"""What tests of a whole server add to serve.py: figures from /proc, restarts, other servers, and a small client.

The client is asyncio over plain sockets, so that a thousand connections cost little and a test can
stop reading, break off or send half a request."""
import asyncio
import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

from serve import SLOW, SOBRE, Server, cpu_ns, wait_for


def model_path(name="smollm2-135m"):
    """The file of a model of the user's store, or None."""
    home = pathlib.Path(os.environ.get("SOBRE_HOME") or pathlib.Path(
        os.environ.get("XDG_DATA_HOME") or pathlib.Path.home() / ".local" / "share") / "sobre")
    path = home / "models" / (name + ".gguf")
    return str(path) if path.exists() else None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Measured:
    """What /proc says of the process .p."""

    def rss_kb(self):
        return self.status_of("VmRSS:")

    def peak_kb(self):
        return self.status_of("VmHWM:")

    def status_of(self, name, task=""):
        text = open("/proc/%d%s/status" % (self.p.pid, task)).read()
        return int(text.split(name)[1].split()[0])

    def tasks(self):
        return ["/task/" + t for t in os.listdir("/proc/%d/task" % self.p.pid)]

    def cpu_ms(self):
        """CPU time of the threads there are, to the microsecond."""
        return cpu_ns(self.p.pid) / 1e6

    def switches(self):
        """Voluntary context switches of all threads."""
        return sum(self.status_of("\nvoluntary_ctxt_switches:", t) for t in self.tasks())

    cpu_s = Server.cpu_s

    def n_fds(self):
        return len(os.listdir("/proc/%d/fd" % self.p.pid))

    def call(self, method, path, body=None, headers=None, timeout=120):
        """(status, headers, body) of one request; body: JSON's value or bytes."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout * SLOW)
        try:
            h = dict(headers or {})
            if body is not None and not isinstance(body, bytes):
                body = json.dumps(body).encode()
                h.setdefault("Content-Type", "application/json")
            c.request(method, path, body, h)
            r = c.getresponse()
            return r.status, dict((k.lower(), v) for k, v in r.getheaders()), r.read()
        finally:
            c.close()

    def json(self, method, path, body=None, headers=None):
        status, _, text = self.call(method, path, body, headers)
        return status, json.loads(text) if text else None

    def kill(self):
        self.p.kill()
        self.p.wait()

    def close(self):
        if self.p and self.p.poll() is None:
            self.kill()
        if self.own_home:
            shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Served(Measured, Server):
    """`sobre serve` with all its state below one folder; start() again after it has ended."""

    def __init__(self, *options, model=None, home=None, env=None):
        self.own_home = home is None
        self.home = home or tempfile.mkdtemp(prefix="sobre-served-")
        self.options, self.env, self.port = ("-m", model or model_path(), *options), env, 0
        self.start()

    def start(self):
        """On the same port, if it has had one."""
        Server.__init__(self, *self.options, home=self.home, env=self.env, port=self.port)

    def run(self, *words):
        """Standard output of another command on the same folder."""
        return subprocess.run([SOBRE, *words], env={**os.environ, "SOBRE_HOME": self.home, "LC_ALL": "C"},
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True).stdout.decode()

    def add_key(self, name, *options):
        key = max(self.run("key", "add", name, *options).split(), key=len)
        time.sleep(1.1)  # a running server sees a new key within a second
        return key


class Peer(Measured):
    """Another server: its words, in which {port} stands for a free port."""

    def __init__(self, *words):
        self.own_home, self.home, self.port = True, tempfile.mkdtemp(prefix="sobre-peer-"), free_port()
        self.p = subprocess.Popen([w.format(port=self.port) for w in words], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if not wait_for(self.is_healthy, 60):
            raise RuntimeError("%s is not healthy" % words[0])

    def is_healthy(self):
        try:
            return self.call("GET", "/health")[0] == 200
        except OSError:
            return False


def request_bytes(port, path, body, headers=()):
    data = json.dumps(body).encode()
    head = ["POST %s HTTP/1.1" % path, "Host: 127.0.0.1:%d" % port,
            "Content-Type: application/json", "Content-Length: %d" % len(data), *headers]
    return ("\r\n".join(head) + "\r\n\r\n").encode() + data


class Answer:
    """One streamed chat completion: its text and the times of its tokens."""

    def __init__(self):
        self.status, self.text, self.finish, self.usage = 0, "", None, None
        self.begin, self.times, self.done = time.monotonic(), [], False
        self.error = None

    def take(self, line):
        if not line.startswith(b"data:"):
            return
        data = line[5:].strip()
        if data == b"[DONE]":
            self.done = True
            return
        event = json.loads(data)
        if "error" in event:
            self.error = event["error"]
        if event.get("usage"):
            self.usage = event["usage"]
        for choice in event.get("choices", ()):
            delta = choice.get("delta", {})
            piece = (delta.get("reasoning_content") or "") + (delta.get("content") or "")
            if piece:
                self.text += piece
                self.times.append(time.monotonic())
            self.finish = choice.get("finish_reason") or self.finish

    @property
    def ttft(self):
        return self.times[0] - self.begin if self.times else float("inf")

    def gaps(self):
        return [b - a for a, b in zip(self.times, self.times[1:])]


async def read_chunks(reader):
    """The pieces of a chunked body."""
    while True:
        size = int((await reader.readline()).split(b";")[0], 16)
        if size == 0:
            await reader.readline()
            return
        yield await reader.readexactly(size)
        await reader.readexactly(2)


async def stream(port, body, path="/v1/chat/completions", headers=(), stop_after=None, until=None):
    """Runs one streamed request; stop_after: breaks off after so many pieces of text;
    until: once this event is set."""
    a = Answer()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    try:
        writer.write(request_bytes(port, path, {**body, "stream": True}, headers))
        await writer.drain()
        a.status = int((await reader.readline()).split()[1])
        chunked, length = False, None
        while (line := await reader.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            chunked |= name.lower() == "transfer-encoding"
            length = int(value) if name.lower() == "content-length" else length
        if not chunked:
            a.error = (await (reader.readexactly(length) if length else reader.read())).decode()
            return a
        left = b""
        async for piece in read_chunks(reader):
            *lines, left = (left + piece).split(b"\n")
            for line in lines:
                a.take(line)
            if (stop_after is not None and len(a.times) >= stop_after) or (until and until.is_set()):
                return a
        return a
    finally:
        writer.transport.abort() if stop_after is not None or until else writer.close()


def percentile(values, p):
    v = sorted(values)
    return v[min(len(v) - 1, int(len(v) * p / 100))] if v else float("nan")
