#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""reference.py - golden answers of the test models, computed by the reference implementation.

Usage: make reference, or
       python3 tools/reference.py smollm2-135m=FILE.gguf gemma3-270m=FILE.gguf
Needs: pip install torch transformers gguf tokenizers jinja2 numpy
       pip install --no-deps accelerate psutil
Writes tests/golden/model/NAME.jsonl. With --dump DIR also full logits and layer outputs (.npy);
with --ppl TEXT also DIR/NAME.ppl.json, the ids of the text's first 40 windows of 512. Those are
big and are not kept in the tree.

The first line of a golden file describes it; each further line is one prompt:
  ids     the prompt (ids, so that no tokenizer matters; the text is there for people)
  greedy  the 128 ids of largest logit, one after the other; an end of turn does not stop it
  top     per step named in `steps`: the 8 largest logits as [id, logit], largest first; step 0 is
          the prompt's last position
  max     per such step: the largest |logit|
  ties    steps whose two largest logits are less than 1e-3 apart, as [step, id of the second]
All figures come from one float32 pass over prompt and answer with the weights unpacked exactly. The
candidates are drafted by a faster batched run first, and corrected until the single pass agrees.
"""
import argparse
import hashlib
import json
import os
import pathlib

import numpy as np
import torch

N_STEP, N_TOP, TIE = 128, 8, 1e-3
STEPS = [0, 31, 79, 127]
OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "model"

ASKED = [  # through the chat template where the model has one
    "What is the capital of France?",
    "Write a haiku about rain.",
    "Who are you?",
    "2 + 2 * 3 =",
    "Explain photosynthesis to a ten-year-old in three sentences.",
    "Give me a recipe for pancakes with exact quantities.",
    "Quelle est la capitale de l'Italie ?",
    "Traduis en anglais : « Le chat dort sur le canapé, et il pleut dehors. »",
    "Write a Python function that returns the n-th Fibonacci number.",
    "What is wrong with this C code?\n\nint *f(void) {\n    int x = 3;\n    return &x;\n}\n",
    "List the planets of the solar system in order from the sun.",
    "Summarise in one sentence: The river rose for three days, the bridge closed on Monday, and by "
    "Thursday the town was an island reached only by boat, until the wind turned.",
    "Sort these numbers from small to large: 42, 7, 1999, 3.5, -8, 0",
    "How many days are there in the year 2024?",
    "Why is the sky blue?",
    "Write an SQL query that counts the orders of each customer in 2023.",
    "What does HTTP status 404 mean?",
    "Tell me a story that begins with a lost key and ends at the sea.",
    "Is 91 a prime number? Think step by step.",
    "Wie heißt die Hauptstadt von Österreich?",
    "日本の首都はどこですか?",
    "Name three differences between TCP and UDP.",
    "Reply with the single word: yes",
    "I have 3 apples, I eat one and buy five more. How many apples do I have now?",
    "Make a table with two columns, animal and sound, and four rows.",
]
CONTINUED = [  # as plain text
    "The",
    "Once upon a time",
    "The capital of France is",
    "In 1969, Neil Armstrong became the first",
    "def quicksort(xs):\n    if len(xs) < 2:\n        return xs\n",
    "#include <stdio.h>\n\nint main(void) {\n    for (int i = 0; i < 10; i++) {\n",
    "SELECT name, COUNT(*) FROM",
    "{\"name\": \"Ada\", \"born\": 1815, \"languages\": [",
    "<!DOCTYPE html>\n<html>\n<head>\n<title>",
    "1, 1, 2, 3, 5, 8, 13, 21, 34,",
    "3.14159265358979",
    "Il était une fois, dans une petite ville au bord de la mer,",
    "La Révolution française commence en 1789, lorsque",
    "Der Zug nach Wien fährt um 14:35 Uhr von Gleis",
    "El perro corre por el parque y",
    "Москва - столица",
    "人工智能是",
    "🙂🚀 emoji are",
    "    four spaces\tand a tab\n\n\nand three line ends",
    "Dear Ms. Holloway,\n\nThank you for your letter of 12 March. I am writing to tell you that "
    "the committee met last week, read your proposal with care, and decided, after a long discussion,",
    "Question: Which gas do plants take in?\nAnswer: Carbon dioxide.\nQuestion: Which gas do they "
    "give off?\nAnswer:",
    "The theorem states that, for every continuous function on a closed interval, there is",
    "AAAAAAAAAAAAAAAAAAAAAAAA",
]
# Two long ones: past a sliding window of 512 in their prompt, and across it while answering.
LONG = [
    "".join(f"Line {i}: the square of {i} is {i * i}, and twice that is {2 * i * i}.\n"
            for i in range(1, 27)),
    "".join(f"{i}. {w} comes after {v}.\n" for i, (v, w) in enumerate(
        [(a + b, b + a) for a in ("sun", "sea", "oak", "fox", "ice", "day") for b in
         ("rise", "side", "leaf", "trot", "berg", "light")], 1)),
]


def bpe_encoder(field):
    """Byte-level BPE from the file's own lists. The splitter is stated here, since the loader of
    the reference library gives SmolLM2 a plain GPT-2 one: digits come apart first."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    assert field("pre") == "smollm", "state the splitter of this file here"
    vocab = {s: i for i, s in enumerate(field("tokens"))}
    merges = [tuple(m.split(" ")) for m in field("merges")]
    tok = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    return lambda text: tok.encode(text).ids


