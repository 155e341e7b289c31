# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: running the command, and one TAP line per case."""
import concurrent.futures
import os
import subprocess
import sys
import threading

SOBRE = os.environ.get("SOBRE", "build/sobre")
n_case = n_bad = 0
lock = threading.Lock()


def case(name, good, seen=""):
    global n_case, n_bad
    with lock:
        n_case, n_bad = n_case + 1, n_bad + (not good)
        print("%sok %d - %s" % ("" if good else "not ", n_case, name), flush=True)
        if not good:
            print("# " + str(seen).replace("\n", "\n# "), flush=True)


def skip(name, why):
    print("ok - %s # SKIP %s" % (name, why))


def sobre(*args, text=None):
    """(exit status, stdout, stderr) of one run, as text."""
    done = subprocess.run([SOBRE, *args], input=text.encode() if text is not None else None,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=600)
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def together(*parts):
    """Runs parts of a test that mostly wait, beside each other."""
    with concurrent.futures.ThreadPoolExecutor(len(parts)) as threads:
        for part in [threads.submit(p) for p in parts]:
            part.result()


def finish():
    sys.exit(n_bad > 0)
