/* SPDX-License-Identifier: Apache-2.0
 * db_conv_test.c - conversations: their trees, the answer under way, search, copies, what deleting
 * leaves (nothing), and that no owner ever meets another's. */
#include "db_room.h"

#include <fcntl.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"

/* What a walk told. */
typedef struct seen {
    int n, stop_after;
    char text[4096]; /* of each row one word and a blank */
    sb_conv conv;    /* the last one, */
    sb_msg msg;      /* without its texts but for their lengths */
    char settings[64];
} seen;

static sb_status note(seen *s, sb_str word)
{
    const size_t at = strlen(s->text);
    snprintf(s->text + at, sizeof s->text - at, "%.*s ", (int)word.n, word.n ? word.p : "");
    s->n++;
    return s->n == s->stop_after ? SB_CANCELLED : SB_OK;
}

static sb_status see_conv(void *ctx, const sb_conv *c, sb_error *err)
{
    seen *s = ctx;
    (void)err;
    s->conv = *c;
    snprintf(s->settings, sizeof s->settings, "%.*s", (int)c->settings.n, c->settings.p);
    return note(s, c->title);
}

static sb_status see_msg(void *ctx, const sb_msg *m, sb_error *err)
{
    seen *s = ctx;
    (void)err;
    s->msg = *m;
    return note(s, m->content);
}

static sb_status see_hit(void *ctx, const sb_conv_hit *h, sb_error *err)
{
    (void)err;
    return note(ctx, h->snippet);
}

static sb_status fail_row(void *ctx, const sb_conv *c, sb_error *err)
{
    (void)ctx;
    (void)c;
    return SB_FAIL(err, SB_LIMIT, "enough");
}

static void begin(room *r, sb_owner owner, const char *title, char id[SB_DB_ID_BYTES])
{
    if (!r->db) room_open(r);
    OK(sb_conv_add(r->db, owner, str(title), str("{\"model\":\"m\"}"), id, WHY));
}

static const char *path_of(room *r, sb_owner owner, const char *id, seen *s)
{
    *s = (seen){0};
    OK(sb_msg_path(r->db, owner, id, 0, 1000, see_msg, s, WHY));
    return s->text;
}

static void a_tree_branches_and_shows_one_path(void **state)
{
    room *r = *state;
    char id[SB_DB_ID_BYTES];
    seen s;
    begin(r, 0, "t", id);
    const int64_t a = add_msg(r->db, 0, id, 0, SB_MSG_USER, "a");
    const int64_t b = add_msg(r->db, 0, id, -1, SB_MSG_ASSISTANT, "b");
    const int64_t c = add_msg(r->db, 0, id, -1, SB_MSG_USER, "c");
    const int64_t d = add_msg(r->db, 0, id, c, SB_MSG_ASSISTANT, "d");
    const int64_t b2 = add_msg(r->db, 0, id, a, SB_MSG_ASSISTANT, "b2"); // regenerated
    assert_string_equal(path_of(r, 0, id, &s), "b2 a ");
    const int64_t a2 = add_msg(r->db, 0, id, 0, SB_MSG_USER, "a2"); // edited
    assert_string_equal(path_of(r, 0, id, &s), "a2 ");
    OK(sb_conv_show(r->db, 0, id, b, true, WHY)); // back: the newest below it
    assert_string_equal(path_of(r, 0, id, &s), "d c b a ");
    OK(sb_conv_show(r->db, 0, id, c, false, WHY));
    assert_string_equal(path_of(r, 0, id, &s), "c b a ");
    s = (seen){0};
    OK(sb_conv_get(r->db, 0, id, see_conv, &s, WHY));
    assert_true(s.conv.leaf == c && s.conv.n_path == 3 && s.conv.n_messages == 6);
    assert_string_equal(s.settings, "{\"model\":\"m\"}");
    OK(sb_msg_get(r->db, 0, id, b2, see_msg, &s, WHY));
    assert_true(s.msg.parent == a && s.msg.depth == 1 && s.msg.i_sibling == 1);
    assert_true(s.msg.n_siblings == 2 && s.msg.prev_sibling == b && s.msg.next_sibling == 0);
    s = (seen){0};
    OK(sb_msg_children(r->db, 0, id, 0, see_msg, &s, WHY));
    assert_true(s.n == 2 && s.msg.id == a2 && s.msg.prev_sibling == a && s.msg.content.n == 0);
    s = (seen){0};
    OK(sb_msg_path(r->db, 0, id, d, 2, see_msg, &s, WHY)); // a window, then on from its parent
    assert_string_equal(s.text, "d c ");
    OK(sb_msg_path(r->db, 0, id, s.msg.parent, 2, see_msg, &s, WHY));
    assert_string_equal(s.text, "d c b a ");
}

