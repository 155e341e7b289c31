/* SPDX-License-Identifier: Apache-2.0
 * help_shells.c - the lists as completions for bash, zsh and fish.
 *
 * A value is completed by what its option's arg says: a|b|c are the words themselves; NAME asks
 * `sobre list`; FILE or PATH anywhere in it completes files. A command's verbs are its first word;
 * the name behind one is no model's. */
#include <string.h>

#include "cli/french.h"
#include "cli/help.h"

static const char models[] = "sobre list 2>/dev/null | cut -d\" \" -f1";

static bool has_option(sb_cmd cmd, int i)
{
    return (sb_options[i].commands & (1u << cmd)) != 0;
}

static bool says_file(const char *args)
{
    return strstr(args, "FILE") || strstr(args, "PATH");
}

static bool says_name(const char *args)
{
    return strstr(args, "NAME") || strstr(args, "MODEL");
}

/* "fast|exact" as "fast exact" */
static void choices(sb_out *o, const char *arg)
{
    for (const char *p = arg; *p; p++)
        sb_out_add(o, *p == '|' ? " " : p, 1);
}

/* text between two ' of a shell, with what `also` lists after a backslash and no end of line. */
static void quoted(sb_out *o, const char *text, const char *also)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\'')
            sb_out_add(o, "'\\''", 4);
        else {
            if (strchr(also, *p)) sb_out_add(o, "\\", 1);
            sb_out_add(o, p, 1);
        }
    }
}

static void command_names(sb_out *o)
{
    for (int i = 0; i < SB_CMD_COUNT; i++)
        sb_out_addf(o, "%s%s", i ? " " : "", sb_commands[i].name);
}

static void verb_names(sb_out *o, sb_cmd cmd)
{
    bool first = true;
    for (int i = 0; i < SB_VERB_COUNT; i++) {
        if (sb_verbs[i].cmd != cmd) continue;
        sb_out_addf(o, "%s%s", first ? "" : " ", sb_verbs[i].name);
        first = false;
    }
}

/* How bash finds what fills a value or a word. */
static void bash_fill(sb_out *o, const char *args, bool is_choice)
{
    if (is_choice) {
        sb_out_addf(o, "COMPREPLY=($(compgen -W '");
        choices(o, args);
        sb_out_addf(o, "' -- \"$cur\"))");
    } else if (says_name(args) && says_file(args)) {
        sb_out_addf(o, "COMPREPLY=($(compgen -W \"$(%s)\" -- \"$cur\") $(compgen -f -- \"$cur\"))",
                    models);
    } else if (says_name(args)) {
        sb_out_addf(o, "COMPREPLY=($(compgen -W \"$(%s)\" -- \"$cur\"))", models);
    } else if (says_file(args)) {
        sb_out_addf(o, "COMPREPLY=($(compgen -f -- \"$cur\"))");
    } else if (strstr(args, "COMMAND")) {
        sb_out_addf(o, "COMPREPLY=($(compgen -W '");
        command_names(o);
        sb_out_addf(o, "' -- \"$cur\"))");
    } else {
        sb_out_addf(o, "COMPREPLY=()");
    }
}

/* The same for a command's words. */
static void bash_words(sb_out *o, sb_cmd cmd)
{
    const char *args = sb_commands[cmd].args;
    if (!sb_command_has_verbs(cmd)) {
        bash_fill(o, args, false);
        return;
    }
    sb_out_addf(o, "if ((COMP_CWORD == 2)); then COMPREPLY=($(compgen -W '");
    verb_names(o, cmd);
    sb_out_addf(o, "' -- \"$cur\"))%s; fi",
                says_file(args) ? "; else COMPREPLY=($(compgen -f -- \"$cur\"))" : "");
}

