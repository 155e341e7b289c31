/* SPDX-License-Identifier: Apache-2.0
 * foreign.c - names the formats people hand us instead of GGUF. */
#include "gguf/internal.h"

#include <inttypes.h>
#include <string.h>

static const struct {
    size_t at, n;
    const char *magic;
    const char *what;
} known[] = {
    {0, 4, "FUGG", "the GGUF mark is reversed: written on a machine of the other byte order"},
    {0, 4, "lmgg", "an old GGML file; convert it to GGUF"},
    {0, 4, "fmgg", "an old GGMF file; convert it to GGUF"},
    {0, 4, "tjgg", "an old GGJT file; convert it to GGUF"},
    {0, 4, "algg", "an old GGLA adapter; convert it to GGUF"},
    {0, 4, "PK\003\004", "a zip archive (a PyTorch checkpoint?); convert it to GGUF"},
    {0, 4, "\177ELF", "an ELF program"},
    {0, 2, "\037\213", "a gzip file; unpack it first"},
    {0, 4, "\050\265\057\375", "a zstd file; unpack it first"},
    {257, 5, "ustar", "a tar archive; unpack it first"},
    {0, 23, "version https://git-lfs", "a Git LFS pointer; fetch the file itself"},
    {0, 9, "<!DOCTYPE", "a web page; the download failed"},
    {0, 9, "<!doctype", "a web page; the download failed"},
    {0, 5, "<html", "a web page; the download failed"},
    {0, 5, "<HTML", "a web page; the download failed"},
    {0, 5, "<?xml", "an XML text (an error of the host?); the download failed"},
    {0, 8, "{\"error\"", "an error message of the host; the download failed"},
};

sb_status sb_gguf_refuse_foreign(const unsigned char *p, size_t n, sb_error *err)
{
    const char *what = NULL;
    for (size_t i = 0; i < SB_ARRAY_LEN(known) && !what; i++) {
        const bool fits = known[i].at + known[i].n <= n;
        if (fits && memcmp(p + known[i].at, known[i].magic, known[i].n) == 0) what = known[i].what;
    }
    if (!what && n > 9 && sb_gguf_u64(p) <= n - 8 && p[8] == '{') {
        what = "a safetensors file; convert it to GGUF";
    }
    if (!what && n > 2 && p[0] == 0x80 && p[1] >= 2 && p[1] <= 5) {
        what = "a Python pickle (a PyTorch checkpoint?); convert it to GGUF";
    }
    if (what) return SB_FAIL(err, SB_UNSUPPORTED, "byte 0: magic: not GGUF but %s", what);
    if (n < 4) {
        return SB_FAIL(err, SB_UNSUPPORTED, "byte 0: magic: not GGUF: the file has %zu bytes", n);
    }
    return SB_FAIL(err, SB_UNSUPPORTED,
                   "byte 0: magic: not GGUF: %02x %02x %02x %02x (47 47 55 46)", p[0], p[1], p[2],
                   p[3]);
}
