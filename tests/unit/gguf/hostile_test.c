/* SPDX-License-Identifier: Apache-2.0
 * hostile_test.c - files that must be refused, or just accepted: the catalogue of bad GGUF input.
 *
 * One test per row of the catalogue (G1, G2, ...); rows about what a model needs are the model
 * room's, here only the getters they rest on. The last test bounds the memory of all of it. */
#include "gguf_build.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint64_t n32[1] = {32};

/* Header, architecture and one F32 tensor of 32 values, given by its directory entry. */
static raw *with_info(const char *name, uint32_t n_dims, const uint64_t *ne, uint32_t type,
                      uint64_t offset)
{
    raw *r = raw_new();
    raw_head(r, 3, 1, 1);
    raw_arch(r);
    raw_info(r, name, n_dims, ne, type, offset);
    raw_pad(r, 32);
    raw_zeros(r, 128);
    return r;
}

/* Header that promises one key beyond the architecture; the caller writes it. */
static raw *with_key(void)
{
    raw *r = raw_new();
    raw_head(r, 3, 0, 2);
    raw_arch(r);
    return r;
}

static void refuse_bytes(const void *p, size_t n, sb_status status, const char *words)
{
    raw *r = raw_new();
    raw_bytes(r, p, n);
    raw_zeros(r, n < 4 ? 0 : 300);
    expect_refused(r, status, words);
}

static void g1_other_formats(void **state)
{
    (void)state;
    refuse_bytes("", 0, SB_UNSUPPORTED, "magic|0 bytes");
    refuse_bytes("GGU", 3, SB_UNSUPPORTED, "magic|3 bytes");
    refuse_bytes("FUGG", 4, SB_UNSUPPORTED, "byte order");
    refuse_bytes("lmgg", 4, SB_UNSUPPORTED, "GGML");
    refuse_bytes("tjgg", 4, SB_UNSUPPORTED, "GGJT");
    refuse_bytes("\x80\x02}q", 4, SB_UNSUPPORTED, "pickle");
    refuse_bytes("\177ELF", 4, SB_UNSUPPORTED, "ELF");
    refuse_bytes("PK\003\004", 4, SB_UNSUPPORTED, "zip");
    refuse_bytes("\x08\0\0\0\0\0\0\0{\"a\":1}", 16, SB_UNSUPPORTED, "safetensors");
    refuse_bytes("version https://git-lfs.github.com/spec/v1", 42, SB_UNSUPPORTED, "Git LFS");
    refuse_bytes("<!DOCTYPE html>", 15, SB_UNSUPPORTED, "web page");
    refuse_bytes("\1\2\3\4", 4, SB_UNSUPPORTED, "01 02 03 04|47 47 55 46");
}

static void g2_versions(void **state)
{
    (void)state;
    const struct {
        uint32_t v;
        const char *words;
    } rows[] = {
        {0, "byte 4|version: 0|2 or 3"},
        {1, "byte 4|version: 1"},
        {4, "byte 4|version: 4"},
        {0x03000000u, "byte 4|version|byte order"},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        raw *r = raw_new();
        raw_head(r, rows[i].v, 0, 1);
        raw_arch(r);
        expect_refused(r, SB_UNSUPPORTED, rows[i].words);
    }
    for (uint32_t v = 2; v <= 3; v++) {
        raw *r = raw_new();
        raw_head(r, v, 0, 1);
        raw_arch(r);
        sb_gguf *g = expect_opens(r);
        assert_int_equal(sb_gguf_version(g), v);
        sb_gguf_close(g);
    }
}

static void g3_nothing_inside(void **state)
{
    (void)state;
    raw *r = raw_new();
    raw_head(r, 3, 0, 0);
    expect_refused(r, SB_CORRUPT, "byte 16|kv_count|general.architecture");
    for (size_t cut = 4; cut < 24; cut += 4) { // inside the header
        r = raw_new();
        raw_head(r, 3, 0, 0);
        r->n = cut;
        expect_refused(r, SB_CORRUPT, cut < 8 ? "version|needs 4" : "count|needs 8");
    }
}

