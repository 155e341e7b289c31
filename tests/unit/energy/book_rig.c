/* SPDX-License-Identifier: Apache-2.0
 * book_rig.c - the rig's machine and its files. */
#include "book_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    (void)fputs(text, f);
    (void)fclose(f);
}

void rig_count(rig *r, uint64_t uj)
{
    char text[32];
    r->uj = uj;
    (void)snprintf(text, sizeof text, "%llu\n", (unsigned long long)uj);
    write_text(r->counter, text);
}

void rig_init(rig *r)
{
    static const char *const dirs[] = {
        "/sys",  "/sys/class", "/sys/class/powercap", "/sys/class/powercap/intel-rapl:0",
        "/proc", "/proc/sys",  "/proc/sys/kernel",    "/proc/sys/kernel/random"};
    char path[256];
    *r = (rig){.home = "/tmp/sobre-book-XXXXXX"};
    assert_non_null(mkdtemp(r->home));
    for (size_t i = 0; i < SB_ARRAY_LEN(dirs); i++) {
        (void)snprintf(path, sizeof path, "%s%s", r->home, dirs[i]);
        assert_int_equal(mkdir(path, 0777), 0);
    }
    (void)snprintf(path, sizeof path, "%s/proc/sys/kernel/random/boot_id", r->home);
    write_text(path, "01234567-89ab-cdef-0123-456789abcdef\n");
    (void)snprintf(path, sizeof path, "%s/sys/class/powercap/intel-rapl:0/name", r->home);
    write_text(path, "package-0\n");
    (void)snprintf(path, sizeof path, "%s/sys/class/powercap/intel-rapl:0/max_energy_range_uj",
                   r->home);
    write_text(path, "262143328850\n");
    (void)snprintf(r->counter, sizeof r->counter, "%s/sys/class/powercap/intel-rapl:0/energy_uj",
                   r->home);
    rig_count(r, 1000000);
}

void rig_open(rig *r)
{
    char proc[80];
    (void)snprintf(proc, sizeof proc, "%s/proc", r->home);
    const sb_meter_roots roots = {.sysfs = r->home, .proc = r->home};
    const sb_ledger_log_opts o = {
        .home = r->home, .proc = proc, .max_file_bytes = r->max_file_bytes};
    sb_error err = {0};
    assert_int_equal(sb_meter_open(&r->meter, &roots, NULL), SB_OK);
    if (sb_ledger_log_open(&r->log, &o, &err) != SB_OK) fail_msg("%s", err.msg);
    if (sb_ledger_log_start(r->log, r->meter, &err) != SB_OK) fail_msg("%s", err.msg);
    r->sum_uj = 0;
}

void rig_close(rig *r)
{
    sb_ledger_log_close(r->log);
    sb_meter_close(r->meter);
    r->log = NULL;
    r->meter = NULL;
}

void rig_end(rig *r)
{
    char command[96];
    rig_close(r);
    (void)snprintf(command, sizeof command, "rm -r %s", r->home);
    assert_int_equal(system(command), 0); // NOLINT(cert-env33-c): a folder made above
}

void rig_tick(rig *r, uint64_t owner, int64_t part_uj, uint64_t more_uj)
{
    const sb_tick_part part = {owner, part_uj};
    rig_count(r, r->uj + more_uj);
    (void)sb_meter_begin(r->meter); /* as the ledger does */
    r->sum_uj += more_uj;
    const sb_tick t = {.begin_ns = sb_now_ns(),
                       .end_ns = sb_now_ns(),
                       .source = SB_ENERGY_MEASURED,
                       .meter_uj = (int64_t)more_uj,
                       .idle_uj = 10,
                       .other_uj = (int64_t)more_uj - 10 - part_uj,
                       .sum_uj = r->sum_uj,
                       .parts = &part,
                       .n_part = owner != 0};
    sb_error err = {0};
    if (sb_ledger_log_tick(r->log, &t, &err) != SB_OK) fail_msg("%s", err.msg);
}

void rig_estimate(rig *r, uint64_t owner, int64_t part_uj)
{
    const sb_tick_part part = {owner, part_uj};
    const sb_tick t = {.begin_ns = sb_now_ns(),
                       .end_ns = sb_now_ns(),
                       .source = SB_ENERGY_ESTIMATED,
                       .meter_uj = part_uj,
                       .sum_uj = r->sum_uj,
                       .parts = &part,
                       .n_part = 1};
    assert_int_equal(sb_ledger_log_tick(r->log, &t, NULL), SB_OK);
}

sb_status rig_receipt(rig *r, const char *id, uint64_t owner, int64_t uj, sb_energy_source source,
                      sb_receipt_keys *keys, json_t **out)
{
    const sb_ledger_receipt x = {
        .energy = {.source = source,
                   .energy_uj = uj,
                   .lo_uj = uj / 2,
                   .hi_uj = 2 * uj,
                   .prefill_uj = uj / 4,
                   .split_lo_uj = uj,
                   .split_hi_uj = uj,
                   .concurrency = 1.5,
                   .settled = true,
                   .method = "m",
                   .meter = "RAPL package, 1 counter",
                   .scope = "CPU packages; not power supply, fans"},
        .facts = {.id = {id, strlen(id)}, .model = {"tiny", 4}, .n_in = 3, .n_out = 4},
        .owners = &owner,
        .n_owners = 1,
        .key = 7,
        .keys = keys};
    return sb_ledger_log_receipt(r->log, &x, out, NULL);
}

sb_audit_result rig_audit(const rig *r)
{
    sb_audit_result a = {0};
    sb_error err = {0};
    if (sb_ledger_audit_files(r->home, NULL, &a, &err) != SB_OK) fail_msg("%s", err.msg);
    return a;
}

void rig_path(const rig *r, const char *name, char out[256])
{
    (void)snprintf(out, 256, "%s/ledger/%s", r->home, name);
}

char *rig_read(const rig *r, size_t *out_n)
{
    char path[256];
    rig_path(r, "ledger.jsonl", path);
    FILE *f = fopen(path, "rb");
    char *all = malloc(1 << 20);
    assert_non_null(f);
    assert_non_null(all);
    *out_n = fread(all, 1, 1 << 20, f);
    (void)fclose(f);
    return all;
}

void rig_write(const rig *r, const char *p, size_t n)
{
    char path[256];
    rig_path(r, "ledger.jsonl", path);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    (void)fclose(f);
}
