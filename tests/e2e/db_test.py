#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`sobre key` and `sobre db` as people and scripts use them: keys shown once and found nowhere, backup, restore,
check, what is refused and in which words, and beside a process that has the data base open. Needs no model."""
import fcntl
import json
import os
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import SOBRE, case, finish

ROOM = tempfile.mkdtemp(prefix="sobre-db-")
HOME = os.path.join(ROOM, "home")
DB = os.path.join(HOME, "sobre.db")


def run(*args, home=HOME, **env):
    done = subprocess.run([SOBRE, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                          env={**os.environ, "LC_ALL": "C", "SOBRE_HOME": home, **env})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def file_bytes(path):
    with open(path, "rb") as f:
        return f.read()


def keys():
    code, out, err = run("key", "list")
    case("no keys, no data base, and none is made", code == 0 and not out and not err and not os.path.exists(HOME))
    code, out, err = run("key", "list", "--json")
    case("no keys as JSON", code == 0 and json.loads(out) == [])
    code, key, err = run("key", "add", "Ana's laptop", "--rpm", "60", "--tpm", "1000", "--concurrent", "2",
                         "--priority", "-5")
    key = key.strip()
    case("a key on standard output, its news beside it", code == 0 and key.startswith("sk-sobre-") and len(key) == 52 and
         key not in err and "this is the only time it is shown" in err and "number 1" in err, err)
    code, out, err = run("key", "add", "admin", "--admin", "--json")
    made = json.loads(out)
    case("a key as JSON", code == 0 and made["admin"] and made["id"] == 2 and made["key"].startswith("sk-sobre-"))
    for name in os.listdir(HOME):
        data = file_bytes(os.path.join(HOME, name))
        case("no key in %s" % name, key.encode() not in data and key[9:40].encode() not in data and
             made["key"][9:40].encode() not in data)
        case("%s is private" % name, os.stat(os.path.join(HOME, name)).st_mode & 0o777 == 0o600)
    code, out, err = run("key", "list")
    case("the list", code == 0 and "Ana's laptop" in out and "rpm 60" in out and "priority -5" in out and
         len(out.splitlines()) == 2 and key not in out, out)
    code, out, err = run("key", "list", "--json")
    rows = json.loads(out)
    case("the list as JSON", [r["name"] for r in rows] == ["Ana's laptop", "admin"] and rows[0]["tpm"] == 1000 and
         all("key" not in r and "sha256" not in r for r in rows), out)
    code, out, err = run("key", "add", "admin")
    case("a name twice", code == 1 and "there is a key 'admin' already" in err and not out, err)
    code, out, err = run("key", "revoke", "1")
    case("revoked by number", code == 0 and "key 'Ana's laptop', number 1: revoked" in err, err)
    code, out, err = run("key", "revoke", "Ana's laptop")
    case("revoked twice", code == 1 and "no key" in err, err)
    code, out, err = run("key", "list")
    case("a revoked key stays in the list", "revoked" in out.splitlines()[0], out)


def usage():
    for args, says in ((("key",), "is missing"), (("key", "add"), "add: NAME is missing"),
                       (("key", "frob"), "'frob': must be one of add|list|revoke"), (("key", "list", "x"), "takes nothing more"),
                       (("key", "list", "--admin"), "--admin: only with `sobre key add`"),
                       (("key", "add", "x", "--rpm", "-1"), "must be a whole number"), (("db", "backup"), "FILE is missing"),
                       (("db", "backup", "a", "b"), "quote what belongs together"), (("db", "check", "x"), "takes nothing more")):
        code, out, err = run(*args)
        case("usage of %s" % " ".join(args), code == 2 and says in err and len(err.splitlines()) == 1 and not out, err)
    for name in ("", "12", "-x", "a\nb", "\x1b[31m", "x" * 65):
        code, out, err = run("key", "add", "--", name)
        case("name %r" % name[:9], code == 1 and "a key's name" in err and "\x1b" not in err and not out, err)


def backups():
    copy = os.path.join(ROOM, "copy.db")
    code, out, err = run("db", "backup", copy)
    case("backup", code == 0 and not out and "backup written" in err and os.stat(copy).st_mode & 0o777 == 0o600, err)
    code, out, err = run("db", "backup", copy)
    case("never over a file", code == 1 and "is there already" in err, err)
    code, out, err = run("db", "backup", os.path.join(ROOM, "none", "x.db"))
    case("into no folder", code == 1 and "cannot make" in err, err)
    run("key", "add", "later")
    code, out, err = run("db", "check")
    case("check", code == 0 and "whole: 0 conversations" in err and "2 keys" in err, err)
    code, out, err = run("db", "restore", copy)
    case("restore", code == 0 and "1 keys" in err and "sobre.db.old" in err, err)
    case("it is as it was", len(json.loads(run("key", "list", "--json")[1])) == 2)
    code, out, err = run("db", "restore", os.path.join(HOME, "sobre.db.old"))
    case("and back", code == 0 and len(json.loads(run("key", "list", "--json")[1])) == 3, err)
    before = file_bytes(DB)
    for name, data in (("empty", b""), ("text", b"hello\n" * 2000), ("cut", file_bytes(copy)[:9000]),
                       ("page", file_bytes(copy)[:8192] + b"\xa5" * 4096 + file_bytes(copy)[12288:])):
        bad = os.path.join(ROOM, name)
        with open(bad, "wb") as f:
            f.write(data)
        code, out, err = run("db", "restore", bad)
        case("no backup: %s" % name, code == 1 and len(err.splitlines()) == 1 and file_bytes(DB) == before and
             not os.path.exists(DB + ".new"), err)
    fresh = os.path.join(ROOM, "fresh")
    code, out, err = run("db", "restore", copy, home=fresh)
    case("into a new home", code == 0 and len(json.loads(run("key", "list", "--json", home=fresh)[1])) == 2, err)
    code, out, err = run("db", "check", home=os.path.join(ROOM, "nobody"))
    case("nothing to check", code == 1 and "nothing is stored yet" in err, err)


def states():
    """Row K4 of the bad inputs, as the command meets it."""
    room = os.path.join(ROOM, "states")
    db = os.path.join(room, "sobre.db")
    os.makedirs(room)
    open(db, "w").close()
    case("0 bytes: made", run("key", "add", "a", home=room)[0] == 0 and len(file_bytes(db)) > 0)
    good = file_bytes(db)
    for name, data, says in (("random bytes", os.urandom(9000), "db restore"),
                             ("newer schema", good[:60] + struct.pack(">I", 99) + good[64:], "schema 99"),
                             ("another program's", good[:68] + b"ABCD" + good[72:], "another program")):
        with open(db, "wb") as f:
            f.write(data)
        for args in (("key", "add", "x"), ("key", "list"), ("db", "check")):
            code, out, err = run(*args, home=room)
            case("%s: %s" % (name, " ".join(args)), code == 1 and says in err and len(err.splitlines()) == 1 and
                 not out and file_bytes(db) == data, err)
    with open(db, "wb") as f:
        f.write(good)
    os.chmod(db, 0o400)
    code, out, err = run("key", "add", "b", home=room)
    case("read-only: no write", code == 1 and "may only be read" in err, err)
    case("read-only: reads", run("key", "list", home=room)[1].count("\n") == 1)
    os.chmod(db, 0o600)


def beside_a_server():
    """The house lock as `sobre serve` holds it, and a writer that holds the other one."""
    lock = os.open(os.path.join(HOME, "sobre.lock"), os.O_RDWR)
    take = lambda at: fcntl.fcntl(lock, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, at, 1, 0))  # F_OFD_SETLK
    copy = os.path.join(ROOM, "beside.db")
    os.ftruncate(lock, 0)
    os.pwrite(lock, b"4711\n", 0)
    take(0)
    case("backup beside a server", run("db", "backup", copy)[0] == 0)
    case("check beside a server", run("db", "check")[0] == 0)
    case("a key beside a server", run("key", "add", "beside")[0] == 0)
    code, out, err = run("db", "restore", copy)
    case("no restore beside a server, whose number is said", code == 1 and "a server runs as process 4711" in err, err)
    take(1)
    timer = threading.Timer(0.5, lambda: os.close(lock))
    timer.start()
    case("a key waits for a transaction to end", run("key", "add", "waited")[0] == 0)
    timer.join()


def languages():
    code, out, err = run("db", "check", LC_ALL="fr_FR.UTF-8")
    case("French", code == 0 and "entier : 0 conversations" in err and "clés" in err, err)
    code, out, err = run("key", "revoke", "nobody", LC_ALL="fr_FR.UTF-8")
    case("French error", code == 1 and "pas de clé « nobody »" in err, err)
    case("help names the words", all(w in run("key", "--help")[1] for w in ("add NAME", "revoke NAME|ID", "--concurrent")))


def closed_output():
    done = subprocess.run("%s key add lost >&-" % SOBRE, shell=True, stderr=subprocess.PIPE,
                          env={**os.environ, "LC_ALL": "C", "SOBRE_HOME": HOME})
    case("a key that could not be shown is an error", done.returncode == 1 and b"sk-sobre" not in done.stderr, done.stderr)


if __name__ == "__main__":
    try:
        keys()
        usage()
        backups()
        states()
        beside_a_server()
        languages()
        closed_output()
        with sqlite3.connect(DB) as whole:
            case("SQLite's own word", whole.execute("PRAGMA integrity_check").fetchone()[0] == "ok")
    finally:
        shutil.rmtree(ROOM, ignore_errors=True)
    finish()