static void g3_any_architecture_is_read(void **state)
{
    (void)state; // what it means is the model's business
    char *name = malloc(1000001);
    assert_non_null(name);
    memset(name, 'x', 1000000);
    name[1000000] = 0;
    for (int i = 0; i < 2; i++) {
        raw *r = raw_new();
        raw_head(r, 3, 0, 1);
        raw_kv_str(r, "general.architecture", i ? name : "foo");
        sb_gguf *g = expect_opens(r);
        sb_str s;
        assert_int_equal(sb_gguf_get_str(g, "general.architecture", &s, NULL), SB_OK);
        assert_int_equal(s.n, i ? 1000000 : 3);
        sb_gguf_close(g);
    }
    free(name);
}

static void long_names_are_cut_whole(void **state)
{
    (void)state;
    raw *r = raw_new();
    raw_head(r, 3, 0, 2);
    for (int i = 0; i < 2; i++) { // 47 bytes and a two-byte character
        raw_kv_u32(r, "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk\xc3\xa9z", 1);
    }
    expect_refused(r, SB_CORRUPT, "kkkk': given twice");
}

static void g4_tensor_counts(void **state)
{
    (void)state;
    const uint64_t counts[] = {UINT64_MAX, UINT64_C(1) << 63, UINT64_C(1) << 58, 65537};
    for (size_t i = 0; i < SB_ARRAY_LEN(counts); i++) {
        raw *r = raw_new();
        raw_head(r, 3, counts[i], 1);
        raw_arch(r);
        raw_zeros(r, 1024 - r->n);
        expect_refused(r, SB_CORRUPT, "byte 8|tensor_count|exceeds the file");
    }
    raw *r = raw_new(); // room enough, but over the cap
    raw_head(r, 3, 65537, 1);
    raw_zeros(r, 65537 * 34);
    expect_refused(r, SB_LIMIT, "byte 8|tensor_count|65537|65536");
}

static void g5_kv_counts(void **state)
{
    (void)state;
    const uint64_t counts[] = {UINT64_MAX, 1000000};
    for (size_t i = 0; i < SB_ARRAY_LEN(counts); i++) {
        raw *r = raw_new();
        raw_head(r, 3, 0, counts[i]);
        raw_zeros(r, 24);
        expect_refused(r, SB_CORRUPT, "byte 16|kv_count|exceeds the file|24 bytes left");
    }
    raw *r = with_key(); // one key too few
    raw_zeros(r, 2);
    expect_refused(r, SB_CORRUPT, "key|needs 8 bytes|2 left");
}

static void refuse_key_length(uint64_t length, sb_status status, const char *words)
{
    raw *r = with_key();
    raw_u64(r, length);
    raw_zeros(r, 40);
    expect_refused(r, status, words);
}

static void refuse_key_bytes(const char *p, size_t n, const char *words)
{
    raw *r = with_key();
    raw_u64(r, n);
    raw_bytes(r, p, n);
    raw_u32(r, SB_GGUF_U8);
    raw_zeros(r, 8);
    expect_refused(r, SB_CORRUPT, words);
}

