/* SPDX-License-Identifier: Apache-2.0
 * aside_test.c - a management controller and a GPU library that are listed, and that no answer is
 * counted by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "energy/meters.h"

static int open_controller(void *ctx)
{
    (void)ctx;
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int ask_controller(void *ctx, int fd, const sb_ipmi_request *rq, uint8_t *out,
                          size_t out_bytes)
{
    static const uint8_t answer[] = {0, 0xdc, 0x2c, 1, 1,    0, 0xff, 1, 0,   1,
                                     1, 2,    3,    4, 0xe8, 3, 0,    0, 0x40};
    (void)ctx, (void)fd, (void)rq;
    assert_true(out_bytes >= sizeof answer);
    memcpy(out, answer, sizeof answer);
    return sizeof answer;
}

static void *open_board(void *ctx, int *out_n)
{
    *out_n = 1;
    return ctx;
}

static bool board_mj(void *ctx, int i, uint64_t *out)
{
    (void)ctx;
    *out = 1000 + (uint64_t)i;
    return true;
}

static bool board_name(void *ctx, int i, char *out, size_t out_bytes)
{
    (void)ctx;
    return snprintf(out, out_bytes, "board %d", i) > 0;
}

static void close_board(void *ctx)
{
    ++*(int *)ctx;
}

static void put(const char *root, const char *path, const char *text)
{
    char full[256];
    (void)snprintf(full, sizeof full, "%s/%s", root, path);
    for (char *p = full + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = 0;
        (void)mkdir(full, 0700);
    }
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
}

/* What becomes of the controller, of the library's board, of the kernel's, and of the estimate. */
static void expect(const char *root, bool aside, sb_meter_kind chosen, int n_gpus,
                   const sb_meter_state *want, size_t n_want)
{
    int n_closed = 0;
    const sb_ipmi_calls ipmi = {open_controller, ask_controller, NULL};
    const sb_nvml_calls nvml = {open_board, board_mj, board_name, close_board, &n_closed};
    const sb_meter_roots roots = {
        .sysfs = root, .ipmi = &ipmi, .nvml = &nvml, .survey = true, .aside = aside};
    sb_meter *m = NULL;
    sb_meter_row rows[8];
    assert_int_equal(sb_meter_open(&m, &roots, NULL), SB_OK);
    assert_int_equal(sb_meter_chosen(m).kind, chosen);
    assert_int_equal(sb_meter_chosen(m).n_gpus, n_gpus);
    assert_int_equal(sb_meter_list(m, rows, 8), n_want);
    for (size_t i = 0; i < n_want; i++) {
        assert_int_equal(rows[i].state, want[i]);
        assert_int_equal(rows[i].counted, want[i] == SB_METER_CHOSEN || want[i] == SB_METER_ADDED);
    }
    sb_meter_close(m);
    assert_int_equal(n_closed, 1);
}

static void they_are_shown_and_not_counted(void **state)
{
    static const sb_meter_state alone[] = {SB_METER_ASIDE, SB_METER_ASIDE, SB_METER_CHOSEN};
    (void)state;
    expect("/nowhere", true, SB_METER_ESTIMATE, 0, alone, 3);
}

static void nor_beside_a_meter_that_counts(void **state)
{
    static const sb_meter_state beside[] = {SB_METER_CHOSEN, SB_METER_ASIDE, SB_METER_ASIDE,
                                            SB_METER_ADDED, SB_METER_FALLBACK};
    static const sb_meter_state among[] = {SB_METER_CHOSEN, SB_METER_CHECK, SB_METER_ADDED,
                                           SB_METER_ADDED, SB_METER_FALLBACK};
    char root[] = "/tmp/sobre-aside-XXXXXX", command[64];
    (void)state;
    assert_non_null(mkdtemp(root));
    put(root, "sys/class/hwmon/hwmon2/name", "power_meter\n");
    put(root, "sys/class/hwmon/hwmon2/power1_average", "98000000\n");
    put(root, "sys/class/hwmon/hwmon3/name", "amdgpu\n"); /* the kernel's own boards are added */
    put(root, "sys/class/hwmon/hwmon3/power1_average", "31000000\n");
    expect(root, true, SB_METER_SERVER, 1, beside, 5);
    expect(root, false, SB_METER_SERVER, 2, among, 5);
    (void)snprintf(command, sizeof command, "rm -rf %s", root);
    assert_int_equal(system(command), 0); // NOLINT(cert-env33-c): made above
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_shown_and_not_counted),
        cmocka_unit_test(nor_beside_a_meter_that_counts),
    };
    return cmocka_run_group_tests_name("meters that are aside", tests, NULL, NULL);
}
