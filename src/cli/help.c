/* SPDX-License-Identifier: Apache-2.0
 * help.c - help pages, made from the lists alone. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

enum { COLUMNS = 79, INDENT = 6 };

/* Words of text, each line `indent` blanks in and at most COLUMNS long. */
static void wrap(sb_out *o, const char *text, size_t indent)
{
    size_t at = 0;
    while (*text) {
        const size_t n = strcspn(text, " ");
        if (at > indent && at + 1 + n > COLUMNS) {
            sb_out_add(o, "\n", 1);
            at = 0;
        }
        if (at == 0)
            for (; at < indent; at++)
                sb_out_add(o, " ", 1);
        else if (at > indent) {
            sb_out_add(o, " ", 1);
            at++;
        }
        sb_out_add(o, text, n);
        at += n;
        text += n + strspn(text + n, " ");
    }
    sb_out_add(o, "\n", 1);
}

static void usage(sb_out *o, sb_cmd cmd)
{
    const sb_command_row *c = &sb_commands[cmd];
    int n_options = 0;
    for (int i = 0; i < SB_OPT_COUNT; i++)
        n_options += (sb_options[i].commands & (1u << cmd)) != 0;
    sb_out_addf(o, "usage: sobre %s%s%s%s\n", c->name, n_options > 1 ? " [OPTIONS]" : "",
                *c->args ? " " : "", c->args);
}

void sb_help_list(sb_out *o)
{
    sb_out_addf(o, "usage: sobre COMMAND [OPTIONS] [WORDS]\n\n");
    for (int i = 0; i < SB_CMD_COUNT; i++)
        sb_out_addf(o, "  %-11s %s\n", sb_commands[i].name, sb_commands[i].what);
    sb_out_addf(o, "\nEnvironment:\n");
#define X(name, help)                                                                              \
    sb_out_addf(o, "  %s\n", #name);                                                               \
    wrap(o, help, INDENT);
#include "cli/environ.def"
#undef X
    sb_out_addf(
        o,
        "\nExit status: 0 done, 1 it failed (one line on standard error says what, where and what\n"
        "next; also when standard output is closed early), 2 the command line is wrong,\n"
        "130 interrupted.\n\n`sobre help COMMAND` shows one command's options.\n");
}

/* "(default: 40; 0 to 16777216)" where the row has such things to say. */
static void say_range(sb_out *o, const sb_option_row *r)
{
    char text[96] = "";
    const bool shown = r->dflt >= r->lo && !(r->type == SB_OPT_INT && r->dflt_i < r->lo_i);
    if (r->type == SB_OPT_INT && shown)
        (void)snprintf(text, sizeof text, "(default: %lld; %lld to %lld)", (long long)r->dflt_i,
                       (long long)r->lo_i, (long long)r->hi_i);
    else if (r->type == SB_OPT_INT)
        (void)snprintf(text, sizeof text, "(%lld to %lld)", (long long)r->lo_i, (long long)r->hi_i);
    else if (r->type == SB_OPT_REAL && shown)
        (void)snprintf(text, sizeof text, "(default: %g; %g to %g)", r->dflt, r->lo, r->hi);
    else if (r->type == SB_OPT_REAL)
        (void)snprintf(text, sizeof text, "(%g to %g)", r->lo, r->hi);
    else if (r->type == SB_OPT_CHOICE && r->dflt_i >= 0)
        (void)snprintf(text, sizeof text, "(default: %.*s)", (int)strcspn(r->arg, "|"), r->arg);
    if (text[0]) wrap(o, text, INDENT);
}

void sb_help_page(sb_out *o, sb_cmd cmd)
{
    if (cmd == SB_CMD_help) {
        sb_help_list(o);
        return;
    }
    usage(o, cmd);
    sb_out_addf(o, "\n%s.\n", sb_commands[cmd].what);
    if (*sb_commands[cmd].more) {
        sb_out_addf(o, "\n");
        wrap(o, sb_commands[cmd].more, 0);
    }
    sb_out_addf(o, "\nOptions:\n");
    for (int i = 0; i < SB_OPT_COUNT; i++) {
        const sb_option_row *r = &sb_options[i];
        if (!(r->commands & (1u << cmd))) continue;
        const char letter[] = {'-', r->letter, ',', ' ', 0};
        sb_out_addf(o, "  %s--%s%s%s\n", r->letter ? letter : "", r->name, *r->arg ? " " : "",
                    r->arg);
        wrap(o, r->help, INDENT);
        say_range(o, r);
    }
}

sb_status sb_cmd_help(const sb_cli *c, sb_error *err)
{
    (void)err;
    if (c->args->n_words == 0) {
        sb_help_list(c->out);
        return SB_OK;
    }
    sb_help_page(c->out, sb_command_find(c->args->words[0])); /* options.c knows it exists */
    return SB_OK;
}