static void g6_keys(void **state)
{
    (void)state;
    refuse_key_length(UINT64_MAX, SB_LIMIT, "key|length 18446744073709551615|65535");
    refuse_key_length(UINT64_C(1) << 63, SB_LIMIT, "key|length 9223372036854775808|65535");
    refuse_key_length(41, SB_CORRUPT, "key|needs 41 bytes|40 left");
    refuse_key_length(0, SB_CORRUPT, "key: empty");
    refuse_key_length(65536, SB_LIMIT, "key|length 65536|65535");
    refuse_key_bytes("a\0b", 3, "key|0x00");
    refuse_key_bytes("a\nb", 3, "key|0x0a");
    refuse_key_bytes("a\xff"
                     "b",
                     3, "key|UTF-8|0xff");
    refuse_key_bytes("a\xc0\x80", 3, "key|UTF-8|0xc0");
    refuse_key_bytes("a\xc2\x9b", 3, "key|0x9b");
    refuse_key_bytes("a\x7f", 2, "key|0x7f");

    char longest[65536]; // just allowed
    memset(longest, 'k', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = 0;
    raw *r = with_key();
    raw_kv_u32(r, longest, 7);
    sb_gguf *g = expect_opens(r);
    assert_non_null(sb_gguf_kv_find(g, longest));
    sb_gguf_close(g);
}

/* n distinct keys, a byte of value each. */
static raw *many_keys(uint64_t n)
{
    raw *r = raw_new();
    raw_head(r, 3, 0, n);
    for (uint64_t i = 0; i < n; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%07d", (int)i);
        raw_key(r, key, SB_GGUF_U8);
        raw_u8(r, 1);
    }
    return r;
}

static void g7_duplicate_and_many_keys(void **state)
{
    (void)state;
    for (uint32_t second = 1; second <= 2; second++) { // the same value, another value
        raw *r = raw_new();
        raw_head(r, 3, 0, 3);
        raw_arch(r);
        raw_kv_u32(r, "twin", 1);
        raw_kv_u32(r, "twin", second);
        expect_refused(r, SB_CORRUPT, "byte 89|key 'twin'|given twice");
    }
    raw *over = many_keys(1000000);
    const uint64_t t0 = sb_now_ns();
    expect_refused(over, SB_LIMIT, "kv_count|1000000|65536");
    sb_gguf *g = expect_opens(many_keys(65536));
    assert_true(sb_now_ns() - t0 < UINT64_C(2000000000));
    assert_int_equal(sb_gguf_n_kv(g), 65536);
    assert_non_null(sb_gguf_kv_find(g, "k0065535"));
    assert_null(sb_gguf_kv_find(g, "k0065536"));
    sb_gguf_close(g);
}

static void g8_types_and_bools(void **state)
{
    (void)state;
    const uint32_t types[] = {13, 255, UINT32_MAX};
    for (size_t i = 0; i < SB_ARRAY_LEN(types); i++) {
        raw *r = with_key();
        raw_key(r, "a", types[i]);
        raw_zeros(r, 16);
        expect_refused(r, SB_CORRUPT, "value type|12");
    }
    raw *r = with_key();
    raw_key(r, "a", SB_GGUF_BOOL);
    raw_u8(r, 2);
    expect_refused(r, SB_CORRUPT, "bool: 2|0 or 1");
    r = with_key();
    raw_key(r, "a", SB_GGUF_ARR);
    raw_u32(r, SB_GGUF_BOOL);
    raw_u64(r, 4);
    raw_bytes(r, "\0\1\3\1", 4);
    expect_refused(r, SB_CORRUPT, "bool: 3|0 or 1");
}

static raw *with_array(uint32_t elem, uint64_t n)
{
    raw *r = with_key();
    raw_key(r, "a", SB_GGUF_ARR);
    raw_u32(r, elem);
    raw_u64(r, n);
    return r;
}

static void g9_nested_arrays(void **state)
{
    (void)state;
    raw *r = with_array(SB_GGUF_ARR, 1);
    raw_u32(r, SB_GGUF_U8);
    raw_u64(r, 1);
    raw_u8(r, 1);
    expect_refused(r, SB_UNSUPPORTED, "array of 'a'|nested");
    r = with_array(SB_GGUF_ARR, 1);
    for (int i = 0; i < 10000; i++) {
        raw_u32(r, SB_GGUF_ARR);
        raw_u64(r, 1);
    }
    expect_refused(r, SB_UNSUPPORTED, "array of 'a'|nested");
}

static void g10_array_lengths(void **state)
{
    (void)state;
    raw *r = with_array(SB_GGUF_U8, UINT64_C(1) << 60);
    raw_zeros(r, 200);
    expect_refused(r, SB_CORRUPT, "array length|1152921504606846976|exceeds|200");
    r = with_array(SB_GGUF_STR, UINT64_C(1) << 32);
    raw_zeros(r, 200);
    expect_refused(r, SB_CORRUPT, "array length|4294967296|exceeds|200");
    r = with_array(SB_GGUF_U64, (UINT64_C(1) << 61) + 1); // n * 8 wraps to 8
    raw_zeros(r, 200);
    expect_refused(r, SB_CORRUPT, "array length|exceeds|200");
    r = with_array(SB_GGUF_STR, 2);
    raw_str(r, "x");
    raw_u64(r, UINT64_MAX);
    raw_zeros(r, 50);
    expect_refused(r, SB_LIMIT, "string|length 18446744073709551615");
    r = with_array(SB_GGUF_STR, 2);
    raw_str(r, "x");
    raw_u64(r, 51);
    raw_zeros(r, 50);
    expect_refused(r, SB_CORRUPT, "string|length 51|50 bytes left");
    r = with_array(SB_GGUF_STR, 2); // the bound by count holds, the strings run out
    raw_str(r, "0123456789");
    expect_refused(r, SB_CORRUPT, "string|0 bytes left");
    r = with_array(13, 1);
    raw_zeros(r, 16);
    expect_refused(r, SB_CORRUPT, "array element type: 13|12");
}

static void g10_string_values(void **state)
{
    (void)state;
    raw *r = with_key();
    raw_key(r, "a", SB_GGUF_STR);
    raw_u64(r, 67108865);
    raw_zeros(r, 100);
    expect_refused(r, SB_LIMIT, "string|67108865|67108864");
    r = with_key();
    raw_key(r, "a", SB_GGUF_STR);
    raw_u64(r, 101);
    raw_zeros(r, 100);
    expect_refused(r, SB_CORRUPT, "string|101|100 bytes left");
    r = with_key();
    raw_key(r, "a", SB_GGUF_U64);
    raw_zeros(r, 7);
    expect_refused(r, SB_CORRUPT, "value|needs 8 bytes|7 left");
}

static void g11_alignment(void **state)
{
    (void)state;
    const uint32_t bad[] = {0, 13, 1, 4, 48, UINT32_C(1) << 31, UINT32_MAX};
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        raw *r = with_key();
        raw_kv_u32(r, "general.alignment", bad[i]);
        expect_refused(r, SB_CORRUPT, "general.alignment|power of two");
    }
    raw *r = with_key();
    raw_key(r, "general.alignment", SB_GGUF_I32);
    raw_u32(r, 32);
    expect_refused(r, SB_CORRUPT, "general.alignment|i32");
    r = with_key();
    raw_kv_str(r, "general.alignment", "32");
    expect_refused(r, SB_CORRUPT, "general.alignment|string");
    r = raw_new();
    raw_head(r, 3, 0, 2);
    raw_kv_u32(r, "general.alignment", 32);
    raw_kv_u32(r, "general.alignment", 32);
    expect_refused(r, SB_CORRUPT, "general.alignment|twice");

    r = raw_new(); // 4096 moves the data section
    raw_head(r, 3, 1, 2);
    raw_arch(r);
    raw_kv_u32(r, "general.alignment", 4096);
    raw_info(r, "t", 1, n32, 0, 0);
    raw_pad(r, 4096);
    raw_zeros(r, 128);
    sb_gguf *g = expect_opens(r);
    assert_int_equal(sb_gguf_tensor_get(g, 0)->offset, 4096);
    sb_gguf_close(g);
}

