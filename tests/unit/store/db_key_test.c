/* SPDX-License-Identifier: Apache-2.0
 * db_key_test.c - keys: shown once and stored hashed, found, limited, revoked while a keyring is in
 * use; and the hourly sums and stored responses of their owners. */
#include "db_room.h"

#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "store/keyring.h"
#include "store/responses.h"
#include "store/sums.h"

static sb_key add_key(sb_db *db, const char *name, char text[SB_KEY_TEXT_BYTES])
{
    sb_key want = {.rpm = 60,
                   .tpm = 1000,
                   .concurrent = 2,
                   .priority = -5,
                   .day_uj = INT64_C(5000000000001),
                   .day_co2e_ug = 7,
                   .day_cost_nano = 9},
           key = {0};
    snprintf(want.name, sizeof want.name, "%s", name);
    OK(sb_key_add(db, &want, text, &key, WHY));
    return key;
}

static void a_key_is_shown_once_and_found_again(void **state)
{
    room *r = *state;
    char text[SB_KEY_TEXT_BYTES], other[SB_KEY_TEXT_BYTES];
    sb_keyring *ring = NULL;
    sb_key found = {0};
    bool any = true;
    room_open(r);
    OK(sb_keyring_open(&ring, r->db, WHY));
    OK(sb_keyring_any(ring, &any, WHY));
    assert_false(any);
    const sb_key k = add_key(r->db, "Ana's laptop", text);
    assert_int_equal(strlen(text), SB_KEY_TEXT_BYTES - 1);
    assert_memory_equal(text, "sk-sobre-", 9);
    add_key(r->db, "other", other);
    assert_string_not_equal(text, other);
    OK(sb_keyring_any(ring, &any, WHY)); // this process's own changes are seen at once
    assert_true(any);
    OK(sb_keyring_find(ring, str(text), &found, WHY));
    assert_true(found.id == k.id && found.rpm == 60 && found.tpm == 1000);
    assert_true(found.concurrent == 2 && found.priority == -5 && !found.admin);
    assert_true(found.day_uj == INT64_C(5000000000001) && found.day_co2e_ug == 7 &&
                found.day_cost_nano == 9);
    assert_string_equal(found.name, "Ana's laptop");
    // Neither the key nor its random part stands in the file or the log.
    const char *const files[] = {r->file, r->log};
    for (size_t i = 0; i < 2; i++) {
        sb_map m;
        OK(sb_map_open(&m, files[i], WHY)); // not closed: SQLite's locks
        assert_null(memmem(m.p, m.bytes, text + 9, 20));
    }
    sb_keyring_close(ring);
}

static void nothing_else_is_a_key(void **state)
{
    room *r = *state;
    char text[SB_KEY_TEXT_BYTES];
    sb_keyring *ring = NULL;
    sb_key found = {.id = 77};
    sb_error err = {0};
    room_open(r);
    add_key(r->db, "k", text);
    OK(sb_keyring_open(&ring, r->db, WHY));
    char *long_text = calloc(1, 1 << 20);
    assert_non_null(long_text);
    memset(long_text, 'a', 1 << 20);
    const sb_str wrong[] = {{"", 0},
                            {text, SB_KEY_TEXT_BYTES - 2}, // a beginning
                            {text, SB_KEY_TEXT_BYTES},     // with its NUL
                            {text + 1, SB_KEY_TEXT_BYTES - 2},
                            {long_text, 1 << 20},
                            {long_text, SB_KEY_TEXT_BYTES - 1}};
    for (size_t i = 0; i < SB_ARRAY_LEN(wrong); i++) {
        assert_int_equal(sb_keyring_find(ring, wrong[i], &found, &err), SB_NOT_FOUND);
        assert_string_equal(err.msg, "no such key");
    }
    for (size_t i = 0; i + 1 < SB_KEY_TEXT_BYTES; i++) { // each character counts
        char c = text[i];
        text[i] = c == 'A' ? 'B' : 'A';
        assert_int_equal(sb_keyring_find(ring, str(text), &found, NULL), SB_NOT_FOUND);
        text[i] = c;
    }
    assert_int_equal(found.id, 77);
    free(long_text);
    sb_keyring_close(ring);
}