static void lists_go_by_change_in_pages(void **state)
{
    room *r = *state;
    char id[5][SB_DB_ID_BYTES], title[8];
    seen s = {0};
    for (int i = 0; i < 5; i++) {
        snprintf(title, sizeof title, "t%d", i);
        begin(r, 3, title, id[i]);
    }
    add_msg(r->db, 3, id[1], -1, SB_MSG_USER, "x"); // to the front
    OK(sb_conv_list(r->db, 3, 0, 3, see_conv, &s, WHY));
    assert_string_equal(s.text, "t1 t4 t3 ");
    OK(sb_conv_list(r->db, 3, s.conv.order, 3, see_conv, &s, WHY));
    assert_string_equal(s.text, "t1 t4 t3 t2 t0 ");
    OK(sb_conv_change(r->db, 3, id[0], str("new name"), (sb_str){NULL, 0}, WHY));
    s = (seen){.stop_after = 2};
    OK(sb_conv_list(r->db, 3, 0, 10, see_conv, &s, WHY)); // renamed, and where it was
    assert_string_equal(s.text, "t1 t4 ");
    s = (seen){0};
    OK(sb_conv_get(r->db, 3, id[0], see_conv, &s, WHY));
    assert_string_equal(s.text, "new name ");
    assert_string_equal(s.settings, "{\"model\":\"m\"}");
    sb_error err = {0};
    assert_int_equal(sb_conv_list(r->db, 3, 0, 10, fail_row, NULL, &err), SB_LIMIT);
    assert_string_equal(err.msg, "enough");
}

static void an_answer_grows_and_ends(void **state)
{
    room *r = *state;
    char id[SB_DB_ID_BYTES];
    int64_t msg = 0;
    seen s = {0};
    sb_error err = {0};
    begin(r, 0, "t", id);
    add_msg(r->db, 0, id, 0, SB_MSG_USER, "q");
    sb_msg m = {
        .parent = -1, .role = SB_MSG_ASSISTANT, .state = SB_MSG_STREAMING, .model = str("m")};
    OK(sb_msg_add(r->db, 0, id, &m, &msg, WHY));
    for (int i = 0; i < 10; i++)
        OK(sb_msg_more(r->db, 0, id, msg, str("ab"), str(i == 0 ? "think" : ""), WHY));
    OK(sb_msg_get(r->db, 0, id, msg, see_msg, &s, WHY));
    assert_string_equal(s.text, "abababababababababab ");
    assert_int_equal(s.msg.state, SB_MSG_STREAMING);
    m.state = SB_MSG_DONE;
    m.content = str("the whole");
    m.reasoning = str("thoughts");
    m.calls = str("[{\"name\":\"f\"}]");
    m.finish = str("stop");
    m.usage = str("{\"energy_uj\":12}");
    m.ids = (sb_str){"\1\0\0\0", 4};
    m.energy_uj = 12;
    m.n_in = 3;
    m.n_out = 4;
    OK(sb_msg_end(r->db, 0, id, msg, &m, WHY));
    s = (seen){0};
    OK(sb_msg_get(r->db, 0, id, msg, see_msg, &s, WHY));
    assert_string_equal(s.text, "the whole ");
    assert_true(s.msg.state == SB_MSG_DONE && s.msg.energy_uj == 12 && s.msg.ids.n == 4);
    assert_int_equal(ask(r->db, "SELECT count(*) FROM piece"), 0);
    OK(sb_conv_get(r->db, 0, id, see_conv, &s, WHY));
    assert_true(s.conv.energy_uj == 12 && s.conv.n_in == 3 && s.conv.n_out == 4);
    assert_int_equal(sb_msg_more(r->db, 0, id, msg, str("x"), str(""), &err), SB_INVALID);
    assert_int_equal(sb_msg_end(r->db, 0, id, msg, &m, &err), SB_INVALID);
    assert_non_null(strstr(err.msg, "has ended"));
}

