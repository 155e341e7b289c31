# SPDX-License-Identifier: Apache-2.0
"""Writes a small model that says what a test wants it to say.

A model of one layer whose weights are nought but for the embedding and the head: the head's row of each token
points at the embedding of the one that goes before it, so every token has one successor, and a script is a chain of
tokens. The chat template ends a prompt with the script's own control token: that of the name in square brackets in
the last message ("[tools] what is the weather?"), `after` behind a tool's result, else `hello`. Real files, real
engine, real words; no answer depends on luck."""
import struct

F16, Q8_0 = 1, 8
U32, F32, BOOL, STR, ARR = 4, 6, 7, 8, 9
WEATHER = '<tool_call>\n{"name":  "get_weather", "arguments": {"city": "Paris",  "unit": "c"}}\n</tool_call>'

SCRIPTS = {
    "hello": ["Hello", ",", " how", " can", " I", " help", "?"],
    "think": ["<think>", "\n", "They", " greet", " me", ".", "\n", "</think>", "\n\n", "Good", " day", "!"],
    "tools": ["<think>\n", "I", " look.", "\n</think>\n\n", *[WEATHER[i:i + 7] for i in range(0, len(WEATHER), 7)]],
    "two": ["Both:\n", WEATHER, "\n", WEATHER.replace("Paris", "Oslo")],
    "broken": ["<tool_call>", '{"name": "get_', "weather", '", "arg'],
    "after": ["It", " is", " 18", " degrees", " in", " Paris", "."],
    "count": [" %d" % i for i in range(1, 101)],
    "unicode": ["Caf", "é ", "\U0001f600", " 日本", "語"],
}
LOOPS = {"forever": ["la", " la", " lo", ". "]}

TEMPLATE = """\
{%- set ns = namespace(mark='') -%}
{%- if tools -%}<|im_start|>system
Tools: {% for t in tools %}{{ t | tojson }}{% endfor %} Call with <tool_call><|im_end|>
{% endif -%}
{%- for m in messages -%}
{%- set text = m.content if m.content is string else '' -%}
{%- if m.role == 'tool' -%}{%- set ns.mark = '<|s:after|>' -%}
{%- elif m.role == 'user' -%}{%- set ns.mark = '<|s:hello|>' -%}
@CASES@{%- endif -%}
<|im_start|>{{ m.role }}
{% if m.role == 'assistant' %}{{ ns.mark }}{{ text }}
{%- for c in m.tool_calls or [] %}{{ '\\n' if not loop.first }}<tool_call>
{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments if c.function.arguments is string else c.function.arguments | tojson }}}
</tool_call>{% endfor %}{% else %}{{ text }}{% endif %}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}<|im_start|>assistant
{{ ns.mark }}{%- endif -%}
"""


def byte_symbol(b):
    """How byte-level BPE writes a byte."""
    plain = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    return chr(b) if b in plain else chr(256 + [x for x in range(256) if x not in plain].index(b))


def s(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data)) + data


def array(kind, items):
    pack = {STR: s, U32: lambda v: struct.pack("<I", v), 5: lambda v: struct.pack("<i", v)}[kind]
    return struct.pack("<IQ", kind, len(items)) + b"".join(map(pack, items))


def ones_at(rows, width, places):
    """A matrix of half floats, 1 at the places (row, column)."""
    out = bytearray(2 * rows * width)
    for row, column in places:
        out[2 * (row * width + column) + 1] = 0x3c
    return bytes(out)


def vocabulary(scripts, loops):
    tokens = [byte_symbol(b) for b in range(256)] + [byte_symbol(32) + "t", "<|im_start|>", "<|im_end|>"]
    types = [1] * 257 + [3, 3]
    after = {}  # token: the one behind it
    for name, pieces in [*scripts.items(), *loops.items()]:
        last = len(tokens)
        first = last + 1
        tokens.append("<|s:%s|>" % name)
        types.append(3)
        for piece in pieces:
            after[last] = len(tokens)
            last = len(tokens)
            tokens.append("".join(byte_symbol(b) for b in piece.encode()))
            types.append(1)
        after[last] = first if name in loops else 258
    return tokens, types, after


