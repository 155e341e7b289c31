/* SPDX-License-Identifier: Apache-2.0
 * ledger_fuzz.c - libFuzzer entry: bytes of a ledger, and bytes as a receipt and as a key.
 *
 * Byte 0 says where the rest is cut in two; the audit says the same of both pieces as of the whole.
 * A ledger that is whole adds up. A receipt that holds has one spelling. */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "energy/ledger_audit.h"
#include "energy/receipt.h"
#include "energy/receipt_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool good)
{
    if (!good) abort();
}

static sb_audit_result audit(const char *p, size_t n, size_t cut)
{
    sb_ledger_audit *a = NULL;
    check(sb_ledger_audit_new(&a, NULL) == SB_OK);
    check(sb_ledger_audit_add(a, p, cut, NULL) == SB_OK);
    check(sb_ledger_audit_add(a, p + cut, n - cut, NULL) == SB_OK);
    const sb_audit_result r = sb_ledger_audit_end(a);
    sb_ledger_audit_free(a);
    return r;
}

static void read_ledger(const char *p, size_t n, size_t cut)
{
    const sb_audit_result a = audit(p, n, n), b = audit(p, n, cut);
    const sb_ledger_sums *s = &a.sums;
    check(a.chain_ok == b.chain_ok && a.sums_ok == b.sums_ok && a.n_lines == b.n_lines &&
          a.first_bad_line == b.first_bad_line && a.torn_bytes == b.torn_bytes &&
          a.sums.meter_uj == b.sums.meter_uj);
    check((a.first_bad_line != 0) == (a.why[0] != 0));
    check(!a.sums_ok || !a.chain_ok ||
          s->meter_uj == s->requests_uj + s->idle_uj + s->other_uj + s->system_uj + s->lost_uj);
}

static void spell(const json_t *v, sb_buf *out)
{
    json_t *again = NULL;
    sb_buf twice;
    sb_buf_init(&twice, SB_MAX_BODY_BYTES, "fuzz");
    if (sb_canon_add(out, v, NULL) == SB_OK) {
        check(sb_canon_read(&again, out->p, out->n, "fuzz", NULL) == SB_OK);
        check(sb_canon_add(&twice, again, NULL) == SB_OK);
        check(twice.n == out->n && memcmp(twice.p, out->p, out->n) == 0);
    }
    json_decref(again);
    sb_buf_deinit(&twice);
}

static void read_receipt(const char *p, size_t n)
{
    json_t *v = NULL;
    sb_error err;
    sb_receipt_view view;
    sb_buf bytes;
    char text[SB_ENERGY_TEXT_BYTES];
    if (sb_canon_read(&v, p, n, "fuzz", &err) != SB_OK) {
        check(err.msg[0] != 0);
        return;
    }
    sb_buf_init(&bytes, SB_MAX_BODY_BYTES, "fuzz");
    spell(v, &bytes);
    if (sb_receipt_check(v, &view, &err) == SB_OK) {
        sb_receipt_text(&view, text, sizeof text);
        check((strstr(text, "measured") != NULL) == (view.kind == SB_RECEIPT_METER));
    }
    json_decref(v);
    sb_buf_deinit(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    unsigned char key[SB_RECEIPT_KEY_BYTES];
    if (n < 1) return 0;
    const char *p = (const char *)data + 1;
    n--;
    read_ledger(p, n, n ? data[0] * n / 256 : 0);
    read_receipt(p, n);
    check(sb_receipt_key_read((sb_str){p, n}, "0123456789abcdef", key, NULL) != SB_OK);
    return 0;
}
