#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""System calls that fail under the server (A5): the n-th accept, receive, send, epoll, read, write, fsync or open of
a server that is up fails, for every n of a few requests (a sample of them unless --all). It must not die: the request
that was hit may break off or be refused; the next one gets the answer it always gets, and the server leaves with
status 0."""
import errno
import http.client
import json
import mmap
import os
import random
import struct
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import scripted  # noqa: E402
from served import Served  # noqa: E402
from tap import case, finish, skip  # noqa: E402

SHIM = os.path.abspath(os.path.join(os.environ.get("SOBRE_BUILD", "build"), "tests/rig/libfailcall.so"))
ERRORS = {"accept": (errno.EMFILE, errno.ECONNABORTED, errno.EINTR), "recv": (errno.ECONNRESET, errno.EINTR),
          "send": (errno.EPIPE, errno.EINTR), "epoll": (errno.ENOMEM,), "epoll_wait": (errno.EINTR,),
          "read": (errno.EIO, errno.EINTR, 0), "write": (errno.ENOSPC, errno.EIO, 0), "fsync": (errno.EIO,),
          "open": (errno.EMFILE,), "fstat": (errno.EIO,)}
STICKS = ("write", "fsync")  # after these the data base may stay shut: each gets a server of its own
SAMPLE = 5
ASK = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 20}
KINDS = (("POST", "/v1/chat/completions", ASK), ("POST", "/v1/chat/completions", {**ASK, "stream": True}),
         ("POST", "/v1/responses", {"input": "hi", "store": True}), ("GET", "/v1/models", None),
         ("GET", "/sobre/v1/conversations", None), ("GET", "/", None))


class Shimmed(Served):
    """A server whose calls of one name are counted, and fail when they are told to."""

    def __init__(self, model, call):
        self.orders_file = tempfile.NamedTemporaryFile()
        self.orders_file.write(bytes(24))
        self.orders_file.flush()
        self.orders = mmap.mmap(self.orders_file.fileno(), 24)
        super().__init__(model=model, env={"LD_PRELOAD": SHIM, "FAILCALL": call + ":0",
                                           "FAILCALL_SHARED": self.orders_file.name})

    def order(self, n, error):
        """The n-th call from now on fails; -1: none, they are counted."""
        self.orders[8:24] = struct.pack("<qq", 0, error)
        self.orders[0:8] = struct.pack("<q", n)

    def calm(self):
        """The number of calls since the order; from now on none fails."""
        self.orders[0:8] = bytes(8)
        return struct.unpack("<q", self.orders[8:16])[0]


def requests(s):
    """A few requests of each kind; what each of them gave, or the error it met."""
    out = []
    for method, path, body in KINDS:
        try:
            out.append(s.call(method, path, body, timeout=20)[0])
        except (OSError, ValueError, EOFError, http.client.HTTPException) as e:
            out.append(type(e).__name__)
    return out


def one(s, n, error):
    """Why it went wrong, or None; and how many calls there were."""
    s.order(n, error)
    met = requests(s)
    n_calls = s.calm()
    if s.p.poll() is not None:
        return "left with %s after %s: %s" % (s.p.returncode, met, s.stderr()[-300:]), n_calls
    try:
        text = json.loads(s.call("POST", "/v1/chat/completions", ASK, timeout=20)[2])
        said = text["choices"][0]["message"]["content"]
    except (OSError, ValueError, LookupError, http.client.HTTPException) as e:
        return "the next request: %r after %s" % (e, met), n_calls
    wrong = [m for m in met if n < 0 and m != 200]
    return None if said == "Hello, how can I help?" and not wrong else "%r after %s" % (said, met), n_calls


def sweep(model, call, tries):
    """The tries that went wrong."""
    bad, s = [], None
    for n, error in tries:
        s = s or Shimmed(model, call)
        why, _ = one(s, n, error)
        if why or call in STICKS:
            status = s.stop(seconds=20)
            s.close()
            why = why or (status and "status %s: %s" % (status, s.stderr()[-300:]))
            s = None
        bad += [(n, error, why)] if why else []
    if s:
        status = s.stop(seconds=20)
        s.close()
        bad += ["status %s" % status] if status else []
    return bad


def main():
    if not os.path.exists(SHIM):
        skip("system calls of the server", "no library to preload in this build")
        sys.exit(77)
    model = scripted.write(os.path.join(tempfile.mkdtemp(), "scripted.gguf"))
    rng = random.Random(4)
    for call, errors in ERRORS.items():
        with Shimmed(model, call) as s:
            why, n_calls = one(s, -1, 0)
            why = why or ("status %s" % s.p.returncode if s.stop(seconds=20) else None)
        case("%s: undisturbed, %d calls" % (call, n_calls), why is None and (n_calls or call == "fstat"), why)
        tries = [(n, e) for n in range(1, n_calls + 1) for e in errors]
        if "--all" not in sys.argv and len(tries) > SAMPLE:
            tries = rng.sample(tries, SAMPLE)
        bad = sweep(model, call, tries)
        case("%s: %d failures survived" % (call, len(tries)), not bad, bad[:3])
    finish()


main()
