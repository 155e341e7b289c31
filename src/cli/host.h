/* SPDX-License-Identifier: Apache-2.0
 * host.h - what a prompt of `sobre run` and a conversation of `sobre chat` run on.
 *
 * Purpose     Opens model, pool and meter as the options say, once for both commands; shows answers
 *             as they come.
 * Ownership   sb_host owns all it opens; it may be closed half-built.
 * Errors      As the rooms it opens; every message says the next step. */
#ifndef SB_CLI_HOST_H
#define SB_CLI_HOST_H
#include "base/pool.h"
#include "chat/chat.h"
#include "cli/cli.h"
#include "cli/meter_web.h"
#include "cli/footprint.h"
#include "cli/progress.h"
#include "cli/receipt_out.h"

typedef struct sb_host {
    const sb_args *args;
    const char *name; /* the model as it was asked for */
    sb_buf path, record, template_file;
    sb_pool *pool;
    sb_meter_web meter_web;
    sb_meter *meter;
    sb_ledger *ledger;
    sb_rest rest;
    sb_governor *governor;
    sb_receipt_out receipt; /* of --receipt, or of a chat's /receipt */
    sb_chat *chat;
    sb_bar bar; /* of what takes long: packing, then each long prompt */
    uint64_t begin_ns, ready_ns;
    uint64_t seed;
    sb_footprint footprint; /* --grid and --tariff */
} sb_host;

/* A host to open, or to close. */
void sb_host_init(sb_host *h, const sb_args *a);
sb_status sb_host_open(sb_host *h, sb_error *err) SB_MUST_USE;
void sb_host_close(sb_host *h);

/* What the options say of drawing; i_turn: counted from 0, so that turns differ under one seed. */
sb_sampling sb_host_sampling(const sb_host *h, uint64_t i_turn);
/* What the options say of thinking. */
sb_thinking sb_host_thinking(const sb_host *h);
/* The --max-energy-j of an answer in microjoules, 0: none. */
int64_t sb_host_budget_uj(const sb_host *h);
/* The --stop texts; out has room for SB_MAX_STOPS. */
int32_t sb_host_stops(const sb_host *h, sb_str *out);
/* SB_INVALID when --system is not UTF-8. */
sb_status sb_host_check_system(const sb_args *a, sb_error *err) SB_MUST_USE;

/* An answer on its way to people: content to out, thoughts dimmed to a terminal. */
typedef struct sb_screen {
    sb_out *out;
    int thoughts_fd; /* where thoughts go, -1: nowhere */
    bool thinking;   /* the last thing shown was a thought */
    bool any;        /* something was shown */
} sb_screen;

/* Thoughts go to standard output if it is a terminal, else to standard error if that is one. */
sb_screen sb_screen_begin(sb_out *out);
/* False when nobody reads any more. */
bool sb_screen_show(sb_screen *s, const sb_output_event *e);
/* Ends what is open; a terminal gets its newline. */
void sb_screen_end(sb_screen *s);
#endif
