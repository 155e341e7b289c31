#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make-tiny-golden.py - tiny random models, each with the reference implementation's answer inside.

Usage: tools/make-tiny-golden.py [NAME]...     (run by `make reference`; needs torch, transformers,
gguf: build/reference/bin/python has them)

Writes tests/golden/tiny/NAME.gguf, each a whole model of an architecture of src/model/arch.def.
Shapes, scalings and weights are chosen so that every rule of the family changes the answer: norms
are not one, biases not zero, heads wider than n_embd / n_head, several ratios of query to key
heads, tied and untied heads, positions far beyond a scaling's original context. In the file's
metadata, beside the usual keys:
  reference.ids     the prompt
  reference.greedy  the N_STEP ids of largest logit after it, no two logits being near a tie
  reference.steps   answer steps whose logits are kept; step 0 is the prompt's last position
  reference.logits  their logits, float32, one row of the vocabulary's size after the other
computed in float32, eager attention, from the weights as the file holds them.
"""
import pathlib
import sys

import gguf
import numpy as np
import torch
import transformers

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "tiny"
N_STEP, STEPS, N_VOCAB = 40, [0, 1, 2, 3, 5, 8, 13, 21, 39], 96
N_WORDS = 10  # an answer that repeats itself would hide late errors
GAP = 2e-3  # least distance of the two largest logits, as a share of the largest |logit|
F32, F16, Q8_0 = (gguf.GGMLQuantizationType[t] for t in ("F32", "F16", "Q8_0"))

YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}
LINEAR = {"rope_type": "linear", "factor": 4.0}
SHAPE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
         "vocab_size": N_VOCAB, "rms_norm_eps": 1e-6, "max_position_embeddings": 512,
         "tie_word_embeddings": True, "bos_token_id": None, "eos_token_id": 0, "pad_token_id": None,
         "attention_dropout": 0.0}

# name: (class, format of the matrices, prompt length, base of the rope, its scaling, the shape)
MODELS = {
    "llama-plain": ("Llama", F16, 60, 1e4, {}, {
        "num_key_value_heads": 4, "tie_word_embeddings": False}),
    "llama-llama3": ("Llama", F16, 120, 5e5, LLAMA3, {}),
    "llama-linear-biases": ("Llama", Q8_0, 60, 1e4, LINEAR, {
        "hidden_size": 64, "num_key_value_heads": 1, "attention_bias": True, "mlp_bias": True}),
    "llama-yarn": ("Llama", Q8_0, 120, 1e4, YARN, {"hidden_size": 64}),
    "qwen2-heads": ("Qwen2", Q8_0, 300, 1e6, {}, {  # 14 heads on 2, as the 0.5B
        "hidden_size": 64, "num_attention_heads": 14}),
    "qwen2-yarn": ("Qwen2", F16, 120, 1e4, YARN, {"tie_word_embeddings": False}),
    "qwen2-linear": ("Qwen2", F32, 60, 1e4, LINEAR, {
        "num_hidden_layers": 1, "num_key_value_heads": 4}),
    "qwen3-wide": ("Qwen3", F16, 60, 1e6, {}, {"head_dim": 32}),
    "qwen3-yarn": ("Qwen3", Q8_0, 120, 1e6, {**YARN, "beta_fast": 8.0, "beta_slow": 2.0}, {
        "hidden_size": 64, "num_key_value_heads": 1, "head_dim": 32,
        "tie_word_embeddings": False}),
    "qwen3-biases": ("Qwen3", F16, 60, 1e4, {}, {
        "num_key_value_heads": 4, "attention_bias": True}),
    "smollm3-nope": ("SmolLM3", Q8_0, 120, 5e6, {}, {"num_hidden_layers": 5}),
    "gemma3-window": ("Gemma3", Q8_0, 60, 1e6, LINEAR, {
        "num_hidden_layers": 7, "head_dim": 32, "num_attention_heads": 2,
        "num_key_value_heads": 1, "sliding_window": 8, "query_pre_attn_scalar": 32}),
}

NAMES = {  # of a layer's tensors, reference to file
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "post_attention_layernorm": "ffn_norm"}
GEMMA_NAMES = {**NAMES, "post_attention_layernorm": "post_attention_norm",
               "pre_feedforward_layernorm": "ffn_norm",
               "post_feedforward_layernorm": "post_ffw_norm"}


def make_config(kind, base, scaling, shape):
    rope = {"rope_type": "default", "rope_theta": base, **scaling}
    config = {**SHAPE, **shape}
    if kind == "Gemma3":
        config["rope_parameters"] = {
            "full_attention": rope,
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}
        return transformers.Gemma3TextConfig(**config, attn_implementation="eager")
    cls = getattr(transformers, kind + "Config")
    return cls(**config, rope_parameters=rope, attn_implementation="eager")


def draw(lm, kind, fmt):
    """Random weights, each as the file will hold it."""
    for name, w in lm.named_parameters():
        if name.endswith("norm.weight"):
            w.copy_((0 if kind == "Gemma3" else 1) + 0.4 * torch.randn_like(w))
        elif w.dim() == 1:
            w.copy_(0.5 * torch.randn_like(w))
        else:
            embed = 0.1 if kind == "Gemma3" else 0.4  # small: else every word repeats itself
            w.copy_(torch.randn_like(w) * (embed if "embed" in name else 1.3 * w.shape[1] ** -0.5))
            w.copy_(torch.from_numpy(gguf.quants.dequantize(
                gguf.quants.quantize(w.numpy(), fmt), fmt).astype(np.float32)))


def answer(lm, ids):
    """(greedy ids, logits of every step), or None where a step is near a tie or words repeat."""
    greedy, rows = [], []
    for _ in range(N_STEP):
        y = lm(torch.tensor([ids + greedy]), use_cache=False).logits[0, -1]
        top = y.topk(2)
        if top.values[0] - top.values[1] < GAP * y.abs().max():
            return None
        greedy.append(int(top.indices[0]))
        rows.append(y)
    return (greedy, torch.stack(rows)) if len(set(greedy)) >= N_WORDS else None


def rope_divisors(c, r):
    """Llama 3's table: what each frequency is divided by."""
    freq = r["rope_theta"] ** -(np.arange(0, c.head_dim, 2) / c.head_dim)
    wave, orig = 2 * np.pi / freq, r["original_max_position_embeddings"]
    low, high = r["low_freq_factor"], r["high_freq_factor"]
    s = (orig / wave - low) / (high - low)
    out = np.where(wave < orig / high, 1.0, np.where(wave > orig / low, r["factor"],
                                                     1 / ((1 - s) / r["factor"] + s)))
    return out.astype(np.float32)


