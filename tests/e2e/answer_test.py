#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command's words that scripts rely on, with SmolLM2 from the store."""
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import case, finish, sobre  # noqa: E402

M, ASK = ("-m", "smollm2-135m"), "What is the capital of France?"
TEXT = "The cat 3333 sat.\n\n\tif (x) { y(); } \u00e9\u4e2d\U0001F600 <|im_end|>"

code, out, err = sobre("run", *M, "--temp", "0", "--precision", "exact", ASK)
case("exact and greedy, it knows the capital of France",
     code == 0 and out.strip() == "The capital of France is Paris.", (code, out, err))
case("one line on stderr: tokens, seconds, joules and their source",
     err.count("\n") == 1 and re.search(r"tokens in .* s .*J.*(measured|estimated|unavailable)", err), err)

fixed = ("run", *M, "--temp", "0.8", "--seed", "7", "-n", "12", "--json")
code, out, err = sobre(*fixed, "-t", "1", ASK)
one = json.loads(out) if code == 0 else {}
case("--json has its fields", all(k in one for k in ("text", "prompt_ids", "ids", "finish_reason", "timings", "energy")), out + err)
case("energy_uj is a positive integer or the source is unavailable",
     one["energy"]["source"] == "unavailable" or type(one["energy"]["energy_uj"]) is int and one["energy"]["energy_uj"] > 0, one["energy"])
case("-n 12 stops with length", one["finish_reason"] == "length" and len(one["ids"]) == 12, out)
code, out, err = sobre(*fixed, "-t", "3", "-", text=ASK)
two = json.loads(out) if code == 0 else {}
case("three threads and a prompt from stdin give the same ids",
     all(one[k] == two.get(k) for k in ("prompt_ids", "ids", "text")), (one, two))
code, out, err = sobre("run", *M, "--temp", "0", "-n", "4", "--raw", "The capital of France is")
case("--raw goes on with the text", code == 0 and out.strip(), (code, out, err))
code, out, err = sobre("run", *M, "--temp", "0", "-n", "2", "--json", "<|im_end|>")
case("content is no control token", code == 0 and json.loads(out)["prompt_ids"].count(2) == 2, out + err)

code, out, err = sobre("tokenize", *M, "-", text=TEXT)
case("tokenize prints a JSON array", code == 0 and all(type(i) is int for i in json.loads(out)), out + err)
code, back, err = sobre("tokenize", *M, "--decode", "-", text=out)
case("tokenize --decode is the way back", code == 0 and back.rstrip("\n") == TEXT, (back, err))

with open(__file__, encoding="utf-8") as f:
    source = f.read()
code, out, err = sobre("perplexity", *M, "--ctx", "64", "--chunks", "2", "-", text=source)
case("perplexity ends with its line", code == 0 and re.fullmatch(r"perplexity \d+\.\d+ \+/- \d+\.\d+", out.strip().split("\n")[-1]), out + err)
code, out, err = sobre("perplexity", *M, "--ctx", "64", "--chunks", "2", "--against", "exact", "-", text=source)
case("perplexity --against ends with its line", code == 0 and re.fullmatch(r"kl \d+\.\d+ top1 \d+\.\d+", out.strip().split("\n")[-1]), out + err)
code, out, err = sobre("bench", *M, "-p", "16", "-n", "4", "-r", "1", "-t", "2", "--json")
rows = [json.loads(line) for line in out.splitlines()] if code == 0 else []
case("bench prints prefill and decode", [r["kind"] for r in rows] == ["prefill", "decode"]
     and all(r["tokens_per_second"] > 0 and r["cpu_seconds"] > 0 for r in rows), out + err)

case("pull of what is here does nothing, well", sobre("pull", "smollm2-135m")[0] == 0)
case("list names it", "smollm2-135m" in sobre("list")[1])
case("inspect names the architecture", "llama" in sobre("inspect", "smollm2-135m")[1])
case("version", re.search(r"\d+\.\d+\.\d+", sobre("version")[1]))
case("help, of a command too", "perplexity" in sobre("help")[1] and "--temp" in sobre("help", "run")[1])
for args, status in (("run", "--no-such", "x"), 2), (("run", *M), 2), (("frobnicate",), 2), (("run", *M, "--temp", "hot", "x"), 2), (
        ("run", "-m", "/nowhere.gguf", "x"), 1), (("pull", "no-such-model"), 1), (("inspect", "/dev/null"), 1):
    code, out, err = sobre(*args)
    case("exit status %d, a line on stderr, nothing on stdout: %s" % (status, " ".join(args)),
         code == status and err.count("\n") >= 1 and not out, (code, out, err))
finish()
