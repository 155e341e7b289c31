/* SPDX-License-Identifier: Apache-2.0
 * digest_test.c - SHA-256 against published vectors, whole and in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/digest.h"

static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
static const char nothing[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

static void known_digests(void **state)
{
    (void)state;
    char hex[SB_SHA256_HEX_BYTES];
    assert_int_equal(sb_sha256_bytes("abc", 3, NULL, NULL, hex, NULL), SB_OK);
    assert_string_equal(hex, abc);
    assert_int_equal(sb_sha256_bytes(NULL, 0, NULL, NULL, hex, NULL), SB_OK);
    assert_string_equal(hex, nothing);
}

static void pieces_and_restart(void **state)
{
    (void)state;
    char hex[SB_SHA256_HEX_BYTES];
    sb_sha256 *h = NULL;
    assert_int_equal(sb_sha256_new(&h, NULL), SB_OK);
    assert_int_equal(sb_sha256_add(h, "forgotten", 9, NULL), SB_OK);
    assert_int_equal(sb_sha256_restart(h, NULL), SB_OK);
    assert_int_equal(sb_sha256_add(h, "a", 1, NULL), SB_OK);
    assert_int_equal(sb_sha256_add(h, "bc", 2, NULL), SB_OK);
    assert_int_equal(sb_sha256_finish(h, hex, NULL), SB_OK);
    assert_string_equal(hex, abc);
    sb_sha256_free(h);
    sb_sha256_free(NULL);
}

static bool yes(void *ctx)
{
    (void)ctx;
    return true;
}

static void cancelled(void **state)
{
    (void)state;
    char hex[SB_SHA256_HEX_BYTES] = "untouched";
    sb_error err = {0};
    assert_int_equal(sb_sha256_bytes("abc", 3, yes, NULL, hex, &err), SB_CANCELLED);
    assert_string_equal(hex, "untouched");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_digests),
        cmocka_unit_test(pieces_and_restart),
        cmocka_unit_test(cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
