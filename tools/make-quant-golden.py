#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make-quant-golden.py - golden vectors for the weight formats, from the `gguf` package.

Usage: python3 tools/make-quant-golden.py   (needs numpy and gguf; writes tests/golden/quant/*.bin)

One file per format: u32 n_blocks, u32 block_bytes, u32 block_elems, the blocks, then the expected
values as float32, all little-endian. Block bytes are random; the halves among them are finite, and
the first blocks carry the edge cases: zero, minus zero, least and greatest subnormal, least normal
and greatest finite scale; for MXFP4 the exponents 0, 1, 2, 127, 253 and 254.
"""
import pathlib
import struct

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "quant"
EDGES = [0x0000, 0x8000, 0x0001, 0x03FF, 0x0400, 0x83FF, 0x7BFF, 0xFBFF]
# Byte offsets of the halves of a block, per format.
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [], "F32": [], "F16": [], "BF16": [],
}


def random_half(rng):
    while True:
        h = int(rng.integers(0, 65536))
        if h & 0x7C00 != 0x7C00:
            return h


def blocks_of(name, rng):
    elems, size = GGML_QUANT_SIZES[T[name]]
    n = {256: 8, 32: 40, 1: 512}[elems]
    data = rng.integers(0, 256, size=(n, size), dtype=np.uint8)
    for i in range(n):
        for k, at in enumerate(HALVES[name]):
            edge = EDGES[(i + 3 * k) % len(EDGES)] if i < len(EDGES) else random_half(rng)
            data[i, at:at + 2] = np.frombuffer(struct.pack("<H", edge), np.uint8)
    if name == "MXFP4":
        data[:6, 0] = [0, 1, 2, 127, 253, 254]
    if name in ("F16", "BF16"):
        wide = data.view(np.uint16).ravel()
        top = 0x7C00 if name == "F16" else 0x7F80
        wide[(wide & top) == top] &= 0x83FF if name == "F16" else 0x807F
        wide[:len(EDGES)] = EDGES
    if name == "F32":
        data = rng.standard_normal(n).astype("<f4").view(np.uint8).reshape(n, 4)
    return elems, data


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for name in HALVES:
        rng = np.random.default_rng(list(name.encode()))
        elems, data = blocks_of(name, rng)
        with np.errstate(over="ignore"):  # a scale of 65504 or 2^126 may rightly give infinity
            want = dequantize(data.reshape(-1) if elems == 1 else data, T[name])
        want = np.ascontiguousarray(want, dtype="<f4").ravel()
        assert want.size == data.shape[0] * elems, name
        head = struct.pack("<3I", data.shape[0], data.shape[1], elems)
        (OUT / f"{name}.bin").write_bytes(head + data.tobytes() + want.tobytes())


main()
