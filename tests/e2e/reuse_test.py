#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A conversation with SmolLM2 that goes on from the turn before says what a cold start says: `sobre chat`
beside `sobre run --raw` with the whole conversation spelled out."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import case, finish, sobre  # noqa: E402

M = ("-m", "smollm2-135m", "--temp", "0", "-n", "16", "--repeat-penalty", "1.1", "--repeat-last-n", "8")
SYSTEM = "You answer in one short sentence."
ASKED = ("Name a city in Norway.", "And one in Italy?", "Which of them is larger?")

code, out, err = sobre("chat", *M, "--system", SYSTEM, text="\n".join(ASKED) + "\n")
case("three messages, three answers", code == 0 and out.strip(), (code, out, err))

text, cold = "<|im_start|>system\n" + SYSTEM + "<|im_end|>\n", ""
for question in ASKED:
    text += "<|im_start|>user\n" + question + "<|im_end|>\n<|im_start|>assistant\n"
    code, one, err = sobre("run", *M, "--raw", "--special", "--json", "-", text=text)
    one = json.loads(one) if code == 0 else {"content": err}
    text += one["content"] + "<|im_end|>\n"
    cold += one["content"] + "\n"
case("warm turns say what cold ones say", out.split() == cold.split(), (out, cold))
finish()
