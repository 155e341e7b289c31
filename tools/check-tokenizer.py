#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the tokenizer with HF tokenizers: splits, composed text, and whole vocabularies.

What is compared: the pieces of every row of pretok.def with the expressions of rules.def; NFC; for a
tokenizer.json the ids of the reference built from that very file, here from a GGUF file written from
it; for a GGUF file those of a reference put together from its arrays (the general loaders give
byte-level vocabularies GPT-2's splitter whatever tokenizer.ggml.pre says), and the public vectors
FILE.inp and FILE.out where they lie beside it. Texts: tests/golden/tokenizer/languages.txt, trick
strings, and random mixes of scripts, emoji, code, white space and pieces of the vocabulary. Every
added token matches anywhere in the reference, so ids are compared in mode `all`, and in mode `content`
on the texts that hold no marker.

usage: check-tokenizer.py [--n 100000] [--seed 1] [--tools DIR] [--golden DIR] [WHAT...]
       WHAT is `splits`, PRE=tokenizer.json, or NAME=FILE.gguf or FILE.gguf
       --tools: where tokenizer_golden_tool and tokenizer_split_tool are
       --golden writes golden files with the reference's answers, and compares nothing
       needs: pip install tokenizers; tools/check-tokenizers calls it with everything in place
"""
import argparse
import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GOLDEN = os.path.join(ROOT, "tests", "golden", "tokenizer")

TRICKS = [
    "", " ", "  ", "   ", "Hello world", " Hello", "    Hello\n    Hello", "\n", "\n\n\n", "\t\n", "\t",
    "3", "33", "333", "3333", "33333", " this is \U0001F999.cpp", "' era", "C\u1eeda Vi\u1ec7t", "F\u00fchrer",
    "ied 4 \u00bd months", "!!!!!!", "w048 7tuijk dsdfhu", "'RE 'VE a'lL don't we'll I'd they've it's",
    "\u1791\u17c1\u179f\u1785\u179a\u178e\u17cd \u1796\u17b7\u179f\u17c1\u179f\u17a2\u17b6\u1785",
    "\U0001F468\u200d\U0001F469\u200d\U0001F467 \U0001F3F3\ufe0f\u200d\U0001F308 \U0001F1EB\U0001F1F7",
    "\u6211\u60f3\u5728apple\u5de5\u4f5c1314151\u5929\uff5e", "a\u00a0b\u0085c\u200bd\r\ne\u2028f\u3000g",
    ">;\n", "e\u0301e\u0301 a\u0323\u0307", "x" * 300, " " * 70 + "x", "\n" * 70 + "x", "\t" * 70, "1" * 40,
    "<|im_end|>\n<|im_start|>system", "</s>", "[INST]", "<think>", "<bos>", "<start_of_turn>user\n",
    "<table><td>", "\u2581\u2581a \u2581b", "a  b   c    d", "a \n b\n\n c \t d", "\x00\x01\x04\x1b\x7f",
    "\U0001D7D8\U0001D7D9 \u2160\u2161 \u0663\u0664 \u4e09 \u00b2\u00b3", "\U00011DE0\U00011DE1 \U00016FF4 \U0001E5F1",
    "\ufeffBOM", "\ufffd", "\U0010FFFF\U000E0041", "if (x) {\n\treturn y;\n}\n", "> </a> </b>  </", "a>b> </",
    "aaaa aaaaa aaaaaa", "-----=====_____*****", "http://www.example.com/a?b=c&d=%20#e", "\r\n\r\n", " \r\n ",
]

RANGES = [(0x20, 0x7e), (0x20, 0x7e), (0x61, 0x7a), (0x61, 0x7a), (0x30, 0x39), (0xa0, 0x17f), (0x300, 0x36f),
          (0x370, 0x4ff), (0x590, 0x6ff), (0x900, 0xdff), (0xe00, 0xeff), (0x1780, 0x17ff), (0x1e00, 0x1fff),
          (0x2000, 0x206f), (0x2070, 0x218f), (0x2190, 0x2bff), (0x3000, 0x30ff), (0x4e00, 0x9fff),
          (0xac00, 0xd7a3), (0xe000, 0xe0ff), (0xfe00, 0xffef), (0x10000, 0x1ffff), (0x1f300, 0x1faff),
          (0x20000, 0x323af), (0xe0000, 0xe01ef), (0, 0x1f)]
SPACES = [" ", " ", " ", "  ", "    ", "\n", "\n\n", "\t", "\r\n", "\u00a0", "\u3000", "\u2028", "\u2581", " \n", "\n "]
CODE = ["int main(void)\n{\n    return 0;\n}\n", "def f(x):\n\treturn x ** 2", "</div>", "<h1>", "==", "!=", "->", "//",
        "/* */", "#include <stdio.h>\n", "a[i++] = b;", "{\"key\": [1, 2.5e-3, null]}", "0x7fFF", "SELECT * FROM t;",
        "'s", "'re", "'LL", "don't", "\\n", "\\u00e9", "https://a.b/c?d=e", "$x_1^2$", "`code`", "```\n", "> ", "## "]


def from_alphabet():
    """GPT-2's byte alphabet, byte to character."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {b: chr(b) for b in plain}
    for b in range(256):
        table.setdefault(b, chr(256 + len(table) - len(plain)))
    return table


# Texts for rules and composing that the first list has no need of.
MORE_TRICKS = [
    "'S 'T 'Re 'vE 'M 'll 'D '\u017f x'\u017fy", "HELLOworld HelloWORLD \u01c5x \u02b0A A\u02b0B \u00aaAA AA\u00aaA",
    "\u0301ABC \u0301abc A\u0301BC", "a/b//c /\n//\r\n x/\n", "(foo [bar {baz #tag @me $x", "x\ty\t\tz  \t w",
    "1234567 12 345 \u0661\u0662\u0663\u0664 \u2167\u2168", "!!!\n\n ??\r\n\r\n", "\u4e2d\u6587abc\u65e5\u672c\u8a9e\u3042\u30a2\u30fc\ud55c\uad6d",
    "\u3007\u3021\u3005\u2e80\u2f00\U00020000a\u4e00A", "  \u4e2d  \u3042   1", "a \u3000b\u3000\u3000\u3002c", "\u00b5\u00d7\u0294\u01bb \u10a0\u13a0",
    " \n \n  x \n", "a\u200d\u200db\u00adc", "x\u0903\u0488y \u20ac5 \u221e\u2200", "\x85\x85x \u2028\u2029y", "end   ", "12   ", "\u4e2d   ", "...   ",
    "e\u0301 \u0065\u0323\u0307 \u0065\u0307\u0323 \u212b \u2126 \u1e9b\u0323", "\u1100\u1161\u11a8 \u1100\uac00\u11a8 \uac01\u11a8",
    "\u0958 \u0344 \u0f73 \U0001d15e \u0340\u0341 \uf900 \u2adc", "a\u0315\u0300\u05ae\u0300b", "\u0301\u0301", "\u09c7\u09be \u0b47\u0b57\u0b3e",
    "\u0cc6\u0cc2\u0cd5 \u0dd9\u0dcf\u0dca", "C\u0309\u031b Vie\u0302\u0323t", "\u0898\u0334 \u1abf\u0334 \U00011938",
]


def read_gguf(path):
    """The metadata of a GGUF file (version 2 or 3, little endian)."""
    with open(path, "rb") as f:
        data = f.read()
    at, out = 24, {}
    simple = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

    def take(kind):
        nonlocal at
        if kind == 8:
            n, = struct.unpack_from("<Q", data, at)
            at += 8 + n
            return data[at - n:at].decode("utf-8", "surrogateescape")
        if kind == 9:
            elem, n = struct.unpack_from("<IQ", data, at)
            at += 12
            if elem in simple:
                v = struct.unpack_from("<%d%s" % (n, simple[elem]), data, at)
                at += n * struct.calcsize("<" + simple[elem])
                return list(v)
            return [take(elem) for _ in range(n)]
        v, = struct.unpack_from("<" + simple[kind], data, at)
        at += struct.calcsize("<" + simple[kind])
        return v

    for _ in range(struct.unpack_from("<Q", data, 16)[0]):
        key = take(8)
        kind, = struct.unpack_from("<I", data, at)
        at += 4
        out[key] = take(kind)
    return out


def write_gguf(path, keys):
    """A GGUF file without tensors: strings, bools, and arrays of strings and of numbers (i32)."""
    def text(s):
        b = s.encode()
        return struct.pack("<Q", len(b)) + b

    with open(path, "wb") as f:
        f.write(b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys)))
        for key, v in keys.items():
            f.write(text(key))
            if isinstance(v, str):
                f.write(struct.pack("<I", 8) + text(v))
            elif isinstance(v, bool):
                f.write(struct.pack("<I?", 7, v))
            elif v and isinstance(v[0], str):
                f.write(struct.pack("<IIQ", 9, 8, len(v)) + b"".join(map(text, v)))
            else:
                f.write(struct.pack("<IIQ%di" % len(v), 9, 5, len(v), *v))