static void refuse_name(const char *p, uint64_t length, size_t n, sb_status status,
                        const char *words)
{
    raw *r = raw_new();
    raw_head(r, 3, 1, 1);
    raw_arch(r);
    raw_u64(r, length);
    raw_bytes(r, p, n);
    raw_zeros(r, 100);
    expect_refused(r, status, words);
}

static void g12_tensor_names(void **state)
{
    (void)state;
    char name[65];
    memset(name, 'n', 64);
    name[64] = 0;
    refuse_name("", 0, 0, SB_CORRUPT, "tensor name: empty");
    refuse_name(name, 64, 64, SB_LIMIT, "tensor name|length 64|63");
    refuse_name("", UINT64_MAX, 0, SB_LIMIT, "tensor name|18446744073709551615|63");
    refuse_name("a\0b", 3, 3, SB_CORRUPT, "tensor name|0x00");
    refuse_name("a\x80", 2, 2, SB_CORRUPT, "tensor name|UTF-8");

    raw *r = raw_new();
    raw_head(r, 3, 2, 1);
    raw_arch(r);
    raw_info(r, "twin", 1, n32, 0, 0);
    raw_info(r, "twin", 1, n32, 0, 128);
    raw_pad(r, 32);
    raw_zeros(r, 256);
    expect_refused(r, SB_CORRUPT, "tensor 'twin'|given twice");

    name[63] = 0; // 63 bytes are allowed
    sb_gguf *g = expect_opens(with_info(name, 1, n32, 0, 0));
    assert_non_null(sb_gguf_tensor_find(g, name));
    sb_gguf_close(g);
}

