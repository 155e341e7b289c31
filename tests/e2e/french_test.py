#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The French of the command: every text for people in src/cli has a row in french.def, every row's
English stands in the sources, values agree, and the environment chooses the language. Needs no model."""
import glob
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import SOBRE, case, finish

SRC = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "src")
LITERAL = r'"(?:\\.|[^"\\])*"'
PRI = {"PRIu64": "llu", "PRId64": "lld", "PRIi64": "lld", "PRIx64": "llx", "PRIu32": "u", "PRId32": "d"}
CONVERSION = re.compile(r"%[-+ #0-9.*]*(?:hh|h|ll|l|z|j|t)?([diouxXeEfgGcs])")


def read(path):
    text = open(os.path.join(SRC, path), encoding="utf-8").read()
    text = re.sub(r"'(?:\"|\\.)'", "0", re.sub(r"/\*.*?\*/", "", text, flags=re.S))
    return re.sub(r"(?m)(?<![:\"\w])//.*$", "", text)


def joined(text):
    """C text with its neighbouring literals made one."""
    text = re.sub(r"\b(PRI[a-z]\d\d)\b", lambda m: '"%s"' % PRI.get(m.group(1), "llu"), text)
    text = re.sub(r"\\\n", "\n", text)
    return re.sub(r'(?<!\\)"\s+"', "", text)


def plain(literal):
    return literal[1:-1].replace('\\"', '"').replace("\\\\", "\\").replace("\\n", "\n")


def rows_of(path):
    """Arguments of each X(...) of a list."""
    for row in re.findall(r"^X\((.*?)\)\s*$", joined(read(path)), flags=re.M | re.S):
        yield [a.strip() for a in re.findall(r"(?:%s|[^,\"]|\((?:[^()]|\([^()]*\))*\))+" % LITERAL, row)]


def texts_of_list(path, columns):
    for row in rows_of(path):
        for c in columns:
            text = plain(row[c])
            if re.search(r"[A-Za-z]{2}", text):
                yield path, text


CALLS = re.compile(r"\b(sb_term_say|sb_out_say|TELL|sb_tr|title|SB_FAIL|sb_bar_begin)\(((?:%s|[^;\"])*?);" % LITERAL)


def texts_of_code(path):
    """The first literal of every call that shows something."""
    for name, rest in CALLS.findall(joined(read(path))):
        found = re.search(LITERAL, rest)
        if found and re.search(r"[A-Za-z]{2}", CONVERSION.sub("", plain(found.group()))):
            yield path, plain(found.group())


def wanted():
    yield from texts_of_list("cli/commands.def", (3, 4, 5))
    yield from texts_of_list("cli/options.def", (8, 9))
    yield from texts_of_list("cli/verbs.def", (4, 5))
    yield from texts_of_list("cli/energy-words.def", (3, 4))
    yield from texts_of_list("cli/environ.def", (1,))
    yield from texts_of_list("cli/slash.def", (2, 4))
    for path in sorted(glob.glob(os.path.join(SRC, "cli/*.c"))):
        yield from texts_of_code(os.path.relpath(path, SRC))


def same_in_french(text):
    """Texts that are the same in both languages: choices, and words like OPTIONS."""
    return bool(re.fullmatch(r"[a-z0-9.+|-]+", text)) or text in SAME


SAME = {"N", "T", "P", "NAME", "OPTIONS", "SYNOPSIS", "DESCRIPTION", "text"}


def lists():
    rows = [(plain(e), plain(f)) for e, f in rows_of("cli/french.def")]
    table = dict(rows)
    case("no row twice", len(table) == len(rows), sorted(e for e, _ in rows if [x for x, _ in rows].count(e) > 1))
    missing = sorted({"%s: %s" % (p, t) for p, t in wanted() if t not in table and not same_in_french(t)})
    case("every text of the command is in french.def", not missing, "\n".join(missing))
    everything = "\n".join(plain('"' + m[1:-1] + '"') for f in glob.glob(os.path.join(SRC, "**/*.[chd]*"), recursive=True)
                           if not f.endswith("french.def") and os.path.isfile(f)
                           for m in re.findall(LITERAL, joined(read(os.path.relpath(f, SRC)))))
    dead = sorted(e for e in table if e not in everything)
    case("no row without its English", not dead, "\n".join(dead))
    wrong = []
    for english, french in rows:
        n = len(CONVERSION.findall(english.replace("%%", "")))
        used = sorted(set(re.findall(r"%([1-9])", french)))
        if used != [str(i + 1) for i in range(n)]:
            wrong.append("%d values: %s" % (n, french))
    case("values agree", not wrong, "\n".join(wrong))
    loose = [e for e in table if "%" in e and len(CONVERSION.sub("", e).replace(" ", "")) < 4]
    case("no row matches everything", not loose, loose)
    odd = [f for f in table.values() if re.search(r"[\w)»][;?!]|[\w)»]:(?=\s|$)", re.sub(r"https?:|`[^`]*`", "", f))]
    case("a blank before : ; ? !", not odd, "\n".join(odd))
    return table


def system_errors():
    known = {os.strerror(n) for n in range(1, 134)}
    rows = [plain(e) for e, _ in rows_of("cli/french-system.def")]
    case("what the system says", all(e in known for e in rows if "%" not in e and e[0].isupper()), rows)


def run(args, **env):
    base = {k: v for k, v in os.environ.items() if not k.startswith("LC_") and k not in ("LANG", "LANGUAGE")}
    done = subprocess.run([SOBRE, *args], env={**base, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def languages():
    english, french = run(["help"])[1], run(["help"], LANG="fr_FR.UTF-8")[1]
    case("French by LANG", french.startswith("utilisation : ") and english.startswith("usage: "), french[:200])
    for env, want in (({"LC_ALL": "fr_CA.UTF-8"}, french), ({"LC_MESSAGES": "fr"}, french),
                      ({"LANG": "fr_FR.UTF-8", "LC_ALL": "de_DE.UTF-8"}, english),
                      ({"LANG": "fr_FR.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, english),
                      ({"LANG": "en_US.UTF-8", "LANGUAGE": "fr:en"}, french),
                      ({"LANG": "fr_FR.UTF-8", "LANGUAGE": "en"}, english),
                      ({"LANG": "de_DE.UTF-8", "LANGUAGE": "de:fr"}, french),
                      ({"LC_ALL": "C", "LANGUAGE": "fr"}, english), ({"LANG": "fry_NL"}, english),
                      ({"LANG": "tr_TR.UTF-8"}, english)):
        case("language of %s" % env, run(["help"], **env)[1] == want)
    code, out, err = run(["run", "x", "--wings"], LANG="fr_FR.UTF-8")
    case("an error in French", code == 2 and err ==
         "sobre: run : option inconnue « --wings » (voir `sobre help run`)\n", err)
    code, out, err = run(["run", "x", "-t", "many"], LANG="fr_FR.UTF-8")
    case("values are carried over", code == 2 and "1" in err and "256" in err and "--threads « many »" in err, err)
    code, out, err = run(["inspect", "/no/such"], LANG="fr_FR.UTF-8")
    case("a file that is missing", code == 1 and "« /no/such »" in err, err)
    for line in run(["help", "chat"], LANG="fr_FR.UTF-8")[1].splitlines():
        if len(line) > 79 and not line.startswith("  -"):
            case("columns in French", False, line)


if __name__ == "__main__":
    lists()
    system_errors()
    languages()
    finish()
