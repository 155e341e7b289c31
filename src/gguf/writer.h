/* SPDX-License-Identifier: Apache-2.0
 * writer.h - makes a GGUF file: metadata entries, tensors, then all of it into a buffer or a file.
 *
 * Purpose     For tests, tools and, later, converters. Writes what it is told: names and values
 *             are not judged, so a test may also make a file that the reader must refuse.
 * Ownership   Keys and values are copied when added; tensor data is borrowed until the file is
 *             written. The writer owns the rest until sb_gguf_writer_free().
 * Errors      SB_NO_MEMORY, SB_LIMIT, SB_IO, SB_INVALID (a shape that its format cannot hold).
 *             After a failed call the writer is as it was before the call.
 * Threads     One user at a time. */
#ifndef SB_GGUF_WRITER_H
#define SB_GGUF_WRITER_H
#include "base/buf.h"
#include "gguf/gguf.h"

typedef struct sb_gguf_writer sb_gguf_writer;

/* A tensor to write. data: bytes as stored, contiguous; its size follows from format and ne. */
typedef struct sb_gguf_out {
    const char *name;
    sb_format format;
    int32_t n_dims; /* 1..4 */
    int64_t ne[4];  /* the first n_dims are written */
    const void *data;
} sb_gguf_out;

sb_status sb_gguf_writer_new(sb_gguf_writer **out, sb_error *err) SB_MUST_USE;
void sb_gguf_writer_free(sb_gguf_writer *w);

/* type: any integer type or bool; the low bytes of v are stored. */
sb_status sb_gguf_add_int(sb_gguf_writer *w, const char *key, sb_gguf_type type, int64_t v,
                          sb_error *err) SB_MUST_USE;
/* type: f32 or f64. */
sb_status sb_gguf_add_float(sb_gguf_writer *w, const char *key, sb_gguf_type type, double v,
                            sb_error *err) SB_MUST_USE;
sb_status sb_gguf_add_str(sb_gguf_writer *w, const char *key, sb_str v, sb_error *err) SB_MUST_USE;
/* An array of a fixed-size type; values: count of them, little-endian. */
sb_status sb_gguf_add_array(sb_gguf_writer *w, const char *key, sb_gguf_type elem,
                            const void *values, uint64_t count, sb_error *err) SB_MUST_USE;
sb_status sb_gguf_add_strs(sb_gguf_writer *w, const char *key, const sb_str *values, uint64_t count,
                           sb_error *err) SB_MUST_USE;
sb_status sb_gguf_add_tensor(sb_gguf_writer *w, const sb_gguf_out *t, sb_error *err) SB_MUST_USE;

/* Both write version 3 with tensors in the order added, each padded to `alignment` (a power of
 * two; 0: the default of 32). Add "general.alignment" yourself when it is another. */
sb_status sb_gguf_write_buf(const sb_gguf_writer *w, uint32_t alignment, sb_buf *out,
                            sb_error *err) SB_MUST_USE;
/* Writes PATH.part, then moves it into place. */
sb_status sb_gguf_write_file(const sb_gguf_writer *w, uint32_t alignment, const char *path,
                             sb_error *err) SB_MUST_USE;
#endif