static void what_was_saved_of_an_answer_outlives_its_server(void **state)
{
    room *r = *state;
    char id[SB_DB_ID_BYTES];
    int64_t msg = 0;
    seen s = {0};
    begin(r, 0, "t", id);
    const sb_msg m = {.parent = -1, .role = SB_MSG_ASSISTANT, .content = str("zero ")};
    OK(sb_msg_add(r->db, 0, id, &m, &msg, WHY));
    OK(sb_msg_more(r->db, 0, id, msg, str("cromulent "), str("r1"), WHY));
    OK(sb_msg_more(r->db, 0, id, msg, str("two"), str("r2"), WHY));
    room_reopen(r);
    OK(sb_msg_get(r->db, 0, id, msg, see_msg, &s, WHY));
    assert_string_equal(s.text, "zero cromulent two ");
    assert_true(s.msg.state == SB_MSG_STOPPED && s.msg.reasoning.n == 4);
    assert_int_equal(ask(r->db, "SELECT finish = 'interrupted' FROM msg"), 1);
    s = (seen){0};
    OK(sb_conv_search(r->db, 0, str("cromulent"), 0, 9, see_hit, &s, WHY));
    assert_int_equal(s.n, 1);
}

static int count_hits(room *r, sb_owner owner, const char *what)
{
    seen s = {0};
    OK(sb_conv_search(r->db, owner, str(what), 0, 100, see_hit, &s, WHY));
    return s.n;
}

static void words_are_found(void **state)
{
    static const struct {
        const char *what;
        int by_index, by_reading;
    } asks[] = {{"fox", 2, 2},
                {"FOX", 2, 2},
                {"lazy fox", 1, 1},
                {"fo", 2, 2}, // the last word may be a beginning
                {"etude", 1, 0},
                {"\xc3\xa9tude", 1, 1},
                {"fox OR zebra", 0, 0}, // no operators
                {"\"quoted\" \"", 1, 1},
                {"NEAR(", 0, 0},
                {"holiday", 1, 1}, // of a title
                {"  ", 0, 0},
                {"-*^:(){}", 0, 0},
                {"nothing", 0, 0}};
    room *r = *state;
    char id[SB_DB_ID_BYTES];
    seen s = {0};
    begin(r, 0, "Holiday plans", id);
    add_msg(r->db, 0, id, -1, SB_MSG_USER, "The quick brown fox jumps over the lazy dog");
    add_msg(r->db, 0, id, -1, SB_MSG_ASSISTANT, "a foxglove; \xc3\x89tude, \xc3\xa9tude");
    add_msg(r->db, 0, id, -1, SB_MSG_USER, "he \"quoted\" it");
    for (int reading = 0; reading < 2; reading++) {
        r->db->searchable = !reading;
        for (size_t i = 0; i < SB_ARRAY_LEN(asks); i++) {
            const int n = count_hits(r, 0, asks[i].what);
            if (n != (reading ? asks[i].by_reading : asks[i].by_index))
                fail_msg("'%s': %d hits, reading %d", asks[i].what, n, reading);
        }
        s = (seen){0};
        OK(sb_conv_search(r->db, 0, str("quick"), 0, 9, see_hit, &s, WHY));
        assert_string_equal(s.text, "The \x02quick\x03 brown fox jumps over the lazy dog ");
        s = (seen){0};
        OK(sb_conv_search(r->db, 0, str("fox"), 1, 9, see_hit, &s, WHY)); // newest first, skipped
        assert_int_equal(s.n, 1);
        assert_non_null(strstr(s.text, "brown \x02"
                                       "fox\x03"));
    }
    r->db->searchable = true;
}