static void bash_command(sb_out *o, sb_cmd cmd)
{
    for (int i = 0; i < SB_OPT_COUNT; i++) {
        const sb_option_row *r = &sb_options[i];
        if (!has_option(cmd, i) || r->type == SB_OPT_FLAG) continue;
        sb_out_addf(o, "    %s:--%s", sb_commands[cmd].name, r->name);
        if (r->letter) sb_out_addf(o, " | %s:-%c", sb_commands[cmd].name, r->letter);
        sb_out_addf(o, ") ");
        bash_fill(o, r->arg, r->type == SB_OPT_CHOICE);
        sb_out_addf(o, "; return ;;\n");
    }
    sb_out_addf(
        o, "    %s:*)\n        if [[ $cur == -* ]]; then\n            COMPREPLY=($(compgen -W '",
        sb_commands[cmd].name);
    for (int i = 0; i < SB_OPT_COUNT; i++) {
        if (!has_option(cmd, i)) continue;
        sb_out_addf(o, "--%s ", sb_options[i].name);
        if (sb_options[i].letter) sb_out_addf(o, "-%c ", sb_options[i].letter);
    }
    sb_out_addf(o, "' -- \"$cur\"))\n        else\n            ");
    bash_words(o, cmd);
    sb_out_addf(o, "\n        fi ;;\n");
}

void sb_help_bash(sb_out *o)
{
    sb_out_addf(o, "# bash completion of sobre: `source <(sobre help --format bash)`\n"
                   "# shellcheck shell=bash disable=SC2207\n"
                   "_sobre() {\n"
                   "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
                   "    COMPREPLY=()\n"
                   "    if ((COMP_CWORD == 1)); then\n"
                   "        COMPREPLY=($(compgen -W '");
    command_names(o);
    sb_out_addf(o, " --help --version' -- \"$cur\"))\n        return\n    fi\n"
                   "    case ${COMP_WORDS[1]}:$prev in\n");
    for (int i = 0; i < SB_CMD_COUNT; i++)
        bash_command(o, (sb_cmd)i);
    sb_out_addf(o, "    esac\n}\ncomplete -o filenames -F _sobre sobre\n");
}

/* What _arguments does for a value or a word. */
static void zsh_fill(sb_out *o, const char *args, bool is_choice)
{
    const char *shown = sb_tr(args);
    if (*args == '[') shown = args; /* brackets would end the description */
    sb_out_addf(o, ":");
    quoted(o, *shown == '[' ? "" : shown, ":[]\\");
    sb_out_addf(o, ":");
    if (is_choice) {
        sb_out_addf(o, "(");
        choices(o, args);
        sb_out_addf(o, ")");
    } else if (says_name(args)) {
        sb_out_addf(o, says_file(args) ? "_sobre_models_files" : "_sobre_models");
    } else if (says_file(args)) {
        sb_out_addf(o, "_files");
    } else if (strstr(args, "COMMAND")) {
        sb_out_addf(o, "(");
        command_names(o);
        sb_out_addf(o, ")");
    }
}

static void zsh_command(sb_out *o, sb_cmd cmd)
{
    const sb_command_row *c = &sb_commands[cmd];
    sb_out_addf(o, "    %s)\n        _arguments -s -S", c->name);
    for (int i = 0; i < SB_OPT_COUNT; i++) {
        const sb_option_row *r = &sb_options[i];
        if (!has_option(cmd, i)) continue;
        const char *again = r->type == SB_OPT_TEXTS ? "*" : "";
        if (r->letter)
            sb_out_addf(o, " \\\n            '(-%c --%s)'{-%c,--%s}'", r->letter, r->name,
                        r->letter, r->name);
        else
            sb_out_addf(o, " \\\n            '%s--%s", again, r->name);
        sb_out_addf(o, "[");
        quoted(o, sb_tr(r->help), ":[]\\");
        sb_out_addf(o, "]");
        if (r->type != SB_OPT_FLAG) zsh_fill(o, r->arg, r->type == SB_OPT_CHOICE);
        sb_out_addf(o, "'");
    }
    if (sb_command_has_verbs(cmd)) {
        sb_out_addf(o, " \\\n            '1::(");
        verb_names(o, cmd);
        sb_out_addf(o, ")'%s", says_file(c->args) ? " '2:::_files'" : "");
    } else if (c->n_max > 0) {
        sb_out_addf(o, " \\\n            '%s1", "");
        if (c->n_min == 0) sb_out_addf(o, ":");
        zsh_fill(o, c->args, false);
        sb_out_addf(o, "'");
    }
    sb_out_addf(o, "\n        ;;\n");
}

