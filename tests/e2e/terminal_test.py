#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`sobre chat` as a person meets it, in a real terminal (tmux): editing, pasting, history, Ctrl-C, resizing,
commands, French, leaving, and sleeping at the prompt. A tiny model for the logic; SmolLM2 for a conversation.

usage: tests/e2e/terminal_test.py [--idle SECONDS]  (how long it must sleep at the prompt; 5)"""
import glob
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from serve import cpu_ns  # noqa: E402
from tap import SOBRE, case, finish, skip, sobre  # noqa: E402

TINY = os.path.join(os.environ.get("SOBRE_BUILD", "build"), "tests/tinymodel/tinymodel")
ROOM = tempfile.mkdtemp(prefix="sobre-term-")
MODEL = os.path.join(ROOM, "tiny.gguf")
PATIENCE = 60


class Terminal:
    """One window of a tmux of its own; the command line runs in it, then its status is shown."""

    def __init__(self, args, wide=80, high=24, **env):
        self.socket = tempfile.mktemp(prefix="tmux-", dir=ROOM)
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "TMUX"))}
        env = {**keep, "XDG_STATE_HOME": os.path.join(ROOM, "state"), "LC_ALL": "C.UTF-8", **env}
        line = " ".join("'%s'" % a.replace("'", "'\\''") for a in [SOBRE] + args)
        script = 'trap : INT; %s; echo "status $?"; stty -a | tr ";" "\\n" | tr " " "\\n" | grep -x -e icanon -e echo; ' \
                 'echo over; exec sleep 1000' % line
        subprocess.run(self.tmux("new-session", "-d", "-x", str(wide), "-y", str(high), "sh", "-c", script),
                       env=env, check=True)

    def tmux(self, *args):
        return ["tmux", "-u", "-S", self.socket, "-f", "/dev/null", *args]

    def do(self, *args):
        return subprocess.run(self.tmux(*args), stdout=subprocess.PIPE, check=True).stdout.decode()

    def screen(self):
        return "\n".join(l.rstrip() for l in self.do("capture-pane", "-p").splitlines()).rstrip("\n")

    def wait(self, what, how=None):
        """The screen once what() holds of it (or it holds the text what), or at the end of patience."""
        end = time.monotonic() + PATIENCE
        while True:
            shown = self.screen()
            if what in shown if isinstance(what, str) else what(shown):
                return shown
            if time.monotonic() > end:
                return shown + "\n[waited in vain]"
            time.sleep(0.03)

    def prompt(self, n_before=""):
        """Waits for an empty prompt on the last line."""
        return self.wait(lambda s: s.splitlines()[-1:] == [">"] and n_before in s)

    def type(self, text):
        self.do("send-keys", "-l", text)

    def key(self, *names):
        self.do("send-keys", *names)

    def say(self, text, answer=""):
        self.type(text)
        self.wait(lambda s: text[-10:] in s)
        self.key("Enter")
        return self.prompt(answer)

    def over(self):
        return self.wait(lambda s: s.endswith("over"))

    def close(self):
        subprocess.run(self.tmux("kill-server"), stderr=subprocess.DEVNULL)


def tiny(*more, **env):
    return Terminal(["chat", "-m", MODEL, "--template", "chatml", "-n", "3", "--temp", "0", "-t", "1", *more], **env)


def saved(t, name):
    """Texts of the user's messages, as /save has them."""
    path = os.path.join(ROOM, name)
    t.do("send-keys", "-l", "/save " + path)
    t.key("Enter")
    t.wait(lambda s: os.path.exists(path))
    return [m["content"] for m in json.load(open(path))["messages"] if m["role"] == "user"]


def messages():
    t = tiny()
    shown = t.prompt("Ctrl-D leaves")
    case("it says what runs and how to leave", "/help" in shown and "tokens of context" in shown, shown)
    t.say("h\u00e9llo \u6f22 w\u00f6rld")
    t.do("set-buffer", "line one\nline two \u00e9\n\n  line four")
    t.do("paste-buffer", "-p")
    shown = t.wait("line four")
    case("a paste waits for Enter", "> line one\nline two \u00e9\n\n  line four" in shown, shown)
    t.key("Enter")
    t.prompt()
    t.type('"""a')
    t.key("Enter")
    t.type("b")
    t.key("Enter")
    t.type('c"""')
    t.key("Enter")
    t.prompt()
    t.type("one \\")
    t.key("Enter")
    t.wait("\n.")
    t.type("two")
    t.key("M-Enter")
    t.type("three")
    t.key("Enter")
    t.prompt()
    t.type("abXc")
    t.key("Left", "BSpace", "End")
    t.type("d")
    t.key("Home")
    t.type("0")
    t.key("Enter")
    t.prompt()
    texts = saved(t, "messages.json")
    case("typed, pasted, fenced, continued and edited messages are what was meant",
         texts == ["h\u00e9llo \u6f22 w\u00f6rld", "line one\nline two \u00e9\n\n  line four", "a\nb\nc",
                   "one \ntwo\nthree", "0abcd"], texts)
    mode = os.stat(os.path.join(ROOM, "messages.json")).st_mode
    case("a saved conversation is its owner's", stat.S_IMODE(mode) == 0o600, oct(mode))
    t.key("C-d")
    shown = t.over()
    case("Ctrl-D leaves with 0 and the terminal as it was", "status 0\nicanon\necho\nover" in shown, shown)
    t.close()


