/* SPDX-License-Identifier: Apache-2.0
 * probe.h - what the first bytes of a GGUF file say, before the rest of it is here.
 *
 * Purpose     Tells whether a download is worth going on with: is it GGUF at all, and of which
 *             architecture. Nothing is mapped or allocated. sb_gguf_open() checks the whole later.
 * Invariants  Reads nothing behind p + n. An architecture's name has no control bytes.
 * Errors      SB_UNSUPPORTED (not GGUF: says what it is instead; a version we cannot read),
 *             SB_CORRUPT, SB_LIMIT; the line lacks the file's name.
 * Cost        Linear in n.
 * Threads     Any. */
#ifndef SB_GGUF_PROBE_H
#define SB_GGUF_PROBE_H
#include "base/base.h"

enum { SB_GGUF_ARCH_BYTES = 65 }; /* longest name taken, and a NUL */

typedef struct sb_gguf_probe {
    uint32_t version;
    uint64_t n_tensors, n_kv;
    char arch[SB_GGUF_ARCH_BYTES]; /* general.architecture */
} sb_gguf_probe;

/* n bytes from the start of a file. *out_more: they end before general.architecture does, and *out
 * is untouched; a file that ends there is damaged, which the caller knows. */
sb_status sb_gguf_probe_head(const unsigned char *p, size_t n, sb_gguf_probe *out, bool *out_more,
                             sb_error *err) SB_MUST_USE;
#endif