static void an_index_that_missed_something_is_renewed(void **state)
{
    room *r = *state;
    char id[SB_DB_ID_BYTES];
    begin(r, 0, "t", id);
    r->db->searchable = false; // as where SQLite has no FTS5
    add_msg(r->db, 0, id, -1, SB_MSG_USER, "unheard");
    OK(sb_db_begin(r->db, WHY));
    OK(sb_sql_exec(r->db, "INSERT INTO mark VALUES('index', 'missed')", WHY));
    OK(sb_db_end(r->db, WHY));
    room_reopen(r);
    assert_true(r->db->searchable);
    assert_int_equal(count_hits(r, 0, "unheard"), 1);
    assert_int_equal(ask(r->db, "SELECT count(*) FROM mark WHERE name = 'index'"), 0);
}

/* Every call, with the wrong owner: as if it were not there. */
static void owners_never_meet(void **state)
{
    room *r = *state;
    char mine[SB_DB_ID_BYTES], theirs[SB_DB_ID_BYTES];
    seen s = {0};
    int64_t n = 0;
    sb_buf out;
    sb_buf_init(&out, 1 << 20, "out");
    begin(r, 1, "secret", mine);
    begin(r, 2, "other", theirs);
    const int64_t msg = add_msg(r->db, 1, mine, -1, SB_MSG_USER, "plugh");
    const int64_t next = add_msg(r->db, 2, theirs, -1, SB_MSG_USER, "x");
    assert_true(msg == 1 && next == 1); // numbers tell nothing of others
    sb_msg m = {.parent = -1, .role = SB_MSG_ASSISTANT, .state = SB_MSG_STREAMING};
    int64_t live = 0;
    OK(sb_msg_add(r->db, 1, mine, &m, &live, WHY));
    m.state = SB_MSG_DONE;
    for (sb_owner who = 0; who <= 2; who += 2) {
        sb_db *db = r->db;
        assert_int_equal(sb_conv_get(db, who, mine, see_conv, &s, NULL), SB_NOT_FOUND);
        assert_int_equal(sb_conv_change(db, who, mine, str("x"), str("{}"), NULL), SB_NOT_FOUND);
        assert_int_equal(sb_conv_delete(db, who, mine, NULL), SB_NOT_FOUND);
        assert_int_equal(sb_conv_show(db, who, mine, msg, false, NULL), SB_NOT_FOUND);
        assert_int_equal(sb_msg_add(db, who, mine, &m, NULL, NULL), SB_NOT_FOUND);
        assert_int_equal(sb_msg_more(db, who, mine, live, str("x"), str(""), NULL), SB_NOT_FOUND);
        assert_int_equal(sb_msg_end(db, who, mine, live, &m, NULL), SB_NOT_FOUND);
        assert_int_equal(sb_msg_get(db, who, mine, msg, see_msg, &s, NULL), SB_NOT_FOUND);
        assert_int_equal(sb_msg_path(db, who, mine, 0, 9, see_msg, &s, NULL), SB_NOT_FOUND);
        assert_int_equal(sb_msg_children(db, who, mine, 0, see_msg, &s, NULL), SB_NOT_FOUND);
        assert_int_equal(sb_conv_markdown(db, who, mine, &out, NULL), SB_NOT_FOUND);
        assert_int_equal(sb_conv_json(db, who, mine, &out, NULL), SB_NOT_FOUND);
        assert_int_equal(count_hits(r, who, "plugh"), 0);
        assert_int_equal(count_hits(r, who, "secret"), 0);
        assert_int_equal(out.n, 0);
    }
    // A message of one conversation is no message of another, of the same owner either.
    char second[SB_DB_ID_BYTES];
    begin(r, 1, "second", second);
    assert_int_equal(sb_msg_get(r->db, 1, second, live, see_msg, &s, NULL), SB_NOT_FOUND);
    assert_int_equal(sb_conv_show(r->db, 1, second, live, false, NULL), SB_NOT_FOUND);
    m.parent = live;
    assert_int_equal(sb_msg_add(r->db, 1, second, &m, NULL, NULL), SB_NOT_FOUND);
    assert_int_equal(s.n, 0);
    OK(sb_conv_delete_all(r->db, 1, &n, WHY));
    assert_int_equal(n, 2);
    OK(sb_conv_get(r->db, 2, theirs, see_conv, &s, WHY));
    sb_buf_deinit(&out);
}

