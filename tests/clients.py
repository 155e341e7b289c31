# SPDX-License-Identifier: Apache-2.0
"""Runs the calling test on the Python that has the official clients (tests/requirements.txt).

`make test` makes it in build/venv; $SOBRE_TEST_VENV names another. Without one the test is skipped,
and says so."""
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def use_clients():
    venv = os.environ.get("SOBRE_TEST_VENV") or os.path.join(ROOT, "build", "venv")
    python = os.path.join(venv, "bin", "python")
    if os.path.realpath(sys.prefix) == os.path.realpath(venv):
        return
    if not os.path.exists(python):
        print("ok - %s # SKIP no %s: run tools/test-env" % (os.path.basename(sys.argv[0]), python))
        sys.exit(77)
    os.execv(python, [python, *sys.argv])
