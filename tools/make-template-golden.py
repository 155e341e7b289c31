#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Renders templates with the reference (jinja2 as transformers sets it up) into tests/golden/template/.

    tools/check-templates --golden

conversations.txt holds the variables, one "V bytes" record each. The other files hold "T bytes", a
template, then for each conversation, or for the last "V" of the file itself, "E bytes", the expected text,
or "F 0": the reference refuses. Texts are followed by one newline that is not theirs; lines that begin with "#"
before the first record are notes.
"""
import json
import os
import sys

from template_cases import VARS, constructs, contexts, environment

NOTES = {
    "smollm2.txt": "The template is of SmolLM2-135M-Instruct, Apache License 2.0.",
    "deepseek_v3.txt": "The template is of DeepSeek-V3, MIT License, Copyright (c) 2023 DeepSeek.",
    "qwen3.txt": "The template is of Qwen3, Apache License 2.0, Copyright Alibaba Cloud.",
}


def record(key, s):
    b = s.encode()
    return f"{key} {len(b)}\n".encode() + b + b"\n"


def outcome(template, variables):
    try:
        return record("E", template.render(**json.loads(json.dumps(variables))))
    except Exception:  # noqa: BLE001 - whatever the reference refuses, it refuses
        return b"F 0\n\n"


def compile_(env, source):
    try:
        return env.from_string(source)
    except Exception:  # noqa: BLE001
        return None


def chosen():
    """Half the conversations: those that ask for an answer."""
    return [v for name, v in contexts() if ", gen=True" in name]


def sources(work):
    for name in ("deepseek_v3", "qwen3"):
        with open(f"{work}/{name}/package/models/tokenizer_config.json", encoding="utf-8") as f:
            yield name + ".txt", json.load(f)["chat_template"]
    with open(f"{work}/smollm2-135m.json", encoding="utf-8") as f:
        yield "smollm2.txt", json.load(f)["chat_template"]["text"]


def main():
    work, folder = sys.argv[1:]
    env = environment()
    made = {"conversations.txt": [record("V", json.dumps(v)) for v in chosen()]}
    for file, text in sources(work):
        template = env.from_string(text)
        note = f"# {NOTES[file]}\n".encode()
        made[file] = [note, record("T", text), *(outcome(template, v) for v in chosen())]
    out = made["constructs.txt"] = []
    for text in constructs():
        template = compile_(env, text)
        out.append(record("T", text))
        out.append(record("V", json.dumps(VARS)) if len(out) == 1 else b"")
        out.append(outcome(template, VARS) if template else b"F 0\n\n")
    for file, pieces in made.items():
        with open(os.path.join(folder, file), "wb") as f:
            f.write(b"".join(pieces))


if __name__ == "__main__":
    main()