/* Does word stand anywhere in a file of the home, the log included? */
static bool on_disk(const room *r, const char *word)
{
    bool found = false;
    const char *const files[] = {r->file, r->log};
    for (size_t i = 0; i < SB_ARRAY_LEN(files); i++) {
        sb_map m;
        if (sb_map_open(&m, files[i], NULL) != SB_OK) continue;
        found = found || (m.p && memmem(m.p, m.bytes, word, strlen(word)));
        // Not closed: that would drop the locks SQLite holds on it.
    }
    return found;
}

static void deleted_text_is_gone_from_the_disk(void **state)
{
    room *r = *state;
    char keep[SB_DB_ID_BYTES], id[SB_DB_ID_BYTES], text[64];
    begin(r, 0, "kept", keep);
    begin(r, 0, "quuxcanarytitle", id);
    for (int i = 0; i < 300; i++) {
        snprintf(text, sizeof text, "quuxcanary word%d frobozz", i);
        add_msg(r->db, 0, i % 2 ? id : keep, -1, SB_MSG_USER, i % 2 ? text : "something else");
    }
    int64_t live = 0;
    const sb_msg m = {.parent = -1, .role = SB_MSG_ASSISTANT};
    OK(sb_msg_add(r->db, 0, id, &m, &live, WHY));
    OK(sb_msg_more(r->db, 0, id, live, str("quuxcanary piece"), str("quuxcanary"), WHY));
    assert_true(on_disk(r, "quuxcanary"));
    OK(sb_conv_delete(r->db, 0, id, WHY));
    assert_false(on_disk(r, "quuxcanary"));
    assert_false(on_disk(r, "uuxcanary")); // the index cuts beginnings that words share
    assert_false(on_disk(r, "frobozz"));
    assert_true(on_disk(r, "something"));
    assert_int_equal(count_hits(r, 0, "something"), 100);
}

static void copies_come_back(void **state)
{
    room *r = *state;
    char id[SB_DB_ID_BYTES], copy[SB_DB_ID_BYTES];
    sb_buf a, b;
    seen s = {0};
    sb_buf_init(&a, 1 << 20, "a");
    sb_buf_init(&b, 1 << 20, "b");
    begin(r, 0, "A \"title\"\n\xc3\xa9", id);
    add_msg(r->db, 0, id, 0, SB_MSG_SYSTEM, "be brief");
    const sb_msg q = {.parent = -1,
                      .role = SB_MSG_USER,
                      .state = SB_MSG_DONE,
                      .content = {"nul\0here", 8},
                      .files = str("[{\"name\":\"a.txt\"}]")};
    OK(sb_msg_add(r->db, 0, id, &q, NULL, WHY));
    const sb_msg m = {.parent = -1,
                      .role = SB_MSG_ASSISTANT,
                      .state = SB_MSG_STOPPED,
                      .content = str("an *answer*"),
                      .reasoning = str("hm"),
                      .calls = str("[{\"name\":\"f\",\"arguments\":\"{\\u0000}\"}]"),
                      .model = str("tiny"),
                      .finish = str("cancelled"),
                      .usage = str("{\"energy_uj\":9}"),
                      .energy_uj = 9,
                      .n_in = 1,
                      .n_out = 2};
    OK(sb_msg_add(r->db, 0, id, &m, NULL, WHY));
    add_msg(r->db, 0, id, 2, SB_MSG_ASSISTANT, "another");
    OK(sb_conv_show(r->db, 0, id, 3, false, WHY));
    OK(sb_conv_markdown(r->db, 0, id, &a, WHY));
    assert_non_null(
        strstr(a.p, "# A \"title\"\n\xc3\xa9\n\n## system\n\nbe brief\n\n## user\n\nnul"));
    assert_non_null(
        memmem(a.p, a.n, "## assistant (tiny)\n\n<details>\n\nhm\n\n</details>\n\n", 48));
    assert_null(memmem(a.p, a.n, "another", 7));
    sb_buf_clear(&a);
    OK(sb_conv_json(r->db, 0, id, &a, WHY));
    OK(sb_conv_import(r->db, 5, (sb_str){a.p, a.n}, copy, WHY));
    OK(sb_conv_json(r->db, 5, copy, &b, WHY));
    assert_int_equal(a.n, b.n);
    // Equal but for nothing: also the times are those of the first.
    assert_memory_equal(a.p, b.p, a.n);
    OK(sb_conv_get(r->db, 5, copy, see_conv, &s, WHY));
    assert_true(s.conv.leaf == 3 && s.conv.n_messages == 4 && s.conv.energy_uj == 9);
    sb_db_facts facts;
    OK(sb_db_check(r->db, &facts, WHY));
    sb_buf small;
    sb_buf_init(&small, 200, "small");
    assert_int_equal(sb_conv_json(r->db, 0, id, &small, NULL), SB_INVALID);
    assert_int_equal(small.n, 0);
    sb_buf_deinit(&a);
    sb_buf_deinit(&b);
    sb_buf_deinit(&small);
}

