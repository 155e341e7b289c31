/* SPDX-License-Identifier: Apache-2.0
 * models_test.c - the registry: names, holds, memory, and models that come and go under their
 * users. */
#include "server/models.h"

#include "tiny.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/store.h"

static char home[] = "/tmp/sobre-models-XXXXXX", one[128], two[128];
static sb_store *store;

static int open_all(void **state)
{
    sb_tiny t;
    (void)state;
    if (!mkdtemp(home)) return -1;
    sb_tiny_defaults(&t);
    (void)snprintf(one, sizeof one, "%s/models", home);
    (void)mkdir(one, 0755);
    (void)snprintf(one, sizeof one, "%s/one.gguf", home);
    (void)snprintf(two, sizeof two, "%s/models/two.gguf", home);
    return sb_tiny_write(&t, one, NULL) == SB_OK && sb_tiny_write(&t, two, NULL) == SB_OK &&
                   sb_store_open(&store, home, NULL) == SB_OK
               ? 0
               : -1;
}

static int close_all(void **state)
{
    char path[160];
    (void)state;
    sb_store_close(store);
    (void)unlink(one);
    (void)unlink(two);
    (void)snprintf(path, sizeof path, "%s/models", home);
    (void)rmdir(path);
    (void)rmdir(home);
    return 0;
}

static const char *const given[] = {one};

static sb_models_opts usual(void)
{
    return (sb_models_opts){.store = store,
                            .given = given,
                            .n_given = 1,
                            .engine = {.kv = SB_KV_BF16,
                                       .cap = SB_LEVEL_ref,
                                       .n_ctx = 128,
                                       .n_sessions = 2,
                                       .n_rows = 32},
                            .n_threads = 1,
                            .max_queue = 8};
}

static sb_models *start(const sb_models_opts *o)
{
    sb_models *m = NULL;
    sb_error err;
    if (sb_models_new(&m, o, &err) != SB_OK) fail_msg("%s", err.msg);
    if (sb_models_start(m, &err) != SB_OK) fail_msg("%s", err.msg);
    return m;
}

static void end(sb_models *m)
{
    sb_models_stop(m);
    sb_models_free(m);
}

/* A waiter that is waited for. */
typedef struct asker {
    sb_waiter w;
    pthread_mutex_t lock;
    pthread_cond_t told;
    bool done;
    sb_held *held;
    sb_error err;
} asker;

static void on_done(sb_waiter *w, sb_held *h, const sb_error *err)
{
    asker *a = (asker *)(void *)w;
    (void)pthread_mutex_lock(&a->lock);
    a->done = true;
    a->held = h;
    if (err) a->err = *err;
    (void)pthread_cond_signal(&a->told);
    (void)pthread_mutex_unlock(&a->lock);
}

static void ask(asker *a, sb_models *m, const char *name, bool strict)
{
    *a = (asker){.w = {.done = on_done}};
    (void)pthread_mutex_init(&a->lock, NULL);
    (void)pthread_cond_init(&a->told, NULL);
    sb_models_want(m, name, strict, &a->w);
}

static sb_held *get(asker *a)
{
    (void)pthread_mutex_lock(&a->lock);
    while (!a->done)
        (void)pthread_cond_wait(&a->told, &a->lock);
    (void)pthread_mutex_unlock(&a->lock);
    (void)pthread_cond_destroy(&a->told);
    (void)pthread_mutex_destroy(&a->lock);
    return a->held;
}

static sb_held *hold(sb_models *m, const char *name)
{
    asker a;
    ask(&a, m, name, true);
    sb_held *h = get(&a);
    if (!h) fail_msg("%s: %s", name, a.err.msg);
    return h;
}

static bool is_loaded(sb_models *m, const char *name)
{
    sb_model_info i;
    return sb_models_find(m, name, &i) && i.state == SB_MODEL_LOADED;
}

static bool wait_gone(sb_models *m, const char *name)
{
    const uint64_t until = sb_now_ns() + UINT64_C(20000000000);
    while (sb_now_ns() < until) {
        if (!is_loaded(m, name)) return true;
        (void)usleep(2000);
    }
    return false;
}

static sb_status refusal(sb_models *m, const char *name, bool strict)
{
    asker a;
    ask(&a, m, name, strict);
    sb_held *h = get(&a);
    if (h) fail_msg("'%s' is %s", name, sb_held_id(h));
    return a.err.code;
}