static void g13_dimensions(void **state)
{
    (void)state;
    const uint64_t five[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    expect_refused(with_info("t", 0, n32, 0, 0), SB_CORRUPT, "tensor 't'|0 dimensions|1 to 4");
    expect_refused(with_info("t", 5, five, 0, 0), SB_CORRUPT, "tensor 't'|5 dimensions|1 to 4");
    expect_refused(with_info("t", UINT32_MAX, five, 0, 0), SB_CORRUPT, "4294967295 dimensions");
    const uint64_t bad[] = {0, UINT64_MAX, UINT64_C(1) << 63};
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        const uint64_t ne[2] = {32, bad[i]};
        expect_refused(with_info("t", 2, ne, 0, 0), SB_CORRUPT, "tensor 't'|dimension 1 is");
    }
}

static void g14_size_overflow(void **state)
{
    (void)state;
    const uint64_t wide[2] = {UINT64_C(1) << 32, UINT64_C(1) << 32};
    expect_refused(with_info("t", 2, wide, 0, 0), SB_CORRUPT, "tensor 't'|size overflow");
    expect_refused(with_info("t", 2, wide, 2, 0), SB_CORRUPT, "tensor 't'|size overflow");
    const uint64_t q[1] = {UINT64_C(1) << 62};
    expect_refused(with_info("t", 1, q, 2, 0), SB_CORRUPT, "tensor 't'|offset 0|data has 128");
    const uint64_t f[1] = {SIZE_MAX / 4};
    expect_refused(with_info("t", 1, f, 0, 0), SB_CORRUPT, "tensor 't'|size overflow");
    const uint64_t cube[4] = {1, UINT64_C(1) << 31, UINT64_C(1) << 31, 2};
    expect_refused(with_info("t", 4, cube, 1, 0), SB_CORRUPT, "tensor 't'|size overflow");

    const uint64_t half[1] = {UINT64_C(0x3FFFFFFFFFFFFFE0)}; // F16: 0x7FFFFFFFFFFFFFC0 bytes
    raw *r = raw_new();
    raw_head(r, 3, 2, 1);
    raw_arch(r);
    raw_info(r, "t", 1, half, 1, 0);
    raw_info(r, "u", 1, half, 1, UINT64_C(0x7FFFFFFFFFFFFFC0));
    raw_pad(r, 32);
    raw_zeros(r, 256);
    expect_refused(r, SB_CORRUPT, "tensor 't'|9223372036854775744|data has 256");
}

static void g15_formats(void **state)
{
    (void)state;
    const uint64_t n100[1] = {100};
    expect_refused(with_info("t", 1, n100, 12, 0), SB_CORRUPT, "tensor 't'|row of 100|256|Q4_K");
    expect_refused(with_info("t", 1, n100, 8, 0), SB_CORRUPT, "tensor 't'|row of 100|32|Q8_0");
    const struct {
        uint32_t type;
        const char *words;
    } rows[] = {
        {4, "tensor 't'|type 4 Q4_2 (removed)"},     {5, "type 5 Q4_3 (removed)"},
        {16, "type 16 IQ2_XXS is not supported"},    {200, "type 200 is not supported"},
        {139, "type 139 IQ4_K (ik_llama.cpp only)"}, {UINT32_C(1) << 31, "type 2147483648 is not"},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        expect_refused(with_info("t", 1, n32, rows[i].type, 0), SB_UNSUPPORTED, rows[i].words);
    }
}

