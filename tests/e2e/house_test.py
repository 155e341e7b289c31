#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each lint finds the offence it is for, in a small tree of its own; PROMPT arrives as it was typed."""
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests"))
from tap import case, finish, skip  # noqa: E402
SPDX = "/* SPDX-License-Identifier: Apache-2.0\n * %s - a file. */\n"
CASES = (  # lint, file, its text after the head, what the lint must say ("" = nothing)
    ("layers", "src/base/a.c", '#include "quant/q.h"\n', "base may not include quant/q.h"),
    ("layers", "src/base/a.c", '#include "q.h"\n', "not a path from the root of src"),
    ("layers", "src/gguf/a.c", '#include "quant/internal.h"\n', "private to quant"),
    ("layers", "src/attic/a.c", "\n", "has no row"),
    ("layers", "src/gguf/q.h", "\n", "exists already"),
    ("layers", "src/gguf/a.c", '#include "quant/q.h"\n', ""),
    ("sizes", "src/base/a.c", "int x; // %s\n" % ("x" * 91), "101 columns"),
    ("sizes", "src/base/a.h", "int x;\n" * 199, "201 lines"),
    ("sizes", "src/base/a.c", "int x;\n" * 999, "1001 lines"),
    ("sizes", "src/base/a.c", "int f(void)\n{\n" + "    ;\n" * 67 + "    return 1;\n}\n", "src/base/a.c:f: 71 lines"),
    ("sizes", "src/base/a.c", "int f(void)\n{\n" + "    ;\n" * 66 + "    return 1;\n}\n", ""),
    ("format", "src/base/a.c", "int f(void) {\n  return 1;\n}\nint y;\n", "2 places"),
    ("headers", "src/base/a.h", "size_t f(void);\n", "size_t"),
    ("banned", "src/base/a.c", "int f(char *s) { return atoi(s); }\n", "atoi()"),
    ("banned", "src/base/a.c", "int f(char *s) { return s ? abort (), 1 : 0; }\n", "abort()"),
    ("banned", "src/base/a.c", '/* atoi(s) */ char f[] = "atoi(s)"; // atoi(s)\n', ""),
    ("banned", "src/base/a.c", 'char f[] = "http:' + '//a.bc/d";\n', "address"),
    ("banned", "src/base/a.c", 'char f[] = "files.registry.' + 'org/x";\n', "host"),
    ("banned", "src/cli/a.c", 'int f(void) { return printf("x"); }\n', ""),
    ("tree", "src/base/a.c", "x" * 1000001, "over 1 MB"),
    ("tree", "src/base/b.sh", "echo\n", "no SPDX line"),
    ("tree", "src/base/a.c", "", ""),
)
COMMITS = (("house: add a thing\n\nWhy.", ""), ("add a thing\n\nWhy.", "in front"),
           ("house: add a thing.\n\nWhy.", "period"), ("house: add a thing", "no body"),
           ("house: add\nand\n\nWhy.", "second line"), ("house: %s\n\nWhy." % ("x" * 66), "73 char"))
PROMPT = "a \"b\" 'c' $HOME $(shell echo x) `id` ${x} $$ \\ #\nsecond line %n"


def run(cwd, *cmd):
    done = subprocess.run(cmd, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


def fresh(top):
    shutil.rmtree(top, ignore_errors=True)
    shutil.copytree(os.path.join(ROOT, "tools"), os.path.join(top, "tools"))
    shutil.copy(os.path.join(ROOT, ".clang-format"), top)
    write(os.path.join(top, "tools/size-exceptions.txt"), "# none\n")
    write(os.path.join(top, "src/quant/q.h"), SPDX % "q.h")
    write(os.path.join(top, "src/quant/internal.h"), SPDX % "internal.h")
    run(top, "git", "init", "-q")


def main(top):
    for lint, path, text, want in CASES:
        need = {"format": "clang-format-14", "sizes": "ctags"}.get(lint)
        if need and not shutil.which(need):
            skip("lint-" + lint, need + " is not installed (make check installs it)")
            continue
        fresh(top)
        head = "" if path.endswith(".sh") else SPDX % os.path.basename(path)
        write(os.path.join(top, path), head + text)
        run(top, "git", "add", "src")
        code, out = run(top, "tools/lint-" + lint)
        case("lint-%s: %s" % (lint, want or "no finding in " + path), (code != 0) == bool(want) and want in out, out)
    for message, want in COMMITS:
        fresh(top)
        run(top, "git", "-c", "user.name=n", "-c", "user.email=e", "commit", "-q", "--allow-empty", "-m", message)
        code, out = run(top, "tools/lint-commits")
        case("lint-commits: " + (want or "a good one"), (code != 0) == bool(want) and want in out, out)
    for tool in "bootstrap", "build", "run":
        write(os.path.join(top, "tools", tool), "#!/bin/sh\n" + 'printf %s "$SOBRE_PROMPT"\n' * (tool == "run"))
    shutil.copy(os.path.join(ROOT, "Makefile"), top)
    code, out = run(top, "make", "--no-print-directory", "run", "PROMPT=" + PROMPT)
    case("make run hands PROMPT over as it was typed", code == 0 and out == PROMPT, out)


with tempfile.TemporaryDirectory() as folder:
    main(os.path.join(folder, "t"))
finish()
