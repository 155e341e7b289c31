/* SPDX-License-Identifier: Apache-2.0
 * cmd_db.c - `sobre db backup|restore|check`. */
#include "cli/cli.h"
#include "store/db.h"
#include "store/store.h"

static void say_facts(const char *what, const sb_db_facts *f)
{
    sb_term_say("%s: whole: %lld conversations, %lld messages, %lld responses, %lld keys, %.1f MB",
                what, (long long)f->n_conversations, (long long)f->n_messages,
                (long long)f->n_responses, (long long)f->n_keys, (double)f->bytes / 1e6);
}

static sb_status backup(const char *home, const char *file, sb_error *err)
{
    sb_db *db = NULL;
    SB_TRY(sb_db_open(&db, home, SB_DB_READ, err));
    const sb_status s = sb_db_backup(db, file, err);
    sb_db_close(db);
    if (s == SB_OK) sb_term_say("%s: backup written", file);
    return s;
}

static sb_status restore(const char *home, const char *file, sb_error *err)
{
    sb_db_facts f;
    SB_TRY(sb_db_restore(home, file, &f, err));
    say_facts(file, &f);
    sb_term_say("restored; what was there before is kept as sobre.db.old");
    return SB_OK;
}

static sb_status check(const char *home, sb_error *err)
{
    sb_db *db = NULL;
    sb_db_facts f;
    SB_TRY(sb_db_open(&db, home, SB_DB_READ, err));
    const sb_status s = sb_db_check(db, &f, err);
    sb_db_close(db);
    if (s == SB_OK) say_facts("sobre.db", &f);
    return s;
}

sb_status sb_cmd_db(const sb_cli *c, sb_error *err)
{
    sb_store *store = NULL;
    SB_TRY(sb_store_open(&store, NULL, err));
    const char *home = sb_store_home(store);
    const char *file = c->args->words[1];
    const sb_verb verb = c->args->verb;
    sb_status s = SB_OK;
    if (verb == SB_VERB_db_backup) s = backup(home, file, err);
    if (verb == SB_VERB_db_restore) s = restore(home, file, err);
    if (verb == SB_VERB_db_check) s = check(home, err);
    sb_store_close(store);
    return s;
}
