/* SPDX-License-Identifier: Apache-2.0
 * checks.c - the words behind "is". */
#include "base/utf8.h"
#include "template/tpl.h"

#include <math.h>

#include <utf8proc.h>

/* All cased letters of one case, and at least one of them. */
static bool all_case(sb_val s, utf8proc_category_t want, utf8proc_category_t not_this)
{
    bool any = false;
    for (size_t i = 0, n; i < s.as.s.n; i += n) {
        uint32_t cp = 0;
        n = sb_utf8_decode(s.as.s.p + i, s.as.s.n - i, &cp);
        if (!n) return false;
        const utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
        if (c == not_this || c == UTF8PROC_CATEGORY_LT) return false;
        any = any || c == want;
    }
    return any;
}

/* odd, even and divisibleby: whether there is a rest (for odd: of 1), or none. */
static sb_status parity(sb_run *r, sb_val v, const sb_val *by, bool want_odd, bool *out)
{
    int64_t i, d = 2;
    double x, y = 2;
    if (!sb_val_number(v, &x) || (by && !sb_val_number(*by, &y)))
        return sb_tpl_fail(r, SB_CORRUPT, "a test for numbers on a %s", sb_tpl_type_name(v));
    if (y == 0) return sb_tpl_fail(r, SB_CORRUPT, "division by zero");
    if (sb_val_whole(v, &i) && (!by || sb_val_whole(*by, &d))) {
        *out = (d == -1 ? 0 : i % d) != 0;
    } else {
        const double rest = x - floor(x / y) * y;
        *out = want_odd ? rest == 1 : rest != 0;
    }
    if (!want_odd) *out = !*out;
    return SB_OK;
}

/* What Python's `is` says of the values a template can hold. */
static sb_status same(sb_run *r, sb_val a, sb_val b, bool *out)
{
    *out = false;
    if (a.type != b.type) return SB_OK;
    if (sb_val_is_seq(a) || a.type == SB_VAL_DICT) {
        *out = a.as.self == b.as.self;
        return SB_OK;
    }
    return sb_val_equal(r, a, b, out);
}

/* Tests that look at the type alone. */
static bool of_type(unsigned id, sb_val v)
{
    double f;
    switch (id) {
    case SB_TEST_boolean:
        return v.type == SB_VAL_BOOL;
    case SB_TEST_callable:
        return v.type >= SB_VAL_MACRO;
    case SB_TEST_escaped:
        return v.type == SB_VAL_STR && v.id == SB_STR_SAFE;
    case SB_TEST_defined:
        return v.type != SB_VAL_UNDEFINED;
    case SB_TEST_undefined:
        return v.type == SB_VAL_UNDEFINED;
    case SB_TEST_none:
        return v.type == SB_VAL_NULL;
    case SB_TEST_string:
        return v.type == SB_VAL_STR;
    case SB_TEST_mapping:
        return v.type == SB_VAL_DICT;
    case SB_TEST_number:
        return sb_val_number(v, &f);
    case SB_TEST_integer:
        return v.type == SB_VAL_INT || (v.type == SB_VAL_FLOAT && v.id == SB_FLOAT_BIG_INT);
    case SB_TEST_float:
        return v.type == SB_VAL_FLOAT && v.id != SB_FLOAT_BIG_INT;
    case SB_TEST_true:
        return v.type == SB_VAL_BOOL && v.as.b;
    case SB_TEST_false:
        return v.type == SB_VAL_BOOL && !v.as.b;
    default: // iterable, sequence: in the reference undefined is an empty sequence
        if (v.type == SB_VAL_ITER) return id == SB_TEST_iterable;
        return v.type == SB_VAL_STR || v.type == SB_VAL_DICT || sb_val_is_seq(v) ||
               v.type == SB_VAL_UNDEFINED;
    }
}

sb_status sb_tpl_test(sb_run *r, unsigned id, sb_val v, const sb_args *a, bool *out)
{
    if (!sb_tpl_test_takes(id, a->n))
        return sb_tpl_fail(r, SB_CORRUPT, "a test with %d arguments", a->n);
    switch (id) {
    case SB_TEST_eq:
    case SB_TEST_equalto:
        return sb_tpl_compare(r, SB_OP_EQ, v, a->v[0], out);
    case SB_TEST_ne:
        return sb_tpl_compare(r, SB_OP_NE, v, a->v[0], out);
    case SB_TEST_lt:
    case SB_TEST_lessthan:
        return sb_tpl_compare(r, SB_OP_LT, v, a->v[0], out);
    case SB_TEST_le:
        return sb_tpl_compare(r, SB_OP_LE, v, a->v[0], out);
    case SB_TEST_gt:
    case SB_TEST_greaterthan:
        return sb_tpl_compare(r, SB_OP_GT, v, a->v[0], out);
    case SB_TEST_ge:
        return sb_tpl_compare(r, SB_OP_GE, v, a->v[0], out);
    case SB_TEST_in:
        return sb_tpl_compare(r, SB_OP_IN, v, a->v[0], out);
    case SB_TEST_sameas:
        return same(r, v, a->v[0], out);
    case SB_TEST_odd:
        return parity(r, v, NULL, true, out);
    case SB_TEST_even:
        return parity(r, v, NULL, false, out);
    case SB_TEST_divisibleby:
        return parity(r, v, &a->v[0], false, out);
    case SB_TEST_lower:
    case SB_TEST_upper:
        SB_TRY(sb_tpl_str(r, v, &v));
        SB_TRY(sb_tpl_spend(r, v.as.s.n / 8));
        *out = id == SB_TEST_lower ? all_case(v, UTF8PROC_CATEGORY_LL, UTF8PROC_CATEGORY_LU)
                                   : all_case(v, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_LL);
        return SB_OK;
    default:
        *out = of_type(id, v);
        return SB_OK;
    }
}
