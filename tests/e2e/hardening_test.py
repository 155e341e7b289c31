#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command as it was linked: what makes a hole in it harder to use is there."""
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from serve import BUILD, SOBRE  # noqa: E402
from tap import case, finish, skip  # noqa: E402


def readelf(*options):
    return subprocess.run(["readelf", "-W", *options, os.path.realpath(SOBRE)], check=True,
                          stdout=subprocess.PIPE).stdout.decode()


if re.search(r"address|thread|memory|fuzz", os.path.basename(BUILD)):
    skip("hardening", "a sanitizer's build")
    sys.exit(0)
program, dynamic, symbols = readelf("-l"), readelf("-d"), readelf("--dyn-syms")
case("it is position independent", re.search(r"Elf file type is DYN", program) and "PIE" in dynamic, program[:200])
case("its tables of addresses are read-only from the start", "GNU_RELRO" in program and re.search(
    r"BIND_NOW|FLAGS.*\bNOW\b", dynamic), dynamic)
case("no page of it can be written and run", not re.search(r"^\s+LOAD\s.*RWE", program, re.M) and
     re.search(r"GNU_STACK\s.*RW\s", program), program)
case("the stack is guarded", "__stack_chk_fail" in symbols, symbols)
if shutil.which("systemd-analyze"):
    unit = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../dist/systemd/sobre.service")
    done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--threshold=20", unit],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    case("the unit's exposure is at most 2.0", done.returncode == 0, done.stdout.decode()[-300:])
else:
    skip("the unit's exposure is at most 2.0", "no systemd-analyze")
case("copies into known buffers are checked", re.search(r"__(memcpy|snprintf|read|memmove|vsnprintf)_chk", symbols),
     symbols)
finish()