static void g16_offsets(void **state)
{
    (void)state;
    expect_refused(with_info("t", 1, n32, 0, 4096), SB_CORRUPT, "tensor 't'|4096|data has 128");
    expect_refused(with_info("t", 1, n32, 0, 32), SB_CORRUPT, "tensor 't'|32 + 128|data has 128");
    expect_refused(with_info("t", 1, n32, 0, UINT64_MAX - 31), SB_CORRUPT,
                   "tensor 't'|18446744073709551584|data has 128");
    expect_refused(with_info("t", 1, n32, 0, 16), SB_CORRUPT, "tensor 't'|offset 16|alignment 32");

    raw *r = raw_new();
    raw_head(r, 3, 2, 1);
    raw_arch(r);
    raw_info(r, "late", 1, n32, 0, 96);
    raw_info(r, "early", 1, n32, 0, 0);
    raw_pad(r, 32);
    const size_t data_at = r->n;
    raw_zeros(r, 256);
    char words[96];
    snprintf(words, sizeof(words), "byte %d|'late' overlaps 'early'|ends at %d", (int)data_at + 96,
             (int)data_at + 128);
    expect_refused(r, SB_CORRUPT, words);

    r = raw_new(); // the same place, and another order with a gap is fine
    raw_head(r, 3, 2, 1);
    raw_arch(r);
    raw_info(r, "late", 1, n32, 0, 192);
    raw_info(r, "early", 1, n32, 0, 0);
    raw_pad(r, 32);
    raw_zeros(r, 320);
    sb_gguf *g = expect_opens(r);
    assert_int_equal(sb_gguf_trailing_bytes(g), 0);
    sb_gguf_close(g);
}

static void g17_ends(void **state)
{
    (void)state;
    const uint64_t n33[1] = {33};
    raw *r = raw_new();
    raw_head(r, 3, 1, 1);
    raw_arch(r);
    raw_info(r, "t", 1, n33, 0, 0);
    raw_pad(r, 32);
    raw_zeros(r, 131);
    expect_refused(r, SB_CORRUPT, "tensor 't'|132 bytes|data has 131");

    const size_t behind[] = {132, 160, 160 + 1024}; // no padding, padding, more
    for (size_t i = 0; i < SB_ARRAY_LEN(behind); i++) {
        r = raw_new();
        raw_head(r, 3, 1, 1);
        raw_arch(r);
        raw_info(r, "t", 1, n33, 0, 0);
        raw_pad(r, 32);
        raw_zeros(r, behind[i]);
        sb_gguf *g = expect_opens(r);
        assert_int_equal(sb_gguf_trailing_bytes(g), i == 2 ? 1024 : 0);
        sb_gguf_close(g);
    }
}

static void g17_a_gigabyte_behind(void **state)
{
    (void)state;
    raw *r = with_info("t", 1, n32, 0, 0);
    const char *path = temp_path("long.gguf");
    write_file(path, r->p, r->n);
    assert_int_equal(truncate(path, (off_t)r->n + (1 << 30)), 0);
    raw_free(r);
    sb_gguf *g = NULL;
    assert_int_equal(sb_gguf_open(&g, path, NULL), SB_OK);
    assert_int_equal(sb_gguf_trailing_bytes(g), 1 << 30);
    sb_gguf_close(g);
    temp_remove("long.gguf");
}