def spm_encoder(field):
    """SentencePiece-style: the pair of highest score merges first, the leftmost on ties."""
    import heapq
    tokens, scores = field("tokens"), field("scores")
    ids = {s: i for i, s in enumerate(tokens)}
    user = sorted((t for t, k in zip(tokens, field("token_type")) if k == 4), key=len, reverse=True)
    starts = {t[0] for t in user}

    def merge(text):
        sym, heap = list(text.replace(" ", "\u2581")), []
        prev = list(range(-1, len(sym) - 1))
        nxt = list(range(1, len(sym) + 1))

        def offer(a):
            b = nxt[a] if a >= 0 else len(sym)
            if b < len(sym) and (t := ids.get(sym[a] + sym[b])) is not None:
                heapq.heappush(heap, (-scores[t], a, b, sym[a] + sym[b]))
        for a in range(len(sym)):
            offer(a)
        while heap:
            _, a, b, s = heapq.heappop(heap)
            if not sym[a] or nxt[a] != b or sym[a] + sym[b] != s:
                continue
            sym[a], sym[b], nxt[a] = s, "", nxt[b]
            if nxt[b] < len(sym):
                prev[nxt[b]] = a
            offer(prev[a])
            offer(a)
        for s in filter(None, sym):
            if s in ids:
                yield ids[s]
            else:
                yield from (ids[f"<0x{b:02X}>"] for b in s.encode())

    def encode(text):
        out, at, run = [], 0, 0
        while at < len(text):  # user-defined tokens (runs of spaces and line ends) match first
            hit = next((u for u in user if text.startswith(u, at)), None) \
                if text[at] in starts else None
            if hit:
                out += [*merge(text[run:at]), ids[hit]]
                at = run = at + len(hit)
            else:
                at += 1
        return [*out, *merge(text[run:])]
    return encode


class Model:
    def __init__(self, name, path):
        from gguf import GGUFReader
        from transformers import AutoModelForCausalLM
        self.name, self.path = name, pathlib.Path(path)
        fields = GGUFReader(str(path)).fields
        get = lambda key, default=None: fields[key].contents() if key in fields else default
        tok = lambda key: get("tokenizer.ggml." + key)
        self.bos = tok("bos_token_id") if tok("add_bos_token") else None
        self.encode = {"gpt2": bpe_encoder, "llama": spm_encoder}[tok("model")](tok)
        self.template, self.tokens = get("tokenizer.chat_template"), tok("tokens")
        self.types = tok("token_type")
        self.lm = AutoModelForCausalLM.from_pretrained(
            str(self.path.parent), gguf_file=self.path.name, dtype=torch.float32,
            attn_implementation="eager").eval()
        self.lm.generation_config.eos_token_id = None  # an end of turn does not stop a draft
        self.check_config(get)

    def check_config(self, get):
        """The loader's defaults have been wrong before; the figures hang on these."""
        c, arch = self.lm.config, get("general.architecture")
        assert c.tie_word_embeddings
        assert abs(c.rms_norm_eps / get(arch + ".attention.layer_norm_rms_epsilon") - 1) < 1e-6
        if arch == "gemma3":
            full = [t == "full_attention" for t in c.layer_types]
            assert full == [(i + 1) % 6 == 0 for i in range(c.num_hidden_layers)]
            assert c.sliding_window == get("gemma3.attention.sliding_window")
            assert c.query_pre_attn_scalar == 256
            assert c.rope_parameters["full_attention"]["rope_theta"] == 1e6
            assert c.rope_parameters["sliding_attention"]["rope_theta"] == 1e4
            assert c.final_logit_softcapping is None and c.attn_logit_softcapping is None
        else:
            assert c.rope_parameters["rope_theta"] == get(arch + ".rope.freq_base")

    def chat(self, question):
        """One question through the file's template: its markers become ids, its text is text."""
        import jinja2
        text = jinja2.Environment().from_string(self.template).render(
            messages=[{"role": "user", "content": question}], add_generation_prompt=True)
        ids, marks = [], {t: i for i, t in enumerate(self.tokens) if self.types[i] == 3}
        while text:
            at, mark = min(((text.find(m), m) for m in marks if m in text), default=(len(text), ""))
            ids += self.encode(text[:at]) + ([marks[mark]] if mark else [])
            text = text[at + len(mark):]
        return ids

    def prompts(self):
        first = [] if self.bos is None else [self.bos]
        for t in ASKED:
            yield (t, self.chat(t)) if self.template else (t, first + self.encode(t))
        for t in CONTINUED + LONG:
            yield t, first + self.encode(t)

    def logits(self, ids, keep):
        """Logits of the last `keep` positions, one plain pass."""
        return self.lm(torch.tensor([ids]), use_cache=False, logits_to_keep=keep).logits[0]

    def draft(self, prompts, n):
        """n greedy ids after each prompt, in one batch padded on the left."""
        width = max(map(len, prompts))
        pad = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
        out = self.lm.generate(pad, attention_mask=mask, max_new_tokens=n, do_sample=False,
                               pad_token_id=0)
        return out[:, width:].tolist()

    def greedy(self, ids, answer):
        """Corrects a draft against single passes; returns the answer and the last pass's logits."""
        while True:
            y = self.logits(ids + answer[:-1], N_STEP)
            best = y.argmax(-1).tolist()
            wrong = next((i for i in range(N_STEP) if best[i] != answer[i]), None)
            if wrong is None:
                return answer, y
            head = ids + answer[:wrong] + [best[wrong]]
            rest = N_STEP - wrong - 1
            answer = head[len(ids):] + (self.draft([head], rest)[0] if rest else [])