def write(path, scripts=None, loops=None, n_ctx=8192, template=None, name="scripted"):
    scripts, loops = SCRIPTS if scripts is None else scripts, LOOPS if loops is None else loops
    tokens, types, after = vocabulary(scripts, loops)
    n, width = len(tokens), -(-len(tokens) // 64) * 64
    cases = "".join("{%%- if '[%s]' in text -%%}{%%- set ns.mark = '<|s:%s|>' -%%}{%%- endif -%%}\n" % (k, k)
                    for k in [*scripts, *loops])
    heads = width // 64
    kv = [("general.architecture", STR, s("llama")), ("general.name", STR, s(name)),
          ("llama.block_count", U32, struct.pack("<I", 1)),
          ("llama.context_length", U32, struct.pack("<I", n_ctx)),
          ("llama.embedding_length", U32, struct.pack("<I", width)),
          ("llama.feed_forward_length", U32, struct.pack("<I", 64)),
          ("llama.attention.head_count", U32, struct.pack("<I", heads)),
          ("llama.attention.head_count_kv", U32, struct.pack("<I", 1)),
          ("llama.attention.layer_norm_rms_epsilon", F32, struct.pack("<f", 1e-5)),
          ("llama.rope.dimension_count", U32, struct.pack("<I", 64)),
          ("tokenizer.ggml.model", STR, s("gpt2")), ("tokenizer.ggml.pre", STR, s("smollm")),
          ("tokenizer.ggml.tokens", ARR, array(STR, tokens)),
          ("tokenizer.ggml.token_type", ARR, array(5, types)),
          ("tokenizer.ggml.merges", ARR, array(STR, [byte_symbol(32) + " t"])),
          ("tokenizer.ggml.bos_token_id", U32, struct.pack("<I", 257)),
          ("tokenizer.ggml.eos_token_id", U32, struct.pack("<I", 258)),
          ("tokenizer.chat_template", STR, s(template or TEMPLATE.replace("@CASES@", cases)))]
    embd = ones_at(n, width, ((t, t) for t in range(n)))
    head = ones_at(n, width, ((token, before) for before, token in after.items()))
    ones = struct.pack("<%df" % width, *[1.0] * width)

    def nought(rows, k):
        return [k, rows], Q8_0, bytes(rows * k // 32 * 34)
    tensors = [("token_embd.weight", [width, n], F16, embd),
               ("output.weight", [width, n], F16, head),
               ("output_norm.weight", [width], 0, ones),
               ("blk.0.attn_norm.weight", [width], 0, ones), ("blk.0.ffn_norm.weight", [width], 0, ones),
               ("blk.0.attn_q.weight", *nought(width, width)), ("blk.0.attn_k.weight", *nought(64, width)),
               ("blk.0.attn_v.weight", *nought(64, width)), ("blk.0.attn_output.weight", *nought(width, width)),
               ("blk.0.ffn_gate.weight", *nought(64, width)), ("blk.0.ffn_up.weight", *nought(64, width)),
               ("blk.0.ffn_down.weight", *nought(width, 64))]
    head_bytes = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(kv))
    for key, kind, value in kv:
        head_bytes += s(key) + struct.pack("<I", kind) + value
    data = b""
    for key, dims, kind, body in tensors:
        head_bytes += s(key) + struct.pack("<I%dQIQ" % len(dims), len(dims), *dims, kind, len(data))
        data += body + bytes(-len(body) % 32)
    with open(path, "wb") as f:
        f.write(head_bytes + bytes(-len(head_bytes) % 32) + data)
    return path


if __name__ == "__main__":
    import sys
    write(sys.argv[1])