def history():
    t = tiny()
    t.prompt()
    t.key("Up")
    shown = t.wait("> /save")
    case("the arrow knows the last chat", "> /save " in shown, shown)
    t.key("Up", "Up")
    shown = t.wait("three")
    case("an entry of many lines comes back whole", "> one\ntwo\nthree" in shown, shown)
    t.key("C-c")
    t.prompt()
    t.type(" secret")
    t.key("Enter")
    t.prompt()
    t.type("last")
    t.key("Enter")
    t.prompt()
    t.key("Up")
    t.wait("> last\n")
    t.key("C-c")
    t.prompt()
    t.key("C-c")
    shown = t.over()
    case("Ctrl-C clears the line, and twice leaves with 0", "status 0" in shown and "again" in shown, shown)
    path = os.path.join(ROOM, "state/sobre/history")
    text = open(path).read()
    case("the history is kept, private, without what began with a blank",
         stat.S_IMODE(os.stat(path).st_mode) == 0o600 and stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700 and
         "line one\\nline two \u00e9\\n\\n  line four\n" in text and "secret" not in text and text.endswith("last\n"), text)
    t.close()


def window():
    t = tiny()
    t.prompt()
    text = " ".join("word%d" % i for i in range(14))
    t.type(text)
    t.wait("word13")
    for wide in (40, 31, 100):
        t.do("resize-window", "-x", str(wide), "-y", "24")
        whole = ("> " + text).replace(" ", "")
        shown = t.wait(lambda s: "".join(s.split()).count("word0") == 1 and "".join(s.split()).endswith(whole))
        case("the line is whole and there once in %d columns" % wide,
             "".join(shown.split()).endswith(whole) and shown.count("word13") == 1, shown)
    t.key("Enter")
    t.prompt()
    case("and so is the message", saved(t, "window.json") == [text])
    t.type("/exit")
    t.key("Enter")
    case("/exit", "status 0" in t.over())
    t.close()


def commands():
    evil = os.path.join(ROOM, "evil.json")
    with open(evil, "w") as f:
        json.dump({"messages": [{"role": "system", "content": "a\x1b[31mb\u202ec"}, {"role": "user", "content": "q"}]}, f)
    bad = {"deep.json": "[" * 100000, "text.json": "hello", "extra.json": '{"messages":[{"role":"user","content":"x","z":1}]}',
           "role.json": '{"messages":[{"role":"god","content":"x"}]}', "nul.json": '{"messages":[{"role":"user","content":"\\u0000"}]}',
           "twice.json": '{"messages":[],"messages":[]}', "empty.json": ""}
    t = tiny(high=50, SOBRE_HOME=os.path.join(ROOM, "home"))
    t.prompt()
    shown = t.say("/help")
    case("/help lists every command", all(" /%s" % c in shown for c in ("help", "system", "reset", "save", "load",
         "stats", "receipt", "exit")), shown)
    shown = t.say("/receipt", "no answer yet")
    t.say("hello")
    shown = t.say("/receipt", "signed by key")
    case("/receipt", "J (" in shown and "part of no chain" in shown, shown)
    path = os.path.join(ROOM, "receipt.json")
    shown = t.say("/receipt " + path, "the receipt is in")
    with open(path) as f:
        case("/receipt FILE", json.load(f)["settled"], shown)
    shown = t.say("/stats", "energy")
    case("/stats", all(w in shown for w in ("messages: 2, answers: 1", "tokens read", "tokens/s", "context: ", "J (")), shown)
    shown = t.say("/system be brief", "next answer")
    shown = t.say("/load " + evil, "2 messages")
    shown = t.say("/system", "\\u{202E}")
    case("text of a file cannot steer the terminal", "a\\x1B[31mb\\u{202E}c" in shown, shown)
    for name, text in bad.items():
        with open(os.path.join(ROOM, name), "w") as f:
            f.write(text)
        shown = t.say("/load %s/%s" % (ROOM, name), "sobre: '%s" % ROOM[:10])
        lines = [l for l in shown.splitlines() if l.startswith("sobre: ")]
        case("/load refuses " + name, lines and name in "".join(shown.split("> /load")[-1].split("\n")), shown)
        t.key("C-l")
        t.prompt()
    shown = t.say("/load /nonexistent", "No such file")
    shown = t.say("/save /nonexistent/x", "cannot write")
    shown = t.say("/wings", "no command")
    case("what cannot be is said, and the chat goes on", "no command '/wings'" in shown and "/help" in shown, shown)
    shown = t.say("/reset", "anew")
    shown = t.say("/stats", "messages: 1,")
    case("/reset keeps the system message", "messages: 1," in shown, shown)
    t.key("C-d")
    t.over()
    t.close()


