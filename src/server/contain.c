/* SPDX-License-Identifier: Apache-2.0
 * contain.c - which files this server needs once it serves, handed to the sandbox. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "server/sandbox.h"
#include "server/server_in.h"
#include "store/sums.h"

enum { MAX_TEXTS = SB_SANDBOX_PATHS };

/* The paths' own memory. */
typedef struct texts {
    sb_sandbox box;
    char *all[MAX_TEXTS];
    size_t n;
} texts;

static const char *keep(texts *t, const char *text)
{
    if (t->n == MAX_TEXTS) return NULL;
    char *copy = sb_strdup_n(text, strlen(text));
    if (copy) t->all[t->n++] = copy;
    return copy;
}

static void add_read(void *ctx, const char *dir)
{
    texts *t = ctx;
    for (size_t i = 0; i < t->box.n_read; i++)
        if (strcmp(t->box.read[i], dir) == 0) return;
    if (t->box.n_read == SB_SANDBOX_PATHS) return; /* models beyond that cannot be opened */
    const char *copy = keep(t, dir);
    if (copy) t->box.read[t->box.n_read++] = copy;
}

static void add_db_file(const sb_server *sv, texts *t, const char *name)
{
    char path[SB_MAX_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", sb_store_home(sv->store), name);
    const char *copy = keep(t, path);
    if (copy) t->box.write[t->box.n_write++] = copy;
}

static void folder_of(char dir[SB_MAX_PATH_BYTES], const char *path)
{
    (void)snprintf(dir, SB_MAX_PATH_BYTES, "%s", path);
    char *slash = strrchr(dir, '/');
    if (slash == dir) slash++;
    if (slash)
        *slash = 0;
    else
        memcpy(dir, ".", 2);
}

/* A log is opened anew by name: its folder must let files be made. */
static void add_log(const sb_server *sv, texts *t)
{
    char dir[SB_MAX_PATH_BYTES];
    if (!sv->o.log || strcmp(sv->o.log, "-") == 0) return;
    folder_of(dir, sv->o.log);
    const char *copy = keep(t, dir);
    if (copy) t->box.make[t->box.n_make++] = copy;
}

/* The file of --grid is replaced by another of its name; where it is a link, what it means is. */
static void add_grid(const sb_server *sv, texts *t)
{
    char dir[SB_MAX_PATH_BYTES];
    if (!sv->o.grid_path) return;
    folder_of(dir, sv->o.grid_path);
    add_read(t, dir);
    char *real = realpath(sv->o.grid_path, NULL);
    if (!real) return; /* not there yet */
    folder_of(dir, real);
    add_read(t, dir);
    sb_free(real); /* realpath's memory is malloc's, as all of ours */
}

/* The data base's files exist from here on, so that rules can name them: a folder's rules would
 * cover the models in it, too. */
static sb_status touch_db(sb_server *sv, sb_error *err)
{
    if (sb_db_state_of(sv->db) != SB_DB_GOOD) return SB_OK; /* nothing will be written */
    const sb_sum none = {.hour = sb_sum_hour(sb_db_now_ms())};
    return sb_sum_add(sv->db, 0, &none, err);
}

static void say_note(const sb_server *sv, const char *note)
{
    char line[SB_SANDBOX_NOTE_BYTES + 32];
    sb_journal_line l;
    (void)snprintf(line, sizeof line, "contained: %s", note);
    if (sv->o.say) sv->o.say(sv->o.ctx, line);
    sb_journal_begin(&l, "contained");
    sb_journal_text(&l, "by", (sb_str){note, strlen(note)});
    sb_journal_end(sv->journal, &l);
}

sb_status sb_server_contain(sb_server *sv, sb_error *err)
{
    static const char *const system[] = {"/usr",  "/lib", "/lib64",    "/etc",
                                         "/proc", "/sys", "/dev/null", "/dev/urandom"};
    char note[SB_SANDBOX_NOTE_BYTES];
    SB_TRY(touch_db(sv, err));
    if (sv->o.no_sandbox) {
        say_note(sv, "not at all (--no-sandbox)");
        return SB_OK;
    }
    texts *t = sb_calloc(1, sizeof *t);
    if (!t) return SB_FAIL(err, SB_NO_MEMORY, "sandbox: out of memory");
    for (size_t i = 0; i < SB_ARRAY_LEN(system); i++)
        add_read(t, system[i]);
    if (sv->o.sysfs) add_read(t, sv->o.sysfs);
    (void)mkdir(sb_store_models_dir(sv->store), 0755); /* what is pulled later lies there */
    sb_models_dirs(sv->models, add_read, t);
    add_db_file(sv, t, "sobre.db");
    add_db_file(sv, t, "sobre.db-wal");
    add_db_file(sv, t, "sobre.db-shm");
    add_db_file(sv, t, "sobre.lock");
    t->box.write[t->box.n_write++] = "/dev/null";
    add_log(sv, t);
    add_grid(sv, t);
    if (sb_receipts_log_dir(sv->receipts))
        t->box.make[t->box.n_make++] = sb_receipts_log_dir(sv->receipts);
    add_read(t, sb_receipts_key_dir(sv->receipts));
    const sb_status s = sb_sandbox_close(&t->box, note, err);
    for (size_t i = 0; i < t->n; i++)
        sb_free(t->all[i]);
    sb_free(t);
    if (s == SB_OK) say_note(sv, note);
    return s;
}