static void sleep_ms(long ms)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static void what_another_process_changes_is_seen(void **state)
{
    room *r = *state;
    char text[SB_KEY_TEXT_BYTES];
    sb_keyring *ring = NULL;
    sb_db *visitor = NULL;
    sb_key key = {0};
    room_open(r);
    OK(sb_keyring_open(&ring, r->db, WHY));
    OK(sb_db_open(&visitor, r->home, SB_DB_VISIT, WHY));
    add_key(visitor, "guest", text);
    sleep_ms(SB_KEYRING_STALE_MS + 20);
    OK(sb_keyring_find(ring, str(text), &key, WHY));
    OK(sb_key_revoke(visitor, "guest", &key, WHY));
    sb_db_close(visitor);
    sleep_ms(SB_KEYRING_STALE_MS + 20);
    assert_int_equal(sb_keyring_find(ring, str(text), &key, NULL), SB_NOT_FOUND);
    sb_keyring_close(ring);
}

static sb_status see_key(void *ctx, const sb_key *k, sb_error *err)
{
    char *out = ctx;
    (void)err;
    const size_t n = strlen(out);
    snprintf(out + n, 256 - n, "%d:%s%s ", (int)k->id, k->name, k->revoked ? "-" : "");
    return SB_OK;
}

static void revoked_keys_stay_and_free_their_names(void **state)
{
    room *r = *state;
    char text[SB_KEY_TEXT_BYTES], seen[256] = "";
    sb_key key = {0};
    sb_error err = {0};
    room_open(r);
    add_key(r->db, "a", text);
    add_key(r->db, "b", text);
    sb_key want = {.name = "a"};
    assert_int_equal(sb_key_add(r->db, &want, text, &key, &err), SB_INVALID);
    assert_non_null(strstr(err.msg, "there is a key 'a' already"));
    OK(sb_key_revoke(r->db, "a", &key, WHY));
    assert_true(key.id == 1 && key.revoked && key.revoked_ms > 0);
    assert_int_equal(sb_key_revoke(r->db, "a", &key, &err), SB_NOT_FOUND);
    assert_int_equal(sb_key_revoke(r->db, "1", &key, &err), SB_NOT_FOUND);
    OK(sb_key_revoke(r->db, "2", &key, WHY)); // by number
    assert_string_equal(key.name, "b");
    add_key(r->db, "a", text);
    OK(sb_key_list(r->db, see_key, seen, WHY));
    assert_string_equal(seen, "1:a- 2:b- 3:a "); // a new id: nobody inherits
}

static void bad_keys_are_refused(void **state)
{
    static const char *const names[] = {"", "12", "-x", "a\nb", "\x1b[31m", "\xff"};
    room *r = *state;
    char text[SB_KEY_TEXT_BYTES] = "untouched";
    sb_key out = {0};
    room_open(r);
    for (size_t i = 0; i < SB_ARRAY_LEN(names); i++) {
        sb_key want = {0};
        snprintf(want.name, sizeof want.name, "%s", names[i]);
        if (sb_key_add(r->db, &want, text, &out, NULL) != SB_INVALID) fail_msg("%s", names[i]);
    }
    const sb_key odd[] = {{.name = "n", .rpm = -1},
                          {.name = "n", .day_uj = -1},
                          {.name = "n", .day_co2e_ug = -1},
                          {.name = "n", .day_cost_nano = -1},
                          {.name = "n", .tpm = SB_MAX_KEY_RATE + 1},
                          {.name = "n", .concurrent = -1},
                          {.name = "n", .priority = 101}};
    for (size_t i = 0; i < SB_ARRAY_LEN(odd); i++)
        assert_int_equal(sb_key_add(r->db, &odd[i], text, &out, NULL), SB_INVALID);
    assert_string_equal(text, "untouched");
}

static void use_is_noted_by_the_hour(void **state)
{
    room *r = *state;
    char text[SB_KEY_TEXT_BYTES];
    sb_keyring *ring = NULL;
    room_open(r);
    const sb_key k = add_key(r->db, "k", text);
    OK(sb_keyring_open(&ring, r->db, WHY));
    OK(sb_keyring_touch(ring, k.id, WHY));
    const int64_t first = ask(r->db, "SELECT used_ms FROM key");
    assert_true(first > 0);
    const int writes = sqlite3_total_changes(r->db->sq);
    for (int i = 0; i < 100; i++)
        OK(sb_keyring_touch(ring, k.id, WHY));
    assert_int_equal(sqlite3_total_changes(r->db->sq), writes);
    sb_keyring_close(ring);
}

static sb_status see_sum(void *ctx, const sb_sum *s, sb_error *err)
{
    char *out = ctx;
    (void)err;
    const size_t n = strlen(out);
    snprintf(out + n, 256 - n, "%d:%d/%d ", (int)s->hour, (int)s->n_answers, (int)s->energy_uj);
    return SB_OK;
}