def convert(path, pre, out):
    """tokenizer.json to a vocabulary of ours, as converters do: markers by their shape are control."""
    with open(path, encoding="utf-8") as f:
        j = json.load(f)
    tokens = {i: t for t, i in j["model"]["vocab"].items()}
    types = dict.fromkeys(tokens, 1)
    for a in j["added_tokens"]:
        shape = re.fullmatch("<[|\uff5c].*[|\uff5c]>", a["content"])
        tokens[a["id"]], types[a["id"]] = a["content"], 3 if a["special"] or shape else 4
    n = max(tokens) + 1
    merges = [m if isinstance(m, str) else " ".join(m) for m in j["model"]["merges"]]
    write_gguf(out, {
        "general.architecture": "none", "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": [tokens.get(i, "[PAD%d]" % i) for i in range(n)],
        "tokenizer.ggml.token_type": [types.get(i, 4) for i in range(n)], "tokenizer.ggml.merges": merges})


def c_rows(path):
    """Rows X(name, ...) of a .def file, as texts."""
    with open(os.path.join(ROOT, "src", "tokenizer", path), encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    return re.findall(r"^X\((.*?)\)$", text, flags=re.S | re.M)


def read_rules():
    """rule name: expression (a str), from rules.def."""
    letters = "".join("\\x{%s}-\\x{%s}" % (a[2:], b[2:])
                      for a, b in re.findall(r"X\((0x\w+), (0x\w+)\)", open(os.path.join(
                          ROOT, "src", "tokenizer", "letters.def"), encoding="utf-8").read()))
    rules = {}
    for row in c_rows("rules.def"):
        name, strings = row.split(",", 1)
        regex = "".join(json.loads(s) for s in re.findall(r'"(?:[^"\\]|\\.)*"', strings))
        rules[name] = regex.replace("<LETTERS>", letters)
    return rules


def read_pres():
    """name: (flags, [rules]), from pretok.def."""
    pres = {}
    for row in c_rows("pretok.def"):
        name, flags, *rules = [x.strip() for x in row.split(",")]
        pres[name.strip('"')] = (flags.split(" + "), rules)
    return pres


RULES, PRES = read_rules(), read_pres()


def splitter(rules):
    steps = [pre_tokenizers.Digits(individual_digits=True) if RULES[r] == "<digit>"
             else pre_tokenizers.Split(Regex(RULES[r]), "isolated") for r in rules]
    return pre_tokenizers.Sequence(steps)


def unfold_merges(tokens, types, scores):
    """Merges a scored vocabulary implies: runs of spaces that are user-defined in their order, then by
    score, longer left part first."""
    vocab, merges = set(tokens), []
    for i, token in enumerate(tokens):
        first = types[i] == 4 and token.strip("\u2581") == ""
        merges += [((not first, -scores[i] if not first else i, -k), (token[:k], token[k:]))
                   for k in range(1, len(token)) if token[:k] in vocab and token[k:] in vocab]
    return [pair for _, pair in sorted(merges, key=lambda m: m[0])]


def is_filler(token, i):
    return token == "[PAD%d]" % i


def is_marker(token, kind):
    shape = len(token) > 2 and token[0] + token[-1] in ("<>", "[]")
    return kind in (2, 3) or (kind == 4 and shape)


def reference_of(keys):
    """A Tokenizer built from the arrays of a GGUF file."""
    get = {k[len("tokenizer.ggml."):]: v for k, v in keys.items() if k.startswith("tokenizer.ggml.")}
    tokens, types, model = get["tokens"], get["token_type"], get["model"]
    pre = "gemma4" if model == "gemma4" else get.get("pre", "default")
    if model == "llama":
        tokens = ["\u2581" * len(t) if t.strip(" ") == "" else t for t in tokens]
    vocab = {}
    for i, t in enumerate(tokens):
        vocab.setdefault(t, i)
    if model == "llama":
        merges = unfold_merges(tokens, types, get["scores"])
    else:
        pairs = [(m[:k], m[k + 1:]) for m in get["merges"] for k in (m.index(" ", 1),)]
        merges = [(a, b) for a, b in pairs if a in vocab and b in vocab and a + b in vocab]
    unk = {"unk_token": tokens[get["unknown_token_id"]]} if model != "gpt2" else {}
    chars = model != "gpt2"
    tok = Tokenizer(models.BPE(vocab, merges, fuse_unk=chars, byte_fallback=chars,
                               ignore_merges="WHOLE" in PRES[pre][0] if not chars else False, **unk))
    if chars:
        prepend = get.get("add_space_prefix", model == "llama")
        steps = ([normalizers.Prepend("\u2581")] if prepend else []) + [normalizers.Replace(" ", "\u2581")]
        tok.normalizer = normalizers.Sequence(steps)
        tok.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(),
                                         decoders.Fuse()])
    else:
        tok.pre_tokenizer = pre_tokenizers.Sequence(
            [splitter(PRES[pre][1]), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        tok.decoder = decoders.ByteLevel()
        if "NFC" in PRES[pre][0]:
            tok.normalizer = normalizers.NFC()
    rstrip = keys.get("general.architecture") == "phi3"
    stays = ("<unk>", "<s>", "<|endoftext|>")
    real = [(t, y) for i, (t, y) in enumerate(zip(tokens, types)) if not is_filler(t, i)]
    tok.add_special_tokens([AddedToken(t, normalized=False, special=True,
                                       rstrip=rstrip and y == 3 and t not in stays)
                            for t, y in real if y in (2, 3)])
    tok.add_tokens([AddedToken(t, normalized=False, rstrip=rstrip) for t, y in real
                    if y == 4 and t.strip("\u2581") != ""])
    return tok


def random_text(rng, words, added):
    parts = []
    for _ in range(rng.randint(1, 14)):
        kind = rng.random()
        if kind < 0.30:
            parts.append(rng.choice(words))
        elif kind < 0.55:
            lo, hi = rng.choice(RANGES)
            parts.append("".join(chr(rng.randint(lo, hi)) for _ in range(rng.randint(1, 9))))
        elif kind < 0.75:
            parts.append(rng.choice(SPACES) * rng.choice((1, 1, 1, 2, 3, 40)))
        elif kind < 0.85:
            parts.append(rng.choice(CODE))
        elif kind < 0.90:
            parts.append(chr(rng.choice([c for c in (rng.randint(0, 0x10ffff),) if not 0xd800 <= c < 0xe000] or [97])))
        elif kind < 0.93:
            parts.append(rng.choice(("a", "-", "=", "\u2581", "na", "\u0e01", "ha", "1", "\n", "\t")) * rng.randint(2, 80))
        elif kind < 0.95:
            token = rng.choice(added)
            parts.append(token if rng.random() < 0.5 else token[:-1])
        elif kind < 0.97:
            parts.append("".join(chr(rng.choice(COMPOSING)) for _ in range(rng.randint(1, 6))))
        else:
            parts.append(" ")
    return "".join(parts)


def languages():
    with open(os.path.join(GOLDEN, "languages.txt"), encoding="utf-8") as f:
        text = f.read().split("\n\n", 1)[1]  # behind the title
    return [p.strip("\n") for p in text.split("\n\n")]


COMPOSING = [*range(0x41, 0x5b), *range(0x61, 0x7b), *range(0x300, 0x370), *range(0x300, 0x370), 0x5b0, 0x5bc, 0x64b,
             0x651, 0x93c, 0x9be, 0x9c7, 0x915, 0xb47, 0xb56, 0xbc6, 0xbd7, 0xcd5, 0xdcf, 0x1025, 0x102e, 0x1100, 0x1112,
             0x1161, 0x1175, 0x11a8, 0x11c2, 0xac00, 0xac01, 0x1abf, 0x20d0, 0x212a, 0x212b, 0x2260, 0x226e, 0x3046,
             0x304b, 0x3099, 0x309a, 0xf900, 0xfb1d, 0xfb2a, 0x110ba, 0x11099, 0x1d157, 0x1d165, 0x1d16d, 0x1d15e]

PASSED, FAILED = 0, 0


def count(name, texts, want, got):
    """Prints and counts how many of got are not want."""
    global PASSED, FAILED
    bad = [i for i in range(len(texts)) if i >= len(got) or want[i] != got[i]]
    for i in bad[:5]:
        print("%s: %s\n  reference %s\n  here      %s" % (
            name, json.dumps(texts[i])[:300], str(want[i])[:200], str(got[i] if i < len(got) else None)[:200]))
    print("%-40s %7d texts, %d mismatches" % (name, len(texts), len(bad)), flush=True)
    PASSED, FAILED = PASSED + len(texts) - len(bad), FAILED + len(bad)


def run(command, lines):
    feed = "".join(json.dumps(t) + "\n" for t in lines)
    out = subprocess.run(command, input=feed.encode(), stdout=subprocess.PIPE, check=True).stdout
    return [json.loads(line) for line in out.decode().split("\n") if line]


def pieces(split, text):
    return [len(p.encode()) for p, _ in split.pre_tokenize_str(text)]


def families():
    """One name for each distinct split: (name, rules)."""
    seen = {}
    for name, (_, rules) in PRES.items():
        seen.setdefault(tuple(rules), name)
    return [(name, rules) for rules, name in seen.items()]


def check_splits(args):
    rng = random.Random(args.seed)
    words = sorted({w for p in languages() for w in p.split()})
    nfc = normalizers.NFC().normalize_str
    texts = TRICKS + MORE_TRICKS + languages()
    if args.golden:
        texts += [random_text(rng, words, [" "]) for _ in range(40)]
        splits = [(name, splitter(rules)) for name, rules in families()]
        with open(os.path.join(args.golden, "splits.jsonl"), "w", encoding="ascii") as f:
            for text in texts:
                row = {"text": text}
                if nfc(text) != text:
                    row["nfc"] = nfc(text)
                row.update((name, pieces(split, text)) for name, split in splits)
                f.write(json.dumps(row) + "\n")
            for _ in range(400):
                text = "".join(chr(rng.choice(COMPOSING)) for _ in range(rng.randint(1, 24)))
                f.write(json.dumps({"text": text, "nfc": nfc(text)}) + "\n")
        return
    texts += [random_text(rng, words, [" "]) for _ in range(args.n)]
    tool = os.path.join(args.tools, "tokenizer_split_tool")
    for name, rules in families():
        split = splitter(rules)
        want = [pieces(split, t) for t in texts]
        count("split " + name, texts, want, run([tool, "--pieces", name], texts))
    every = [chr(c) for c in range(0x110000) if not 0xd800 <= c < 0xe000]
    texts += ["a".join(every[i:i + 64]) for i in range(0, len(every), 64)] + ["".join(chr(rng.choice(COMPOSING)) for _ in range(rng.randint(1, 40))) for _ in range(args.n)]
    count("composed text", texts, [nfc(t) for t in texts], run([tool, "--nfc"], texts))


def compare(args, name, path, tok, keys):
    tokens, types = keys["tokenizer.ggml.tokens"], keys["tokenizer.ggml.token_type"]
    byte_level = keys["tokenizer.ggml.model"] == "gpt2"
    real = [(t, y) for i, (t, y) in enumerate(zip(tokens, types)) if not is_filler(t, i)]
    added = [t for t, y in real if y in (2, 3, 4) and t.strip(" ") != ""] or ["<x>"]
    marks = re.compile("|".join(re.escape(t) for t, y in real if is_marker(t, y)) or "(?!)")
    if byte_level:
        back = {c: b for b, c in from_alphabet().items()}
        raw = [bytes(back[c] for c in t) for t, y in real if y == 1 and all(c in back for c in t)]
        words = [w.decode() for w in raw if w.decode("utf-8", "ignore").encode() == w]
        held = {b for w in raw for b in w if len(w) == 1}
    else:
        words = [t.replace("\u2581", " ") for t, y in real if y == 1]
    nfc = "NFC" in PRES.get(keys.get("tokenizer.ggml.pre", ""), ([], []))[0] and byte_level
    rstrip = keys.get("general.architecture") == "phi3"

    def lossy(text):
        if byte_level:
            return not set(text.encode()) <= held or (nfc and normalizers.NFC().normalize_str(text) != text)
        return "\u2581" in text

    rng = random.Random(args.seed)
    texts = TRICKS + languages() + MORE_TRICKS
    texts += [random_text(rng, words, added) for _ in range(60 if args.golden else args.n)]
    want = [e.ids for e in tok.encode_batch(texts, add_special_tokens=False)]
    if args.golden:
        with open(os.path.join(args.golden, name + ".jsonl"), "w", encoding="ascii") as f:
            for text, ids in zip(texts, want):
                row = {"text": text, "ids": ids}
                if marks.search(text):
                    row["mode"] = "all"
                if lossy(text):
                    row["lossy"] = True
                f.write(json.dumps(row) + "\n")
        return
    tool = os.path.join(args.tools, "tokenizer_golden_tool")
    count(name + " all", texts, want, run([tool, path, "--batch", "all"], texts))
    some = [i for i, t in enumerate(texts) if not marks.search(t)]
    texts, want = [texts[i] for i in some], [want[i] for i in some]
    count(name + " content", texts, want, run([tool, path, "--batch", "content"], texts))
    some = [i for i, t in enumerate(texts) if not lossy(t) and not (rstrip and re.search(r"\s", t))]
    count(name + " decode", [texts[i] for i in some], [texts[i] for i in some],
          run([tool, path, "--decode"], [want[i] for i in some]))


def check_golden(args, name, path):
    """The committed answers of the reference, so that they cannot grow old unseen."""
    golden = os.path.join(GOLDEN, name + ".jsonl")
    if os.path.exists(golden):
        out = subprocess.run([os.path.join(args.tools, "tokenizer_golden_tool"), path, golden],
                             stdout=subprocess.PIPE, text=True, check=False).stdout
        with open(golden, encoding="ascii") as f:
            rows = f.read().splitlines()
        count(name + " golden", rows, ["same"] * len(rows),
              ["same"] * len(rows) if out.endswith("%d passed, 0 failed\n" % len(rows)) else [out] * len(rows))


def check_vectors(args, name, path):
    """The public vectors beside a vocabulary; texts that are not composed are left to the reference."""
    with open(path + ".inp", encoding="utf-8", newline="") as f:
        texts = f.read().split("\n__ggml_vocab_test__\n")
    with open(path + ".out", encoding="ascii") as f:
        want = [[int(x) for x in line.split()] for line in f.read().split("\n")]
    pairs = [(t, w) for t, w in zip(texts, want) if t and normalizers.NFC().normalize_str(t) == t]
    texts, want = [t for t, _ in pairs], [w for _, w in pairs]
    tool = os.path.join(args.tools, "tokenizer_golden_tool")
    count(name + " public vectors", texts, want, run([tool, path, "--batch", "content"], texts))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--n", type=int, default=100000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tools", default=os.path.join(ROOT, "build", "tests", "unit", "tokenizer"))
    parser.add_argument("--golden")
    parser.add_argument("what", nargs="*")
    args = parser.parse_args()
    for what in args.what or ["splits"]:
        name, _, path = what.rpartition("=")
        name = name or os.path.basename(path)
        if what == "splits":
            check_splits(args)
        elif path.endswith(".json"):
            with tempfile.TemporaryDirectory() as folder:
                gguf = os.path.join(folder, "vocabulary.gguf")
                convert(path, name, gguf)
                compare(args, name, gguf, Tokenizer.from_file(path), read_gguf(gguf))
                if not args.golden:
                    check_golden(args, name, gguf)
        else:
            keys = read_gguf(path)
            compare(args, name, path, reference_of(keys), keys)
            if os.path.exists(path + ".inp") and not args.golden:
                check_vectors(args, name, path)
    if not args.golden:
        print("%d passed, %d failed" % (PASSED, FAILED))
    return FAILED > 0


if __name__ == "__main__":
    sys.exit(main())
