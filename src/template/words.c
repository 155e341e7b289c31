/* SPDX-License-Identifier: Apache-2.0
 * words.c - the names of filters, tests, methods and globals, looked up in their lists. */
#include "template/tpl.h"

#include <string.h>

static const char *const filters[] = {
#define X(name, fn, n_min, n_max) #name,
#include "template/filters.def"
#undef X
};

static const int8_t filter_args[][2] = {
#define X(name, fn, n_min, n_max) {n_min, n_max},
#include "template/filters.def"
#undef X
};

static const char *const tests[] = {
#define X(name, n_args) #name,
#include "template/tests.def"
#undef X
};

static const int8_t test_args[] = {
#define X(name, n_args) n_args,
#include "template/tests.def"
#undef X
};

static const struct {
    const char *name, *types;
} methods[] = {
#define X(name, types) {#name, types},
#include "template/methods.def"
#undef X
};

static const char *const globals[] = {
#define X(name) #name,
#include "template/globals.def"
#undef X
};

static bool is(const char *name, const char *p, size_t n)
{
    return strlen(name) == n && memcmp(name, p, n) == 0;
}

static int find(const char *const *names, size_t n_names, const char *p, size_t n)
{
    for (size_t i = 0; i < n_names; i++)
        if (is(names[i], p, n)) return (int)i;
    return -1;
}

int sb_tpl_filter_find(const char *p, size_t n)
{
    return find(filters, SB_ARRAY_LEN(filters), p, n);
}

int sb_tpl_test_find(const char *p, size_t n)
{
    static const struct {
        const char *name;
        int id;
    } also[] = {{"==", SB_TEST_eq}, {"!=", SB_TEST_ne}, {"<", SB_TEST_lt},
                {"<=", SB_TEST_le}, {">", SB_TEST_gt},  {">=", SB_TEST_ge}};
    for (size_t i = 0; i < SB_ARRAY_LEN(also); i++)
        if (is(also[i].name, p, n)) return also[i].id;
    return find(tests, SB_ARRAY_LEN(tests), p, n);
}

int sb_tpl_method_find(const char *p, size_t n)
{
    for (size_t i = 0; i < SB_ARRAY_LEN(methods); i++)
        if (is(methods[i].name, p, n)) return (int)i;
    return -1;
}

int sb_tpl_global_find(const char *p, size_t n)
{
    return find(globals, SB_ARRAY_LEN(globals), p, n);
}

const char *sb_tpl_filter_name(unsigned id)
{
    return filters[id];
}

bool sb_tpl_filter_takes(unsigned id, int n_args)
{
    return n_args >= filter_args[id][0] && n_args <= filter_args[id][1];
}

bool sb_tpl_test_takes(unsigned id, int n_args)
{
    return n_args == test_args[id];
}

const char *sb_tpl_method_name(unsigned id)
{
    return methods[id].name;
}

bool sb_tpl_method_of(unsigned id, unsigned val_type)
{
    static const char letters[] = {[SB_VAL_STR] = 's',
                                   [SB_VAL_LIST] = 'l',
                                   [SB_VAL_TUPLE] = 't',
                                   [SB_VAL_DICT] = 'd',
                                   [SB_VAL_LOOP] = 'o'};
    return val_type < sizeof letters && letters[val_type] &&
           strchr(methods[id].types, letters[val_type]) != NULL;
}