static void sums_add_up_by_hour_and_owner(void **state)
{
    room *r = *state;
    char seen[256] = "";
    sb_sum total = {0};
    room_open(r);
    const sb_sum s = {
        .hour = 10, .n_answers = 1, .n_in = 5, .n_cached = 2, .n_out = 7, .energy_uj = 100};
    const sb_sum later = {.hour = 12, .n_answers = 1, .energy_uj = 11};
    OK(sb_sum_add(r->db, 1, &s, WHY));
    OK(sb_sum_add(r->db, 1, &s, WHY));
    OK(sb_sum_add(r->db, 2, &s, WHY));
    OK(sb_sum_add(r->db, 1, &later, WHY));
    OK(sb_sum_list(r->db, 1, 0, 100, see_sum, seen, WHY));
    assert_string_equal(seen, "10:2/200 12:1/11 ");
    seen[0] = 0;
    OK(sb_sum_list(r->db, SB_OWNER_ALL, 10, 12, see_sum, seen, WHY));
    assert_string_equal(seen, "10:3/300 ");
    OK(sb_sum_total(r->db, 1, 0, 100, &total, WHY));
    assert_true(total.n_answers == 3 && total.n_in == 10 && total.n_cached == 4);
    assert_true(total.n_out == 14 && total.energy_uj == 211);
    const sb_sum most = {.hour = 10, .energy_uj = INT64_MAX}, bad = {.hour = 10, .n_in = -1};
    OK(sb_sum_add(r->db, 1, &most, WHY));
    OK(sb_sum_total(r->db, 1, 0, 100, &total, WHY));
    assert_true(total.energy_uj == INT64_MAX);
    assert_int_equal(sb_sum_add(r->db, 1, &bad, NULL), SB_INVALID);
    assert_int_equal(sb_sum_hour(-1), -1); // a clock before 1970 counts on
    assert_int_equal(sb_sum_hour(7200000), 2);
}

static sb_status see_part(void *ctx, sb_owner owner, const sb_sum *s, sb_error *err)
{
    char *out = ctx;
    (void)err;
    const size_t n = strlen(out);
    snprintf(out + n, 256 - n, "%d:%d:%.*s:%d/%d ", (int)s->hour, (int)owner, (int)s->model.n,
             s->model.p, (int)s->source, (int)s->energy_uj);
    return SB_OK;
}

static void sums_keep_models_and_sources_apart(void **state)
{
    room *r = *state;
    char seen[256] = "", most[SB_SUM_MODEL_BYTES + 2];
    sb_sum total = {0};
    room_open(r);
    sb_sum s = {.hour = 10, .n_answers = 1, .energy_uj = 100};
    OK(sb_sum_add(r->db, 1, &s, WHY));
    s.model = str("m");
    s.source = SB_SUM_MEASURED;
    OK(sb_sum_add(r->db, 1, &s, WHY));
    OK(sb_sum_add(r->db, 1, &s, WHY));
    s.source = SB_SUM_ESTIMATED;
    OK(sb_sum_add(r->db, 1, &s, WHY));
    OK(sb_sum_add(r->db, 2, &s, WHY));
    OK(sb_sum_each(r->db, SB_OWNER_ALL, 0, 100, see_part, seen, WHY));
    assert_string_equal(seen, "10:1::0/100 10:1:m:1/200 10:1:m:2/100 10:2:m:2/100 ");
    seen[0] = 0;
    OK(sb_sum_each(r->db, 2, 0, 100, see_part, seen, WHY));
    assert_string_equal(seen, "10:2:m:2/100 ");
    seen[0] = 0;
    OK(sb_sum_each(r->db, SB_OWNER_ALL, 11, 100, see_part, seen, WHY));
    assert_string_equal(seen, "");
    OK(sb_sum_list(r->db, 1, 0, 100, see_sum, seen, WHY)); // as one hour
    assert_string_equal(seen, "10:4/400 ");
    OK(sb_sum_total(r->db, SB_OWNER_ALL, 0, 100, &total, WHY));
    assert_true(total.n_answers == 5 && total.energy_uj == 500);
    memset(most, 'm', sizeof most);
    s.model = (sb_str){most, SB_SUM_MODEL_BYTES};
    OK(sb_sum_add(r->db, 1, &s, WHY));
    s.model.n++;
    assert_int_equal(sb_sum_add(r->db, 1, &s, NULL), SB_INVALID);
    s.model = str("\xff");
    assert_int_equal(sb_sum_add(r->db, 1, &s, NULL), SB_INVALID);
    s.model = str("m");
    s.source = SB_SUM_ESTIMATED;
    s.n_answers = 0;
    s.energy_uj = -30; // what had been provisional was too much
    OK(sb_sum_add(r->db, 2, &s, WHY));
    OK(sb_sum_total(r->db, 2, 0, 100, &total, WHY));
    assert_true(total.energy_uj == 70 && total.n_answers == 1);
    s.energy_uj = -100;
    OK(sb_sum_add(r->db, 2, &s, WHY));
    OK(sb_sum_add(r->db, 3, &s, WHY));
    OK(sb_sum_total(r->db, 2, 0, 100, &total, WHY));
    assert_true(total.energy_uj == 0);
    OK(sb_sum_total(r->db, 3, 0, 100, &total, WHY));
    assert_true(total.energy_uj == 0);
    s.source = SB_SUM_SOURCE_COUNT;
    assert_int_equal(sb_sum_add(r->db, 1, &s, NULL), SB_INVALID);
}