#define HEAD "{\"sobre_conversation\":1,\"leaf\":1,\"messages\":["
#define MSG(rest) "{\"id\":1,\"parent\":0,\"role\":\"user\",\"state\":\"done\"" rest "}"

static void bad_imports_leave_nothing(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"sobre_conversation\":2,\"messages\":[]}",
        "{\"sobre_conversation\":1,\"leaf\":0,\"messages\":5}",
        "{\"sobre_conversation\":1,\"leaf\":1,\"messages\":[]}",
        HEAD MSG(",\"content\":5") "]}",
        HEAD MSG(",\"energy_uj\":-1") "]}",
        HEAD MSG(",\"energy_uj\":9223372036854775807") "]}",
        HEAD MSG(",\"energy_uj\":1.5") "]}",
        HEAD MSG(",\"calls\":{}") "]}",
        HEAD MSG(",\"usage\":[]") "]}",
        HEAD "{\"id\":2,\"parent\":0,\"role\":\"user\",\"state\":\"done\"}]}",
        HEAD "{\"id\":1,\"parent\":1,\"role\":\"user\",\"state\":\"done\"}]}",
        HEAD "{\"id\":1,\"parent\":-1,\"role\":\"user\",\"state\":\"done\"}]}",
        HEAD "{\"id\":1,\"parent\":0,\"role\":\"root\",\"state\":\"done\"}]}",
        HEAD "{\"id\":1,\"parent\":0,\"role\":\"user\",\"state\":\"odd\"}]}",
        HEAD MSG("") "],\"title\":\"\xff\"}",
        HEAD MSG("") "],\"settings\":[]}"};
    room *r = *state;
    char id[SB_DB_ID_BYTES] = "untouched";
    room_open(r);
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        sb_error err = {0};
        const sb_status s = sb_conv_import(r->db, 0, str(bad[i]), id, &err);
        if (s != SB_INVALID && s != SB_CORRUPT) fail_msg("%s: %d %s", bad[i], s, err.msg);
    }
    assert_string_equal(id, "untouched");
    assert_int_equal(ask(r->db, "SELECT count(*) FROM conv"), 0);
    OK(sb_conv_import(r->db, 0, str(HEAD MSG("") "]}"), id, WHY));
    assert_int_equal(ask(r->db, "SELECT count(*) FROM msg"), 1);
}