static void test_names(void **state)
{
    (void)state;
    const sb_models_opts o = usual();
    sb_models *m = start(&o);
    static const char *const same[] = {NULL, "", "one", "one:latest"};
    for (size_t i = 0; i < SB_ARRAY_LEN(same); i++) {
        sb_held *h = hold(m, same[i]);
        assert_string_equal(sb_held_id(h), "one");
        assert_non_null(sb_held_chat(h));
        sb_held_release(h, (double)NAN);
    }
    sb_held *h = hold(m, "two:latest"); /* of the store */
    assert_string_equal(sb_held_id(h), "two");
    sb_held_release(h, (double)NAN);
    static const char *const none[] = {"three", "../one",     "/etc/passwd",
                                       "TWO",   "models/two", "one.gguf"};
    for (size_t i = 0; i < SB_ARRAY_LEN(none); i++)
        assert_int_equal(refusal(m, none[i], true), SB_NOT_FOUND);
    asker a;
    ask(&a, m, "three", false); /* the only one of the command line takes its place */
    h = get(&a);
    assert_string_equal(sb_held_id(h), "one");
    sb_held_release(h, (double)NAN);
    end(m);
}

typedef struct start_watch {
    sb_models *m;
    atomic_int told; /* 1: while it said that it was starting; 2: after */
} start_watch;

static void on_loaded(void *ctx, const char *id, uint64_t load_ns, uint64_t bytes, int32_t n)
{
    start_watch *w = ctx;
    (void)id, (void)load_ns, (void)bytes, (void)n;
    atomic_store(&w->told, sb_models_is_starting(w->m) ? 1 : 2);
}

/* Whoever is told that the first model is there finds it there. */
static void test_the_start_is_over_when_it_is_told(void **state)
{
    start_watch w = {0};
    (void)state;
    sb_models_opts o = usual();
    o.on_loaded = on_loaded;
    o.ctx = &w;
    assert_int_equal(sb_models_new(&w.m, &o, NULL), SB_OK);
    assert_true(!sb_models_is_starting(w.m));
    assert_int_equal(sb_models_start(w.m, NULL), SB_OK);
    for (int i = 0; i < 10000 && !atomic_load(&w.told); i++)
        (void)usleep(2000);
    assert_int_equal(atomic_load(&w.told), 2);
    end(w.m);
}

static void test_lists(void **state)
{
    sb_model_info all[4];
    (void)state;
    const sb_models_opts o = usual();
    sb_models *m = start(&o);
    sb_held *h = hold(m, "one");
    assert_int_equal(sb_models_list(m, all, 4), 2);
    assert_string_equal(all[0].id, "one");
    assert_true(all[0].given && all[0].state == SB_MODEL_LOADED && all[0].n_used == 1);
    assert_int_equal(all[0].n_streams, 2);
    assert_int_equal(all[0].n_ctx, 128);
    assert_string_equal(all[0].arch, "llama");
    assert_string_equal(all[1].id, "two");
    assert_true(!all[1].given && all[1].state == SB_MODEL_ABSENT && all[1].file_bytes > 1000);
    assert_int_equal(sb_models_list(m, all, 1), 2);
    sb_held_release(h, (double)NAN);
    end(m);
}

static void test_idle_goes(void **state)
{
    (void)state;
    sb_models_opts o = usual();
    o.idle_unload_s = 0.05;
    sb_models *m = start(&o);
    sb_held *h = hold(m, "one");
    (void)usleep(150000);
    assert_true(is_loaded(m, "one")); /* it is in use */
    sb_held_release(h, (double)NAN);
    assert_true(wait_gone(m, "one"));
    h = hold(m, "one"); /* and comes again */
    sb_held_release(h, -1);
    (void)usleep(150000);
    assert_true(is_loaded(m, "one")); /* it was asked to stay */
    sb_models_let_go(m, "one");
    assert_true(wait_gone(m, "one"));
    end(m);
}

static void test_memory(void **state)
{
    (void)state;
    sb_model_info i;
    sb_models_opts o = usual();
    sb_models *m = start(&o);
    sb_held *h = hold(m, "one");
    assert_true(sb_models_find(m, "one", &i));
    const uint64_t takes = i.memory_bytes;
    sb_held_release(h, (double)NAN);
    end(m);
    o.max_mem = (48 << 20) + takes + takes / 2; /* room for one */
    m = start(&o);
    h = hold(m, "one");
    assert_int_equal(refusal(m, "two", true), SB_BUSY); /* the other is in use */
    sb_held_release(h, (double)NAN);
    h = hold(m, "two"); /* an idle one gives way */
    assert_false(is_loaded(m, "one"));
    sb_held_release(h, (double)NAN);
    end(m);
    o.max_mem = (48 << 20) + takes / 2;
    o.n_given = 0;
    o.engine.weights = SB_WEIGHTS_PACKED;
    m = start(&o);
    assert_int_equal(refusal(m, "two", true), SB_NO_MEMORY);
    end(m);
}

