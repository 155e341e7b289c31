/* SPDX-License-Identifier: Apache-2.0
 * builtin.c - the list of well-known chat templates. */
#include "prompt/prompt.h"

#include <string.h>

sb_str sb_prompt_builtin(sb_str name)
{
    static const struct {
        const char *name, *text;
    } all[] = {
#define X(name, text) {name, text},
#include "prompt/builtin.def"
#undef X
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(all); i++)
        if (strlen(all[i].name) == name.n && memcmp(all[i].name, name.p, name.n) == 0)
            return (sb_str){all[i].text, strlen(all[i].text)};
    return (sb_str){0};
}

const char *sb_prompt_builtin_list(void)
{
    static const char list[] = ""
#define X(name, text) ", " name
#include "prompt/builtin.def"
#undef X
        ;
    return list + 2;
}