/* What is at the wall is added and corrected as energy is, and never a part of it. */
static void sums_at_the_wall_are_beside(void **state)
{
    room *r = *state;
    sb_sum total = {0};
    room_open(r);
    sb_sum s = {.hour = 10, .n_answers = 1, .energy_uj = 100, .n_wall = 1, .wall_uj = 170};
    OK(sb_sum_add(r->db, 1, &s, WHY));
    OK(sb_sum_add(r->db, 1, &s, WHY));
    s.n_wall = s.wall_uj = 0; // without a fit
    OK(sb_sum_add(r->db, 1, &s, WHY));
    OK(sb_sum_total(r->db, 1, 0, 100, &total, WHY));
    assert_true(total.energy_uj == 300 && total.n_wall == 2 && total.wall_uj == 340);
    s.n_answers = s.energy_uj = 0;
    s.n_wall = -1;
    s.wall_uj = -200;
    OK(sb_sum_add(r->db, 1, &s, WHY));
    OK(sb_sum_total(r->db, 1, 0, 100, &total, WHY));
    assert_true(total.energy_uj == 300 && total.n_wall == 1 && total.wall_uj == 140);
    OK(sb_sum_add(r->db, 1, &s, WHY));
    OK(sb_sum_add(r->db, 2, &s, WHY));
    OK(sb_sum_total(r->db, SB_OWNER_ALL, 0, 100, &total, WHY));
    assert_true(total.energy_uj == 300 && total.n_wall == 0 && total.wall_uj == 0);
}

/* A file of schema 4: its sums become sums of no model and unknown source. */
static void sums_of_before_stay(void **state)
{
    static const char back[] =
        "DROP TABLE sum; CREATE TABLE sum("
        " owner INTEGER NOT NULL, hour INTEGER NOT NULL, n_answers INTEGER NOT NULL,"
        " n_in INTEGER NOT NULL, n_cached INTEGER NOT NULL, n_out INTEGER NOT NULL,"
        " energy_uj INTEGER NOT NULL, PRIMARY KEY(owner, hour)) STRICT, WITHOUT ROWID;"
        "CREATE INDEX sum_by_hour ON sum(hour);"
        "INSERT INTO sum VALUES(1, 10, 2, 3, 1, 4, 500), (7, 11, 1, 1, 0, 1, 60);"
        "PRAGMA user_version = 4;";
    room *r = *state;
    char seen[256] = "";
    sb_db_facts f;
    room_open(r);
    assert_int_equal(sqlite3_exec(r->db->sq, back, NULL, NULL, NULL), SQLITE_OK);
    room_reopen(r);
    OK(sb_sum_each(r->db, SB_OWNER_ALL, 0, 100, see_part, seen, WHY));
    assert_string_equal(seen, "10:1::0/500 11:7::0/60 ");
    OK(sb_db_check(r->db, &f, WHY));
    assert_int_equal(f.version, sb_schema_version);
    OK(sb_schema_same(r->db, sb_schema_version, WHY));
}

static sb_status see_response(void *ctx, const sb_response *p, sb_error *err)
{
    char *out = ctx;
    (void)err;
    const size_t n = strlen(out);
    snprintf(out + n, 256 - n, "%.*s=%.*s ", (int)p->id.n, p->id.p, (int)p->items.n, p->items.p);
    return SB_OK;
}

static void respond(sb_db *db, const char *id, const char *previous)
{
    const sb_response p = {
        .id = str(id), .previous = str(previous), .object = str("{\"a\":1}"), .items = str("[1]")};
    OK(sb_response_add(db, 1, &p, WHY));
}