/* A model whose packed copy does not fit is read from its file, unless somebody said otherwise. */
static void test_tight_memory(void **state)
{
    (void)state;
    sb_model_info packed, mapped;
    sb_models_opts o = usual();
    sb_models *m = start(&o);
    sb_held *h = hold(m, "one");
    assert_true(sb_models_find(m, "one", &packed));
    assert_false(sb_engine_is_mapped(sb_chat_engine(sb_held_chat(h))));
    sb_held_release(h, (double)NAN);
    end(m);
    o.max_mem = (48 << 20) + packed.memory_bytes - 1;
    m = start(&o);
    h = hold(m, "one");
    assert_true(sb_models_find(m, "one", &mapped));
    assert_true(sb_engine_is_mapped(sb_chat_engine(sb_held_chat(h))));
    assert_true(mapped.memory_bytes < packed.memory_bytes);
    sb_held_release(h, (double)NAN);
    end(m);
}

static void test_leave(void **state)
{
    asker a, b;
    (void)state;
    sb_models_opts o = usual();
    o.n_given = 0;
    sb_models *m = NULL;
    assert_int_equal(sb_models_new(&m, &o, NULL), SB_OK); /* no loader yet: who asks waits */
    ask(&a, m, "two", true);
    ask(&b, m, "two", true);
    assert_true(sb_models_leave(m, &a.w));
    assert_false(sb_models_leave(m, &a.w));
    assert_int_equal(sb_models_start(m, NULL), SB_OK);
    sb_held *h = get(&b);
    assert_non_null(h);
    assert_true(b.w.load_ns > 0);
    assert_false(a.done);
    assert_false(sb_models_leave(m, &b.w));
    sb_held_release(h, (double)NAN);
    ask(&a, m, "two", true);
    assert_non_null(get(&a));
    assert_int_equal(a.w.load_ns, 0);
    sb_held_release(a.held, (double)NAN);
    end(m);
}

static void test_stop_tells_who_waits(void **state)
{
    asker a;
    (void)state;
    sb_models_opts o = usual();
    o.n_given = 0;
    sb_models *m = NULL;
    assert_int_equal(sb_models_new(&m, &o, NULL), SB_OK);
    ask(&a, m, "two", true);
    sb_models_stop(m);
    assert_null(get(&a));
    assert_int_equal(a.err.code, SB_CANCELLED);
    assert_int_equal(refusal(m, "two", true), SB_CANCELLED);
    sb_models_free(m);
}

/* ---- users beside each other ---- */

typedef struct user {
    sb_models *m;
    const char *name;
    atomic_bool *stop;
    int n;
} user;

static void *use(void *ctx)
{
    user *u = ctx;
    while (!atomic_load(u->stop)) {
        sb_held *h = hold(u->m, u->name);
        const sb_model *model = sb_chat_model(sb_held_chat(h));
        assert_true(sb_tokenizer_n_tok(model->tok) > 0); /* the model is there while it is held */
        sb_held_release(h, (u->n++ & 1) ? 0.0 : (double)NAN);
    }
    return NULL;
}

static void test_users_of_models_that_go(void **state)
{
    enum { USERS = 4 };
    pthread_t threads[USERS];
    user users[USERS];
    atomic_bool stop = false;
    (void)state;
    const sb_models_opts o = usual();
    sb_models *m = start(&o);
    for (int i = 0; i < USERS; i++) {
        users[i] = (user){.m = m, .name = i & 1 ? "one" : "two", .stop = &stop};
        assert_int_equal(pthread_create(&threads[i], NULL, use, &users[i]), 0);
    }
    (void)usleep(1500000);
    atomic_store(&stop, true);
    for (int i = 0; i < USERS; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_true(users[i].n > 0);
    }
    end(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_the_start_is_over_when_it_is_told),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_idle_goes),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_tight_memory),
        cmocka_unit_test(test_leave),
        cmocka_unit_test(test_stop_tells_who_waits),
        cmocka_unit_test(test_users_of_models_that_go),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
