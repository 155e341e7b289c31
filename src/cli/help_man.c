/* SPDX-License-Identifier: Apache-2.0
 * help_man.c - the lists as man pages: one for the command, one for each of its commands. */
#include <ctype.h>
#include <string.h>

#include "cli/french.h"
#include "cli/help.h"
#include "sobre.h"

#define TEXT_OF(x) #x
#define VALUE_OF(x) TEXT_OF(x)
static const char version[] = VALUE_OF(SOBRE_VERSION_MAJOR) "." VALUE_OF(
    SOBRE_VERSION_MINOR) "." VALUE_OF(SOBRE_VERSION_PATCH);

/* Text that roff shows as it is: at the beginning of a line '.' and '\'' would be requests, and a
 * hyphen would become a dash. */
static void add(sb_out *o, const char *text)
{
    if (*text == '.' || *text == '\'') sb_out_add(o, "\\&", 2);
    for (const char *p = text; *p; p++) {
        if (*p == '\\')
            sb_out_add(o, "\\e", 2);
        else if (*p == '-')
            sb_out_add(o, "\\-", 2);
        else
            sb_out_add(o, p, 1);
    }
}

static void line(sb_out *o, const char *text)
{
    add(o, text);
    sb_out_add(o, "\n", 1);
}

static void title(sb_out *o, const char *text)
{
    const char *shown = sb_tr(text);
    sb_out_addf(o, ".SH %s\n", shown);
}

static void head(sb_out *o, const char *name, const char *what)
{
    sb_out_addf(o, ".TH SOBRE%s", *name ? "-" : "");
    for (const char *p = name; *p; p++)
        sb_out_addf(o, "%c", toupper((unsigned char)*p));
    sb_out_addf(o, " 1 \"\" \"sobre %s\" sobre\n", version);
    title(o, "NAME");
    sb_out_addf(o, "sobre%s%s \\- ", *name ? "\\-" : "", name);
    line(o, what);
    title(o, "SYNOPSIS");
}

static void option(sb_out *o, const sb_option_row *r)
{
    char range[SB_HELP_RANGE_BYTES];
    sb_out_addf(o, ".TP\n");
    if (r->letter) sb_out_addf(o, "\\fB\\-%c\\fR, ", r->letter);
    sb_out_addf(o, "\\fB\\-\\-");
    add(o, r->name);
    sb_out_addf(o, "\\fR%s\\fI", *r->arg ? " " : "");
    add(o, sb_tr(r->arg));
    sb_out_addf(o, "\\fR\n");
    line(o, sb_tr(r->help));
    sb_help_range(r, range);
    if (*range) line(o, range);
}

static void page_of(sb_out *o, sb_cmd cmd)
{
    const sb_command_row *c = &sb_commands[cmd];
    head(o, c->name, sb_tr(c->what));
    sb_out_addf(o, "\\fBsobre %s\\fR%s", c->name, sb_help_n_options(cmd) ? " [OPTIONS]" : "");
    sb_out_addf(o, "%s\\fI", *c->args ? " " : "");
    add(o, sb_tr(c->args));
    sb_out_addf(o, "\\fR\n");
    if (*c->more) {
        title(o, "DESCRIPTION");
        line(o, sb_tr(c->more));
    }
    for (int i = 0; i < SB_VERB_COUNT; i++) {
        const sb_verb_row *r = &sb_verbs[i];
        if (r->cmd != cmd) continue;
        sb_out_addf(o, ".TP\n\\fB%s\\fR%s\\fI", r->name, *r->args ? " " : "");
        add(o, sb_tr(r->args));
        sb_out_addf(o, "\\fR\n");
        line(o, sb_tr(r->what));
    }
    title(o, "OPTIONS");
    for (int i = 0; i < SB_OPT_COUNT; i++)
        if (sb_options[i].commands & (1u << cmd)) option(o, &sb_options[i]);
    title(o, "SEE ALSO");
    sb_out_addf(o, "\\fBsobre\\fR(1)\n");
}

static void page_of_all(sb_out *o)
{
    head(o, "", sb_tr("large language models on your own machine"));
    sb_out_addf(o, "\\fBsobre\\fR ");
    line(o, sb_tr("COMMAND [OPTIONS] [WORDS]"));
    title(o, "COMMANDS");
    for (int i = 0; i < SB_CMD_COUNT; i++) {
        sb_out_addf(o, ".TP\n\\fB%s\\fR\n", sb_commands[i].name);
        line(o, sb_tr(sb_commands[i].what));
    }
    title(o, "ENVIRONMENT");
    for (size_t i = 0; i < sb_environ_n; i++) {
        sb_out_addf(o, ".TP\n\\fB%s\\fR\n", sb_environ_rows[i].name);
        line(o, sb_tr(sb_environ_rows[i].help));
    }
    title(o, "EXIT STATUS");
    line(o, sb_tr(sb_help_exit));
    title(o, "SEE ALSO");
    for (int i = 0; i < SB_CMD_COUNT; i++)
        sb_out_addf(o, "\\fBsobre\\-%s\\fR(1)%s\n", sb_commands[i].name,
                    i + 1 < SB_CMD_COUNT ? "," : "");
}

void sb_help_man(sb_out *o, sb_cmd cmd)
{
    if (cmd == SB_CMD_COUNT)
        page_of_all(o);
    else
        page_of(o, cmd);
}