static void responses_chain_after_a_restart(void **state)
{
    room *r = *state;
    char seen[256] = "";
    sb_error err = {0};
    room_open(r);
    respond(r->db, "r1", "");
    respond(r->db, "r2", "r1");
    respond(r->db, "r3", "r2");
    room_reopen(r);
    OK(sb_response_chain(r->db, 1, str("r3"), see_response, seen, WHY));
    assert_string_equal(seen, "r3=[1] r2=[1] r1=[1] ");
    seen[0] = 0;
    OK(sb_response_get(r->db, 1, str("r2"), see_response, seen, WHY));
    assert_string_equal(seen, "r2=[1] ");
    assert_int_equal(sb_response_get(r->db, 2, str("r2"), see_response, seen, &err), SB_NOT_FOUND);
    assert_int_equal(sb_response_chain(r->db, 0, str("r3"), see_response, seen, &err),
                     SB_NOT_FOUND);
    assert_int_equal(sb_response_delete(r->db, 2, str("r2"), &err), SB_NOT_FOUND);
    sb_response p = {
        .id = str("r4"), .previous = str("r1"), .object = str("{}"), .items = str("[]")};
    assert_int_equal(sb_response_add(r->db, 2, &p, &err), SB_NOT_FOUND); // another's chain
    p.previous = str("");
    p.id = str("r3");
    assert_int_equal(sb_response_add(r->db, 1, &p, &err), SB_INVALID); // taken
    OK(sb_response_delete(r->db, 1, str("r2"), WHY));
    assert_int_equal(sb_response_chain(r->db, 1, str("r3"), see_response, seen, &err),
                     SB_NOT_FOUND);
    assert_string_equal(err.msg, "no response 'r2'");
    assert_int_equal(sb_response_get(r->db, 1, str("<b>"), see_response, seen, &err), SB_NOT_FOUND);
    assert_string_equal(err.msg, "no such response"); // a client's bytes are not repeated
}

static void a_chain_has_an_end(void **state)
{
    room *r = *state;
    char id[24] = "r0", before[24], *seen = calloc(1, 256);
    sb_error err = {0};
    room_open(r);
    respond(r->db, "r0", "");
    OK(sb_db_begin(r->db, WHY));
    for (int i = 1; i <= SB_MAX_RESPONSE_CHAIN; i++) {
        memcpy(before, id, sizeof id);
        snprintf(id, sizeof id, "r%d", i);
        respond(r->db, id, before);
    }
    OK(sb_db_end(r->db, WHY));
    OK(sb_response_chain(r->db, 1, str(before), see_response, seen, WHY));
    assert_int_equal(sb_response_chain(r->db, 1, str(id), see_response, seen, &err), SB_INVALID);
    assert_non_null(strstr(err.msg, "follow from one another"));
    free(seen);
}

/* K7: a clock ten years ahead empties nothing at once, one behind removes nothing. */
static void a_clock_that_jumps_expires_little(void **state)
{
    room *r = *state;
    char id[16];
    int32_t n = 0;
    const int64_t day = 86400000, now = sb_db_now_ms();
    room_open(r);
    for (int i = 0; i < 20; i++) {
        snprintf(id, sizeof id, "r%d", i);
        const sb_response p = {.id = str(id),
                               .object = str("{}"),
                               .items = str("[]"),
                               .created_ms = i < 10 ? now - 3650 * day : now + 3650 * day};
        OK(sb_response_add(r->db, 1, &p, WHY));
    }
    OK(sb_response_expire(r->db, 30 * day, 0, 3, &n, WHY));
    assert_int_equal(n, 3);
    OK(sb_response_expire(r->db, 30 * day, 0, 100, &n, WHY));
    assert_int_equal(n, 7);
    assert_int_equal(ask(r->db, "SELECT count(*) FROM response"), 10);
    OK(sb_response_expire(r->db, 0, 12, 100, &n, WHY)); // 4 bytes each: three stay
    assert_int_equal(n, 7);
    assert_int_equal(ask(r->db, "SELECT min(id = 'r17' OR id = 'r18' OR id = 'r19') FROM response"),
                     1); // the oldest by order went first
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, room_setup, room_teardown)
    const struct CMUnitTest tests[] = {CASE(a_key_is_shown_once_and_found_again),
                                       CASE(nothing_else_is_a_key),
                                       CASE(what_another_process_changes_is_seen),
                                       CASE(revoked_keys_stay_and_free_their_names),
                                       CASE(bad_keys_are_refused),
                                       CASE(use_is_noted_by_the_hour),
                                       CASE(sums_add_up_by_hour_and_owner),
                                       CASE(sums_keep_models_and_sources_apart),
                                       CASE(sums_of_before_stay),
                                       CASE(sums_at_the_wall_are_beside),
                                       CASE(responses_chain_after_a_restart),
                                       CASE(a_chain_has_an_end),
                                       CASE(a_clock_that_jumps_expires_little)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