def add_keys(f, c, kind):
    rope = c.rope_parameters
    f.add_context_length(c.max_position_embeddings)
    f.add_embedding_length(c.hidden_size)
    f.add_block_count(c.num_hidden_layers)
    f.add_feed_forward_length(c.intermediate_size)
    f.add_head_count(c.num_attention_heads)
    f.add_head_count_kv(c.num_key_value_heads)
    f.add_layer_norm_rms_eps(c.rms_norm_eps)
    if c.head_dim * c.num_attention_heads != c.hidden_size:
        f.add_key_length(c.head_dim)
        f.add_value_length(c.head_dim)
    if kind == "Gemma3":
        f.add_sliding_window(c.sliding_window)
        rope = rope["full_attention"]
    f.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] in ("linear", "yarn"):
        f.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
        f.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        f.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        if "beta_fast" in rope:
            f.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
            f.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])
    if rope["rope_type"] == "llama3":
        f.add_tensor("rope_freqs.weight", rope_divisors(c, rope))


def add_vocabulary(f):
    """One token for the end, then single bytes: the tests feed ids."""
    tokens = ["<|end|>", "\u0120", *map(chr, range(0x21, 0x21 + N_VOCAB - 2))]
    f.add_tokenizer_model("gpt2")
    f.add_tokenizer_pre("gpt-2")
    f.add_token_list(tokens)
    f.add_token_types([3] + [1] * (N_VOCAB - 1))
    f.add_token_merges(["\u0120 a"])
    f.add_eos_token_id(0)
    f.add_add_bos_token(False)


def permuted(w, n_head):
    """Rows of a head from two halves to neighbouring pairs."""
    return w.reshape(n_head, 2, w.shape[0] // n_head // 2, *w.shape[1:]).swapaxes(1, 2) \
        .reshape(w.shape)


def add_weights(f, lm, kind, fmt):
    c, names = lm.config, GEMMA_NAMES if kind == "Gemma3" else NAMES
    for name, w in lm.state_dict().items():
        stem, part = name.removeprefix("model.").rsplit(".", 1)
        w = w.float().numpy()
        if kind == "Gemma3" and stem.endswith("norm"):
            w = w + 1
        if stem.startswith("layers."):
            _, i, stem = stem.split(".", 2)
            heads = {"attn_q": c.num_attention_heads, "attn_k": c.num_key_value_heads}
            stem = names[stem]
            if kind in ("Llama", "SmolLM3") and stem in heads:
                w = permuted(w, heads[stem])
            stem = f"blk.{i}.{stem}"
        elif stem == "lm_head" and c.tie_word_embeddings:
            continue
        else:
            stem = {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"}[stem]
        t = fmt if w.ndim == 2 else F32
        f.add_tensor(f"{stem}.{part}", gguf.quants.quantize(w, t), raw_dtype=t)


def make(name):
    kind, fmt, n_prompt, base, scaling, shape = MODELS[name]
    config = make_config(kind, base, scaling, shape)
    for seed in range(200):
        torch.manual_seed(seed)
        lm = getattr(transformers, kind + "ForCausalLM")(config).eval()
        draw(lm, kind, fmt)
        ids = torch.randint(1, N_VOCAB, (n_prompt,)).tolist()
        found = answer(lm, ids)
        if found:
            break
    else:
        sys.exit(f"make-tiny-golden: {name}: no seed without a tie")
    greedy, y = found
    path = OUT / (name + ".gguf")
    f = gguf.GGUFWriter(str(path), kind.lower())
    f.add_name(name)
    add_keys(f, config, kind)
    add_vocabulary(f)
    f.add_array("reference.ids", ids)
    f.add_array("reference.greedy", greedy)
    f.add_array("reference.steps", STEPS)
    f.add_array("reference.logits", [float(v) for s in STEPS for v in y[s]])
    add_weights(f, lm, kind, fmt)
    f.write_header_to_file()
    f.write_kv_data_to_file()
    f.write_tensors_to_file()
    f.close()
    print(f"{name}: seed {seed}, {path.stat().st_size} bytes, largest |logit| "
          f"{float(y.abs().max()):.2f}, {len(set(greedy))} words", flush=True)


def main():
    torch.set_grad_enabled(False)
    OUT.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or MODELS:
        make(name)


if __name__ == "__main__":
    main()