void sb_help_zsh(sb_out *o)
{
    sb_out_addf(
        o,
        "#compdef sobre\n"
        "# zsh completion of sobre; also `source <(sobre help --format zsh)` after compinit\n"
        "_sobre_models() {\n"
        "    local -a names\n"
        "    names=(${(f)\"$(%s)\"})\n"
        "    compadd -- $names\n"
        "}\n"
        "_sobre_models_files() { _alternative 'models:model:_sobre_models' "
        "'files:file:_files' }\n"
        "_sobre() {\n"
        "    local -a commands=(\n",
        models);
    for (int i = 0; i < SB_CMD_COUNT; i++) {
        sb_out_addf(o, "        '%s:", sb_commands[i].name);
        quoted(o, sb_tr(sb_commands[i].what), ":\\");
        sb_out_addf(o, "'\n");
    }
    sb_out_addf(o, "    )\n"
                   "    if ((CURRENT == 2)); then\n"
                   "        _describe -t commands 'sobre' commands\n"
                   "        return\n"
                   "    fi\n"
                   "    local command=$words[2]\n"
                   "    shift words\n"
                   "    ((CURRENT--))\n"
                   "    case $command in\n");
    for (int i = 0; i < SB_CMD_COUNT; i++)
        zsh_command(o, (sb_cmd)i);
    sb_out_addf(o,
                "    esac\n}\n"
                "if [[ $funcstack[1] == _sobre ]]; then _sobre \"$@\"; else compdef _sobre sobre; "
                "fi\n");
}

static void fish_fill(sb_out *o, const char *args, bool is_choice)
{
    sb_out_addf(o, says_file(args) ? " -F" : " -f");
    if (is_choice) {
        sb_out_addf(o, " -a '");
        choices(o, args);
        sb_out_addf(o, "'");
    } else if (says_name(args)) {
        sb_out_addf(o, " -a '(%s)'", models);
    } else if (strstr(args, "COMMAND")) {
        sb_out_addf(o, " -a '");
        command_names(o);
        sb_out_addf(o, "'");
    }
}

static void fish_command(sb_out *o, sb_cmd cmd)
{
    const sb_command_row *c = &sb_commands[cmd];
    sb_out_addf(o, "complete -c sobre -n __fish_use_subcommand -f -a %s -d '", c->name);
    quoted(o, sb_tr(c->what), "\\");
    sb_out_addf(o, "'\ncomplete -c sobre -n '__fish_seen_subcommand_from %s'", c->name);
    if (sb_command_has_verbs(cmd)) {
        sb_out_addf(o, says_file(c->args) ? " -F -a '" : " -f -a '");
        verb_names(o, cmd);
        sb_out_addf(o, "'");
    } else {
        fish_fill(o, c->args, false);
    }
    sb_out_addf(o, "\n");
    for (int i = 0; i < SB_OPT_COUNT; i++) {
        const sb_option_row *r = &sb_options[i];
        if (!has_option(cmd, i)) continue;
        sb_out_addf(o, "complete -c sobre -n '__fish_seen_subcommand_from %s'", c->name);
        if (r->letter) sb_out_addf(o, " -s %c", r->letter);
        sb_out_addf(o, " -l %s", r->name);
        if (r->type != SB_OPT_FLAG) {
            sb_out_addf(o, " -r");
            fish_fill(o, r->arg, r->type == SB_OPT_CHOICE);
        }
        sb_out_addf(o, " -d '");
        quoted(o, sb_tr(r->help), "\\");
        sb_out_addf(o, "'\n");
    }
}

void sb_help_fish(sb_out *o)
{
    sb_out_addf(o, "# fish completion of sobre: `sobre help --format fish | source`\n");
    for (int i = 0; i < SB_CMD_COUNT; i++)
        fish_command(o, (sb_cmd)i);
}