def languages():
    t = tiny(LC_ALL="fr_FR.UTF-8", LANG="fr_FR.UTF-8")
    shown = t.prompt("quitter")
    case("French at the prompt", "contexte de" in shown and "Ctrl-D pour quitter" in shown, shown)
    shown = t.say("/help", "montre ces commandes")
    case("French commands", "oublie la conversation ; le message syst\u00e8me reste" in shown, shown)
    t.key("C-c")
    t.wait("encore Ctrl-C")
    t.key("C-c")
    case("French to the end", "status 0" in t.over())
    t.close()


def full():
    t = tiny("--ctx", "64", "-n", "1000", "--seed", "1")
    t.prompt()
    shown = t.say("x")
    for _ in range(20):
        if "/reset" in shown:
            break
        shown = t.say("and on and on and on")
    flat = shown.replace("\n", "")
    case("a full context says what to do", "/reset" in flat and "--ctx" in flat, shown)
    t.say("/reset", "anew")
    shown = t.say("/stats", "context: 0 of")
    case("and /reset makes room", "context: 0 of 64" in shown, shown)
    t.close()


def find_chat(t):
    tty = t.do("display-message", "-p", "#{pane_tty}").strip()
    for path in glob.glob("/proc/[0-9]*"):
        try:
            words = open(path + "/cmdline", "rb").read().split(b"\0")
            if words[:2] == [SOBRE.encode(), b"chat"] and os.readlink(path + "/fd/0") == tty:
                return int(path[6:])
        except OSError:
            pass
    return 0


def asleep(seconds):
    t = Terminal(["chat", "-m", MODEL, "--template", "chatml", "-n", "3", "-t", "2"])
    t.prompt()
    t.say("hello")
    pid = find_chat(t)
    before = cpu_ns(pid)
    time.sleep(seconds)
    used_ms = (cpu_ns(pid) - before) / 1e6
    # The thread sanitizer brings a thread of its own, which wakes ten times a second.
    most_ms = (100 if TINY.split("/tests/")[0].endswith("-thread") else 10) * seconds / 30
    case("asleep at the prompt: %.2f ms of CPU in %g s" % (used_ms, seconds), used_ms <= most_ms, used_ms)
    os.kill(pid, 15)
    shown = t.over()
    case("terminated: status 130, the terminal as it was", "status 130\nicanon\necho\nover" in shown, shown)
    t.close()


def conversation():
    if "smollm2-135m" not in [m["name"] for m in json.loads(sobre("list", "--json")[1]) if m.get("here")]:
        skip("a conversation with SmolLM2", "it is not in the store")
        return
    t = Terminal(["chat", "-m", "smollm2-135m", "--precision", "exact", "--temp", "0"])
    t.prompt()
    shown = t.say("What is the capital of France?", "tokens/s")
    case("an answer", "The capital of France is Paris." in shown, shown)
    t.type("Write a long story about a lighthouse.")
    t.key("Enter")
    t.wait(lambda s: "lighthouse.\n" in s and len(s.split("lighthouse.\n")[-1].strip()) > 40)
    t.key("C-c")
    shown = t.prompt("sobre: stopped")
    case("Ctrl-C stops an answer and keeps the session", "stays in the conversation" in shown, shown)
    shown = t.say("What is the capital of France?", "Paris")
    texts = saved(t, "talk.json")
    talk = json.load(open(os.path.join(ROOM, "talk.json")))["messages"]
    case("the part that was said stays", len(talk) == 6 and len(talk[3]["content"]) > 30 and
         talk[5]["content"] and texts[2] == texts[0], talk)
    t.key("C-d")
    case("left with 0", "status 0" in t.over())
    t.close()


def main():
    if not shutil.which("tmux"):
        print("tmux is not installed")
        return 77
    idle = float(sys.argv[2]) if sys.argv[1:2] == ["--idle"] else 5
    try:
        subprocess.run([TINY, "--ctx", "4096", MODEL], check=True, stdout=subprocess.DEVNULL)
        for test in (messages, history, window, commands, languages, full, conversation):
            test()
        asleep(idle)
    finally:
        for socket in glob.glob(os.path.join(ROOM, "tmux-*")):
            subprocess.run(["tmux", "-S", socket, "kill-server"], stderr=subprocess.DEVNULL)
        shutil.rmtree(ROOM, ignore_errors=True)
    finish()


if __name__ == "__main__":
    sys.exit(main())
