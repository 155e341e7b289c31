/* SPDX-License-Identifier: Apache-2.0
 * buf_test.c - heap, buffers, ids, arenas: limits hold, products are checked, the guard bites. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/ids.h"

#include <string.h>

static void products_are_checked(void **state)
{
    (void)state;
    assert_null(sb_alloc(SIZE_MAX / 2, 4));
    assert_null(sb_calloc(SIZE_MAX / 2, 4));
    void *p = sb_alloc(0, 8);
    assert_non_null(p);
    assert_null(sb_realloc(p, SIZE_MAX / 4, 8));
    sb_free(p);
    assert_null(sb_big_alloc(SIZE_MAX));
    assert_null(sb_big_alloc(SIZE_MAX - (4u << 20)));
    assert_null(sb_strdup_n("x", SIZE_MAX));
    char *s = sb_strdup_n("abc", 2);
    assert_string_equal(s, "ab");
    sb_free(s);
}

static void guard_refuses_and_counts(void **state)
{
    (void)state;
    const uint64_t before = sb_alloc_forbidden_count();
    void *p = sb_alloc(1, 1);
    sb_alloc_forbid_begin();
    sb_alloc_forbid_begin(); // nests
    sb_alloc_forbid_end();
    assert_null(sb_alloc(1, 1));
    assert_null(sb_calloc(1, 1));
    assert_null(sb_realloc(p, 2, 1));
    assert_null(sb_big_alloc(1));
    assert_null(sb_strdup_n("x", 1));
    sb_free(p); // freeing stays allowed
    sb_alloc_forbid_end();
    assert_int_equal(sb_alloc_forbidden_count() - before, 5);
    p = sb_alloc(1, 1);
    assert_non_null(p);
    sb_free(p);
}

static void big_blocks_are_aligned_and_zero(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 4096, 100000, (2u << 20) - 1, 2u << 20, (5u << 20) + 3};
    for (size_t i = 0; i < SB_ARRAY_LEN(sizes); i++) {
        const size_t n = sizes[i];
        unsigned char *p = sb_big_alloc(n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % (n >= 2u << 20 ? 2u << 20 : 4096), 0);
        for (size_t k = 0; k < n; k += 997)
            assert_int_equal(p[k], 0);
        if (n) p[n - 1] = 1;
        sb_big_free(p, n);
    }
    sb_big_free(NULL, 7);
}

static void buffer_keeps_its_limit(void **state)
{
    (void)state;
    sb_buf b;
    sb_error err = {0};
    sb_buf_init(&b, 10, "thing");
    assert_int_equal(sb_buf_add(&b, "12345", 5, NULL), SB_OK);
    assert_int_equal(sb_buf_addf(&b, NULL, "%d", 678), SB_OK);
    assert_string_equal(b.p, "12345678");
    assert_int_equal(sb_buf_add(&b, "abc", 3, &err), SB_LIMIT);
    assert_non_null(strstr(err.msg, "thing"));
    assert_non_null(strstr(err.msg, "10"));
    assert_int_equal(sb_buf_addf(&b, &err, "%s", "abc"), SB_LIMIT);
    assert_int_equal(sb_buf_add(&b, "", SIZE_MAX, &err), SB_LIMIT);
    assert_int_equal(b.n, 8); // unchanged
    assert_string_equal(b.p, "12345678");
    assert_int_equal(sb_buf_add(&b, "\0x", 2, NULL), SB_OK); // exactly full
    assert_int_equal(b.n, 10);
    assert_int_equal(b.p[10], 0);
    sb_buf_clear(&b);
    assert_int_equal(b.p[0], 0);
    sb_buf_deinit(&b);
    sb_buf_deinit(&b);
}

static void buffer_survives_a_failed_growth(void **state)
{
    (void)state;
    sb_buf b;
    sb_buf_init(&b, 1000, "thing");
    assert_int_equal(sb_buf_add(&b, "x", 1, NULL), SB_OK);
    char many[500] = {0};
    sb_alloc_forbid_begin();
    assert_int_equal(sb_buf_add(&b, many, sizeof many, NULL), SB_NO_MEMORY);
    sb_alloc_forbid_end();
    assert_int_equal(b.n, 1);
    assert_string_equal(b.p, "x");
    sb_buf_deinit(&b);
}

static void ids_keep_their_limit(void **state)
{
    (void)state;
    sb_ids a;
    sb_ids_init(&a, 100);
    for (int32_t i = 0; i < 100; i++)
        assert_int_equal(sb_ids_add(&a, i, NULL), SB_OK);
    sb_error err = {0};
    assert_int_equal(sb_ids_add(&a, 1, &err), SB_LIMIT);
    assert_int_equal(sb_ids_reserve(&a, SIZE_MAX, &err), SB_LIMIT);
    assert_int_equal(a.n, 100);
    assert_true(a.cap <= 100);
    for (int32_t i = 0; i < 100; i++)
        assert_int_equal(a.v[i], i);
    sb_ids_clear(&a);
    assert_int_equal(sb_ids_reserve(&a, 100, NULL), SB_OK);
    sb_ids_deinit(&a);
    sb_ids_deinit(&a);
}

struct layout {
    char *a;
    int32_t *b;
    char *c;
};

static void lay_out(struct layout *l, sb_arena *arena)
{
    l->a = sb_arena_take(arena, 3, 1);
    l->b = sb_arena_take(arena, 100, sizeof *l->b);
    l->c = sb_arena_take(arena, 1, 1);
}

static void arena_measures_what_it_uses(void **state)
{
    (void)state;
    struct layout l;
    sb_arena m, a;
    sb_arena_measure(&m);
    lay_out(&l, &m);
    assert_null(l.a);
    assert_null(l.b);
    assert_false(m.failed);
    assert_int_equal(sb_arena_init(&a, m.used, NULL), SB_OK);
    lay_out(&l, &a);
    assert_false(a.failed);
    assert_int_equal(a.used, m.used);
    assert_int_equal((uintptr_t)l.a % 64, 0);
    assert_int_equal((uintptr_t)l.b % 64, 0);
    assert_true((char *)l.b >= l.a + 3 && l.c >= (char *)(l.b + 100));
    assert_null(sb_arena_take(&a, 65, 1)); // full
    assert_true(a.failed);
    assert_null(sb_arena_take(&a, 0, 1)); // and stays failed
    sb_arena_deinit(&a);
    sb_arena_measure(&m);
    assert_null(sb_arena_take(&m, SIZE_MAX / 2, 8)); // overflow is failure when measuring too
    assert_true(m.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_checked),
        cmocka_unit_test(guard_refuses_and_counts),
        cmocka_unit_test(big_blocks_are_aligned_and_zero),
        cmocka_unit_test(buffer_keeps_its_limit),
        cmocka_unit_test(buffer_survives_a_failed_growth),
        cmocka_unit_test(ids_keep_their_limit),
        cmocka_unit_test(arena_measures_what_it_uses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
