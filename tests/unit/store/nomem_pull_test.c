/* SPDX-License-Identifier: Apache-2.0
 * nomem_pull_test.c - every allocation of a registration, a list, a lookup and a removal fails in
 * turn: one line of error each, nothing half-done is shown, and the next try succeeds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "gguf/writer.h"
#include "starve.h"
#include "store/hub.h"
#include "store/pull.h"

typedef struct room {
    char dir[64], model[96], home[96];
} room;

static int setup(void **state)
{
    room *r = calloc(1, sizeof *r);
    sb_gguf_writer *w = NULL;
    strcpy(r->dir, "/tmp/sobre-nomem-XXXXXX");
    if (!mkdtemp(r->dir)) return 1;
    snprintf(r->model, sizeof r->model, "%s/My Model.gguf", r->dir);
    snprintf(r->home, sizeof r->home, "%s/home", r->dir);
    assert_int_equal(sb_gguf_writer_new(&w, NULL), SB_OK);
    assert_int_equal(sb_gguf_add_str(w, "general.architecture", (sb_str){"llama", 5}, NULL), SB_OK);
    assert_int_equal(sb_gguf_write_file(w, 0, r->model, NULL), SB_OK);
    sb_gguf_writer_free(w);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    room *r = *state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", r->dir);
    const int rc = system(command);
    free(r);
    return rc;
}

/* Registers, lists, finds and removes; stops at the first failure. */
static sb_status whole_life(const room *r, sb_error *err)
{
    sb_store *s = NULL;
    sb_store_item *items = NULL;
    sb_pull_result got = {0};
    size_t n = 0;
    sb_buf path;
    sb_buf_init(&path, 4096, "path");
    const sb_pull_request rq = {.what = r->model, .stall_s = 1};
    sb_status st = sb_store_open(&s, r->home, err);
    if (st == SB_OK) st = sb_store_pull(s, &rq, &got, err);
    if (st == SB_OK) st = sb_store_list(s, &items, &n, err);
    if (st == SB_OK) {
        assert_true(n == 1 && items[0].registered && strcmp(items[0].name, "my-model") == 0);
        st = sb_store_resolve(s, "my-model", &path, err);
    }
    if (st == SB_OK) assert_string_equal(path.p, got.pin.registered);
    if (st == SB_OK) st = sb_store_remove(s, "my-model", false, err);
    sb_store_list_free(items, n);
    sb_pin_deinit(&got.pin);
    sb_buf_deinit(&path);
    sb_store_close(s);
    return st;
}

static void every_allocation_fails(void **state)
{
    const room *r = *state;
    int n_failures = 0;
    for (int n = 0;; n++) {
        sb_error err = {0};
        starve_from(n, false);
        const sb_status st = whole_life(r, &err);
        if (!starve_end()) { /* it took n at most */
            assert_int_equal(st, SB_OK);
            break;
        }
        if (st == SB_OK) continue; /* what is only tidied up may fail */
        n_failures++;
        assert_true(err.msg[0]);
        assert_int_equal(st, SB_NO_MEMORY);
        assert_int_equal(access(r->model, R_OK), 0); /* never touched */
    }
    assert_true(n_failures > 20);
    assert_int_equal(whole_life(r, NULL), SB_OK);
}

static void a_listing_fails(void **state)
{
    (void)state;
    static const char text[] = "{\"siblings\":[{\"rfilename\":\"a.gguf\"}]}";
    sb_hub_repo r;
    sb_error err = {0};
    starve_from(0, false);
    const sb_status st = sb_hub_parse(text, sizeof text - 1, &r, &err);
    (void)starve_end();
    assert_int_equal(st, SB_NO_MEMORY);
    assert_true(err.msg[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_allocation_fails, setup, teardown),
        cmocka_unit_test(a_listing_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