static void g25_not_regular_files(void **state)
{
    (void)state;
    const uint64_t t0 = sb_now_ns();
    expect_path_refused("/", SB_INVALID, "not a regular file");
    expect_path_refused("/dev/zero", SB_INVALID, "/dev/zero|not a regular file");
    expect_path_refused("/dev/random", SB_INVALID, "not a regular file");
    expect_path_refused(temp_path("none.gguf"), SB_NOT_FOUND, "none.gguf");
    assert_int_equal(mkfifo(temp_path("fifo"), 0600), 0);
    expect_path_refused(temp_path("fifo"), SB_INVALID, "fifo|not a regular file");
    temp_remove("fifo");
    assert_int_equal(symlink("loop", temp_path("loop")), 0);
    expect_path_refused(temp_path("loop"), SB_IO, "loop");
    temp_remove("loop");
    if (geteuid() != 0) { // root may read it all the same
        write_file(temp_path("secret"), "GGUF", 4);
        assert_int_equal(chmod(temp_path("secret"), 0), 0);
        expect_path_refused(temp_path("secret"), SB_IO, "secret");
        temp_remove("secret");
    }
    assert_true(sb_now_ns() - t0 < UINT64_C(1000000000));
}

static void g25_a_terabyte_of_nothing(void **state)
{
    (void)state;
    const char *path = temp_path("sparse.gguf");
    write_file(path, "GGUF\3\0\0\0", 8);
    if (truncate(path, (off_t)1 << 40) != 0) skip(); // the file system has a smaller limit
    const uint64_t t0 = sb_now_ns();
    expect_path_refused(path, SB_CORRUPT, "kv_count: 0");
    // Counts that the file's size would allow, but for the caps.
    raw *r = raw_new();
    raw_head(r, 3, UINT64_C(1) << 32, UINT64_C(1) << 32);
    write_file(path, r->p, r->n);
    assert_int_equal(truncate(path, (off_t)1 << 40), 0);
    raw_free(r);
    expect_path_refused(path, SB_LIMIT, "tensor_count|4294967296|65536");
    r = with_array(SB_GGUF_STR, UINT64_C(1) << 32);
    write_file(path, r->p, r->n);
    assert_int_equal(truncate(path, (off_t)1 << 40), 0);
    raw_free(r);
    expect_path_refused(path, SB_LIMIT, "array length|4294967296|1073741824");
    assert_true(sb_now_ns() - t0 < UINT64_C(1000000000));
    temp_remove("sparse.gguf");
}

/* All of the above stays within 64 MB; the test's own buffers are part of it (the largest, of a
 * million keys, is about 30). Sanitizers keep freed memory, so the bound means nothing there. */
static void memory_stays_small(void **state)
{
    (void)state;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    struct rusage use;
    assert_int_equal(getrusage(RUSAGE_SELF, &use), 0);
    assert_in_range(use.ru_maxrss, 1, (64 + 64) * 1024);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(g1_other_formats),
        cmocka_unit_test(g2_versions),
        cmocka_unit_test(g3_nothing_inside),
        cmocka_unit_test(g3_any_architecture_is_read),
        cmocka_unit_test(long_names_are_cut_whole),
        cmocka_unit_test(g4_tensor_counts),
        cmocka_unit_test(g5_kv_counts),
        cmocka_unit_test(g6_keys),
        cmocka_unit_test(g7_duplicate_and_many_keys),
        cmocka_unit_test(g8_types_and_bools),
        cmocka_unit_test(g9_nested_arrays),
        cmocka_unit_test(g10_array_lengths),
        cmocka_unit_test(g10_string_values),
        cmocka_unit_test(g11_alignment),
        cmocka_unit_test(g12_tensor_names),
        cmocka_unit_test(g13_dimensions),
        cmocka_unit_test(g14_size_overflow),
        cmocka_unit_test(g15_formats),
        cmocka_unit_test(g16_offsets),
        cmocka_unit_test(g17_ends),
        cmocka_unit_test(g17_a_gigabyte_behind),
        cmocka_unit_test(g25_not_regular_files),
        cmocka_unit_test(g25_a_terabyte_of_nothing),
        cmocka_unit_test(memory_stays_small),
    };
    return cmocka_run_group_tests(tests, NULL, temp_cleanup);
}
