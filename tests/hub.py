# SPDX-License-Identifier: Apache-2.0
"""A model hub on this machine: API, files by their LFS hashes, and a second server that holds the bytes,
as a content network would. It can be slow, broken, or lie; it counts what it sends and remembers what
it was asked."""
import hashlib
import http.server
import json
import re
import struct
import threading
import time

ARCH_KEY = b"general.architecture"


def text(s):
    return struct.pack("<Q", len(s)) + s


def gguf(arch=b"llama", size=0, seed=1):
    """A file that begins as GGUF does; what follows is noise up to `size`."""
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text(ARCH_KEY) + struct.pack("<I", 8) + text(arch)
    noise = bytearray()
    while len(head) + len(noise) < size:
        noise += hashlib.sha256(b"%d.%d" % (seed, len(noise))).digest() * 64
    return bytes(head + noise)[:max(size, len(head))]


SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


def shards(model):
    """A model as a set of two files, each with half of its tensors."""
    n_tensors, n_kv = struct.unpack_from("<QQ", model, 8)
    at = 24

    def take(form):
        nonlocal at
        v = struct.unpack_from(form, model, at)
        at += struct.calcsize(form)
        return v[0] if len(v) == 1 else v

    def over(n):
        nonlocal at
        at += n

    def skip(kind, n):
        for _ in range(n if kind == 8 else 1):
            over(take("<Q") if kind == 8 else SIZES[kind] * n)
    for _ in range(n_kv):
        over(take("<Q"))
        kind = take("<I")
        skip(*(take("<IQ") if kind == 9 else (kind, 1)))
    kvs, infos = model[24:at], []
    for _ in range(n_tensors):
        begin = at
        over(take("<Q"))
        over(8 * take("<I") + 4)
        infos.append((model[begin:at], take("<Q")))
    data = model[(at + 31) // 32 * 32:]
    ends = sorted(o for _, o in infos) + [len(data)]
    files, half = [], n_tensors // 2
    for no, mine in enumerate((infos[:half], infos[half:])):
        extra = b"".join(text(k) + struct.pack(f, *v) for k, f, v in (
            (b"split.no", "<IH", (2, no)), (b"split.count", "<IH", (2, 2)), (b"split.tensors.count", "<Ii", (5, n_tensors))))
        head = b"GGUF" + struct.pack("<IQQ", 3, len(mine), 3 + (0 if no else n_kv)) + (b"" if no else kvs) + extra
        body = b""
        for info, offset in mine:
            piece = data[offset:min(e for e in ends if e > offset)]
            head += info + struct.pack("<Q", len(body))
            body += piece + b"\0" * (-len(piece) % 32)
        files.append(head + b"\0" * (-len(head) % 32) + body)
    return files


class File:
    """What is served under one name, and how."""

    def __init__(self, data, **how):
        self.data, self.how = data, how
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.etag = '"%s"' % self.sha256[:32]
        self.n_gets = 0  # of ranges that go to the end: the downloads


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        hub = self.server.hub
        with hub.lock:
            hub.log.append({"port": self.server.server_port, "path": self.path, "headers": dict(self.headers)})
        try:
            self.route(hub, self.path.split("?")[0])
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def send(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.pour(body)

    def pour(self, body, pace=0):
        hub, at = self.server.hub, 0
        while at < len(body):
            piece = body[at:at + 65536]
            self.wfile.write(piece)
            with hub.lock:
                hub.sent += len(piece)
            at += len(piece)
            if pace:
                time.sleep(pace)

    def route(self, hub, path):
        if path.startswith("/api/models/"):
            return self.listing(hub, path)
        m = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if m:
            return self.resolve(hub, m[1], m[3])
        if path in hub.answers:
            status, headers, body = hub.answers[path]
            return self.send(status, body, **headers)
        f = hub.plain.get(path)
        return self.serve(f) if f else self.send(404, b"nothing here")

    def listing(self, hub, path):
        m = re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/([^/]+)", path)
        repo = hub.repos.get(m[1]) if m else None
        if m and m[1] in hub.raw_listings:
            return self.send(200, hub.raw_listings[m[1]])
        if not repo:
            return self.send(401, b'{"error":"Repository not found"}', X_Error_Code="RepoNotFound")
        siblings = [{"rfilename": n, "size": len(f.data), "blobId": "0" * 40,
                     **({"lfs": {"sha256": f.sha256, "size": len(f.data), "pointerSize": 135}}
                        if hub.lists_lfs else {})} for n, f in repo.items()]
        self.send(200, json.dumps({"id": m[1], "sha": hub.commit, "tags": ["gguf", "license:apache-2.0"],
                                   "cardData": {"license": "apache-2.0"}, "siblings": siblings}).encode())

    def resolve(self, hub, repo, name):
        f = hub.repos.get(repo, {}).get(name)
        if not f:
            return self.send(404, b"Entry not found", X_Error_Code="EntryNotFound")
        for status, headers in f.how.get("first", [])[:1]:  # answers before the right one
            f.how["first"].pop(0)
            return self.send(status, b"later", **headers)
        if f.how.get("token") and self.headers.get("Authorization") != "Bearer " + f.how["token"]:
            return self.send(f.how.get("without", 401), b"no", X_Error_Code="GatedRepo")
        with hub.lock:
            hub.plain["/blob/" + f.sha256] = f
        headers = {"X_Repo_Commit": hub.commit, "X_Linked_Etag": '"%s"' % f.how.get("sha256", f.sha256),
                   "X_Linked_Size": f.how.get("announce", len(f.data)), "ETag": '"hub"'}
        self.send(302, b"moved", Location="%s/blob/%s" % (hub.cdn, f.sha256), **headers)

    def serve(self, f):
        """The bytes, or the range asked for."""
        m = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        data = f.how.get("body", f.data)
        first, last, status = 0, len(data) - 1, 200
        same = self.headers.get("If-Range") in (None, f.etag)
        if m and same and not f.how.get("no_range"):
            first, status = int(m[1]), 206
            last = min(int(m[2]), last) if m[2] else last
            if first > last:
                return self.send(416, Content_Range="bytes */%d" % len(data))
        body = data[first:last + 1]
        headers = {"Content_Length": len(body)}
        if not f.how.get("no_etag"):
            headers["ETag"] = f.etag
        if status == 206:
            headers["Content_Range"] = "bytes %d-%d/%d" % (first, last, len(data))
        is_download = not (m and m[2])
        f.n_gets += is_download
        broken = is_download and f.n_gets <= f.how.get("times", 1)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if broken and "cut" in f.how:  # the connection ends in the middle
            self.pour(body[:f.how["cut"]])
            self.close_connection = True
        elif broken and "stall" in f.how:  # ... or goes on and says nothing
            self.pour(body[:f.how["stall"]])
            self.wfile.flush()
            time.sleep(f.how.get("seconds", 4))
            self.close_connection = True
        else:
            self.pour(body, f.how.get("pace", 0) if is_download else 0)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


class Hub:
    """Two servers: .url is the hub, .cdn where its bytes lie."""

    def __init__(self):
        self.lock = threading.Lock()
        self.log, self.sent = [], 0
        self.repos, self.plain, self.answers, self.raw_listings = {}, {}, {}, {}
        self.lists_lfs, self.commit = True, "a" * 40
        self.servers = [Server(("127.0.0.1", 0), Handler) for _ in range(2)]
        for s in self.servers:
            s.hub = self
            threading.Thread(target=s.serve_forever, args=(0.05,), daemon=True).start()
        self.url, self.cdn = ("http://127.0.0.1:%d" % s.server_port for s in self.servers)

    def seen(self, server):
        port = self.servers[server].server_port
        return [r for r in self.log if r["port"] == port]

    def forget(self):
        with self.lock:
            self.log, self.sent = [], 0