def golden_line(text, ids, answer, y):
    top = y.topk(N_TOP, -1)
    gap = top.values[:, 0] - top.values[:, 1]
    pairs = lambda s: [[int(i), round(float(v), 5)]
                       for i, v in zip(top.indices[s], top.values[s])]
    return {"text": text if len(text) < 300 else text[:80] + "…", "ids": ids, "greedy": answer,
            "top": [pairs(s) for s in STEPS],
            "max": [round(float(y[s].abs().max()), 5) for s in STEPS],
            "ties": [[s, int(top.indices[s, 1])] for s in range(N_STEP) if gap[s] < TIE]}


def write_golden(m, out):
    import transformers
    rows = list(m.prompts())
    assert len(rows) == 50
    short = [ids for _, ids in rows if len(ids) < 200]
    drafts = iter(m.draft(short, N_STEP))
    with open(out / (m.name + ".jsonl"), "w", encoding="utf-8") as f:
        def put(row):
            f.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
        put({"model": m.name, "sha256": hashlib.sha256(m.path.read_bytes()).hexdigest(),
             "torch": torch.__version__, "transformers": transformers.__version__,
             "steps": STEPS, "n_step": N_STEP, "tie": TIE})
        for i, (text, ids) in enumerate(rows):
            answer = next(drafts) if len(ids) < 200 else m.draft([ids], N_STEP)[0]
            answer, y = m.greedy(ids, answer)
            row = golden_line(text, ids, answer, y)
            put(row)
            print(f"{m.name} {i + 1}/50: {len(ids)} ids, ties {row['ties']}", flush=True)


def write_dump(m, where):
    rows = list(m.prompts())
    for i in (0, 11, 28, 48):
        np.save(where / f"{m.name}.prompt{i}.ids.npy", np.array(rows[i][1], np.int32))
        np.save(where / f"{m.name}.prompt{i}.logits.npy",
                m.logits(rows[i][1], 0 if len(rows[i][1]) < 100 else 4).numpy())
    y = m.lm(torch.tensor([rows[28][1]]), use_cache=False, output_hidden_states=True)
    # [layer][position][width]: the embedding, each layer's output; the last one is after the norm
    np.save(where / f"{m.name}.prompt28.hidden.npy", torch.cat(y.hidden_states).numpy())


def write_ppl(m, text_path, where):
    ids = m.encode(open(text_path, encoding="utf-8", newline="").read())
    if m.bos is not None:
        ids = [m.bos] + ids
    windows = [ids[i * 512:(i + 1) * 512] for i in range(40)]
    if m.bos is not None:
        windows = [[m.bos] + w[1:] for w in windows]
    (where / (m.name + ".ppl.json")).write_text(json.dumps(windows, separators=(",", ":")))
    nll = []
    for w in windows:
        y = torch.log_softmax(m.logits(w, 256)[:-1], -1)
        nll.append(-y[torch.arange(255), torch.tensor(w[257:])])
    print(f"{m.name}: {len(ids)} ids, perplexity {float(torch.cat(nll).mean().exp()):.4f}")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("models", nargs="+", metavar="NAME=FILE")
    p.add_argument("--out", type=pathlib.Path, default=OUT)
    p.add_argument("--dump", type=pathlib.Path, help="full logits, layer outputs go here")
    p.add_argument("--ppl", metavar="TEXT", help="with --dump: window ids and perplexity of a text")
    p.add_argument("--no-golden", action="store_true")
    p.add_argument("-t", type=int, default=os.cpu_count(), help="threads")
    a = p.parse_args()
    torch.set_num_threads(a.t)
    torch.set_grad_enabled(False)
    a.out.mkdir(parents=True, exist_ok=True)
    for name, path in (m.split("=", 1) for m in a.models):
        m = Model(name, path)
        if a.dump:
            a.dump.mkdir(parents=True, exist_ok=True)
            write_dump(m, a.dump)
        if a.dump and a.ppl:
            write_ppl(m, a.ppl, a.dump)
        if not a.no_golden:
            write_golden(m, a.out)


if __name__ == "__main__":
    main()
