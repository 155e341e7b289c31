#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`sobre chat` as scripts meet it, the limits of the command's surroundings (K rows of the reliability table),
and completions in real shells where they are installed. A tiny model; needs no download."""
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import SOBRE, case, finish, skip  # noqa: E402

TINY = os.path.join(os.environ.get("SOBRE_BUILD", "build"), "tests/tinymodel/tinymodel")
ROOM = tempfile.mkdtemp(prefix="sobre-chat-")
MODEL = os.path.join(ROOM, "tiny.gguf")
CHAT = ["chat", "-m", MODEL, "--template", "chatml", "-n", "2", "--temp", "0", "-t", "1"]


def run(*args, text=b"", shell=None, env=None, cwd=None, limit=None):
    full = {**os.environ, **(env or {})}
    for key in [k for k, v in full.items() if v is None]:
        del full[key]
    cmd = [SOBRE, *args]
    if shell:
        cmd = ["sh", "-c", shell, "sh"] + cmd
    done = subprocess.run(cmd, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=full, cwd=cwd, timeout=300,
                          preexec_fn=limit)
    return done.returncode, done.stdout, done.stderr


def one_line(err):
    return err.count(b"\n") == 1 and err.startswith(b"sobre: ")


def pipes():
    path = os.path.join(ROOM, "talk.json")
    text = 'hello\n\n"""a\nb"""\nc \\\nd\r\n/save %s\n' % path
    code, out, err = run(*CHAT, text=text.encode())
    users = [m["content"] for m in json.load(open(path))["messages"] if m["role"] == "user"]
    case("every line is a message; fences and backslashes join", code == 0 and not err and users == ["hello", "a\nb", "c \nd"],
         (code, users, err))
    said = [m["content"] for m in json.load(open(path))["messages"] if m["role"] == "assistant"]
    case("answers alone are printed", out.decode("utf-8", "replace") == "".join(s + "\n" for s in said), (out, said))
    again = os.path.join(ROOM, "again.json")
    code, out, err = run(*CHAT, text=("/load %s\n/save %s\n" % (path, again)).encode())
    case("saved, loaded and saved again is the same", code == 0 and open(path).read() == open(again).read(), err)
    code, out, err = run(*CHAT, "--system", "be brief", text=("hi\n/save %s" % again).encode())
    talk = json.load(open(again))
    case("--system, and a last line without an end", code == 0 and talk["messages"][0] == {"role": "system",
         "content": "be brief"} and len(talk["messages"]) == 3, talk)
    for line in ("/wings", "/load", "/load /nonexistent", "/save /nonexistent/x", "/stats x"):
        code, out, err = run(*CHAT, text=(line + "\nhello\n").encode())
        case("without a person %s ends it" % line, code == 1 and one_line(err) and not out, (code, out, err))
    code, out, err = run(*CHAT, text=b"ok\n\xff\xfe\n")
    case("a message that is not UTF-8", code == 1 and one_line(err) and b"byte 0" in err, err)
    code, out, err = run(*CHAT, text=b"x" * (5 << 20))
    case("a line without end", code == 1 and one_line(err) and b"limit" in err, err)
    code, out, err = run(*CHAT, "--ctx", "24", text=b"hello hello hello hello\n" * 3)
    case("a context too small", code == 1 and b"ctx" in err, err)
    code, out, err = run("chat", "-m", MODEL)
    bare = one_line(err) and b"--template" in err and b"chatml" in err
    case("a file without a template says the next step", code in (0, 1) and (code == 0 or bare), err)
    code, out, err = run("chat", env={"SOBRE_HOME": os.path.join(ROOM, "none")})
    case("no default model", code == 1 and one_line(err) and b"sobre pull smollm2-135m" in err, err)
    for args in (("--template", "nonsense"), ("--template", "/nonexistent/x"), ("--template", ROOM)):
        code, out, err = run("chat", "-m", MODEL, *args)
        case("template %s" % args[1], code == 1 and one_line(err) and b"--template" in err, err)
    odd = os.path.join(ROOM, "t.jinja")
    for text in ("", "{% for", "{{ 1 // 0 }}"):
        open(odd, "w").write(text)
        code, out, err = run("chat", "-m", MODEL, "--template", odd, text=b"hello\n")
        case("template file %r" % text, code == 1 and one_line(err) and not out, (code, out, err))
    for line in ("chat x", "chat --ctx 0", "chat --ctx 2147483648", "chat -t 0", "chat -t 1000000", "chat --wings",
                 "chat --template", "chat --think --no-think", "chat --raw"):
        code, out, err = run(*line.split())
        case("usage: " + line, code == 2 and one_line(err) and not out, err)


def surroundings():
    code, out, err = run(*CHAT, text=b"hello\n" * 50, shell='"$@" | head -c 1 >/dev/null')
    case("a reader who leaves", b"reader" in err or not err, err)
    for where in (">&-", ">/dev/full"):
        code, out, err = run(*CHAT, text=b"hello\n", shell='"$@" ' + where)
        case("chat " + where, code == 1 and b"standard output" in err, err)
    code, out, err = run(*CHAT, shell='"$@" <&-')
    case("closed input is an end", code == 0 and not err, err)
    whole = run(*CHAT, text=b"hello\n")[1]
    gone = tempfile.mkdtemp(dir=ROOM)
    for name, env in (("HOME unset", {"HOME": None, "XDG_DATA_HOME": None, "XDG_STATE_HOME": None, "SOBRE_HOME": None}),
                      ("de_DE", {"LC_ALL": "de_DE.UTF-8"}), ("tr_TR", {"LC_ALL": "tr_TR.UTF-8"}), ("no TERM", {"TERM": None})):
        code, out, err = run(*CHAT, text=b"hello\n", env=env)
        case("chat with " + name, code == 0 and out == whole, (code, err))
    for lang in ("fr_FR.UTF-8", "de_DE.UTF-8", "tr_TR.UTF-8"):
        code, out, err = run("run", "-m", MODEL, "--raw", "-n", "2", "--json", "x", env={"LC_ALL": lang, "LANG": lang})
        case("JSON in " + lang, code == 0 and isinstance(json.loads(out)["timings"]["prompt_ms"], float) and
             {"text", "energy"} <= set(json.loads(out)), out)
    code, out, err = run(*CHAT, text=b"hello\n", shell='cd "%s" && rmdir "%s" && "$@"' % (gone, gone))
    case("a folder that is gone", code == 0 and out == whole, err)

    def little():
        resource.setrlimit(resource.RLIMIT_AS, (24 << 20, 24 << 20))

    code, out, err = run(*CHAT, text=b"hello\n", limit=little)
    case("little memory", (code == 0 and out == whole) or (code == 1 and b"memory" in err) or code == 127, (code, err))
    if subprocess.run(["unshare", "-rpf", "true"], stderr=subprocess.DEVNULL).returncode == 0:
        code, out, err = run(*CHAT, text=b"hello\n", shell='exec unshare -rpf "$@"')
        case("as process 1", code == 0 and out == whole, (code, err))
        p = subprocess.Popen(["unshare", "-rpf", "--kill-child", SOBRE, *CHAT], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        p.stdin.close()
        case("as process 1 it ends with its input", p.wait(60) == 0)
    else:
        skip("as process 1", "no user namespaces here")
    for i, name in enumerate((b"a b.gguf", b"a\nb.gguf", b"a\x1b[31mb.gguf", b"a\xff\xfeb.gguf", b"n" * 250)):
        path = os.path.join(os.fsencode(ROOM), name)
        os.symlink(MODEL, path)
        code, out, err = run("chat", "-m", path, *CHAT[3:], text=b"hello\n")
        case("model name %d" % i, code == 0 and out == whole, (code, err))
        code, out, err = run("chat", "-m", path + b".no", text=b"hello\n")
        case("name %d in an error" % i, code == 1 and one_line(err) and b"\x1b" not in err and b"\xff" not in err, err)
    code, out, err = run("chat", "-m", "/" + "x" * 5000)
    case("a path of 5 000 bytes", code == 1 and one_line(err), err)


BASH = """
source "$1"
complete_line() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _sobre; echo "${COMPREPLY[*]}"; }
complete_line sobre ch
complete_line sobre run --prec
complete_line sobre run --precision ""
complete_line sobre run -m ti
complete_line sobre help ch
"""
ZSH = """
autoload -Uz compinit; compinit -u -D
source "$1"
(( $+functions[_sobre] )) && [[ $_comps[sobre] == _sobre ]] && print ok
"""


def completions():
    pages = {}
    for shell in ("bash", "zsh", "fish"):
        pages[shell] = os.path.join(ROOM, "sobre." + shell)
        code, out, err = run("help", "--format", shell)
        open(pages[shell], "wb").write(out)
        case("a completion for " + shell, code == 0 and b"--precision" in out or b"-l precision" in out, err)
    folder = os.path.join(ROOM, "here")
    os.mkdir(folder)
    open(os.path.join(folder, "tiny.gguf"), "w").close()
    os.symlink(SOBRE, os.path.join(folder, "sobre"))
    env = dict(os.environ, PATH=folder + ":" + os.environ["PATH"], SOBRE_HOME=os.path.join(ROOM, "none"))

    def shell(*cmd):
        return subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, cwd=folder)

    d = shell("bash", "-c", BASH, "bash", pages["bash"])
    case("bash completes commands, options, values and files", d.stdout.decode().splitlines() ==
         ["chat", "--precision", "fast exact", "tiny.gguf", "chat"], d)
    if shutil.which("zsh"):
        d = shell("zsh", "-f", "-c", ZSH, "zsh", pages["zsh"])
        case("zsh takes its completion", d.stdout == b"ok\n" and not d.stderr, d)
    else:
        skip("zsh", "not installed")
    if shutil.which("fish"):
        d = shell("fish", "-N", "-c", "source %s; complete -C 'sobre ch'; complete -C 'sobre run --precision '; "
                  "complete -C 'sobre run --prec'" % pages["fish"])
        words = [l.split("\t")[0] for l in d.stdout.decode().splitlines()]
        case("fish completes commands, values and options", words == ["chat", "exact", "fast", "--precision"], d)
    else:
        skip("fish", "not installed")


def man_pages():
    commands = re.findall(rb"^  ([a-z]+) ", run("help")[1], re.M)
    for lang in ("C", "fr_FR.UTF-8"):
        for c in [b""] + commands:
            code, out, err = run("help", "--format", "man", *([c] if c else []), env={"LC_ALL": lang})
            name = "man page %s in %s" % (c.decode() or "of all", lang)
            good = code == 0 and out.startswith(b".TH SOBRE") and not re.search(rb"^\.(?!TH |SH |TP$)", out, re.M)
            case(name, good, out[:300])
            if shutil.which("mandoc"):
                lint = subprocess.run(["mandoc", "-T", "lint", "-W", "error"], input=out, stdout=subprocess.PIPE)
                case(name + ", linted", lint.returncode == 0, lint.stdout)
    page = run("help", "--format", "man", "run", env={"LC_ALL": "fr_FR.UTF-8"})[1].decode()
    case("it is French", "VOIR AUSSI" in page and "r\u00e9pond \u00e0 une invite" in page, page[:300])


def main():
    try:
        subprocess.run([TINY, MODEL], check=True, stdout=subprocess.DEVNULL)
        for test in (pipes, surroundings, completions, man_pages):
            test()
    finally:
        shutil.rmtree(ROOM, ignore_errors=True)
    finish()


if __name__ == "__main__":
    main()