static void limits_are_kept(void **state)
{
    room *r = *state;
    char id[SB_DB_ID_BYTES], fresh[SB_DB_ID_BYTES];
    sb_error err = {0};
    begin(r, 0, "t", id);
    char *big = calloc(1, SB_MAX_MESSAGE_BYTES + 1);
    assert_non_null(big);
    memset(big, 'x', SB_MAX_MESSAGE_BYTES + 1);
    const sb_str over = {big, SB_MAX_MESSAGE_BYTES + 1}, title = {big, SB_MAX_TITLE_BYTES + 1};
    sb_msg m = {.parent = -1, .role = SB_MSG_USER, .state = SB_MSG_DONE, .content = over};
    assert_int_equal(sb_msg_add(r->db, 0, id, &m, NULL, &err), SB_INVALID);
    assert_non_null(strstr(err.msg, "content: over the limit"));
    m.content.n--;
    OK(sb_msg_add(r->db, 0, id, &m, NULL, WHY));
    assert_int_equal(sb_conv_add(r->db, 0, title, str(""), fresh, &err), SB_INVALID);
    assert_int_equal(sb_conv_add(r->db, 0, str("\xff"), str(""), fresh, &err), SB_INVALID);
    assert_int_equal(sb_conv_add(r->db, 0, str("t"), str("[]"), fresh, &err), SB_INVALID);
    assert_int_equal(sb_conv_add(r->db, 0, str("t"), str("{"), fresh, &err), SB_INVALID);
    assert_int_equal(err.code, SB_INVALID);
    m = (sb_msg){.parent = 99, .role = SB_MSG_USER, .state = SB_MSG_DONE};
    assert_int_equal(sb_msg_add(r->db, 0, id, &m, NULL, &err), SB_NOT_FOUND);
    m.parent = 0;
    OK(sb_db_begin(r->db, WHY));
    for (int i = 1; i < SB_MAX_BRANCHES; i++)
        OK(sb_msg_add(r->db, 0, id, &m, NULL, WHY));
    assert_int_equal(sb_msg_add(r->db, 0, id, &m, NULL, &err), SB_INVALID);
    assert_non_null(strstr(err.msg, "branches"));
    OK(sb_db_end(r->db, WHY));
    free(big);
}

/* A conversation of 5 000 messages: its last page, a page above it, its head, its list row. */
static void five_thousand_messages_open_at_once(void **state)
{
    room *r = *state;
    enum { N = 5000 };
    char id[SB_DB_ID_BYTES], text[600];
    seen s = {0};
    begin(r, 0, "long", id);
    memset(text, 'y', sizeof text);
    text[sizeof text - 1] = 0;
    OK(sb_db_begin(r->db, WHY));
    for (int i = 0; i < N; i++)
        add_msg(r->db, 0, id, -1, i % 2 ? SB_MSG_ASSISTANT : SB_MSG_USER, text);
    OK(sb_db_end(r->db, WHY));
    room_reopen(r);
    const uint64_t began = sb_now_ns();
    OK(sb_conv_get(r->db, 0, id, see_conv, &s, WHY));
    assert_true(s.conv.n_path == N);
    OK(sb_msg_path(r->db, 0, id, 0, 60, see_msg, &s, WHY));
    const uint64_t shown = sb_now_ns();
    OK(sb_msg_path(r->db, 0, id, s.msg.parent, 60, see_msg, &s, WHY));
    assert_int_equal(s.msg.depth, N - 120);
    const uint64_t paged = sb_now_ns();
    s = (seen){0};
    OK(sb_msg_path(r->db, 0, id, 0, N, see_msg, &s, WHY));
    assert_int_equal(s.n, N);
    const uint64_t all = sb_now_ns();
    OK(sb_conv_delete(r->db, 0, id, WHY));
    const uint64_t gone = sb_now_ns();
    print_message(
        "5000 messages: opened in %.2f ms, next page %.2f ms, all %.1f ms, deleted %.0f ms\n",
        (double)(shown - began) / 1e6, (double)(paged - shown) / 1e6, (double)(all - paged) / 1e6,
        (double)(gone - all) / 1e6);
    assert_true(shown - began < UINT64_C(100000000));
    assert_true(all - paged < UINT64_C(5000000000));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, room_setup, room_teardown)
    const struct CMUnitTest tests[] = {CASE(a_tree_branches_and_shows_one_path),
                                       CASE(lists_go_by_change_in_pages),
                                       CASE(an_answer_grows_and_ends),
                                       CASE(what_was_saved_of_an_answer_outlives_its_server),
                                       CASE(words_are_found),
                                       CASE(an_index_that_missed_something_is_renewed),
                                       CASE(owners_never_meet),
                                       CASE(deleted_text_is_gone_from_the_disk),
                                       CASE(copies_come_back),
                                       CASE(bad_imports_leave_nothing),
                                       CASE(limits_are_kept),
                                       CASE(five_thousand_messages_open_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
