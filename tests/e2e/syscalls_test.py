#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""System calls that fail (A5): the n-th open, fstat, mmap, read, write, fsync, rename, mkdir or thread of a
command fails with an error, for every n. The command then works all the same, or ends with status 1 and
one line, within the time it takes; it never dies of a signal and leaves no half-made file that counts.
Uses a tiny model made on the spot; needs no download."""
import errno
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import SOBRE, case, finish, skip

BUILD = os.environ["SOBRE_BUILD"]
TINY = os.path.join(BUILD, "tests/tinymodel/tinymodel")
SHIM = os.path.join(BUILD, "tests/rig/libfailcall.so")
ERRORS = {"open": (errno.EMFILE, errno.EIO, errno.EINTR), "fstat": (errno.EIO,), "mmap": (errno.ENOMEM,),
          "read": (errno.EIO, 0), "write": (errno.ENOSPC, errno.EINTR, 0), "fsync": (errno.EIO,),
          "rename": (errno.EIO,), "mkdir": (errno.ENOSPC,), "ftruncate": (errno.ENOSPC,),
          "pthread_create": (errno.EAGAIN,)}


def run(args, order, env, count=None):
    p = subprocess.run([SOBRE, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                       env={**os.environ, **env, "LD_PRELOAD": SHIM, "FAILCALL": order,
                            **({"FAILCALL_COUNT": count} if count else {})}, timeout=120)
    return p.returncode, p.stdout, p.stderr


def one_line(err):
    """Exactly one line of error; the line of cost may stand before it."""
    lines = [l for l in err.splitlines() if l]
    return lines and all(l.startswith(b"sobre: ") for l in lines) and len(lines) <= 2


def plain(out):
    """Output without what may differ between runs."""
    return re.sub(rb'"(timings|energy)":\{[^}]*\}', b"", out)


def sweep(room, name, args, env, reset=lambda: None, check=lambda call, code: True):
    reset()
    good = run(args, "none:0:0", env)
    case("%s: undisturbed" % name, good[0] == 0, good)
    for call, errors in ERRORS.items():
        count = os.path.join(room, "count")
        reset()
        run(args, call + ":0:0", env, count)
        n_calls = int(open(count).read())
        bad = []
        for error in errors:
            for n in range(1, n_calls + 1):
                reset()
                code, out, err = run(args, "%s:%d:%d" % (call, n, error), env)
                fine = (code == 0 and plain(out) == plain(good[1])) or (
                    code == 1 and (one_line(err) or call == "write"))
                if not fine or not check(call, code):
                    bad.append((n, error, code, out[-200:], err[-400:]))
        if n_calls:
            case("%s: %d calls of %s fail" % (name, n_calls, call), not bad, bad[:3])


def data_base(room, env, home):
    """What fails leaves the data base whole, as it was or as it should be; a backup is whole or not there."""
    kept, copy = os.path.join(room, "kept"), os.path.join(room, "copy.db")
    shutil.rmtree(home, ignore_errors=True)
    for name in ("ana", "bob"):
        run(("key", "add", name), "none:0:0", env)
    run(("db", "backup", copy), "none:0:0", env)
    run(("key", "revoke", "ana"), "none:0:0", env)
    shutil.copytree(home, kept)

    def again():
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(kept, home)

    def names():
        """Keys that are not revoked, if all is whole."""
        if run(("db", "check"), "none:0:0", env)[0] != 0:
            return None
        return [k["name"] for k in json.loads(run(("key", "list", "--json"), "none:0:0", env)[1]) if not k["revoked"]]

    sweep(room, "key revoke", ("key", "revoke", "bob"), env, again,
          lambda call, code: names() in ([[]] if code == 0 else [[], ["bob"]]))
    other = os.path.join(room, "other.db")

    def no_backup():
        again()
        if os.path.exists(other):
            os.remove(other)

    sweep(room, "db backup", ("db", "backup", other), env, no_backup,
          lambda call, code: os.path.exists(other) == (code == 0))
    sweep(room, "db restore", ("db", "restore", copy), env, again,
          lambda call, code: names() in ([["ana", "bob"]] if code == 0 else [["bob"], ["ana", "bob"]]))


def main():
    if not os.path.exists(SHIM):
        skip("system calls", "no library to preload in this build")
        sys.exit(77)
    room = tempfile.mkdtemp(prefix="sobre-syscalls-")
    model, home = os.path.join(room, "tiny.gguf"), os.path.join(room, "home")
    env = {"SOBRE_HOME": home, "HOME": room}
    try:
        subprocess.run([TINY, model], check=True, stdout=subprocess.DEVNULL)
        sweep(room, "run", ("run", "-m", model, "--raw", "--temp", "0", "-n", "3", "-t", "2", "hello"), env)
        sweep(room, "inspect", ("inspect", "--json", model), env)
        sweep(room, "tokenize", ("tokenize", "-m", model, "hello there"), env)
        # What could not be made safe is not said to be done; and the same command, again, does it.
        sweep(room, "pull PATH", ("pull", model), env, lambda: shutil.rmtree(home, ignore_errors=True),
              lambda call, code: code == (1 if call in ("fsync", "rename") else code) and
              (code == 0 or run(("pull", model), "none:0:0", env)[0] == 0))
        data_base(room, env, home)
    finally:
        shutil.rmtree(room, ignore_errors=True)
    finish()



main()
