#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares a model file's tokenizer here with HF tokenizers built from the same file.

The reference is put together by hand from the file's arrays, because the general GGUF loader gives
byte-level vocabularies GPT-2's splitter whatever tokenizer.ggml.pre says. Every added token matches
anywhere there, so the comparison runs in mode `all`, and in mode `content` on the texts that hold no
added token. Random texts mix scripts, emoji, code, white space and pieces of the vocabulary.

usage: tools/check-tokenizer.py [--n 100000] [--seed 1] [--golden FILE.jsonl] TOOL MODEL.gguf
       TOOL is tests/unit/tokenizer/tokenizer_golden_tool of the build directory
       --golden writes the trick strings and 300 mixed ones with the reference's ids, and stops
       needs: pip install tokenizers gguf
"""
import argparse
import json
import random
import subprocess
import sys

from gguf import GGUFReader
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

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


def read_file(path):
    keep = ("tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.ggml.tokens", "tokenizer.ggml.token_type",
            "tokenizer.ggml.merges", "tokenizer.ggml.scores")
    fields = GGUFReader(path).fields
    return {k.rsplit(".", 1)[1]: fields[k].contents() for k in keep if k in fields}


def merges_of(tokens, types):
    """Merges a scored vocabulary implies: by position in the file, longer left part first."""
    vocab = set(tokens)
    for token in tokens:
        ways = [(token[:i], token[i:]) for i in range(1, len(token))
                if token[:i] in vocab and token[i:] in vocab]
        yield from sorted(ways, key=lambda w: -len(w[0]))


def reference(f):
    tokens, types = f["tokens"], f["token_type"]
    if f["model"] == "gpt2":
        merges = [tuple(m.split(" ")) for m in f["merges"]]
        tok = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
        split = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
        if f["pre"] in ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"):
            split.insert(0, pre_tokenizers.Digits(individual_digits=True))
        tok.pre_tokenizer = pre_tokenizers.Sequence(split)
        tok.decoder = decoders.ByteLevel()
    else:
        tokens = ["\u2581" * len(t) if t.strip(" ") == "" else t for t in tokens]
        tok = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, list(merges_of(tokens, types)),
                                   unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        tok.normalizer = normalizers.Replace(" ", "\u2581")
        tok.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    tok.add_special_tokens([AddedToken(t, normalized=False, special=True)
                            for t, y in zip(tokens, types) if y in (2, 3)])
    tok.add_tokens([AddedToken(t, normalized=False) for t, y in zip(tokens, types)
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
        else:
            parts.append(" ")
    return "".join(parts)


def run(tool, model, mode, texts):
    feed = "".join(json.dumps(t) + "\n" for t in texts)
    out = subprocess.run([tool, model, "--batch", mode], input=feed, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in out.stdout.split("\n") if line]


def compare(name, texts, want, got):
    bad = [i for i in range(len(texts)) if want[i] != got[i]]
    for i in bad[:5]:
        print(f"{name}: {json.dumps(texts[i])[:200]}\n  reference {want[i][:40]}\n  here      {got[i][:40]}")
    print(f"{name}: {len(texts)} texts, {sum(map(len, want))} ids, {len(bad)} mismatches")
    return len(bad) + (len(texts) != len(got))


def write_golden(path, texts, want, plain, lossy):
    with open(path, "w", encoding="ascii") as f:
        for text, ids in zip(texts, want):
            row = {"text": text, "ids": ids}
            if not plain(text):
                row["mode"] = "all"
            if lossy(text):
                row["lossy"] = True
            f.write(json.dumps(row) + "\n")


def main():
    args = argparse.ArgumentParser(usage=__doc__)
    args.add_argument("--n", type=int, default=100000)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--golden")
    args.add_argument("tool")
    args.add_argument("model")
    a = args.parse_args()
    f = read_file(a.model)
    tok = reference(f)
    added = [t for t, y in zip(f["tokens"], f["token_type"]) if y in (2, 3, 4) and t.strip(" ") != ""]
    # In content, tokens that are markers do not match; white space does.
    marks = [t for t in added if t.strip() != ""]
    if f["model"] == "gpt2":
        back = {c: b for b, c in from_alphabet().items()}
        raw = [bytes(back[c] for c in t) for t, y in zip(f["tokens"], f["token_type"]) if y == 1]
        words = [w.decode() for w in raw if w.decode("utf-8", "ignore").encode() == w]
        held = {b for w in raw for b in w if len(w) == 1}
        def lossy(text): return not set(text.encode()) <= held
    else:
        words = [t.replace("\u2581", " ") for t, y in zip(f["tokens"], f["token_type"]) if y == 1]
        def lossy(text): return "\u2581" in text
    def plain(text): return not any(m in text for m in marks) if ("<" in text or "[" in text) else True
    rng = random.Random(a.seed)
    texts = TRICKS + [random_text(rng, words, added) for _ in range(300 if a.golden else a.n)]
    want = [e.ids for e in tok.encode_batch(texts, add_special_tokens=False)]
    if a.golden:
        write_golden(a.golden, texts, want, plain, lossy)
        return 0
    bad = compare("all", texts, want, run(a.tool, a.model, "all", texts))
    some = [i for i, t in enumerate(texts) if plain(t)]
    texts, want = [texts[i] for i in some], [want[i] for i in some]
    bad += compare("content", texts, want, run(a.tool, a.model, "content", texts))
    out = subprocess.run([a.tool, a.model, "--decode"], input="".join(json.dumps(w) + "\n" for w in want),
                         stdout=subprocess.PIPE, text=True,
                         check=True).stdout.split("\n")
    lost = [t for t, line in zip(texts, out) if not lossy(t) and json.loads(line) != t]
    for t in lost[:5]:
        print("decode:", json.dumps(t)[:200])
    print(f"decode: {len(texts)} texts, {len(lost)} mismatches")
    return bad + len(lost) > 0


if __name__ == "__main__":
    sys.exit(main())
