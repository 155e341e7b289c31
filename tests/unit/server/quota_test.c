/* SPDX-License-Identifier: Apache-2.0
 * quota_test.c - limits of keys: no minute holds more than it may, wherever it begins. */
#include "server/quota.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "base/base.h"

static const uint64_t second = 1000000000;

static sb_quotas *make(void)
{
    sb_quotas *q = NULL;
    assert_int_equal(sb_quotas_new(&q, NULL), SB_OK);
    return q;
}

static void test_requests(void **state)
{
    enum { LIMIT = 100, TRIES_A_SECOND = 10, SECONDS = 300 };
    const sb_quota_limits l = {.rpm = LIMIT};
    static bool taken[SECONDS * TRIES_A_SECOND];
    sb_quotas *q = make();
    int retry_s = 0, total = 0;
    (void)state;
    for (int i = 0; i < SECONDS * TRIES_A_SECOND; i++) {
        const uint64_t now = 1000 * second + (uint64_t)i * second / TRIES_A_SECOND;
        taken[i] = sb_quota_request(q, 7, &l, now, &retry_s) == SB_QUOTA_FREE;
        total += taken[i];
    }
    /* Every minute, from every start: at most the limit and its 60th part. */
    for (int from = 0; from + 60 * TRIES_A_SECOND <= SECONDS * TRIES_A_SECOND; from++) {
        int n = 0;
        for (int i = from; i < from + 60 * TRIES_A_SECOND; i++)
            n += taken[i];
        assert_in_range(n, 0, LIMIT + LIMIT / 60 + 1);
    }
    assert_in_range(total, LIMIT * SECONDS / 60 * 98 / 100, LIMIT * SECONDS / 60 + 2);
    sb_quotas_free(q);
}

static void test_retry_is_right(void **state)
{
    const sb_quota_limits l = {.rpm = 2};
    sb_quotas *q = make();
    int retry_s = 0;
    (void)state;
    assert_int_equal(sb_quota_request(q, 1, &l, 5 * second, &retry_s), SB_QUOTA_FREE);
    assert_int_equal(sb_quota_request(q, 1, &l, 25 * second, &retry_s), SB_QUOTA_FREE);
    assert_int_equal(sb_quota_request(q, 1, &l, 30 * second, &retry_s), SB_QUOTA_REQUESTS);
    assert_int_equal(retry_s, 35);
    assert_int_equal(sb_quota_request(q, 1, &l, (30 + 34) * second, &retry_s), SB_QUOTA_REQUESTS);
    assert_int_equal(sb_quota_request(q, 1, &l, (30 + 35) * second, &retry_s), SB_QUOTA_FREE);
    assert_int_equal(sb_quota_request(q, 2, &l, 66 * second, &retry_s),
                     SB_QUOTA_FREE); /* another */
    sb_quotas_free(q);
}

static void test_answers_at_once(void **state)
{
    const sb_quota_limits l = {.concurrent = 2};
    sb_quota_hold a, b, c;
    sb_quotas *q = make();
    int retry_s = 0;
    (void)state;
    assert_int_equal(sb_quota_begin(q, 1, &l, 0, second, &a, &retry_s), SB_QUOTA_FREE);
    assert_int_equal(sb_quota_begin(q, 1, &l, 0, second, &b, &retry_s), SB_QUOTA_FREE);
    assert_int_equal(sb_quota_begin(q, 1, &l, 0, second, &c, &retry_s), SB_QUOTA_ANSWERS);
    assert_true(retry_s > 0);
    sb_quota_end(q, &c, 5, second); /* holds nothing: nothing is given back */
    assert_int_equal(sb_quota_begin(q, 1, &l, 0, second, &c, &retry_s), SB_QUOTA_ANSWERS);
    sb_quota_end(q, &a, 5, second);
    assert_int_equal(sb_quota_begin(q, 1, &l, 0, second, &c, &retry_s), SB_QUOTA_FREE);
    sb_quotas_free(q);
}

static void test_tokens(void **state)
{
    const sb_quota_limits l = {.tpm = 1000};
    sb_quota_hold a, b;
    sb_quotas *q = make();
    int retry_s = 0;
    (void)state;
    /* 900 are set aside, 100 are used: the rest is free again, in this minute and the next. */
    assert_int_equal(sb_quota_begin(q, 1, &l, 900, 10 * second, &a, &retry_s), SB_QUOTA_FREE);
    assert_int_equal(sb_quota_begin(q, 1, &l, 200, 10 * second, &b, &retry_s), SB_QUOTA_FREE);
    sb_quota_hold c;
    assert_int_equal(sb_quota_begin(q, 1, &l, 1, 11 * second, &c, &retry_s), SB_QUOTA_TOKENS);
    sb_quota_end(q, &a, 100, 20 * second);
    sb_quota_end(q, &b, 200, 20 * second);
    assert_int_equal(sb_quota_begin(q, 1, &l, 0, 21 * second, &a, &retry_s), SB_QUOTA_FREE);
    sb_quota_end(q, &a, 600, 71 * second); /* what was set aside left the window: nothing below 0 */
    assert_int_equal(sb_quota_begin(q, 1, &l, 0, 72 * second, &a, &retry_s), SB_QUOTA_FREE);
    sb_quota_end(q, &a, 300, 72 * second);
    assert_int_equal(sb_quota_begin(q, 1, &l, 0, 73 * second, &a, &retry_s), SB_QUOTA_TOKENS);
    assert_int_equal(retry_s, 7); /* what was used in second 20 leaves then */
    sb_quotas_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_retry_is_right),
        cmocka_unit_test(test_answers_at_once),
        cmocka_unit_test(test_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
