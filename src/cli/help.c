/* SPDX-License-Identifier: Apache-2.0
 * help.c - help pages, made from the lists alone. */
#include "cli/help.h"

#include <stdio.h>
#include <string.h>

#include "cli/french.h"

enum { COLUMNS = 79, INDENT = 6 };

const sb_environ_row sb_environ_rows[] = {
#define X(name, help) {#name, help},
#include "cli/environ.def"
#undef X
};
const size_t sb_environ_n = SB_ARRAY_LEN(sb_environ_rows);

const char sb_help_exit[] =
    "Exit status: 0 done, 1 it failed (one line on standard error says what, where and what next; "
    "also when standard output is closed early), 2 the command line is wrong, 130 interrupted.";

/* Columns of n bytes of text: characters, each as wide as another. */
static size_t width_of(const char *text, size_t n)
{
    size_t w = 0;
    for (size_t i = 0; i < n; i++)
        w += ((unsigned char)text[i] & 0xc0) != 0x80;
    return w;
}

/* Bytes up to the blank where a line may break: not before French marks, nor in their quotes. */
static size_t word_of(const char *text)
{
    size_t n = strcspn(text, " ");
    while (text[n] && text[n + 1] &&
           (strchr(":;?!", text[n + 1]) || strncmp(text + n + 1, "»", 2) == 0 ||
            (n >= 2 && strncmp(text + n - 2, "«", 2) == 0)))
        n += 1 + strcspn(text + n + 1, " ");
    return n;
}

/* Words of text, each line `indent` blanks in and at most COLUMNS long. */
static void wrap(sb_out *o, const char *text, size_t indent)
{
    size_t at = 0;
    while (*text) {
        const size_t n = word_of(text), width = width_of(text, n);
        if (at > indent && at + 1 + width > COLUMNS) {
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
        at += width;
        text += n + strspn(text + n, " ");
    }
    sb_out_add(o, "\n", 1);
}

int sb_help_n_options(sb_cmd cmd)
{
    int n = 0;
    for (int i = 0; i < SB_OPT_COUNT; i++)
        n += i != SB_OPT_help && (sb_options[i].commands & (1u << cmd)) != 0;
    return n;
}

static void usage(sb_out *o, sb_cmd cmd)
{
    const sb_command_row *c = &sb_commands[cmd];
    sb_out_addf(o, "%s sobre %s%s%s%s\n", sb_tr("usage:"), c->name,
                sb_help_n_options(cmd) > 0 ? " [OPTIONS]" : "", *c->args ? " " : "",
                sb_tr(c->args));
}

void sb_help_list(sb_out *o)
{
    sb_out_addf(o, "%s\n\n", sb_tr("usage: sobre COMMAND [OPTIONS] [WORDS]"));
    for (int i = 0; i < SB_CMD_COUNT; i++)
        sb_out_addf(o, "  %-11s %s\n", sb_commands[i].name, sb_tr(sb_commands[i].what));
    sb_out_addf(o, "\n%s\n", sb_tr("Environment:"));
    for (size_t i = 0; i < sb_environ_n; i++) {
        sb_out_addf(o, "  %s\n", sb_environ_rows[i].name);
        wrap(o, sb_tr(sb_environ_rows[i].help), INDENT);
    }
    sb_out_addf(o, "\n");
    wrap(o, sb_tr(sb_help_exit), 0);
    sb_out_addf(o, "\n%s\n", sb_tr("`sobre help COMMAND` shows one command's options."));
}

void sb_help_range(const sb_option_row *r, char out[SB_HELP_RANGE_BYTES])
{
    char text[SB_HELP_RANGE_BYTES] = "";
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
    sb_buf line;
    sb_buf_init(&line, SB_HELP_RANGE_BYTES - 1, "range of an option");
    const bool ok = sb_tr_line(&line, (sb_str){text, strlen(text)}, NULL) == SB_OK && line.p;
    (void)snprintf(out, SB_HELP_RANGE_BYTES, "%s", ok ? line.p : text);
    sb_buf_deinit(&line);
}

void sb_help_page(sb_out *o, sb_cmd cmd)
{
    if (cmd == SB_CMD_help) {
        sb_help_list(o);
        return;
    }
    usage(o, cmd);
    sb_out_addf(o, "\n%s.\n", sb_tr(sb_commands[cmd].what));
    if (*sb_commands[cmd].more) {
        sb_out_addf(o, "\n");
        wrap(o, sb_tr(sb_commands[cmd].more), 0);
    }
    if (sb_command_has_verbs(cmd)) sb_out_addf(o, "\n");
    for (int i = 0; i < SB_VERB_COUNT; i++) {
        const sb_verb_row *r = &sb_verbs[i];
        if (r->cmd != cmd) continue;
        sb_out_addf(o, "  %s%s%s\n", r->name, *r->args ? " " : "", sb_tr(r->args));
        wrap(o, sb_tr(r->what), INDENT);
    }
    sb_out_addf(o, "\n%s\n", sb_tr("Options:"));
    for (int i = 0; i < SB_OPT_COUNT; i++) {
        const sb_option_row *r = &sb_options[i];
        if (!(r->commands & (1u << cmd))) continue;
        const char letter[] = {'-', r->letter, ',', ' ', 0};
        char range[SB_HELP_RANGE_BYTES];
        sb_out_addf(o, "  %s--%s%s%s\n", r->letter ? letter : "", r->name, *r->arg ? " " : "",
                    sb_tr(r->arg));
        wrap(o, sb_tr(r->help), INDENT);
        sb_help_range(r, range);
        if (*range) wrap(o, range, INDENT);
    }
}

sb_status sb_cmd_help(const sb_cli *c, sb_error *err)
{
    static void (*const completions[])(sb_out *) = {NULL, sb_help_bash, sb_help_zsh, sb_help_fish};
    (void)err;
    const sb_opt_value *format = &c->args->v[SB_OPT_format];
    const sb_cmd cmd =
        c->args->n_words ? sb_command_find(c->args->words[0]) : SB_CMD_COUNT; /* exists */
    if (format->set && format->i > 0)
        completions[format->i](c->out);
    else if (format->set)
        sb_help_man(c->out, cmd);
    else if (cmd == SB_CMD_COUNT)
        sb_help_list(c->out);
    else
        sb_help_page(c->out, cmd);
    return SB_OK;
}
